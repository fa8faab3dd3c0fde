"""The output of a sandbox's workload. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nsctl.engine.app.sandboxes import open_output
from nsctl.engine.cli import out
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["show"]

_BLOCK = 1 << 16


def show(context: AppContext, name: str, *, follow: bool = False, last: str | None = None) -> int:
    """
    Print it, as `nsctl logs` does.

    Args:
        context: Where the sandboxes are.
        name: The sandbox.
        follow: Go on until the workload ends.
        last: Only so many lines.

    Raises:
        Invalid: There is no such sandbox, or that is no number.
        Refused: Nothing in it prints.
    """
    check_name(name)
    wanted = None
    if last is not None:
        from nsctl.engine.app.parsers import lines

        wanted = lines(last, "-n")
    with ExitStack() as stack:
        fd, pidfd = open_output(context, name)
        stack.callback(os.close, fd)
        if pidfd is not None:
            stack.callback(os.close, pidfd)
        printed = out.Raw()
        if wanted is not None:
            _to_last_lines(fd, wanted)
        _print(fd, printed)
        if follow and pidfd is not None:
            _follow(fd, pidfd, printed)
        printed.end()
    return 0


def _print(fd: int, printed: out.Raw) -> None:
    while block := os.read(fd, _BLOCK):
        printed.write(block)


def _follow(fd: int, pidfd: int, printed: out.Raw) -> None:
    from nsctl.engine.cli.following import Changes

    with Changes(f"/proc/self/fd/{fd}", pidfd) as changes:
        going = True
        while going:
            # Somebody made room: what is written from then on stands at the beginning.
            if os.fstat(fd).st_size < os.lseek(fd, 0, os.SEEK_CUR):
                os.lseek(fd, 0, os.SEEK_SET)
            _print(fd, printed)
            going = changes.wait()
        _print(fd, printed)  # its last words


def _to_last_lines(fd: int, wanted: int) -> None:
    """Go to where the last lines begin; one that is not ended counts."""
    at = os.lseek(fd, 0, os.SEEK_END)
    ends = -1 if wanted and at and os.pread(fd, 1, at - 1) == b"\n" else 0  # the end of the last line begins none
    while at and wanted:
        size = min(_BLOCK, at)
        at -= size
        block = os.pread(fd, size, at)
        found = block.count(b"\n")
        if ends + found >= wanted:
            cut = len(block)
            for _ in range(wanted - ends):
                cut = block.rindex(b"\n", 0, cut)
            at += cut + 1
            break
        ends += found
    os.lseek(fd, at, os.SEEK_SET)
