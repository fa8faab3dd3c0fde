from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nsctl.engine.model.errors import Refused
from nsctl.engine.model.events import Event, PlanFinished, PlanStarted
from nsctl.engine.model.mode import Request
from nsctl.engine.model.plan import Plan
from nsctl.hooks.manager import Plugins, entry_points, why_unsafe
from nsctl.hooks.spec import hookimpl

PAIR = """
from dataclasses import dataclass
from nsctl.engine.model.mode import Mode, opt
from nsctl.hooks.spec import hookimpl

@dataclass(frozen=True)
class Options:
    size: int = opt(1, "how large")

@hookimpl
def nsctl_modes():
    return [Mode("MODE", "a pair, nothing else", Options, lambda request, facts: ())]
"""
WRAPPER = """
from nsctl.hooks.spec import hookimpl

@hookimpl({}=True)
def nsctl_review(plan):
    yield
"""
STARTED = PlanStarted("t1", "web", "up", "bridge", ())
FINISHED = PlanFinished("t1", "web", "up", "done")

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one plugin on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(name: str, source: str, *, value: str = "", version: str = "1.0") -> Path:
        (tmp_path / f"{name}_plugin.py").write_text(source)
        metadata = tmp_path / f"{name}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_text(
            f"[console_scripts]\nx = y:z\n\n[nsctl]\n# a comment\n{name} = {value or name + '_plugin'}\n"
        )
        return tmp_path / f"{name}_plugin.py"

    yield put
    for module in set(sys.modules) - before:
        del sys.modules[module]


def load(tmp_path: Path, wanted: str | None = None, **kwargs: Any) -> Plugins:
    return Plugins.load(wanted, path=[str(tmp_path)], as_root=kwargs.pop("as_root", False), **kwargs)


def test_a_plugin_of_another_distribution_is_found_and_used(install: Install, tmp_path: Path) -> None:
    install("pair", PAIR.replace("MODE", "pair"), version="2.3")
    plugins = load(tmp_path)
    loaded = plugins.modes()["pair"]
    assert (loaded.distribution, loaded.version) == ("pair", "2.3")
    assert list(loaded.mode.steps(Request("x", None), None)) == []  # type: ignore[arg-type]
    assert plugins.broken == []


def test_the_first_distribution_of_a_name_on_the_path_counts(tmp_path: Path) -> None:
    for folder, version in (("a", "1.0"), ("b", "2.0")):
        metadata = tmp_path / folder / f"Some_Thing-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "entry_points.txt").write_text("[nsctl]\nx = y\n")
    [point] = entry_points([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "missing")])
    assert (point.distribution, point.version, point.value) == ("some-thing", "1.0", "y")


def test_the_version_of_a_development_install_is_read_from_its_metadata(tmp_path: Path) -> None:
    metadata = tmp_path / "thing.egg-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[nsctl]\nx = y\n")
    (metadata / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: thing\nVersion: 3.1\n")
    assert [p.version for p in entry_points([str(tmp_path)])] == ["3.1"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "it called exit(3)"),
        ("def broken(:", "SyntaxError"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        (PAIR.replace('Mode("MODE",', "print("), "which is not a Mode"),
        (PAIR.replace("MODE", "Not A Name"), "is not allowed"),
        (PAIR.replace("MODE", "x").replace("size: int", "name: str"), "the option 'name' is nsctl's own"),
        (PAIR.replace("MODE", "x").replace("size: int", "size: dict"), "of a type that nsctl can't read"),
        (PAIR.replace("MODE", "x").replace("nsctl_modes", "nsctl_mode"), "nsctl_mode"),
        (PAIR.replace("MODE", "x").replace("nsctl_modes()", "nsctl_modes(what)"), "nsctl_modes"),
        (PAIR.replace("MODE", "x").replace("return [", "return 1/0 or ["), "ZeroDivisionError"),
        (WRAPPER.format("wrapper"), "its nsctl_review is a wrapper, and nsctl calls each plugin by itself"),
        (WRAPPER.format("hookwrapper"), "its nsctl_review is a wrapper, and nsctl calls each plugin by itself"),
    ],
)
def test_a_broken_plugin_is_one_warning_and_one_row(install: Install, tmp_path: Path, source: str, reason: str) -> None:
    install("bad", source)
    install("good", PAIR.replace("MODE", "good"))
    plugins = load(tmp_path, reserved={"name"})
    assert list(plugins.modes()) == ["good"]
    [broken] = plugins.broken
    assert broken.name == "bad"
    assert reason in broken.reason
    assert len(plugins.warnings) == 1


def test_a_broken_plugin_has_no_say(install: Install, tmp_path: Path) -> None:
    install("bad", PAIR.replace("MODE", "Bad Name") + "\n@hookimpl\ndef nsctl_review(plan):\n    return 'no'\n")
    load(tmp_path).review(Plan("bridge", "web", {}, ()))


def test_a_mode_that_is_there_already_stays(install: Install, tmp_path: Path) -> None:
    install("one", PAIR.replace("MODE", "pair"))
    install("two", PAIR.replace("MODE", "pair"))
    plugins = load(tmp_path)
    assert plugins.modes()["pair"].distribution == "one"
    assert "is there already, from one" in plugins.broken[0].reason


