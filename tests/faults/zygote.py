"""
nsctl, started once and forked for every try: a start costs 100 ms, a fork 5.

Run as `python -I zygote.py`, with a socket as standard input; `warm` is its other end.
Each message asks for one run of nsctl in a lab: the process that is forked enters the lab's namespaces, and its child,
which is then in the lab's PID namespace too, is nsctl.
Everything that nsctl would have inherited from a shell is made as it would be: session, environment, descriptors.

A *tick* is a moment just before nsctl does something that others can see: starts a process, opens a file for writing,
makes or removes one, takes the lock, sends a signal, or has SQLite run a statement that writes.
Python's own audit events and SQLite's trace tell them, so nsctl needs no hook for it. At a chosen tick nsctl can be
killed or sent signals.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import itertools
import json
import os
import signal
import socket
import sys
from typing import Any

EVERYTHING = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""NEWNS, NEWUTS, NEWIPC, NEWPID and NEWNET of <linux/sched.h>."""
TICKS_FD = 200
"""Well above those that nsctl uses."""
CHANGES = frozenset(
    "subprocess.Popen os.mkdir os.rmdir os.remove os.rename os.truncate os.chmod os.link os.symlink os.kill os.killpg "
    "fcntl.flock os.exec os.fork".split()
)
MODULES = (
    "nsctl nsctl.engine.executor nsctl.engine.executor.confirm_timer nsctl.engine.planning.planner "
    "nsctl.engine.planning.render nsctl.hooks.audit nsctl.hooks.progress nsctl.modes.none nsctl.modes.host "
    "nsctl.modes.bridge nsctl.modes.container nsctl.engine.cli.root nsctl.engine.cli.up nsctl.engine.cli.down "
    "nsctl.engine.cli.maintenance nsctl.engine.cli.apply nsctl.engine.cli.listing nsctl.engine.cli.labs "
    "nsctl.engine.cli.log nsctl.engine.cli.foreground nsctl.engine.app.running nsctl.engine.app.promises "
    "sqlite3 queue select shutil difflib ipaddress traceback"
).split()


def main() -> None:
    # A detached process of nsctl's that ends is the lab init's to reap; those here reap themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    from nsctl.engine.lazy_imports import load_plumbum, load_structlog

    load_structlog()
    load_plumbum()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as server:
        server.send(b"ready")
        while True:
            text, fds, _, _ = socket.recv_fds(server, 1 << 18, 6)
            if not text:
                return
            if os.fork() == 0:
                server.close()
                try:
                    _attend(json.loads(text), fds)
                finally:
                    os._exit(99)
            for fd in fds:
                os.close(fd)


def _attend(request: dict[str, Any], fds: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reply, host, stdin, stdout, stderr, ticks = fds
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(host, EVERYTHING) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    pid = os.fork()
    if pid == 0:
        try:
            for number, fd in enumerate((stdin, stdout, stderr)):
                os.dup2(fd, number)
            os.dup2(ticks, TICKS_FD, inheritable=False)
            os.closerange(3, TICKS_FD)
            # As a new interpreter does; what it found out about the old ones does not hold for these.
            sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            status = _nsctl(request)
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else 1
        except BaseException:  # noqa: BLE001 - as an interpreter that ends: the traceback is what tests look for
            import traceback

            traceback.print_exc()
            status = 1
        finally:
            os._exit(status)
    os.write(reply, json.dumps({"pid": pid}).encode())
    os.write(reply, json.dumps({"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}).encode())
    os._exit(0)


def _nsctl(request: dict[str, Any]) -> int:
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(request["env"])
    if request["stop"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    if request["at"] is not None:
        _listen({int(tick): signals for tick, signals in request["at"].items()})
    from nsctl.engine.cli import main as command_line

    status = command_line(request["argv"])
    sys.stdout.flush()
    return status


def _listen(plan: dict[int, list[int]]) -> None:
    numbers = itertools.count(1)

    def tick(what: str) -> None:
        number = next(numbers)
        line = " ".join(what[:300].split())
        os.write(TICKS_FD, f"{number} {line}\n".encode(errors="backslashreplace"))
        for signum in plan.get(number, ()):
            os.kill(os.getpid(), signum)

    def statement(sql: str) -> None:
        word = sql.split(maxsplit=1)[0].upper()
        if word not in {"SELECT", "PRAGMA"}:
            tick(f"sql {sql[:120]}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if (
                isinstance(path, (str, bytes))
                and isinstance(flags, int)
                and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            ):
                tick(f"open {os.fsdecode(path)}")
        elif event in CHANGES and not (event == "os.kill" and arguments[0] == os.getpid()):
            tick(f"{event} {arguments!r}")

    import _sqlite3  # as nsctl.engine.store.database does

    connect = _sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> Any:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(statement)
        return connection

    _sqlite3.connect = traced
    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
