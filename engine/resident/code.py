"""Whether two processes have loaded the same code, and whether it is still what lies on the disk."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PACKAGE", "Stamps", "key"]

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where nsctl lies."""
_SAME = (
    "debug",
    "optimize",
    "dont_write_bytecode",
    "inspect",
    "interactive",
    "verbose",
    "bytes_warning",
    "dev_mode",
    "warn_default_encoding",
    "int_max_str_digits",
)
"""Flags of the interpreter that code can tell; that it is isolated is none of them."""


def key() -> list[bytes]:
    """What has to be equal in a server and whoever asks it: the interpreter, how it was started, where code lies."""
    path = list(sys.path)
    if not sys.flags.isolated and path[:1] == [os.path.dirname(sys.executable)]:
        del path[0]  # of a console script, whose own directory comes first
    words = [
        sys.version,
        sys.executable,
        sys.prefix,
        sys.base_prefix,
        PACKAGE,
        sys.getfilesystemencoding(),
        sys.getfilesystemencodeerrors(),
        *(f"{name}={getattr(sys.flags, name, None)}" for name in _SAME),
        *(f"-X{name}={value}" for name, value in sorted(sys._xoptions.items()) if name != "nsctl"),  # noqa: SLF001
        *(f"-W{option}" for option in sys.warnoptions),
        *path,
    ]
    return [os.fsencode(word) for word in words]


class Stamps:
    """The files that code was loaded from, and where more of it or of plugins' would be found, as they were."""

    def __init__(self) -> None:
        self._stamps = {path: _stamp(path) for path in _places()}

    def changed(self) -> str | None:
        """The first file that is not what it was; None if all are."""
        return next((path for path, stamp in self._stamps.items() if _stamp(path) != stamp), None)


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _places() -> Iterable[str]:
    found = {sys.executable, os.path.realpath(sys.executable)}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            found.add(path)
    for folder in sys.path:
        found.add(folder)
        found.update(_plugins(folder))
    # Modules that are loaded when a command needs them are read then; new ones change their directory.
    for folder, names, files in os.walk(PACKAGE, followlinks=True):
        names[:] = [name for name in names if name != "__pycache__"]
        found.update(os.path.join(folder, name) for name in files if name.endswith(".py"))
    return sorted(found)


def _plugins(folder: str) -> Iterator[str]:
    """What says which plugins there are: entry points, and the files that lead to other directories."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".pth"):
            yield entry.path
        elif entry.name.endswith((".dist-info", ".egg-info")):
            yield entry.path
            yield os.path.join(entry.path, "entry_points.txt")
