"""What can befall a whole host: a full disk, a reboot."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nsctl.engine.testing.files import FILLER, SHIM_DIRECTORY
from nsctl.engine.testing.lab import Lab
from tests.lab.mounts import MS_BIND, mount
from tests.lab.shims import shim_directory


@contextlib.contextmanager
def full(lab: Lab, directory: str = "/run") -> Iterator[None]:
    """
    The file system of `directory` has 0 bytes free until the block ends. (/run and /var/log are each one of its own.)
    """
    filler = f"{directory}/{FILLER}"
    lab.call(_fill, filler)
    try:
        yield
    finally:
        lab.call(os.unlink, filler)


def _fill(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        space = os.fstatvfs(fd)
        if free := space.f_bavail * space.f_frsize:
            os.posix_fallocate(fd, 0, free)
        os.lseek(fd, 0, os.SEEK_END)
        while True:
            os.write(fd, bytes(4096))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(fd)


def set_boot_id(lab: Lab, boot_id: str) -> None:
    """From now on the lab host was booted under this number."""
    lab.call(shim_directory, f"{lab.token}-shim")
    fake = f"{SHIM_DIRECTORY}/boot_id.{uuid.uuid4().hex}"
    lab.write(fake, f"{boot_id}\n", 0o444)
    lab.call(mount, fake, "/proc/sys/kernel/random/boot_id", flags=MS_BIND)


def reboot(lab: Lab, *, uplink: bool = True) -> Lab:
    """
    The lab host after a reboot that /run survived (it is no tmpfs everywhere): a new boot_id, nothing else left.

    The lab given is closed; whoever calls closes the new one.
    """
    saved = lab.call(_save)
    lab.close()
    rebooted = Lab(uplink=uplink)
    rebooted.call(_restore, saved)
    set_boot_id(rebooted, str(uuid.uuid4()))
    return rebooted


@dataclass(frozen=True)
class _File:
    path: str
    mode: int
    content: bytes | str | None
    """None: a directory; text: a symbolic link's."""


def _save() -> list[_File]:
    saved = []
    for directory, directories, files in os.walk("/run"):
        if directory == "/run":
            directories[:] = [name for name in directories if name not in {"shim", "netns"}]
        for path in (Path(directory, name) for name in (*directories, *files)):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                saved.append(_File(str(path), 0, str(path.readlink())))
            elif stat.S_ISDIR(mode):
                saved.append(_File(str(path), stat.S_IMODE(mode), None))
            elif stat.S_ISREG(mode):
                saved.append(_File(str(path), stat.S_IMODE(mode), path.read_bytes()))
    return saved


def _restore(saved: list[_File]) -> None:
    for file in saved:
        path = Path(file.path)
        match file.content:
            case None:
                path.mkdir(mode=file.mode)
                path.chmod(file.mode)
            case str(target):
                path.symlink_to(target)
            case bytes(content):
                path.write_bytes(content)
                path.chmod(file.mode)
