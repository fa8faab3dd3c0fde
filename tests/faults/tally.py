"""How many faults were tried, and how many nsctl survived; and how to try many of them, two hosts at a time."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.faults.ground import Ground

C = TypeVar("C")
G = TypeVar("G", bound=Ground)

SEED = int(os.environ.get("NSCTL_FAULTS_SEED", "1"))
WORKERS = 2
"""Hosts that are tried on at once: nsctl waits for the kernel, and for its tools, most of the time."""
LINES = 30
"""Of a failure."""
EVERYDAY = 10
"""Cases of a sweep that `scripts/test` tries; the seed chooses them."""
ENOUGH = 12
"""Failures after which a sweep stops: more of them tell nothing new."""


@dataclass
class Count:
    """
    Args:
        tried: Faults that were injected.
        survived: Those after which everything was as it had to be.
        left_over: Those after which something was left, changed or lost.
        seconds: How long all that took.
    """

    tried: int = 0
    survived: int = 0
    left_over: int = 0
    seconds: float = 0.0


@dataclass
class Tally:
    """
    The counts of a session, by class of faults.

    Args:
        seed: What chooses, where not everything can be tried.
        most: Of the cases of a sweep no more than these are tried.
        every: Whether all cases are tried, as in the nightly tier, or those of every day.
        until: When to leave out what has not begun, as time.monotonic() tells it; None for never.
        not_begun: How many tests were left out so.
    """

    seed: int
    most: int | None = None
    every: bool = False
    until: float | None = None
    not_begun: int = 0
    counts: dict[str, Count] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _since: float = field(default_factory=time.monotonic)

    def random(self, *what: Hashable) -> random.Random:
        """A generator for one purpose: what it gives depends on the seed and the purpose alone."""
        return random.Random(f"{self.seed} {what}")  # noqa: S311  nothing secret

    def begin(self) -> None:
        """A test begins: the time from now on belongs to what it tries."""
        with self._lock:
            self._since = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether there is no time left."""
        return self.until is not None and time.monotonic() > self.until

    def note(self, kind: str, *, survived: bool, times: int = 1) -> None:
        """Count faults."""
        with self._lock:
            count = self.counts.setdefault(kind, Count())
            count.tried += times
            count.survived += times if survived else 0
            count.left_over += 0 if survived else times
            now = time.monotonic()
            count.seconds += now - self._since
            self._since = now

    def write(self, directory: Path) -> None:
        """The counts as JSON, in a file of their own: each process of the session has counts."""
        counts = {kind: asdict(count) for kind, count in self.counts.items()}
        text = json.dumps({"seed": self.seed, "classes": counts, "not_begun": self.not_begun}, indent=2)
        (directory / f"{os.getpid()}.json").write_text(text, encoding="utf-8")

    def sweep(
        self,
        kind: str,
        cases: Iterable[C],
        ground: Callable[[], G],
        attempt: Callable[[G, C], object],
        *,
        usually: int = EVERYDAY,
    ) -> int:
        """
        Try every case, each on a host that is as it was; one that isn't any more is replaced.

        Args:
            kind: The class of faults.
            cases: The cases.
            ground: Makes a host.
            attempt: Tries a case.
            usually: How many cases are enough for every day; the seed chooses.

        Returns:
            How many cases there are.

        Raises:
            AssertionError: Some were not survived; they are listed.
        """
        todo = list(cases)
        self.random(kind).shuffle(todo)  # so that neighbours, which are alike, don't wait for each other
        total = len(todo)
        todo = todo[: self.most if self.most is not None else None if self.every else usually]
        chosen = len(todo)
        failures: list[str] = []
        lock = threading.Lock()

        def work() -> None:
            host: G | None = None
            try:
                while True:
                    with lock:
                        if not todo or len(failures) >= ENOUGH or self.over:
                            return
                        case = todo.pop()
                    try:
                        host = host or ground()
                        attempt(host, case)
                    except Exception as e:  # noqa: BLE001  whatever it was, it counts and is told
                        self.note(kind, survived=False)
                        failures.append(told(case, e))
                        if host is not None:
                            host.close()
                        host = None
                    else:
                        self.note(kind, survived=True)
            finally:
                if host is not None:
                    host.close()

        threads = [threading.Thread(target=work) for _ in range(min(WORKERS, chosen))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            listed = "\n\n".join(failures)
            raise AssertionError(f"{len(failures)} of {chosen - len(todo)} faults were not survived:\n{listed}")
        return total


def told(case: object, error: Exception) -> str:
    """What happened, without the hundreds of lines that follow from one link."""
    lines = (str(error) if isinstance(error, AssertionError) else repr(error)).splitlines()
    more = [f"  … and {len(lines) - LINES} lines more"] if len(lines) > LINES else []
    return "\n".join([f"{case}: {lines[0] if lines else ''}", *lines[1:LINES], *more])


def thinned(ticks: Sequence[str], generator: random.Random, inner: int = 2) -> list[int]:
    """
    The numbers of the ticks (see `zygote`) that are worth a try.

    SQLite's transactions are all or nothing, so of the statements in one only a few are: the first and the last always,
    and those that write attachments, of which each transaction has one or two.
    """
    chosen: list[int] = []
    inside: list[int] = []
    for number, tick in enumerate(ticks, 1):
        words = tick.split(maxsplit=3)
        if words[1] != "sql" or words[2].startswith(("BEGIN", "COMMIT")) or " attachments" in tick:
            chosen += generator.sample(inside, min(inner, len(inside)))
            chosen.append(number)
            inside = []
        else:
            inside.append(number)
    return sorted(chosen)


def some(points: Sequence[int], most: int, generator: random.Random) -> list[int]:
    """All of them, or a choice."""
    return list(points) if len(points) <= most else sorted(generator.sample(list(points), most))
