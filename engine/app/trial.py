"""
Whether a network namespace takes a setting: tried in one that nobody sees, and that is gone right afterwards.

Which settings a namespace has of its own, and which values they take, depends on the kernel and its modules: so it is
asked, before anything is made.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from contextlib import suppress

from nsctl.engine.host.setns import NEWNET, unshare
from nsctl.engine.planning.settings import ORDINARY

__all__ = ["refused"]

_OF_LINK = re.compile(r"(net/ipv[46]/(?:conf|neigh))/(?!(?:all|default)/)[^/]+/(.+)")


def refused(wanted: Mapping[str, str]) -> tuple[str, str]:
    """
    The first setting that a new network namespace does not take, and why; two empty texts if it takes all.

    Without the privilege to make one, nothing is known, and nothing refused.

    Args:
        wanted: Values by key, with slashes; those of links are tried on `lo`.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):  # whatever happens, the child ends here
            os.write(writer, "\n".join(_tried(wanted)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        key, _, why = pipe.read().partition("\n")
    os.waitpid(child, 0)
    return key, why


def _tried(wanted: Mapping[str, str]) -> tuple[str, str]:
    try:
        unshare(NEWNET)
    except OSError:
        return "", ""
    for key, (value, _, _) in ORDINARY.items():  # in a sandbox they come first, and ranges depend on each other
        with suppress(OSError):
            _write(key, value)
    for key, value in wanted.items():
        try:
            _write(_OF_LINK.sub(r"\1/lo/\2", key), value)
        except OSError as e:
            if e.errno == errno.ENOENT:
                return key, "a network namespace has no such setting of its own"
            if e.errno in {errno.EACCES, errno.EPERM}:
                return key, "in a network namespace it can only be read"
            return key, f"the kernel does not take that value ({e.strerror})"
    return "", ""


def _write(key: str, value: str) -> None:
    fd = os.open(f"/proc/sys/{key}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"{value}\n".encode())
    finally:
        os.close(fd)
