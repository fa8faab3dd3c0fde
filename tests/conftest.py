from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.lab import Lab, leftovers, missing, missing_for_labs


def pytest_configure(config: pytest.Config) -> None:
    # Whoever is started in a shell's background inherits these as ignored, and no shell in a lab could trap them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ignored in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    config.addinivalue_line("markers", "needs(*features): skip where the kernel or the machine lacks one of them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "_labs" in getattr(item, "fixturenames", ()) or item.get_closest_marker("needs"):
            item.add_marker("system")


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


@pytest.fixture
def lab_factory(_labs: None) -> Iterator[Callable[..., Lab]]:
    """Makes any number of labs (with the arguments of `Lab`) and takes them away after the test."""
    with ExitStack() as stack:
        yield lambda *, uplink=True: stack.enter_context(Lab(uplink=uplink))


@pytest.fixture
def lab(lab_factory: Callable[..., Lab]) -> Lab:
    """A lab host of the test's own."""
    return lab_factory()
