"""
What a command in a sandbox may not do to the terminal that it was given: type into it.

TIOCSTI and TIOCLINUX put characters into a terminal's input; whoever sits there, often root, has a shell that reads
them once the command is over (CVE-2017-5226, CVE-2023-28339). setpriv has no option for this in the util-linux of
today's distributions, and the sysctl `dev.tty.legacy_tiocsti` is the whole host's: a filter of system calls is left.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

__all__ = ["forbid_typing"]

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
"""Of classic BPF: `BPF_LD|BPF_W|BPF_ABS`, `BPF_JMP|BPF_JEQ|BPF_K`, `BPF_RET|BPF_K`."""
NUMBER, ARCHITECTURE = 0, 4
"""Where these are in `struct seccomp_data`; the second argument, below, is eight bytes at 24."""
REQUEST = 24 if sys.byteorder == "little" else 28
"""Of ioctl's second argument the kernel takes these four bytes, whatever the others are (CVE-2019-10063)."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

_IOCTL = {
    0xC000003E: (16, 0x40000000 | 514),  # x86-64, x32
    0x40000003: (54,),  # i386
    0xC00000B7: (29,),  # aarch64
    0x40000028: (54,),  # arm
    0xC00000F3: (29,),  # riscv64
    0xC0000102: (29,),  # loongarch64
    0xC0000015: (54,),  # ppc64le
    0x80000016: (54,),  # s390x
}
"""The number of ioctl on each architecture, as `AUDIT_ARCH_*` tells them: a program may be of another than nsctl's."""


def forbid_typing() -> None:
    """
    Refuse this process and whatever it becomes or starts to type into a terminal (EPERM).

    Raises:
        OSError: The kernel takes no filter, or the process is not privileged enough to set one.
    """
    import ctypes

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    code = _filter()
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(code) // 8, code)
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program), 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"no filter of system calls can be set: {os.strerror(error)}")


def _filter() -> bytes:
    # Each architecture is a block; one that is not listed is let through, as are the others' system calls.
    verdict = [
        (LOAD, 0, 0, REQUEST),
        (JUMP_IF_EQUAL, 2, 0, TIOCSTI),
        (JUMP_IF_EQUAL, 1, 0, TIOCLINUX),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
    ]
    program = [(LOAD, 0, 0, ARCHITECTURE)]
    for architecture, numbers in _IOCTL.items():
        calls = [(JUMP_IF_EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
        block = [(LOAD, 0, 0, NUMBER), *calls, (RETURN, 0, 0, SECCOMP_RET_ALLOW), *verdict]
        program += [(JUMP_IF_EQUAL, 0, len(block), architecture), *block]
    program.append((RETURN, 0, 0, SECCOMP_RET_ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in program)
