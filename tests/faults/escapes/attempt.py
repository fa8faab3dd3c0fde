"""
What an attempt to leave a sandbox is, and the program that makes many of them inside one.

Each is made in a process of its own, so that one does not stand in another's way. Nothing but the standard library:
this runs in a sandbox.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

MODULES = ("kernel", "mounts", "network", "processes", "state", "users")
ALL = ("none", "bridge", "container", "host")
OWN_NETWORK = ("none", "bridge", "container")
GOT_THROUGH = "got through"
SECONDS = 20

NEWNS = 0x00020000
libc = ctypes.CDLL(None, use_errno=True)
given: dict[str, Any] = {}
"""What the test tells of the host."""


class Unable(Exception):
    """This kernel, or this machine, has no such thing."""


@dataclass(frozen=True)
class Attempt:
    """
    Args:
        name: The name of its function.
        run: Makes it: it returns if it succeeds, and raises what the kernel says if it does not.
        errors: How it may fail: the names of the kernel's errors.
        control: Where the very same succeeds: with more `capabilities`, or `privileged`; nowhere, if that would do
            harm, or if another attempt makes the same call.
        modes: Those where it means anything.
        limit: Those where it is known to succeed, unless the kernel forbids it; docs/safety.md says so.
    """

    name: str
    run: Callable[[], object]
    errors: tuple[str, ...] = ("EPERM",)
    control: str = ""
    modes: tuple[str, ...] = ALL
    limit: tuple[str, ...] = ()


TABLE: dict[str, Attempt] = {}


def attempt(**how: Any) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Enter a function in the table."""

    def enter(function: Callable[[], object]) -> Callable[[], object]:
        name = getattr(function, "__name__", "").replace("_", " ").strip()
        TABLE[name] = Attempt(name, function, **how)
        return function

    return enter


def load() -> dict[str, Attempt]:
    """The whole table."""
    for module in MODULES:
        importlib.import_module(f"tests.faults.escapes.{module}")
    return TABLE


def checked(result: int) -> int:
    """The result of a function of the C library."""
    if result == -1:
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise Unable("no such system call")
        raise OSError(number, os.strerror(number))
    return result


def call(x86: int, other: int, *arguments: Any) -> int:
    """A system call by its number, on x86-64 and on the machines that share the newer table."""
    number = {"x86_64": x86, "aarch64": other, "riscv64": other}.get(platform.machine())
    if number is None:
        raise Unable(f"numbers of system calls of {platform.machine()}")
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(libc.syscall(ctypes.c_long(number), *words))


def failed(name: str, why: str = "") -> NoReturn:
    """It was in vain, though no call failed."""
    raise OSError(getattr(errno, name), why)


def open_for_writing(path: str) -> None:
    """Open, and write nothing: that is harmless even where it should succeed."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def _outcome(one: Attempt) -> str:
    try:
        found = one.run()
    except Unable as e:
        return f"unable: {e}"
    except OSError as e:
        return f"{errno.errorcode.get(e.errno or 0, 'no error')}: {e}"
    except BaseException as e:  # noqa: BLE001  a mistake in an attempt is no refusal
        return f"broken: {e!r}"
    return f"{GOT_THROUGH}: {found}"


def _made(one: Attempt, *, apart: bool) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(SECONDS)
        if apart:  # where attempts succeed, the next ones find everything as it was
            libc.unshare(NEWNS)
        os.write(write, _outcome(one)[:2000].encode(errors="backslashreplace"))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    return text or f"broken: ended with {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    """Make the attempts of a mode, or those of a kind of control, and print what became of them."""
    given.update(json.loads(sys.argv[1]))
    given["descriptors"] = {
        fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)
    }
    chosen = [
        one
        for one in load().values()
        if (one.control == given["control"] if given.get("control") else given["mode"] in one.modes)
    ]
    found = {one.name: _made(one, apart=bool(given.get("control"))) for one in chosen}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")
