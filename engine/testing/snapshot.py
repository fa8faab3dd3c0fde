"""
The whole host, as far as a network tool can change it: taken, compared, told apart.

What does not count, and why:

- counters, timers, lifetimes, carrier state, progress of duplicate address detection: they change by themselves;
- neighbours and conntrack entries: traffic makes them;
- empty base chains that accept, in tables of iptables: their tools make them on first use and never remove them;
- /run/netns itself and its self-bind mount, /run/xtables.lock, /run/mount (util-linux's notes): the same;
- /run/nsctl itself, and in it the lock, the store and the ballast, which stay by design (`kept` says otherwise);
- /run/shim, where tests keep their stand-ins for tools, its mounts, and processes that are marked as the tests' own.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from nsctl.engine.testing import files, network
from nsctl.engine.testing.firewall import parse_nft, parse_save
from nsctl.engine.testing.lab import ENVIRONMENT, Lab
from nsctl.engine.testing.namespaces import NEWNET, setns
from nsctl.engine.testing.network import Section

KEPT = ("lock", "watch.lock", "resident.*", "state.db*", "ballast", "key", "stores", "trail-*.head")
"""Files in nsctl's state directory that stay by design."""


@dataclass(frozen=True)
class Snapshot:
    """A host at one moment: section (`links`, `sysctls`, `links in web`, …) → name → what it is."""

    sections: dict[str, Section] = field(default_factory=dict)

    def without(self, *names: str) -> Snapshot:
        """The same without some sections, for tests that compare less."""
        return Snapshot({name: section for name, section in self.sections.items() if name not in names})


def snapshot(
    lab: Lab,
    *,
    ifindex: bool = True,
    state_directory: str = "/run/nsctl",
    kept: Collection[str] = KEPT,
    roots: Collection[str] = ("/run", "/etc/netns"),
) -> Snapshot:
    """
    Take a snapshot of a lab host.

    Nothing runs inside the lab for it: process numbers and counts of tools' calls there stay as they are.

    Args:
        lab: The lab.
        ifindex: Whether the indices of links count. They do where a host must be as before; they differ between hosts
            that were brought to the same state in different ways.
        state_directory: nsctl's.
        kept: Names (patterns) in it that are left out.
        roots: Directories of which every file counts.
    """
    named = lab.call(files.namespaces)
    try:
        kernel = lab.observer.submit(_observe, lab.pid, named, ifindex=ifindex)
        sections: dict[str, Section] = {
            "sysctls": lab.call(files.sysctls),
            "mounts": lab.call(files.mounts),
            "processes": lab.call(files.processes),
            "files": lab.call(files.trees, roots, state_directory, kept),
            "namespaces": {name: f"inode {os.fstat(fd).st_ino}" for name, fd in named.items()},
        }
        return Snapshot(kernel.result() | sections)
    finally:
        for fd in named.values():
            os.close(fd)


def diff(before: Snapshot, after: Snapshot) -> list[str]:
    """What differs, one line each: `+` is new, `-` is gone, `~` has changed."""
    lines = []
    for name in sorted(before.sections.keys() | after.sections.keys()):
        old, new = before.sections.get(name, {}), after.sections.get(name, {})
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                lines.append(f"{name}: - {key}: {old[key]}")
            elif key not in old:
                lines.append(f"{name}: + {key}: {new[key]}")
            elif old[key] != new[key]:
                lines.append(f"{name}: ~ {key}: {_change(old[key], new[key])}")
    return lines


def assert_same(before: Snapshot, after: Snapshot) -> None:
    """
    Nothing differs.

    Raises:
        AssertionError: Something differs; the message lists everything that does.
    """
    if differences := diff(before, after):
        raise AssertionError("the host is not as it was:\n  " + "\n  ".join(differences))


