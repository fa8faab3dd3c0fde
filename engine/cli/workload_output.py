"""What a sandbox's workload printed. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from nsctl.engine.cli import out
from nsctl.engine.cli.context import need_root, sandbox_in
from nsctl.engine.model.errors import Refused
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext

__all__ = ["show"]

_BLOCK = 1 << 16


def show(world: AppContext, name: str, *, follow: bool = False, last: str | None = None) -> int:
    """
    Print it, as `nsctl logs` does.

    Args:
        world: Where the sandboxes are.
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
        from nsctl.engine.cli.parsers import lines

        wanted = lines(last, "-n")
    need_root(world)
    with ExitStack() as stack:
        # Once the file and the process are open, whatever becomes of the sandbox can't make them others'.
        fd, pidfd = _opened(world, name)
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


def _opened(world: AppContext, name: str) -> tuple[int, int | None]:
    """
    The file with the output, and the process that writes to it; None where that has ended.

    Raises:
        Refused: There is no such sandbox, or nothing in it that prints.
    """
    from nsctl.engine.host.process import start_of

    with world.read() as session:
        store, row = sandbox_in(session, name)
        path = row.info.get("log")
        if path is None or (not row.command and row.info.get("init") == f"init/{name}"):
            raise Refused(
                f"'{name}' has no workload whose output is kept",
                hint="nsctl up MODE -- CMD... makes one; what exec, shell and run start prints where they are called",
            )
        pid = store.pid(row)
        start = None if pid is None else start_of(pid)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        raise Refused(f"the output of '{name}' can't be read: {e.strerror}: {path}", hint=f"nsctl check {name}") from e
    if pid is not None and start is not None:
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            if start_of(pid) == start:
                return fd, pidfd
            os.close(pidfd)
    return fd, None


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
