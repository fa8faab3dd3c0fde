"""The lines of the audit trail: of the files that were rotated, of the log, and of what comes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TextIO

from nsctl.engine.cli import out
from nsctl.engine.model.errors import Refused
from nsctl.hooks.logs import older, read_lines

__all__ = ["trail_lines"]


def trail_lines(path: str, *, follow: bool) -> Iterator[str | None]:
    """
    The lines, the oldest first; then None; with `follow` also those to come, across a rotation.

    Raises:
        Refused: There is none, or it can't be read.
    """
    # Opened before the others are listed: a log that is rotated in between is one of them, and known again.
    file = _opened(path)
    if file is not None and not follow:
        with file:
            yield from _older(path, file)
            yield from file
        yield None
        return
    there = False
    for line in _older(path, file):
        there = True
        yield line
    if follow:
        yield from _followed(path, file)
    elif there:
        yield None
    else:
        raise Refused(f"there is no audit trail at {path}", hint="nsctl makes it with the first change")


def _older(path: str, current: TextIO | None) -> Iterator[str]:
    here = None if current is None else os.fstat(current.fileno())
    for file in older(path):
        try:
            if here is not None and os.path.samestat(os.stat(file), here):
                continue
            for line in read_lines(file):
                yield line.decode(errors="backslashreplace")
        except OSError as e:
            out.warning(f"{file} can't be read: {getattr(e, 'strerror', None) or e}")


def _followed(path: str, file: TextIO | None) -> Iterator[str | None]:
    from nsctl.engine.cli.following import Changes

    part, told = "", False
    while True:
        if file is None:
            if not told:
                yield None
                told = True
            file = _awaited(path)
        with file, Changes(os.path.dirname(path)) as changes:
            replaced = False
            while True:
                part += file.readline()
                if part.endswith("\n"):
                    yield part
                    part = ""
                    continue
                if not told:
                    yield None
                    told = True
                if replaced:
                    if part:
                        yield part
                        part = ""
                    break
                if _replaced(file.fileno(), path):
                    replaced = True  # something may have been written to it after the last look, and before that
                else:
                    changes.wait()
        file = _opened(path)


def _awaited(path: str) -> TextIO:
    from nsctl.engine.cli.following import NO_INOTIFY

    while (file := _opened(path)) is None:
        time.sleep(NO_INOTIFY)  # there may be no directory yet that could be watched
    return file


def _replaced(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False  # renamed, and the new one is not there yet
    return not os.path.samestat(os.fstat(fd), there)


def _opened(path: str) -> TextIO | None:
    """
    The log, None where there is none.

    Raises:
        Refused: It can't be read.
    """
    try:
        return open(path, encoding="utf-8", errors="backslashreplace")
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Refused(f"the audit trail {path} can't be read: {e.strerror}", hint="it is root's: sudo nsctl log") from e
