from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

import pytest

from nsctl.engine.model.commands import Command
from nsctl.engine.model.events import PlanFinished, PlanStarted, StepStarted
from nsctl.engine.model.plan import Step
from nsctl.hooks.progress import Progress, wanted

STEP = Step("link/x", "the bridge [bold]\x1b[31m", Command(("ip",)))


def test_without_a_terminal_there_is_no_progress() -> None:
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        assert not wanted(nothing)


def test_a_terminal_that_cannot_redraw_a_line_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setenv("TERM", "dumb")
        assert not wanted(terminal)
        monkeypatch.setenv("TERM", "xterm")
        assert wanted(terminal)
    os.close(ours)


def test_a_short_change_does_not_import_rich() -> None:
    code = (
        "import sys\n"
        "from nsctl.engine.model.events import *\n"
        "from nsctl.engine.model.commands import Command\n"
        "from nsctl.engine.model.plan import Step\n"
        "from nsctl.hooks.progress import Progress\n"
        "p = Progress(); p.nsctl_event(PlanStarted('t', 'x', 'up', '', ()))\n"
        "p.nsctl_event(StepStarted('t', 'x', Step('a', 'b', Command(('c',))), 1, 2))\n"
        "p.nsctl_event(PlanFinished('t', 'x', 'up', 'done'))\n"
        "print('rich' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def draw(progress: Progress) -> None:
    progress.nsctl_event(PlanStarted("t", "x", "up", "", (STEP,)))
    progress.nsctl_event(StepStarted("t", "x", STEP, 2, 3))
    progress.nsctl_event(PlanFinished("t", "x", "up", "done"))


def test_a_long_change_is_shown_on_the_terminal_with_names_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        draw(Progress(patience=0.0))
        monkeypatch.undo()
    shown = ""
    with contextlib.suppress(OSError):  # EIO is a terminal's end
        while piece := os.read(ours, 1 << 16):
            shown += piece.decode()
    os.close(ours)
    assert "1/3" in shown
    assert r"the bridge [bold]\x1b[31m" in shown
    assert "the bridge [bold]\x1b[31m" not in shown


def test_a_terminal_that_went_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    terminal = open(theirs, "w", encoding="utf-8")  # noqa: SIM115 - closing it fails, as it should
    progress = Progress(patience=0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    os.close(ours)
    draw(progress)
    draw(progress)
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        terminal.close()


def test_a_closed_pipe_stops_nothing_and_leaves_stdout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    pipe = open(write, "w", encoding="utf-8")  # noqa: SIM115 - closing it fails, as it should
    stdout = os.fstat(1)
    monkeypatch.setattr(sys, "stderr", pipe)
    draw(Progress(patience=0.0))
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        pipe.close()
    assert os.fstat(1) == stdout
