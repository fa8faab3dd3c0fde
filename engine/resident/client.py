"""
Asks the process that stays, and waits for what it runs; without it, or in any doubt, the command runs here.

It comes before all else, so it loads nothing but modules of the interpreter's own that are written in C: `socket` and
`signal` take as long as half of the interpreter's start.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
import time

from nsctl.engine.resident import wire
from nsctl.engine.resident.code import key

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
    from typing import Any
else:
    import _signal

__all__ = ["asked"]

PATIENCE = 0.25
"""How long a command may wait to be begun before it runs here; seconds. One that was begun is waited for."""
_LAST_WORD = 1.0
"""How long the server has to say what ended a command; seconds."""
_SO_PEERCRED_SIZE = 12
_OWN_LOADING = ("LD_", "GLIBC_TUNABLES", "MALLOC_")
"""Variables that say what is loaded into a process, and how it runs: a process that runs already can't obey them."""
_SIGNALS = 65


class _NotAskedError(Exception):
    """There is nobody to ask, or nothing was begun: the command runs here."""


def asked(argv: list[str]) -> int | None:
    """
    Have the process that stays run a command.

    Args:
        argv: The words of the process, its name included.

    Returns:
        The exit status; None if nothing was begun, and the command is to be run here.
    """
    if not _is_for_it(argv[1:]):
        return None
    reason, client = "", None
    try:
        client = _Client()
        return client.run(argv)
    except _NotAskedError as e:
        reason = str(e)
    except (OSError, ValueError) as e:
        if client is not None and not client.taken_back():
            return _die(_signal.SIGKILL)  # what it said makes no sense, and it may have begun
        reason = getattr(e, "strerror", None) or str(e)
    finally:
        if client is not None:
            client.close()
    if argv[1].startswith("-v"):
        os.write(2, f"note: not run by the resident process: {reason}\n".encode(errors="backslashreplace"))
    came = client.came() if client is not None else []
    for signum in came:
        os.kill(os.getpid(), signum)
    return None


def _is_for_it(words: list[str]) -> bool:
    command = next((word for word in words if word.strip("v") != "-"), "")
    if command not in wire.COMMANDS or os.geteuid() != 0 or os.environ.get("NSCTL_RESIDENT") == "no":
        return False
    if not sys.flags.isolated and any(name.startswith("PYTHON") for name in os.environ):
        return False  # it starts again in a moment, isolated
    if "_NSCTL_COMPLETE" in os.environ or any(name.startswith(_OWN_LOADING) for name in os.environ):
        return False
    try:
        folder, place = os.lstat(wire.DIRECTORY), os.lstat(wire.SOCKET)
    except OSError:
        return False
    # Who else could write there could be the one who listens.
    return (folder.st_uid, folder.st_mode & 0o170077, place.st_uid) == (0, 0o040000, 0)


