"""mount(2), for what is put over a lab host's files."""

from __future__ import annotations

import ctypes
import os

__all__ = ["MS_BIND", "mount"]

MS_BIND = 0x1000
"""Of <linux/mount.h>."""

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2), in the mount namespace of the calling thread."""
    arguments = [os.fsencode(text) or None for text in (source, target, fstype)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(data) or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")
