"""The loop: wait, hear, have a look taken."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from nsctl.engine.cli import out
from nsctl.engine.cli.watching.fight import LONGEST, Fight
from nsctl.engine.cli.watching.look import Look
from nsctl.engine.cli.watching.store import generation
from nsctl.engine.cli.watching.surroundings import notify, terminal_is_gone, wakeup
from nsctl.engine.host.changes import EVERYTHING, Changes, Interest
from nsctl.engine.host.files import Files

__all__ = ["Watch"]

QUIET, MOST = 0.03, 0.3
"""Seconds without a change before a look, and how long to wait for them; what comes until a look begins is in it."""
_LEGACY_LOCK = "/run/xtables.lock"
_RUN, _NETNS = "/run", "/run/netns"


class Watch:
    """
    Waits, and has a look taken.

    Args:
        state_dir: nsctl's directory under /run.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._changes, self._files = Changes(), Files()
        self._wakeup, self._signalled = wakeup()
        self._poll = select.poll()
        for fd in (*self._changes.descriptors, self._files.descriptor, self._wakeup.fileno()):
            self._poll.register(fd, select.POLLIN)
        self._interest = EVERYTHING
        self._generation = ""
        self._missing: set[str] = set()
        self._first: float | None = None  # when the first change came that no look has seen
        self._due = 0.0
        self._earliest = 0.0
        self._look: Look | None = None
        self._fight = Fight()
        self._failures = 0
        self._told = ""
        self._has_looked = False
        self._ending = False

    def run(self) -> int:
        """
        Wait, until a signal ends it.

        Returns:
            The exit status.
        """
        self._follow()
        notify("READY=1")
        self._due, self._first = 0.0, monotonic()
        while True:
            if self._look is None:
                if self._ending:
                    return 0
                if self._is_due():
                    self._begin()
            self._poll.poll(self._patience())
            self._hear()
            if self._look is not None and self._look.heard(self._forget):
                status = self._concluded(self._look)
                self._look = None
                if status is not None:
                    return status

    def _begin(self) -> None:
        try:
            self._look = Look(self._poll)
        except OSError as e:
            self._failed(f"no process can be started to look: {e.strerror}")

    def _is_due(self) -> bool:
        return self._first is not None and monotonic() >= self._due

    def _patience(self) -> float | None:
        # Milliseconds; None is for ever. While a look is taken, it tells by its socket.
        if self._look is not None or self._first is None:
            return None
        return max(0.0, self._due - monotonic()) * 1000 + 1

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._wakeup.recv(64)
        while self._signalled:
            signum = self._signalled.pop(0)
            if signum == signal.SIGHUP and not terminal_is_gone():
                self._note(at_once=True)
                continue
            if self._ending:
                os._exit(128 + signum)  # asked a second time
            self._ending = True
            notify("STOPPING=1")
            if self._look is not None:
                self._look.end()
        if self._changed():
            self._note()

    def _changed(self) -> bool:
        interest = self._interest
        if self._generation != generation(self._state_dir):  # another nsctl has made something, or undone it
            interest = EVERYTHING
        found = self._changes.read(interest)
        return self._file_changed(interest) or found

    def _file_changed(self, interest: Interest) -> bool:
        events = self._files.read()
        if events is None or (events and interest.everything):
            return True
        for directory, name in events:
            if directory == _LEGACY_LOCK or (directory, name) == (_RUN, "xtables.lock"):
                found = interest.legacy
            elif directory == _NETNS:
                found = name in interest.netns
            else:
                found = f"{directory}/{name}" in interest.files | self._missing
            if found:
                return True
        return False

    def _note(self, *, at_once: bool = False) -> None:
        now = monotonic()
        if self._first is None:
            self._first = now
        self._due = now if at_once else max(min(now + QUIET, self._first + MOST), self._earliest)

    def _forget(self) -> None:
        self._changed()
        self._first = None

    def _follow(self) -> bool:
        # Whether there is something new to follow. Of a directory that is not there, what leads to it is followed.
        places = {_RUN, _NETNS}
        self._missing = set()
        for path in self._interest.files:
            place = os.path.dirname(path)
            while not os.path.isdir(place):
                self._missing.add(place)
                place = os.path.dirname(place)
            places.add(place)
        new = [self._files.follow(place) for place in places]
        return self._files.follow(_LEGACY_LOCK, use=True) or any(new)

    def _concluded(self, look: Look) -> int | None:
        """Evaluate the result of a look; an exit status, if it was the first one and was refused."""
        said = look.said
        if self._ending:
            return None
        if not self._has_looked and "failed" in said and not said.get("looked") and look.status > 0:
            out.problem(said["failed"], said.get("hint", ""))
            return look.status
        self._has_looked = True
        notify(f"STATUS=The last look {_outcome(said)}")
        if "failed" in said:
            self._failed(said["failed"], said.get("hint", ""))
            return None
        self._failures, self._told = 0, ""
        if "interest" in said:
            self._interest = _interest(said["interest"])
            self._generation = said["generation"]
        if self._follow():
            self._note()  # what happened there before was not heard of
        pause, line = self._fight.round(frozenset(said.get("mended", ())), restless=said.get("restless", False))
        self._earliest = monotonic() + pause
        if line:
            out.warning(line)
        if said.get("restless") or self._first is not None:
            self._note()
        return None

    def _failed(self, what: str, hint: str = "") -> None:
        # Something is missing, or nobody knows: it is tried again, less and less often. It is said once, and not the
        # first time: what is being changed while it is put back is in order a moment later.
        self._failures += 1
        if self._failures > 1 and what != self._told:
            out.problem(what, hint)
            self._told = what
        self._earliest = monotonic() + min(2.0 ** (self._failures - 2), LONGEST)
        self._note()


def _outcome(said: dict[str, Any]) -> str:
    if "failed" in said:
        return f"failed: {said['failed']}".replace("\n", " ")
    return f"put back {len(said['mended'])} of nsctl's" if said.get("mended") else "found nothing missing"


def _interest(data: dict[str, Any]) -> Interest:
    values: dict[str, Any] = {name: frozenset(it) if isinstance(it, list) else it for name, it in data.items()}
    return Interest(**values)
