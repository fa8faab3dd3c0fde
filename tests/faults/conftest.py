from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.tally import SEED, Tally


def counts() -> Tally:
    """Those of this process; scripts/faults chooses seed and size."""
    most, until = os.environ.get("NSCTL_FAULTS_MOST"), os.environ.get("NSCTL_FAULTS_UNTIL")
    return Tally(
        SEED,
        int(most) if most else None,
        every="NSCTL_FAULTS_REPORT" in os.environ,
        until=float(until) if until else None,
    )


COUNTS = counts()


def pytest_runtest_setup() -> None:
    if COUNTS.over:
        COUNTS.not_begun += 1
        pytest.skip("no time is left for it")


@pytest.fixture(scope="session", autouse=True)
def tally() -> Iterator[Tally]:
    """Counts the faults of the session; scripts/faults reads the counts."""
    yield COUNTS
    if report := os.environ.get("NSCTL_FAULTS_REPORT"):
        COUNTS.write(Path(report))


@pytest.fixture(autouse=True)
def _timed(tally: Tally) -> None:
    tally.begin()
