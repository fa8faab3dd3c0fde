"""Signals that come where Python can raise nothing."""

from __future__ import annotations

import os
import signal

import pytest

from nsctl.engine.executor.signals import HeldSignals


class _Dying:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(100):  # the handler runs here
            pass


def test_a_signal_in_a_destructor_is_raised_at_the_end_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    signals, went_on = HeldSignals(), []

    def plan() -> None:
        with signals, signals.at_once():
            dying = _Dying()
            del dying
            went_on.append("after it")

    with pytest.raises(KeyboardInterrupt):
        plan()
    assert signals.caught == signal.SIGTERM
    assert went_on == ["after it"]  # else the signal was raised elsewhere, and this said nothing
    assert capsys.readouterr().err == ""
