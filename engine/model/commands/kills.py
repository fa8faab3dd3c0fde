"""Commands that end processes."""

from __future__ import annotations

from nsctl.engine.model.commands.base import Known

__all__ = ["Kill", "KillInNetns", "KillJoined", "Killing"]

_ALL = "exec pkill -KILL --ns $$ --nslist net"
_JOINED = (
    'p=$(cat "$0") && n=/proc/$p/ns/mnt && [ -e "$n" ] && [ ! "$n" -ef /proc/self/ns/mnt ] || exit 1; '
    'exec pkill -KILL --ns "$p" --nslist mnt'
)


class Killing(Known, frozen=True):
    """A command that only kills, be it nobody."""

    @property
    def ok(self) -> tuple[int, ...]:
        """1 says that there was nothing to kill."""
        return (0, 1)

    @property
    def ends_processes(self) -> bool:
        """It does."""
        return True


class Kill(Killing, frozen=True, tag="kill"):
    """Kill the process whose PID is in a file."""

    pidfile: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("pkill", "-KILL", "-F", self.pidfile)


class KillInNetns(Killing, frozen=True, tag="kill_in_netns"):
    """Kill all that runs in a network namespace, by a script that is in it."""

    netns: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("sh", "-c", _ALL)


class KillJoined(Killing, frozen=True, tag="kill_joined"):
    """
    Kill all that is in the mount namespace of the process whose PID is in a file, whoever started it.

    Never what is in nsctl's own.
    """

    pidfile: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("sh", "-c", _JOINED, self.pidfile)
