"""
Shims: tools that fail, hang or kill at a chosen call, in one lab only and without a hook in nsctl.

A small script is mounted over the tool. It numbers the calls of all shimmed tools in the order in which they start, and
looks up in a file what to do at each; a call without a fault costs about 1 ms more than the tool.

| action | what happens at that call |
|---|---|
| `fail-before`, `fail-after` | exit status 1, without or after having acted |
| `status:N` | exit status N, without having acted |
| `hang`, `hang-after` | never ends, without or after having acted |
| `hang-deaf` | the same, without having acted; ignores TERM, INT and HUP |
| `hang-grandchild` | never ends, and neither does a child of the tool that holds its output |
| `hold-pipe` | acts and ends, but leaves a child that holds its output |
| `hold-pipe-session` | the same, and the child is in a session of its own, where no killing of the group reaches it |
| `kill-parent-before`, `kill-parent-after` | SIGKILL to nsctl, without or after having acted |
| `orphan` | SIGKILL to nsctl, and 0.3 s later acts all the same |
| `signal-parent-before:INT`, `signal-parent-after:INT` | signals nsctl (`INT,TERM`: one, then the other), and acts |
| `stranger-before`, `stranger-after` | somebody else acts, before or after the call; see `Shims.stranger` |
| `batch-stop:N` | `ip -batch`: executes the first N lines, then fails as `ip` does |
| `restore-stop:N` | `iptables-restore`: commits the first N tables, then fails |
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nsctl.engine.testing.files import SHIM_DIRECTORY
from nsctl.engine.testing.lab import ENVIRONMENT, Lab
from tests.lab.mounts import MS_BIND, mount

Faults = Mapping[int | str, str]
"""
Which call → which action.

