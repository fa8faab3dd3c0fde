"""Processes that go on: a sandbox's init, a proxy, a server."""

from __future__ import annotations

from typing import ClassVar

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host
from nsctl.engine.model.observation import Known, Observation, absent, ours

__all__ = ["ProcessIs"]


class ProcessIs(EffectBase, frozen=True, tag="process"):
    """
    The process whose PID is in `pidfile` runs.

    Its start time, recorded when it was started, tells it from a stranger's.
    """

    survives_removal: ClassVar[bool] = True
    can_end: ClassVar[bool] = True

    pidfile: str

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By start time; where nobody wrote that down, by the directory that it has in its arguments, or as its log."""
        identity = known.identity
        if identity and "start" in identity:
            # Not the pidfile's: somebody else may have written to it, and start times count in hundredths of a second.
            pid = identity["pid"]
            return ours(f"process {pid}") if host.process(pid) == identity["start"] else absent("not running")
        pid_there = host.pid_in(self.pidfile)
        pid = -1 if pid_there is None else pid_there
        if pid_there is None or host.process(pid) is None:
            return absent("not running")
        # Whatever it became since, it names the sandbox's directory in its arguments, or writes its log there.
        directory = self.pidfile.rpartition("/")[0] + "/"
        return ours(f"process {pid}") if any(directory in text for text in host.traces(pid)) else absent("not running")

    def identity(self, host: Host) -> dict[str, int] | None:
        """Its PID and start time, and those of the init that it has started."""
        pid = host.pid_in(self.pidfile)
        start = host.process(pid) if pid is not None else None
        if pid is None or start is None:
            return None
        init = host.init_of(pid)
        init_start = host.process(init)
        if init_start is None:
            init, init_start = pid, start
        return {"pid": pid, "start": start, "init": init, "init_start": init_start}
