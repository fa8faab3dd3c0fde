"""A forked nsctl answers as one that is started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.warm import Warm
from tests.faults.warm_lab import WarmLab
from tests.lab import Lab


@pytest.fixture
def warm_lab(warm: Warm) -> Iterator[Lab]:
    with WarmLab(warm) as lab:
        yield lab


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("up", "none", "--dry-run"),
        ("up", "none", "--name", "web"),
        ("up", "no-such-mode"),
        ("down", "web"),
        ("ls", "--json"),
        ("check",),
        ("apply", "/run/nothing"),
        ("run", "none", "--", "sh", "-c", "pwd; umask; cat; echo err >&2; exit 3"),
    ],
    ids=" ".join,
)
def test_it_answers_as_a_cold_one(words: tuple[str, ...], lab: Lab, warm_lab: Lab) -> None:
    answers = [each.nsctl(*words, input="in\n", env={"LC_ALL": "C.UTF-8"}) for each in (lab, warm_lab)]
    cold, warm = ((done.args, done.returncode, done.stdout, done.stderr) for done in answers)
    assert warm == cold


def test_it_is_checked_if_it_is_to_succeed(warm_lab: Lab) -> None:
    with pytest.raises(AssertionError, match="there is no sandbox 'web'"):
        warm_lab.nsctl("down", "web", check=True)
