"""Functions called on a lab host, in a process of their own there."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from nsctl.engine.testing.lab import Lab

__all__ = ["Python", "in_lab"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Descriptor 0 is the connection; what the functions start does not get it.
_MAIN = """\
import os, sys
from multiprocessing.connection import Connection
asked = Connection(os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.path[:] = asked.recv()
asked.recv()(asked)
"""


class Python:
    """
    A Python process on a lab host that calls one function after another; all that goes in and out is pickled.

    `Lab.call` is cheaper, but a thread: what forks, holds signals or keeps state in its process belongs here.
    """

    def __init__(self, lab: Lab) -> None:
        self._asked, theirs = Pipe()
        self._process = lab.popen(
            [sys.executable, "-I", "-c", _MAIN], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=None
        )
        theirs.close()
        self._asked.send(sys.path)
        self._asked.send(_answer)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call a function that is importable by name.

        Raises:
            RuntimeError: It raised, and the message has its traceback; or the process ended.
        """
        self._asked.send((function, args, kwargs))
        try:
            failure, answer = self._asked.recv()
        except EOFError:
            raise RuntimeError(f"the process on the lab host ended: {self._process.wait()}") from None
        if failure:
            raise RuntimeError(failure)
        result: R = answer
        return result

    def close(self) -> None:
        """End the process."""
        self._asked.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_lab(function: Callable[[T], R], argument: T) -> R:
    """
    Call a function in a laboratory of its own; all that goes in and out is pickled.

    Raises:
        PermissionError: The caller is not root.
        RuntimeError: It raised; the message has its traceback.
    """
    if os.geteuid() != 0:
        raise PermissionError("a laboratory needs root")
    with Lab() as lab, Python(lab) as python:
        return python.call(function, argument)


def _answer(asked: Connection) -> None:
    while True:
        try:
            function, args, kwargs = asked.recv()
        except EOFError:
            return
        try:
            answer = ("", function(*args, **kwargs))
        except BaseException:  # noqa: BLE001 - whoever asked raises it
            answer = (traceback.format_exc(), None)
        asked.send(answer)