def test_what_a_plugin_prints_while_it_is_loaded_does_not_reach_stdout(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("loud", "print('hello')\n" + PAIR.replace("MODE", "loud"))
    load(tmp_path)
    assert capsys.readouterr() == ("", "hello\n")


def test_only_the_built_in_mode_that_is_needed_is_imported(tmp_path: Path) -> None:
    metadata = tmp_path / "nsctl-0.1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[nsctl]\na = mod_a\nb = mod_b\n")
    assert [b.name for b in load(tmp_path, "a").broken] == ["a"]
    assert [b.name for b in load(tmp_path).broken] == ["a", "b"]


REVIEW = "from nsctl.hooks.spec import hookimpl\n@hookimpl\ndef nsctl_review(plan):\n    {}\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return f'no {plan.mode} here'", "the plugin strict:strict refuses the plan for 'web': no bridge here"),
        ("raise KeyError('x')", "failed to review the plan: KeyError: 'x'"),
        ("raise SystemExit(0)", "failed to review the plan: SystemExit: 0"),
        ("return 'red\\x1b[31m'", r"red\x1b[31m"),
    ],
)
def test_a_review_that_says_no_or_fails_stops_the_change(
    install: Install, tmp_path: Path, body: str, message: str
) -> None:
    install("strict", REVIEW.format(body))
    with pytest.raises(Refused) as caught:
        load(tmp_path).review(Plan("bridge", "web", {}, ()))
    assert message in str(caught.value)


def test_a_review_that_says_nothing_lets_the_plan_pass(install: Install, tmp_path: Path) -> None:
    install("calm", REVIEW.format("print('seen')"))
    load(tmp_path).review(Plan("bridge", "web", {}, ()))


WATCH = "from nsctl.hooks.spec import hookimpl\n@hookimpl\ndef nsctl_event(event):\n    {}\n"


class Noted:
    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        self.events.append(event)


def test_an_observer_that_fails_hears_no_more_and_the_others_do(install: Install, tmp_path: Path) -> None:
    install("frail", WATCH.format("raise ValueError('tired')"))
    plugins = load(tmp_path)
    noted = Noted()
    plugins.watch(noted, "nsctl:noted")
    plugins.emit(FINISHED)
    plugins.emit(FINISHED)
    assert noted.events == [FINISHED, FINISHED]
    assert plugins.warnings == ["the plugin frail:frail failed while watching, and hears no more: ValueError: tired"]


def test_an_observer_that_fails_at_the_start_stops_the_change_before_it_is_recorded(
    install: Install, tmp_path: Path
) -> None:
    install("frail", WATCH.format("raise ValueError('tired')"))
    plugins = load(tmp_path)
    noted = Noted()
    plugins.watch(noted, "nsctl:noted")
    with pytest.raises(Refused, match="stopped the change: ValueError: tired"):
        plugins.emit(STARTED)
    assert noted.events == []


def test_told_afterwards_an_observer_stops_nothing(install: Install, tmp_path: Path) -> None:
    install("frail", WATCH.format("raise ValueError('tired')"))
    plugins = load(tmp_path)
    plugins.emit(STARTED, afterwards=True)
    assert len(plugins.warnings) == 1


def test_an_observer_of_nsctls_own_can_be_registered_again(tmp_path: Path) -> None:
    plugins = load(tmp_path)
    first, second = Noted(), Noted()
    plugins.watch(first, "nsctl:noted")
    plugins.watch(second, "nsctl:noted")
    plugins.emit(FINISHED)
    assert (first.events, second.events) == ([], [FINISHED])


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users can be made by root only")
@pytest.mark.parametrize("how", ["file of a user", "folder of a user", "writable file", "writable folder"])
def test_root_refuses_a_plugin_that_somebody_else_could_have_written(
    install: Install, tmp_path: Path, how: str
) -> None:
    path = install("pair", "import os\nos.environ['NSCTL_TEST_RAN'] = '1'\n" + PAIR.replace("MODE", "pair"))
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    target = path if "file" in how else tmp_path
    if "user" in how:
        os.chown(target, 1234, 1234)
    else:
        target.chmod(0o777)
    assert why_unsafe("pair_plugin")
    plugins = load(tmp_path, as_root=True)
    assert list(plugins.modes()) == []
    # Which one is named first depends on where pytest keeps its files (under a world-writable /tmp, most often).
    assert str(target) in plugins.broken[0].reason
    assert "NSCTL_TEST_RAN" not in os.environ


def test_what_lies_beside_nsctl_is_trusted_as_nsctl_is(install: Install, tmp_path: Path) -> None:
    install("pair", PAIR.replace("MODE", "pair"))
    metadata = tmp_path / "nsctl-0.1.dist-info"
    metadata.mkdir()
    tmp_path.chmod(0o777)
    (metadata / "entry_points.txt").write_text("[nsctl]\n")
    assert "pair_plugin.py" not in why_unsafe("pair_plugin", {str(tmp_path)})
    (metadata / "entry_points.txt").write_text("[nsctl]\nnone = nothing_there\n")
    assert list(load(tmp_path, "", as_root=True).modes()) == ["pair"]


def test_finding_plugins_imports_neither_metadata_nor_what_is_not_needed() -> None:
    heavy = ("importlib.metadata", "email", "csv", "zipfile", "rich", "asyncio", "structlog", "urllib.request")
    code = (
        "import sys\n"
        "from nsctl.hooks.manager import Plugins\n"
        "Plugins.load('')\n"
        f"print([m for m in {heavy} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
