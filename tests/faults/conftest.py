from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.tally import Tally
from tests.faults.warm import Warm


@pytest.fixture(scope="session")
def tally() -> Iterator[Tally]:
    """Counts the faults of the session; scripts/faults chooses seed and size, and reads the counts."""
    most = os.environ.get("NSCTL_FAULTS_MOST")
    report = os.environ.get("NSCTL_FAULTS_REPORT")
    counts = Tally(int(os.environ.get("NSCTL_FAULTS_SEED", "1")), int(most) if most else None, every=bool(report))
    yield counts
    if report:
        counts.write(Path(report))


@pytest.fixture(autouse=True)
def _timed(request: pytest.FixtureRequest) -> None:
    if "tally" in request.fixturenames:
        request.getfixturevalue("tally").begin()


@pytest.fixture(scope="session")
def warm(_labs: None) -> Iterator[Warm]:
    """nsctl, for the price of a fork."""
    zygote = Warm()
    yield zygote
    zygote.close()
