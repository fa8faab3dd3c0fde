"""The end of the process, which does not take every module apart."""

from __future__ import annotations

import subprocess
import sys

LATE = """
import atexit, os, sys, threading, time
import nsctl.engine.cli

def late():
    time.sleep(0.1)
    print("a thread", flush=True)

def command_line():
    atexit.register(lambda: print("an exit handler"))
    threading.Thread(target=late).start()
    sys.stdout.write("unflushed, ")
    return 3

nsctl.engine.cli.main = command_line
from nsctl.__main__ import main
main()
"""


def test_threads_exit_handlers_and_unwritten_output_get_their_turn() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", LATE], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == ("unflushed, a thread\nan exit handler\n", 3), done.stderr
