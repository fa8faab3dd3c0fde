"""10. Every protective rule taken out in turn, in a copy of the tree: a test must notice."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sysconfig
import venv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.faults.rules import AREAS, RULES, Rule
from tests.faults.tally import SEED
from tests.lab import needs
from tests.packaging.clones import ROOT, copy_tree

LAB = needs("bridge", "veth", "iptables")
AT_ONCE = 2
"""Copies: tests wait for the kernel, and for nsctl's start, much of the time."""
DEADLINE = 120
DEADLINE_OF_ALL = 600
"""Seconds for one start of pytest."""
# Without its rule, nsctl may do anything: it gets a network and PIDs of its own, and whatever it leaves running dies.
APART = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
WHERE = "import nsctl.engine.model.plan, nsctl.modes.bridge as b; print(nsctl.engine.model.plan.__file__, b.__file__)"
PYTEST = ("-m", "pytest", "-q", "-x", "--no-header", "--tb=short", "-p", "no:cacheprovider")

# Sweeps are tried nearly whole: of ten cases, none may be one that notices.
MOST = "120"

Done = subprocess.CompletedProcess[str]

EVERYDAY = frozenset(random.Random(f"{SEED} {n}").choice(area) for n, area in enumerate(AREAS))  # noqa: S311 - nothing secret
"""A rule of each area, which `scripts/test` takes out; all others are of the nightly tier."""


class Copy:
    """A copy of the tree, and an interpreter that imports nsctl from there."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self.tree = copy_tree(place / "tree")
        venv.create(place / "venv", symlinks=True)
        self.python = place / "venv" / "bin" / "python"
        (site,) = (place / "venv" / "lib").glob("python*/site-packages")
        # A folder that a .pth file names is not itself searched for .pth files: the one that leads here is left out.
        (site / "tree.pth").write_text(f"{self.tree / 'src'}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")

    def run(self, words: Sequence[str], deadline: float = DEADLINE) -> Done:
        """Run Python in the copy."""
        argv = [*APART, str(self.python), *words]
        env = {name: value for name, value in os.environ.items() if not name.startswith("NSCTL_FAULTS_")}
        env["NSCTL_FAULTS_MOST"] = MOST
        return subprocess.run(
            argv, check=False, cwd=self.tree, env=env, capture_output=True, text=True, timeout=deadline
        )

    def with_all(self, tests: Sequence[str]) -> Done:
        """Run tests with nothing taken out."""
        return self.run([*PYTEST, *tests], DEADLINE_OF_ALL)

    def without(self, rule: Rule) -> Done:
        """Run a rule's test with the rule taken out, and put it back."""
        file = self.tree / rule.file
        text = file.read_text(encoding="utf-8")
        try:
            rewrite(file, text.replace(rule.old, rule.new))
            return self.run([*PYTEST, rule.test])
        finally:
            rewrite(file, text)


def lost_in(tree: Path, rule: Rule) -> str:
    """What is wrong with a rule's entry in the table."""
    times = (tree / rule.file).read_text(encoding="utf-8").count(rule.old)
    return "" if times == 1 else f"{rule.file} has the text of '{rule.name}' {times} times: {rule.old!r}"


def rewrite(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    # Python knows a stale one by its size and whole seconds only.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)


class Trials:
    """What comes of the rules, two at a time."""

    def __init__(self, place: Path, rules: Sequence[Rule]) -> None:
        self._copies: SimpleQueue[Copy] = SimpleQueue()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        for copy in self._pool.map(Copy, [place / str(n) for n in range(AT_ONCE)]):
            self._copies.put(copy)
        tests = list(dict.fromkeys(rule.test for rule in rules))
        parts = [tests[n::AT_ONCE] for n in range(min(AT_ONCE, len(tests)))]
        self.places = [self._submit(partial(Copy.run, words=("-I", "-c", WHERE))) for _ in parts]
        self.with_all = [self._submit(partial(Copy.with_all, tests=part)) for part in parts]
        self.without = {rule: self._submit(partial(Copy.without, rule=rule)) for rule in rules}

    def close(self) -> None:
        """Wait for what is under way, and leave out the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, task: Callable[[Copy], Done]) -> Future[Done]:
        def in_a_copy() -> Done:
            copy = self._copies.get()
            try:
                return task(copy)
            finally:
                self._copies.put(copy)

        return self._pool.submit(in_a_copy)


@pytest.fixture(scope="module")
def trials(_labs: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """The trials of the rules that were asked for."""
    here = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params["rule"] for item in here if hasattr(item, "callspec")]
    made = Trials(tmp_path_factory.mktemp("ablation"), asked or RULES)
    yield made
    made.close()


def test_every_rule_is_where_the_table_says() -> None:
    assert [lost for rule in RULES if (lost := lost_in(ROOT, rule))] == []
    assert len({rule.name for rule in RULES}) == len(RULES)


@LAB
def test_the_copies_import_themselves(trials: Trials) -> None:
    for done in trials.places:
        assert done.result().stdout.count("/ablation0/") == 2, done.result()


@LAB
@pytest.mark.slow
def test_with_all_rules_in_place_the_same_tests_pass(trials: Trials) -> None:
    for done in trials.with_all:
        result = done.result()
        assert result.returncode == 0, result.stdout + result.stderr


@LAB
@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, id=rule.name, marks=[] if rule in EVERYDAY else [pytest.mark.nightly]) for rule in RULES],
)
def test_without_the_rule_a_test_fails(rule: Rule, trials: Trials) -> None:
    assert not (lost := lost_in(ROOT, rule)), lost
    done = trials.without[rule].result()
    last = (done.stdout.splitlines() or [""])[-1]
    # A test that failed, and not one that could not be set up.
    noticed = done.returncode == 1 and " failed" in last and "error" not in last
    assert noticed, f"{rule.test} does not notice:\n{done.stdout}{done.stderr}"