A call is a number (from 1), `"5+"` (all from the fifth on), or a pattern of the shell's over the command line, which
begins with the tool's name (`"ip link del*"`). Of several that fit, the last one counts.
"""

TOOLS = tuple(
    "ip bridge tc nft sysctl ethtool conntrack nsenter unshare setpriv install mount umount mkdir rmdir rm touch ln "
    "chmod hostname kill pkill iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore "
    "iptables-legacy iptables-legacy-save ip6tables-legacy ip6tables-legacy-save firewall-cmd".split()
)
"""What nsctl may call; shims take those that the machine has."""

NSCTL = "*-mnsctl*"
"""The command line of nsctl, without the zero bytes between its words."""

_SCRIPT = Path(__file__).with_name("shim.sh")
_BASE = Path(SHIM_DIRECTORY)


@dataclass(frozen=True)
class Call:
    """One call of a shimmed tool."""

    argv: tuple[str, ...]
    stdin: str | None = None
    """Only of batches and restores, and only where it was asked for."""

    @property
    def lines(self) -> int:
        """How many lines the batch has."""
        return len((self.stdin or "").splitlines())


class Shims:
    """
    The shims of one lab.

    Args:
        tools: Their names.
        faults: What happens at which call.
        record: Whether to keep the standard input of batches and restores.
        parent: What the process to kill or signal is called; a pattern as for `NSCTL`.
    """

    def __init__(
        self,
        lab: Lab,
        tools: Sequence[str] = TOOLS,
        faults: Faults | None = None,
        *,
        record: bool = False,
        parent: str = NSCTL,
    ) -> None:
        self._lab = lab
        lab.call(_install, f"{lab.token}-shim", tools)
        self.parent(parent)
        self.record(on=record)
        self.plan(faults or {})

    def plan(self, faults: Faults) -> None:
        """From now on these faults; the count of calls begins anew."""
        self._lab.call(_plan, faults)

    def record(self, *, on: bool) -> None:
        """Whether to keep the standard input of batches and restores."""
        record = _BASE / "record"
        self._lab.call(record.touch if on else lambda: record.unlink(missing_ok=True))

    def parent(self, pattern: str) -> None:
        """What the process to kill or signal is called."""
        self._lab.write(_BASE / "pattern", f"{pattern}\n")

    def target(self, pid: int | None) -> None:
        """The process to kill or signal, by its number in the lab, whatever it is called; None: search again."""
        self._lab.write(_BASE / "target", "" if pid is None else f"{pid}\n")

    def stranger(self, script: str) -> None:
        """
        What somebody else does at `stranger-before` and `stranger-after`, in sh; it fails if there is nothing to do.
        """
        self._lab.write(_BASE / "stranger", script)
        self._lab.call(lambda: (_BASE / "acted").unlink(missing_ok=True))

    @property
    def acted(self) -> bool:
        """Whether somebody else has acted, and had something to do."""
        return self._lab.exists(_BASE / "acted")

    @property
    def calls(self) -> list[Call]:
        """
        All calls since the last plan, in the order in which they started.

        Raises:
            AssertionError: A fault could not be injected as planned (`batch-stop` at something that is no batch, …).
        """
        calls, misused = self._lab.call(_read_calls)
        if misused:
            raise AssertionError(f"faults that could not be injected: {misused}")
        return calls

    @property
    def injected(self) -> list[str]:
        """The faults that have come about since the last plan: `NUMBER ACTION`."""
        path = _BASE / "done"
        return self._lab.read(path).splitlines() if self._lab.exists(path) else []


def shim(
    lab: Lab,
    tools: str | Sequence[str] = TOOLS,
    faults: Faults | None = None,
    *,
    record: bool = False,
    parent: str = NSCTL,
) -> Shims:
    """Put shims over tools in a lab; see the table above. Once per lab; `Shims.plan` changes the faults later."""
    return Shims(lab, (tools,) if isinstance(tools, str) else tools, faults, record=record, parent=parent)


def shim_directory(source: str) -> None:
    """
    The tests' own directory in a lab: a file system of its own, so that a full /run does not hurt it.

    Runs in the lab's thread.
    """
    if not _BASE.exists():
        _BASE.mkdir()
        mount(source, str(_BASE), "tmpfs", data="mode=0755")


def _install(source: str, tools: Sequence[str]) -> None:
    shim_directory(source)
    if (_BASE / "plan").exists():
        raise AssertionError("this lab has shims already")
    for name in ("real", "wrap", "tools", "calls", "stdin"):
        (_BASE / name).mkdir()
    (_BASE / "plan").touch()
    os.mkfifo(_BASE / "never")
    script = _SCRIPT.read_text(encoding="utf-8")
    covered = set()
    for tool in tools:
        file, names = _locate(tool)
        if file is None:
            continue
        # One file may have many names (`iptables-save` is a link to a link to `xtables-nft-multi`): the file is covered
        # once, all its names lead to the real one, and those that were not asked for pass straight through.
        (_BASE / "tools" / tool).touch()
        if file not in covered:
            covered.add(file)
            wrapper, real = _BASE / "wrap" / file.name, _BASE / "real" / file.name
            wrapper.write_text(script.replace("@COVER@", shlex.quote(file.name)), encoding="utf-8")
            wrapper.chmod(0o755)
            real.touch()
            mount(str(file), str(real), flags=MS_BIND)
            mount(str(wrapper), str(file), flags=MS_BIND)
            for name in names:
                (_BASE / "real" / name).symlink_to(file.name)


@functools.cache
def _locate(tool: str) -> tuple[Path | None, list[str]]:
    """Where a tool really is, and under which other names: there are programs that do what they are called."""
    found = shutil.which(tool, path=ENVIRONMENT["PATH"])
    if found is None:
        return None, []
    file = Path(found).resolve()
    return file, sorted((_aliases(file.parent).get(file, set()) | {tool}) - {file.name})


@functools.cache
def _aliases(directory: Path) -> dict[Path, set[str]]:
    """The symbolic links of a directory by what they lead to."""
    aliases: dict[Path, set[str]] = {}
    for link in directory.iterdir():
        if link.is_symlink():
            aliases.setdefault(link.resolve(), set()).add(link.name)
    return aliases


def _plan(faults: Faults) -> None:
    cases = []
    for call, action in faults.items():
        if isinstance(call, int):
            test = f'[ "$n" -eq {call} ]'
        elif call.endswith("+") and call[:-1].isdigit():
            test = f'[ "$n" -ge {call[:-1]} ]'
        else:
            # Quoted but for the pattern's own characters.
            pattern = "".join(character if character in "*?[]" else shlex.quote(character) for character in call)
            test = f'case "$line" in {pattern}) true;; *) false;; esac'
        cases.append(f"if {test}; then action={shlex.quote(action)}; fi\n")
    for path in [*(_BASE / "calls").iterdir(), *(_BASE / "stdin").iterdir(), _BASE / "done", _BASE / "misused"]:
        path.unlink(missing_ok=True)
    (_BASE / "plan").write_text("".join(cases), encoding="utf-8")


def _read_calls() -> tuple[list[Call], str]:
    calls = []
    for number in sorted(int(path.name) for path in (_BASE / "calls").iterdir()):
        argv = (_BASE / "calls" / str(number)).read_bytes().decode(errors="backslashreplace").split("\0")[:-1]
        stdin = _BASE / "stdin" / str(number)
        text = stdin.read_text(encoding="utf-8", errors="backslashreplace") if stdin.exists() else None
        calls.append(Call(tuple(argv), text))
    misused = _BASE / "misused"
    return calls, misused.read_text(encoding="utf-8") if misused.exists() else ""
