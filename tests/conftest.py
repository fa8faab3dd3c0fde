from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.faults.warm import Warm
from tests.faults.warm_lab import WarmLab
from tests.lab import Lab, leftovers, missing, missing_for_labs
from tests.lab.resident import ResidentLab

TESTS = Path(__file__).parent
FAULTS = TESTS / "faults"
FAULTS_ALONE = "NSCTL_FAULTS_REPORT" in os.environ
"""scripts/faults: of all tests those of faults, and the nightly tier."""
BY_RESIDENT = (TESTS / "system", TESTS / "cli")
"""Whose labs have a resident process with --resident."""
FIRST = ("faults", "packaging", "docs", "system", "modes", "cli")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--resident",
        action="store_true",
        help="tests/system and tests/cli: a resident process in each lab runs what it runs of nsctl's commands",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Whoever is started in a shell's background inherits these as ignored, and no shell in a lab could trap them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ignored in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    config.addinivalue_line("markers", "needs(*features): skip where the kernel or the machine lacks one of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_ways"):
        ways = ["resident"] if metafunc.config.option.resident else ["cold", "resident"]
        metafunc.parametrize("_way", ways, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "_labs" in getattr(item, "fixturenames", ()) or item.get_closest_marker("needs"):
            item.add_marker("system")
    asked_for = [item for item in items if is_asked_for(item, config)]
    config.hook.pytest_deselected(items=[item for item in items if not is_asked_for(item, config)])
    # What takes longest first: at the end, all processes have something to do until the last moment.
    items[:] = sorted(asked_for, key=by_the_seed if "NSCTL_FAULTS_UNTIL" in os.environ else order)


def is_asked_for(item: pytest.Item, config: pytest.Config) -> bool:
    """Whether a test is to run: one of the nightly tier only if that tier is, or its file or itself is named."""
    if FAULTS_ALONE:
        return item.path.is_relative_to(FAULTS) or item.get_closest_marker("nightly") is not None
    if item.get_closest_marker("nightly") is None or "nightly" in config.option.markexpr:
        return True
    named = (Path(config.invocation_params.dir, word.partition("::")[0]) for word in config.args)
    return any(path.resolve() == item.path for path in named)


def order(item: pytest.Item) -> int:
    """Where the folder of a test stands; the tests of one file stay together, and as they are."""
    folder = item.path.relative_to(TESTS).parts[0]
    return FIRST.index(folder) if folder in FIRST else len(FIRST)


def by_the_seed(item: pytest.Item) -> tuple[float, str, float]:
    """Where there is not time for all: files in an order that the seed chooses, in them what is of the nightly tier."""
    file, seed = str(item.path), os.environ.get("NSCTL_FAULTS_SEED")
    nightly = item.get_closest_marker("nightly") is not None
    return chance(f"{seed} {file}"), file, chance(f"{seed} {item.nodeid}") if nightly else 0.0


def chance(what: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return Random(what).random()  # noqa: S311 - nothing secret


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for feature in mark.args:
            if reason := missing(feature):
                pytest.skip(reason)


@pytest.fixture(scope="session")
def _labs() -> Iterator[None]:
    """Skips where labs don't work; at the session's end nothing of them may be left on the machine."""
    if reason := missing_for_labs():
        pytest.skip(reason)
    yield
    assert leftovers() == []


@pytest.fixture(scope="session")
def warm(_labs: None) -> Iterator[Warm]:
    """nsctl, for the price of a fork."""
    zygote = Warm()
    yield zygote
    zygote.close()


@pytest.fixture
def _way(request: pytest.FixtureRequest) -> str:
    """How a lab's nsctl is started: cold, or by a resident process."""
    chosen: str | None = getattr(request, "param", None)
    if chosen is not None:
        return chosen
    if request.node.get_closest_marker("cold"):
        return "cold"
    asked = request.config.option.resident and any(request.path.is_relative_to(folder) for folder in BY_RESIDENT)
    return "resident" if asked else "cold"


@pytest.fixture
def lab_factory(_labs: None, _way: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Lab]]:
    """Makes any number of labs (with the arguments of `Lab`) and takes them away after the test."""
    make: Callable[..., Lab] = Lab
    if _way == "resident":
        make = ResidentLab
    elif request.node.get_closest_marker("warm"):
        make = partial(WarmLab, request.getfixturevalue("warm"))
    with ExitStack() as stack:
        yield lambda *, uplink=True: stack.enter_context(make(uplink=uplink))


@pytest.fixture
def lab(lab_factory: Callable[..., Lab]) -> Lab:
    """A lab host of the test's own."""
    return lab_factory()
