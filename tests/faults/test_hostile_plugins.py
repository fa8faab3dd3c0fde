"""11. Hostile plugins: what they say, raise, return or never return."""

from __future__ import annotations

import signal
import sys
import types
from collections.abc import Iterator

import pytest

from nsctl import Facts, Plan, Refused, Request
from nsctl.engine.cli.common_options import RESERVED
from nsctl.engine.model.options import from_strings
from nsctl.engine.planning.planner import plan
from nsctl.hooks.manager import EntryPoint, Plugins
from tests.faults.evil import BROKEN, DYING, HANG, PLANNING, START, source_of
from tests.faults.ground import Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import diff, snapshot


def loaded(monkeypatch: pytest.MonkeyPatch, **parts: str) -> Plugins:
    """The plugin, loaded into this process."""
    module = types.ModuleType("nsctl_evil")
    monkeypatch.setitem(sys.modules, "nsctl_evil", module)
    exec(source_of(**parts), module.__dict__)  # noqa: S102  it is a plugin
    plugins = Plugins(reserved=RESERVED, as_root=False)
    plugins.add(EntryPoint("evil", "nsctl_evil", "evil", "1.0", "/"))
    return plugins


def clean(message: str) -> None:
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize("what", PLANNING)
def test_whatever_a_mode_yields_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tally: Tally, what: str
) -> None:
    mode = loaded(monkeypatch, steps=PLANNING[what]).modes()["evil"].mode
    with pytest.raises(Refused) as caught:
        plan(mode, Request("web", mode.options(), ("net",)), Facts())
    clean(caught.value.message)
    assert "mode 'evil'" in caught.value.message
    tally.note("hostile input: plugins", survived=True)


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_a_plugin_says_of_itself_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tally: Tally, what: str
) -> None:
    plugins = loaded(monkeypatch, **BROKEN[what])
    assert plugins.modes() == {}
    (warning,) = plugins.warnings
    clean(warning)
    tally.note("hostile input: plugins", survived=True)


@pytest.mark.parametrize(
    "answer", ["raise Odd", "return Mute()", "return 'x' * 10**7", "return '\\x1b[2J'", "return len"]
)
def test_whatever_a_review_answers_is_no_consent(monkeypatch: pytest.MonkeyPatch, tally: Tally, answer: str) -> None:
    plugins = loaded(monkeypatch, review=answer)
    with pytest.raises(Refused) as caught:
        plugins.review(Plan("none", "web", {}, ()))
    clean(caught.value.message)
    tally.note("hostile input: plugins", survived=True)


@pytest.mark.parametrize("error", ["KeyError('x')", "Odd", "SystemExit(0)", "ValueError('\\x1b[2J')", "Invalid('no')"])
def test_whatever_options_raise_is_refused(monkeypatch: pytest.MonkeyPatch, tally: Tally, error: str) -> None:
    post = f"from nsctl import Invalid; raise {error}"
    mode = loaded(monkeypatch, post=post).modes()["evil"].mode
    with pytest.raises(Refused) as caught:
        from_strings(mode.options, {})
    clean(caught.value.message)
    tally.note("hostile input: plugins", survived=True)


@pytest.fixture
def ground(warm: Warm) -> Iterator[Ground]:
    made = Ground(warm)
    yield made
    made.close()


def install(ground: Ground, **parts: str) -> list[str]:
    """The words that start nsctl with the plugin."""
    ground.lab.write("/run/plugins/evil.py", source_of(**parts), 0o644)
    ground.lab.write("/run/plugins/evil-1.0.dist-info/entry_points.txt", "[nsctl]\nevil = evil\n", 0o644)
    ground.before = snapshot(ground.lab)
    return [sys.executable, "-I", "-B", "-c", START]


@pytest.mark.parametrize(
    ("part", "how", "words", "signum"),
    [
        ("steps", "time.sleep(1000)", "up evil", signal.SIGINT),
        ("steps", "time.sleep(1000)", "up evil", signal.SIGTERM),
        ("steps", "time.sleep(1000)", "up evil --dry-run", signal.SIGINT),
        ("steps", "exec('while True: pass')", "up evil", signal.SIGINT),
        ("steps", "time.sleep(1000)", "run evil -- true", signal.SIGHUP),
        ("review", "time.sleep(1000)", "up none", signal.SIGINT),
        ("review", "exec('while True: pass')", "apply /run/x.toml", signal.SIGTERM),
        ("modes", "time.sleep(1000)", "up none", signal.SIGINT),
    ],
)
def test_a_plugin_that_hangs_ends_with_a_signal(
    ground: Ground, tally: Tally, part: str, how: str, words: str, signum: int
) -> None:
    ground.lab.write("/run/x.toml", '[sandbox.web]\nmode = "none"\n')
    argv = install(ground, **{part: HANG.format(how)})
    child = ground.lab.popen([*argv, *words.split()])
    assert child.stderr is not None
    assert child.stderr.readline() == "there\n"
    child.send_signal(signum)
    output, errors = child.communicate(timeout=10)
    assert (child.returncode, output) == (128 + signum, ""), errors
    assert "Traceback" not in errors
    ground.lab.run(["rm", "-r", "/run/plugins/evil-1.0.dist-info"], check=True)
    ground.good("up", "none")  # nobody has the lock
    ground.good("down", "none")
    assert not diff(ground.before.without("files"), snapshot(ground.lab).without("files"))
    tally.note("hostile input: plugins", survived=True)


@pytest.mark.parametrize("where", ["steps", "review", "event"])
def test_a_plugin_that_ends_nsctl_leaves_what_the_next_one_takes_away(ground: Ground, tally: Tally, where: str) -> None:
    parts = {where: "os._exit(7)"} if where != "event" else {"review": f"pass\n\n{DYING}"}
    argv = install(ground, **parts)
    assert ground.lab.run([*argv, "up", "evil", "--name", "web"]).returncode == 7
    ground.good("recover")
    assert ground.names() == []
    ground.back()
    tally.note("hostile input: plugins", survived=True)
