"""
What a sandbox's init does before it becomes what it is for: a small script, a file of its own, which the dry run shows.

It mounts what the sandbox sees of its own, hides what is not for it, and sets the environment, but for the variables
that were asked for: these come when it is within its bounds.
Whatever is isolated, nsctl's own files and the kernel's settings are kept out of reach: in a mount namespace that is
always private, and that of a sandbox without `mount` in all else follows the host's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from msgspec.structs import replace

from nsctl.engine.kit.process import sandbox_dir
from nsctl.engine.model.facts import HOST_DIR, Facts
from nsctl.engine.model.mode import Request
from nsctl.engine.model.names import mask_of
from nsctl.engine.planning.variables import PATH, home_of

__all__ = ["SCRIPT", "TABLE", "VARIABLES", "fixed_lines", "hidden_from", "masks", "script"]

_NAMES = "/run/netns"
_READ_ONLY = "ro,nosuid,nodev,noexec"
_EMPTY = "ro,size=4k,mode=000"
"""The options of a tmpfs that hides what is below it."""
_SYSRQ = "/proc/sysrq-trigger"
VARIABLES = 4
"""The descriptor from which a workload has its variables; see `nsctl.engine.planning.variables`."""
_FAILED = 125
"""The exit status of `exec` where the command was not reached."""
SCRIPT = "init"
"""The script's name in the sandbox's directory, which is hidden from all sandboxes."""
TABLE = "init.mounts"
"""A table of mounts as fstab(5) has it, in the sandbox's directory."""


def script(request: Request, facts: Facts) -> str:
    """The init's script, which ends by executing its arguments."""
    isolate, place = request.isolate, sandbox_dir(facts, request.name)
    at = shlex.quote(place)
    lines = ["set -e", "umask 022", "cd /", f"exec 3>{at}/init.ready"]
    if request.command and request.settings.get("env"):
        lines.append(f"exec {VARIABLES}<{at}/env")
    if "uts" in isolate:
        lines.append(f"echo {request.name} >/proc/sys/kernel/hostname")
    hidden = hidden_from(facts)
    # Else those that come later would be within reach.
    lines.append(f"[ -d {_NAMES} ] || mkdir -m 0755 {_NAMES} 2>/dev/null || :")
    if "mount" in isolate:
        lines += _mounts(request, facts, hidden)
    else:
        lines += _masks(request.name, hidden, bounded=not request.settings.get("privileged"))
        lines += _files_of(request.name) if "net" in isolate else ()
    user = request.settings.get("user") if request.command else None
    if user and user["uid"]:  # as /dev/stdout, which is this file, it can be opened anew
        lines.insert(3, f"chown {user['uid']} {at}/init.log")
    home = home_of(request.settings if user else {})
    lines.append(f"export {' '.join(f'{k}={shlex.quote(v)}' for k, v in home.items())} LANG=C.UTF-8")
    lines += [f"export PATH={PATH}", "unset LC_ALL OLDPWD"]
    lines.append('exec "$@"')
    return "\n".join(lines) + "\n"


def masks(name: str, hidden: Iterable[str], *, privileged: bool, tools: str) -> str:
    """
    What a command that enters a sandbox without an init does in a mount namespace of its own, before it is executed.

    Args:
        name: The sandbox.
        hidden: What is masked; see `hidden_from`.
        privileged: Whether the kernel's settings stay within reach.
        tools: Where its own tools are; the command's PATH may be any.
    """
    lines = [f"trap 'exit {_FAILED}' EXIT", "set -e", f"path=${{PATH-}}; PATH={tools}"]
    lines += _masks(name, list(hidden), bounded=not privileged)
    lines += _files_of(name)
    lines += ["PATH=$path; unset path", "set +e; trap - EXIT", 'exec "$@"']
    return "\n".join(lines)


def hidden_from(facts: Facts) -> list[str]:
    """The directories that are masked, none of them within another; the one that holds the state comes last."""
    every = dict.fromkeys((_NAMES, HOST_DIR, *facts.hidden, facts.state_dir))
    found = [path for path in every if not any(_is_below(path, other) for other in every)]
    # A table of mounts lies in there: it can only be hidden when it has been read.
    return sorted(found, key=lambda path: path == facts.state_dir or _is_below(facts.state_dir, path))


