"""Files and directories."""

from __future__ import annotations

from pathlib import PurePosixPath

from nsctl.engine.model.commands import MakeDir, RemoveDir, RemoveFiles, WriteFile
from nsctl.engine.model.effects import DirIs, FileIs
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step

__all__ = ["directory", "file"]


def directory(
    path: str, *, mode: str = "0700", why: str = "", remove: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> Step:
    """
    Make a directory.

    Args:
        path: Absolute.
        mode: Its permissions, in octal.
        why: One line for the reader of a dry run.
        remove: Files in it that processes will have made, and that go before it does.
        after: Keys of other steps that come before; the parent directory's always does.
    """
    parent = _parent(path)
    return Step(
        key=f"dir/{path}",
        why=why or f"make the directory {path}",
        do=MakeDir(path, mode),
        undo=(*((RemoveFiles(remove),) if remove else ()), RemoveDir(path)),
        effect=DirIs(path),
        after=(f"dir/{parent}", *after),
    )


def file(path: str, content: str, *, mode: str = "0644", why: str = "", after: tuple[str, ...] = ()) -> Step:
    """
    Write a file.

    Args:
        path: Absolute.
        content: All of it; the dry run shows it.
        mode: Its permissions, in octal.
        why: One line for the reader of a dry run.
        after: Keys of other steps that come before; the directory's always does.
    """
    parent = _parent(path)
    return Step(
        key=f"file/{path}",
        why=why or f"write {path}",
        do=WriteFile(path, content, mode),
        undo=(RemoveFiles((path,)),),
        effect=FileIs(path, content),
        removed_with=f"dir/{parent}",
        after=(f"dir/{parent}", *after),
    )


def _parent(path: str) -> str:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or str(pure) != path or path == "/":
        raise Invalid(f"'{display(path)}' is not an absolute path")
    return str(pure.parent)