def assert_back(lab: Lab, before: Snapshot, *, within: float = 2.0) -> None:
    """
    The host is as before, or comes to be.

    The kernel takes some things away in the background: a link of a dead namespace goes some 30 ms later, after those
    of all the namespaces on the machine that died before; where many did, they are waited for.

    Args:
        lab: The lab.
        before: Taken with the defaults of `snapshot`.
        within: How long to wait for it, in seconds.

    Raises:
        AssertionError: Something still differs then.
    """
    deadline = time.monotonic() + within
    while (after := snapshot(lab)) != before:
        if time.monotonic() >= deadline:
            _wait_for_dead_namespaces()
            after = snapshot(lab)
            break
        time.sleep(0.02)
    assert_same(before, after)


# The kernel takes dead network namespaces apart in the order in which they died: a link goes with the last of them.
_LAST_OF_THEM = """\
exec 2>/dev/null
unshare --net sleep 1000 &
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
ip link add name a type veth peer name b netns $! || exit
kill $!
while ip link show dev a; do sleep 0.01; done >/dev/null
"""


def _wait_for_dead_namespaces() -> None:
    subprocess.run(["unshare", "--net", "sh", "-c", _LAST_OF_THEM], check=True, env=ENVIRONMENT, timeout=120)  # noqa: S607 - the machine's own


def _change(old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return ", ".join(f"{key} {old.get(key)} → {new.get(key)}" for key in keys)
    if isinstance(old, list) and isinstance(new, list):
        changes = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
        return "; ".join(changes) or "order"
    return f"{old} → {new}"


def _observe(host: int, named: dict[str, int], *, ifindex: bool) -> dict[str, Section]:
    """Everything that tools list, of the lab host and then of each named namespace; in the lab's observer thread."""
    nft = _start("nft", "--stateless", "list", "ruleset")
    sections = _observe_network(ifindex=ifindex)
    sections |= _observe_firewall(nft)
    home = os.open(f"/proc/{host}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for name, fd in named.items():
            try:
                setns(fd, NEWNET)
            except OSError as error:
                sections[f"links in {name}"] = {"(not a network namespace)": error.strerror}
                continue
            inner = _observe_network(ifindex=ifindex)
            sections |= {f"{section} in {name}": content for section, content in inner.items()}
    finally:
        setns(home, NEWNET)
        os.close(home)
    return sections


def _observe_network(*, ifindex: bool) -> dict[str, Section]:
    batch = _start("ip", "-details", "-json", "-batch", "-", stdin=network.BATCH)
    rules6 = _start("ip", "-6", "-details", "-json", "rule", "show")
    return network.normalise(_output(batch), _output(rules6), ifindex=ifindex)


def _observe_firewall(nft: subprocess.Popen[str] | None) -> dict[str, Section]:
    tables = _output(nft)
    sections: dict[str, Section] = {"nft": dict(parse_nft(tables))}
    # iptables on nftables has nothing to tell where nft shows no table of its family; its older form is asked
    # where the kernel names tables of it.
    for tool, marker, names in (
        ("iptables", "table ip ", "/proc/thread-self/net/ip_tables_names"),
        ("ip6tables", "table ip6 ", "/proc/thread-self/net/ip6_tables_names"),
    ):
        listing = _output(_start(f"{tool}-save")) if nft is None or marker in tables else ""
        sections[tool] = dict(parse_save(listing))
        if os.path.exists(names) and _has_content(names):
            sections[f"{tool} legacy"] = dict(parse_save(_output(_start(f"{tool}-legacy-save"))))
        else:
            sections[f"{tool} legacy"] = {}
    return sections


def _has_content(path: str) -> bool:
    with open(path, encoding="utf-8") as file:
        return bool(file.read(1))


def _start(tool: str, *args: str, stdin: str | None = None) -> subprocess.Popen[str] | None:
    """Start a tool that lists something; None where the machine has no such tool."""
    path = shutil.which(tool, path=ENVIRONMENT["PATH"])
    if path is None:
        return None
    child = subprocess.Popen(
        [path, *args],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    if stdin is not None and child.stdin is not None:
        child.stdin.write(stdin)  # a few words: they fit the pipe
        child.stdin.close()
        child.stdin = None
    return child


def _output(child: subprocess.Popen[str] | None) -> str:
    if child is None:
        return ""
    output, errors = child.communicate(timeout=60)
    if child.returncode != 0:
        raise AssertionError(f"{child.args!r}: exit status {child.returncode}: {errors}")
    return output