class _Client:
    """One command that somebody else may run."""

    def __init__(self) -> None:
        self.begun = False
        self._files: list[int] = []
        self._before: dict[int, Any] = {}
        self._blocked = sorted(_signal.pthread_sigmask(_signal.SIG_BLOCK, ()))
        self._ignored = [n for n in range(1, _SIGNALS) if _signal.getsignal(n) is _signal.SIG_IGN]
        self._child: int | None = None
        self._argv: list[str] = []
        self._serving = 0
        self._pending: list[int] = []
        self._poll = select.poll()
        self._until: float | None = None
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        # One end of a pipe can only be written to: whoever reads the byte from the other one has the ticket.
        self._ticket, self._alive = os.pipe()
        self._woken, wake = os.pipe()
        self._files = [self._ticket, self._alive, self._woken, wake]
        for fd in (self._ticket, self._woken, wake):
            os.set_blocking(fd, False)
        os.write(self._alive, b"1")
        self._socket.settimeout(PATIENCE)
        self._wake = wake

    def run(self, argv: list[str]) -> int:
        """
        Ask, and wait for the end.

        Raises:
            _NotAskedError: Nothing was begun, and nothing will be.
            OSError: The same, unless it was begun.
        """
        self._socket.connect(wire.SOCKET)
        server, user = self._server()
        if server == 1 or user != 0:  # systemd listens until the server does
            raise _NotAskedError("it is only being started")
        self._hold()
        self._argv, self._serving = argv, server
        self._until = time.monotonic() + PATIENCE
        return self._wait()

    def _server(self) -> tuple[int, int]:
        """Whose socket it is: PID and user."""
        found = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _SO_PEERCRED_SIZE)
        return int.from_bytes(found[:4], sys.byteorder), int.from_bytes(found[4:8], sys.byteorder)

    def _hold(self) -> None:
        """From here on signals are the command's."""
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for signum in wire.FORWARDED:
            before = _signal.getsignal(signum)
            if before is not _signal.SIG_IGN:
                self._before[signum] = before
                _signal.signal(signum, _nothing)

    def _ask(self, argv: list[str], server: int) -> None:
        """Send the request, with the command's descriptors; only to somebody who is awake, for they are held there."""
        streams = [word for s in (sys.stdin, sys.stdout, sys.stderr) for word in (s.encoding, s.errors or "")]
        called = sys._xoptions.get("nsctl")  # noqa: SLF001 - documented under -X, and has no other name
        message = wire.joined(
            [
                [wire.RUN],
                key(),
                [os.fsencode(word) for word in argv],
                [word for item in os.environb.items() for word in item],
                [word.encode() for word in streams],
                [os.fsencode(called)] if isinstance(called, str) else [],
                [b"%d" % n for n in self._ignored],
                [b"%d" % n for n in self._blocked],
                [b"%d" % n for n in self._inherited()],
            ]
        )
        memory = self._memory(server)
        here = os.open(".", os.O_PATH | os.O_CLOEXEC)
        self._files += [memory, here]
        files = [self._ticket, memory, here, 0, 1, 2, *self._inherited()]
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in files)
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)  # has the kernel say who sends
        self._socket.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 0)

    def _memory(self, server: int) -> int:
        """What the server wants to see: whoever can write to its memory could have it do anything."""
        return os.open(f"/proc/{server}/mem", os.O_RDWR | os.O_CLOEXEC)

    def _inherited(self) -> list[int]:
        """The descriptors that whoever called left open for the command (`nsctl apply <(…)`)."""
        found = [int(name) for name in os.listdir("/proc/self/fd")]
        own = []
        for fd in found:
            try:
                if fd > 2 and os.get_inheritable(fd):  # noqa: PLR2004 - what is above stderr
                    own.append(fd)
            except OSError:  # the directory itself
                continue
        if len(own) > wire.MOST_FILES:
            raise _NotAskedError("too many files are open")
        return sorted(own)

    def _wait(self) -> int:
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        while True:
            left = None if self._until is None else max(0.0, self._until - time.monotonic()) * 1000
            ready = [fd for fd, _ in self._poll.poll(left)]
            status = None
            if self._woken in ready:
                self._pending += _drained(self._woken)
            if self._socket.fileno() in ready:
                status = self._answered()
            elif self._child in ready and self._until is None:
                self._until = time.monotonic() + _LAST_WORD
                self._poll.unregister(self._child)
            elif left == 0:
                status = self._given_up()
            if status is not None:
                return status
            while self.begun and self._pending:
                self._pass_on(self._pending.pop(0))

    def _answered(self) -> int | None:
        """What the next message comes to; the exit status, if it is the last one."""
        word, values, child = self._heard()
        if word == wire.ECHO:
            self._socket.sendmsg([wire.joined([[word, *values]])])
        elif word == wire.HELLO and child is not None and self._child is None:
            self._child = child
            self._ask(self._argv, self._serving)
        elif word == wire.BEGUN and self._child is not None:
            self.begun, self._until = True, None
            self._poll.register(self._child, select.POLLIN)
        elif self.taken_back():
            raise _NotAskedError(b" ".join(values).decode(errors="backslashreplace") or "it has gone")
        elif word == wire.ENDED:
            return int(values[0])
        else:  # where nobody is left who would know how, it was killed
            return _die(int(values[0]) if word == wire.DIED else _signal.SIGKILL)
        return None

    def _given_up(self) -> int | None:
        if self.begun:
            return _die(_signal.SIGKILL)
        if self.taken_back():
            if self._child is not None:  # else it would hold the command's descriptors until it goes on
                _signal.pidfd_send_signal(self._child, _signal.SIGKILL)
            raise _NotAskedError("it does not answer")
        self._until = None  # it is begun, and about to say so
        return None

    def _heard(self) -> tuple[bytes, list[bytes], int | None]:
        """A message: its word, its values, and the process that runs the command; an empty word at the end."""
        try:
            message, ancillary, _, _ = self._socket.recvmsg(4096, 256, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            message, ancillary = b"", []
        child = None
        for level, kind, data in ancillary:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                child = int.from_bytes(data[:4], sys.byteorder)
        word, *values = wire.parted(message)[0] if message else [b""]
        return word, values, child

    def taken_back(self) -> bool:
        """Whether the command was not begun, and can't be any more."""
        if self.begun:
            return False
        try:
            back = os.read(self._ticket, 1) == b"1"
        except BlockingIOError:
            back = False
        self.begun = not back
        return back

    def _pass_on(self, signum: int) -> None:
        """A signal, to who runs the command; one that stops it stops this process, too, as a shell expects."""
        child = self._child
        if child is None or signum not in self._before:  # of no account for the command
            return
        stops = signum == _signal.SIGTSTP and not _catches(child, signum)
        try:
            _signal.pidfd_send_signal(child, _signal.SIGSTOP if stops else signum)
            if stops:  # if it does: where no shell would continue it, the kernel stops nobody
                _signal.signal(signum, _signal.SIG_DFL)
                os.kill(os.getpid(), signum)
                _signal.signal(signum, _nothing)
                _signal.pidfd_send_signal(child, _signal.SIGCONT)
        except ProcessLookupError:  # its end is about to be told
            return

    def came(self) -> list[int]:
        """The signals that came meanwhile and nobody was told of."""
        return self._pending

    def close(self) -> None:
        """Have signals do again what they did, and leave nothing open but what says that this process lives."""
        if self.begun:
            return
        for signum, handler in self._before.items():
            _signal.signal(signum, _signal.SIG_DFL if handler is None else handler)
        if self._before:
            _signal.set_wakeup_fd(-1)
        self._pending += _drained(self._woken)
        self._socket.close()
        for fd in self._files:
            os.close(fd)


def _drained(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""


def _nothing(_: int, __: FrameType | None) -> None:
    return


def _catches(child: int, signum: int) -> bool:
    """Whether a process does something of its own about a signal."""
    with open(f"/proc/self/fdinfo/{child}", encoding="ascii") as file:
        pid = next((line.split()[1] for line in file if line.startswith("Pid:")), "-1")
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            masks = [line.split()[1] for line in file if line.startswith(("SigCgt:", "SigIgn:"))]
    except OSError:
        return True
    return any(int(mask, 16) >> (signum - 1) & 1 for mask in masks)


def _die(signum: int) -> int:
    """End as the command did; the status is for who can't."""
    if signum not in {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(signum, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {signum})
    os.kill(os.getpid(), signum)
    return 128 + signum
