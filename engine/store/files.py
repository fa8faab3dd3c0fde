"""nsctl's directory under /run: private, owned by root, no symbolic links followed, with ballast for a full disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from nsctl.engine.model import places
from nsctl.engine.model.errors import Refused

__all__ = [
    "BALLAST",
    "HOST_DIR",
    "boot_id",
    "drop_ballast",
    "ensure_ballast",
    "ensure_private_dir",
    "remove_tree",
    "replace_file",
    "secret",
]

HOST_DIR = Path(places.HOST_DIR)
"""What is the whole host's, whatever directory the state is in: the lock, the key, the list of state directories."""
_KEY_SIZE = 32
BALLAST = 256 * 1024
"""Bytes kept back, so that `down` and `recover` can still write when the file system is full."""


def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def secret(directory: Path, *, make: bool) -> bytes:
    """
    The key that rows are sealed with, which lives as long as the rows do; empty where there is none.

    Args:
        directory: Where it is kept.
        make: Make it, if need be.

    Raises:
        OSError: It can't be read or made.
    """
    path = directory / "key"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        if not make:
            return b""
        key = os.urandom(_KEY_SIZE)
        replace_file(path, key)
        return key
    try:
        return os.read(fd, _KEY_SIZE)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes) -> None:
    """
    Write a file, for root alone: whole, or not at all; one process at a time.

    Raises:
        OSError: It can't be written.
    """
    new = path.with_name(f"{path.name}.new")  # always the same: what a killed nsctl left goes with the next one
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(fd, content)
        finally:
            os.close(fd)
        os.rename(new, path)
    except OSError:
        with suppress(OSError):
            os.unlink(new)
        raise


def ensure_private_dir(path: Path) -> None:
    """
    Make the directory (0700) or check that it is ours alone.

    Raises:
        Refused: It is a symbolic link, belongs to somebody else, is open to others, or can't be made.
    """
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True)
        st = path.lstat()
    except OSError as e:
        raise Refused(
            f"the state directory {path} can't be made: {e.strerror}", hint="set NSCTL_STATE_DIR to a directory on /run"
        ) from e
    if not stat.S_ISDIR(st.st_mode):
        raise Refused(f"the state directory {path} is not a directory", hint="remove it, or set NSCTL_STATE_DIR")
    if st.st_uid != os.geteuid():
        raise Refused(
            f"the state directory {path} belongs to user {st.st_uid}, not to {os.geteuid()}",
            hint="remove it, or set NSCTL_STATE_DIR",
        )
    if st.st_mode & 0o077:
        try:
            path.chmod(0o700)
        except OSError as e:
            raise Refused(f"the state directory {path} is open to others", hint=f"chmod 700 {path}") from e


def ensure_ballast(state_dir: Path) -> None:
    """Keep some room back; without it, on a full disk, nothing is lost but comfort."""
    path = state_dir / "ballast"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        if os.fstat(fd).st_blocks * 512 < BALLAST:
            os.posix_fallocate(fd, 0, BALLAST)
    except OSError:
        pass
    finally:
        os.close(fd)


def drop_ballast(state_dir: Path) -> None:
    """Give the room back to the file system, for an undo that has to be recorded."""
    with suppress(OSError):
        os.truncate(state_dir / "ballast", 0)


def remove_tree(path: Path) -> None:
    """
    Remove a directory of nsctl's own with all that is in it; symbolic links are removed, never followed.

    What can't be removed stays: the next plan that needs the place says so.
    """
    if path.is_symlink():
        return
    for place, directories, names in os.walk(path, topdown=False):
        for name in names:
            with suppress(OSError):
                os.unlink(os.path.join(place, name))
        for name in directories:
            with suppress(OSError):
                inner = os.path.join(place, name)
                (os.unlink if os.path.islink(inner) else os.rmdir)(inner)
    with suppress(OSError):
        os.rmdir(path)