@cache
def fixed_lines() -> frozenset[str]:
    """The lines of scripts that are the same in all: with those that hold a path, they are all there are."""
    blank = Request("web", None, ("pid", "net"), ("x",), {"env": {"X": "1"}})
    facts = Facts(state_dir="/web", hidden=())
    every = [
        script(replace(blank, isolate=isolate, settings=blank.settings | {"privileged": privileged}), facts)
        for isolate in (("mount",), ("mount", "pid", "net"), ())
        for privileged in (False, True)
    ]
    return frozenset(line for text in every for line in text.split("\n") if "web" not in line)


def _is_below(path: str, other: str) -> bool:
    return path.startswith(other.rstrip("/") + "/")


def _mounts(request: Request, facts: Facts, hidden: Sequence[str]) -> Iterator[str]:
    place = sandbox_dir(facts, request.name)
    table = shlex.quote(f"{place}/{TABLE}")
    own = {"net", "pid"} & set(request.isolate)
    yield "# one table for one process; by a name of its own, none of it passes for mounted already"
    yield "read -r id </proc/sys/kernel/random/uuid"
    yield "{"
    if "pid" in own:
        yield "echo nsctl-$id /proc proc nosuid,nodev,noexec"
    if "net" in own:
        yield f"echo nsctl-$id /sys sysfs {_READ_ONLY}"
    for name in ("hosts", *(("resolv.conf",) if facts.resolv_conf is not None else ())):
        yield f"[ ! -e /etc/{name} ] || {_said('', f'{place}/{name}', f'/etc/{name} none bind')}"
    source = f"{mask_of(request.name)}:$id "
    for path in hidden[:-1]:
        yield f"[ ! -d {shlex.quote(path)} ] || {_said(source, path, f'tmpfs {_EMPTY}')}"
    bounds = [] if request.settings.get("privileged") else _SETTINGS
    if bounds and "pid" in own:
        for path, how in bounds:
            yield f"echo {path} {path} none {how}"
        yield f"[ ! -e {_SYSRQ} ] || echo {_SYSRQ} {_SYSRQ} none bind,{_READ_ONLY}"
    # Last: it hides the table, too.
    yield _said(source, hidden[-1], f"tmpfs {_EMPTY}")
    yield f"}} >{table}"
    yield from _forget_names()
    yield f"mount --all --fstab {table}"
    yield "unset id"
    yield from _files_of(request.name)
    if "net" not in own:
        yield from _sys()
    if bounds and "pid" not in own:
        yield from _settings()


_SETTINGS = (("/proc/sys/net", "bind"), ("/proc/sys", f"rbind,{_READ_ONLY}"))


def _masks(name: str, hidden: Sequence[str], *, bounded: bool) -> Iterator[str]:
    yield from _forget_names()
    for path in map(shlex.quote, hidden):
        yield f"[ ! -d {path} ] || mount -t tmpfs -o {_EMPTY} {mask_of(name)} {path}"
    if bounded:
        yield from _sys()
        yield from _settings()


def _files_of(name: str) -> Iterator[str]:
    yield "# as ip-netns(8) has it: what is in there stands in the place of the same file in /etc"
    yield f"etc=/etc/netns/{name}"
    yield 'for f in "$etc"/*; do'
    yield '[ ! -e "$f" ] || [ ! -e "/etc/${f##*/}" ] || mount --bind "$f" "/etc/${f##*/}" || :'
    yield "done"
    yield "unset etc f"


def _forget_names() -> Iterator[str]:
    yield "# copies of mounts would keep other sandboxes' namespaces alive"
    yield f"while umount -l {_NAMES} {_NAMES} 2>/dev/null; do :; done"


def _sys() -> Iterator[str]:
    yield "# the host's network has one sysfs: bound, it is without what is mounted on it"
    yield f"mount --bind -o {_READ_ONLY} /sys /sys"


def _settings() -> Iterator[str]:
    yield "# something may be mounted here already: then `mount --all` would do nothing"
    for path, how in _SETTINGS:
        yield f"mount -o {how} {path} {path}"
    yield f"[ ! -e {_SYSRQ} ] || mount -o bind,{_READ_ONLY} {_SYSRQ} {_SYSRQ}"


def _said(before: str, path: str, after: str) -> str:
    # Some shells' echo would undo what fstab(5) asks for where a path holds what separates words.
    if shlex.quote(path) == path:
        return f"echo {before}{path} {after}"
    told = "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in path)
    return f'printf "{before}%s {after}\\n" {shlex.quote(told)}'
