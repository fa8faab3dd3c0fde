"""
The process that stays; `resident start` becomes it.

It loads all code that a command may need, and nothing else: no plugin that is not nsctl's own, no fact about the host.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

from nsctl.engine.app.resident import load_libraries
from nsctl.engine.resident import wire
from nsctl.engine.resident.child import Server
from nsctl.engine.resident.code import PACKAGE
from nsctl.engine.resident.server import serve

__all__ = ["load", "main"]

_NOT_FOR_IT = ("nsctl.testing", "nsctl.engine.testing", "nsctl.engine.cli.watching", "nsctl.engine.cli.resident")
"""Not of any command that it runs; the watcher's modules look at the terminal when they are loaded."""
_OTHERS = (
    "difflib importlib.metadata ipaddress json queue select shutil sqlite3 tempfile threading traceback typer.main "
    "email.message email.parser"
).split()


def load() -> dict[str, str | None]:
    """
    Load the code.

    Returns:
        The variables that it asked for meanwhile: whoever has others has to load it anew.
    """
    asked: dict[str, str | None] = {}
    kind = type(os.environ)

    class Recorded(kind):  # type: ignore[misc,valid-type]  # a class like any other
        def __getitem__(self, name: str) -> str:
            asked[name] = None
            value: str = super().__getitem__(name)
            asked[name] = value
            return value

    os.environ.__class__ = Recorded
    try:
        for name in (*_OTHERS, *_modules()):
            importlib.import_module(name)
    finally:
        os.environ.__class__ = kind
    load_libraries()
    return asked


def _modules() -> Iterator[str]:
    for folder, names, files in os.walk(PACKAGE, followlinks=True):
        names[:] = sorted(name for name in names if name != "__pycache__")
        package = ".".join(["nsctl", *os.path.relpath(folder, PACKAGE).split("/")]).removesuffix("..")
        for file in sorted(files):
            name = f"{package}.{file.removesuffix('.py')}".removesuffix(".__init__")
            if file.endswith(".py") and not name.startswith(_NOT_FOR_IT):
                yield name


def main(listening: int, lock: int, ready: int) -> int:
    """
    Wait for commands until a signal comes, or the code changes.

    Args:
        listening: The socket.
        lock: What says that this process lives; open as long as it does.
        ready: Where it says that it waits; -1 for nowhere.
    """
    for fd in (listening, lock):
        os.set_inheritable(fd, False)  # noqa: FBT003 - its only form
    told = load()
    systemd = os.pread(lock, 64, 0).split()[1:]
    with suppress(OSError):  # of a full disk
        os.pwrite(lock, b" ".join([b"%d" % os.getpid(), *systemd]) + b"\n", 0)
    from nsctl.__main__ import run

    with socket.socket(fileno=listening) as door:
        door.listen(128)  # now it is this process that callers see behind it, not systemd
        serve(Server(run, told), door, lambda: _say(ready))
        if not systemd:
            with suppress(OSError):
                os.unlink(wire.SOCKET)
    return 0


def _say(ready: int) -> None:
    if ready >= 0:
        os.write(ready, b"1")
        os.close(ready)


if __name__ == "__main__":
    os._exit(main(*map(int, sys.argv[1:])))
