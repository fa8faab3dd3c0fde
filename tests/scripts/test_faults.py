"""scripts/faults counts right, prints one table, and fails where something was not survived."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.__main__ import merged, report, table
from tests.faults.ground import Ground
from tests.faults.rules import AREAS
from tests.faults.tally import EVERYDAY as EVERYDAY_CASES
from tests.faults.tally import Tally
from tests.faults.test_ablation import EVERYDAY
from tests.lab import needs

ROOT = Path(__file__).parents[2]
ABLATION = "tests/faults/test_ablation.py::test_without_the_rule_a_test_fails"
COUNTS = {
    "seed": 7,
    "not_begun": 0,
    "classes": {
        "killed: up": {"tried": 100, "survived": 100, "left_over": 0, "seconds": 25.04},
        "a step hangs": {"tried": 20, "survived": 19, "left_over": 1, "seconds": 9.6},
    },
}


def faults(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-E", "-s", "-m", "tests.faults", *words]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@needs("bridge", "iptables")
def test_one_command_tries_faults_and_prints_a_table_and_json(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    done = faults("--quick", "--seed", "5", "-k", "repair_that_is_killed", "--json", str(file))
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    count = found["classes"]["killed: repair"]
    assert (count["tried"], count["survived"], count["left_over"]) == (4, 4, 0)
    assert count["seconds"] > 0
    assert (found["seed"], found["survived"], found["total"]) == (5, True, count)
    assert done.stdout == table(found)


@needs("bridge")
def test_where_nothing_is_tried_nothing_is_claimed() -> None:
    done = faults("-k", "no_test_of_that_name")
    assert (done.returncode, done.stdout) == (2, "")
    assert "faults: nothing was tried" in done.stderr


def test_the_table_has_a_line_for_each_class_and_one_for_all() -> None:
    assert table(report(COUNTS, 1)) == (
        "fault class       tried  survived  left over  seconds\n"
        "a step hangs         20        19          1       10\n"
        "killed: up          100       100          0       25\n"
        "all, with seed 7    120       119          1       35\n"
    )


def test_a_fault_that_was_not_survived_and_a_test_that_failed_are_failures() -> None:
    assert not report(COUNTS, 0)["survived"]
    fine = {**COUNTS, "classes": {"killed: up": {"tried": 1, "survived": 1, "left_over": 0, "seconds": 0.1}}}
    assert report(fine, 0)["survived"]
    assert not report(fine, 1)["survived"]


class Nowhere(Ground):
    """No host at all."""

    def __init__(self) -> None:
        return

    def close(self) -> None:
        return


def test_a_sweep_counts_what_it_tried_and_lists_what_was_not_survived() -> None:
    def attempt(_: Nowhere, case: int) -> None:
        assert case != 3, "it is still there"

    tally = Tally(seed=1)
    with pytest.raises(AssertionError, match="1 of 6 faults were not survived:\n3: it is still there"):
        tally.sweep("numbers", range(6), Nowhere, attempt)
    count = tally.counts["numbers"]
    assert (count.tried, count.survived, count.left_over) == (6, 5, 1)


def test_of_a_long_sweep_a_few_cases_can_be_tried() -> None:
    tried: list[int] = []
    tally = Tally(seed=1, most=2)
    assert tally.sweep("numbers", range(6), Nowhere, lambda _, case: tried.append(case)) == 6
    assert len(tried) == tally.counts["numbers"].tried == 2


def test_the_counts_of_all_processes_are_added_up() -> None:
    one = {"tried": 2, "survived": 1, "left_over": 1, "seconds": 0.5}
    parts = [
        {"seed": 7, "not_begun": 0, "classes": {"killed: up": one}},
        {"seed": 7, "not_begun": 3, "classes": {"killed: up": one, "killed: down": one}},
    ]
    found = merged(7, parts)
    both = {"tried": 4, "survived": 2, "left_over": 2, "seconds": 1.0}
    assert found == {"seed": 7, "not_begun": 3, "classes": {"killed: up": both, "killed: down": one}}
    assert table(report(found, 0)).endswith("\nnot begun, for lack of time: 3 tests\n")


def test_what_there_is_no_time_for_is_left_out() -> None:
    tried: list[int] = []
    tally = Tally(seed=1, every=True, until=time.monotonic())
    assert tally.sweep("numbers", range(6), Nowhere, lambda _, case: tried.append(case)) == 6
    assert tried == []


def test_every_day_some_cases_of_a_sweep_are_tried_and_in_the_nightly_tier_all() -> None:
    tried: list[int] = []
    for every in (False, True):
        assert Tally(seed=1, every=every).sweep("numbers", range(60), Nowhere, lambda _, case: tried.append(case)) == 60
    assert len(tried) == EVERYDAY_CASES + 60


def collected(*words: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_every_class_of_faults_is_in_both_tiers() -> None:
    everyday, nightly = collected("tests/faults"), collected("tests/faults", "-m", "nightly")
    # Nightly alone are rules that are taken out: everything that counts faults is of both, there with all its cases.
    assert {node.partition("[")[0] for node in nightly} == {ABLATION}
    assert nightly.isdisjoint(everyday)
    assert {f"{ABLATION}[{rule.name}]" for rule in EVERYDAY} == {n for n in everyday if n.startswith(f"{ABLATION}[")}
    assert [len(EVERYDAY & set(area)) for area in AREAS] == [1] * len(AREAS)
    assert len(nightly) + len(EVERYDAY) == sum(map(len, AREAS))


def test_a_nightly_test_that_is_named_runs() -> None:
    file, _, name = ABLATION.partition("::")
    assert len(collected(file, "-k", name)) == sum(map(len, AREAS))
