"""Any command, as authors write it, and a process that stays; what all kinds of commands have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["EXECUTE", "NOT_EXECUTED", "Command", "Known", "Spawn"]

NOT_EXECUTED = "nsctl: not executed: "
"""What a shell writes to its log if it can't become the program it was to become; then the exit status."""
# dash and busybox leave at a failed `exec` and run the trap; bash does neither, but goes on where `execfail` is set.
EXECUTE = (
    f"not() {{ echo \"{NOT_EXECUTED}$1\" >&2; }}; trap 'not $?' EXIT; shopt -s execfail 2>/dev/null; "
    'exec "$@"; s=$?; trap - EXIT; not $s; exit $s'
)
"""
A shell's words that become the program of a `Spawn`, or write down that they could not.

A program that ends by itself with 126 or 127 looks the same to whoever waits for it.
"""


class Command(Struct, frozen=True, tag_field="kind", tag="run", omit_defaults=True, forbid_unknown_fields=True):
    """
    One command: an argument vector, never a shell line.

    Args:
        argv: The words; the first is a tool's name, found in a fixed path of root-owned directories.
        stdin: What it reads.
        netns: The named network namespace it runs in (None: the host's).
        ok: The exit statuses that count as success.
    """

    argv: Annotated[tuple[str, ...], Meta(min_length=1)]
    stdin: str | None = None
    netns: str | None = None
    ok: tuple[int, ...] = (0,)

    @property
    def tool(self) -> str:
        """The name of the tool that it runs."""
        return self.argv[0]

    @property
    def ends_processes(self) -> bool:
        """Whether it only kills."""
        match self.argv:
            case ("pkill", *_):
                return True
            case ("sh", "-c", script, *_):
                return script.startswith("exec pkill ")
            case _:
                return False


class Spawn(Struct, frozen=True, tag_field="kind", tag="spawn", omit_defaults=True, forbid_unknown_fields=True):
    """
    A detached process: a sandbox's init, a proxy, a server.

    It writes its own PID to `pidfile` before it does anything else, so that a killed nsctl never loses sight of it.

    Args:
        argv: The words.
        pidfile: Where its PID goes.
        log: Where its output goes.
        netns: The named network namespace it runs in.
        ready: A file that it writes to when it is ready; None where being alive is enough.
        program: What the process, or a child of it, becomes by way of `EXECUTE`: it has started when that has run.
    """

    argv: Annotated[tuple[str, ...], Meta(min_length=1)]
    pidfile: str
    log: str
    netns: str | None = None
    ready: str | None = None
    program: str | None = None

    @property
    def tool(self) -> str:
        """The name of the tool that it runs."""
        return self.argv[0]

    @property
    def stdin(self) -> str | None:
        """It reads nothing."""
        return None

    @property
    def ok(self) -> tuple[int, ...]:
        """Statuses that count as success."""
        return (0,)

    @property
    def ends_processes(self) -> bool:
        """It starts one."""
        return False


class Known(Struct, frozen=True, tag_field="kind", omit_defaults=True, forbid_unknown_fields=True):
    """
    A command whose meaning nsctl knows: it has fields, of which `argv` is made.

    What it has not in a field is as most commands have it: it reads nothing, runs on the host, and succeeds with 0.
    """

    @property
    def argv(self) -> tuple[str, ...]:
        """The words, without those that lead into the namespace."""
        raise NotImplementedError

    @property
    def tool(self) -> str:
        """The name of the tool that it runs."""
        return self.argv[0]

    @property
    def stdin(self) -> str | None:
        """What it reads."""
        return None

    @property
    def netns(self) -> str | None:
        """The named network namespace it runs in."""
        return None

    @property
    def ok(self) -> tuple[int, ...]:
        """Statuses that count as success."""
        return (0,)

    @property
    def ends_processes(self) -> bool:
        """Whether it only kills: then nsctl does it by process descriptors, and waits until they are gone."""
        return False
