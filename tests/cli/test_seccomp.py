"""The filter that keeps a command from typing into its terminal, run as the kernel runs it."""

from __future__ import annotations

import errno
import struct

import pytest

from nsctl.engine.cli import seccomp

ALLOW, DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
TIOCSTI, TIOCLINUX, TIOCGWINSZ = 0x5412, 0x541C, 0x5413
IOCTL = [
    (0xC000003E, 16),
    (0xC000003E, 0x40000202),
    (0x40000003, 54),
    (0xC00000B7, 29),
    (0x40000028, 54),
    (0xC00000F3, 29),
    (0xC0000102, 29),
    (0xC0000015, 54),
    (0x80000016, 54),
]


def verdict(architecture: int, number: int, request: int) -> int:
    data = struct.pack("=IIQ6Q", number, architecture, 0, 0, request, 0, 0, 0, 0)
    program = list(struct.iter_unpack("=HBBI", seccomp._filter()))
    at = accumulator = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif code == 0x15:
            at += yes if accumulator == k else no
        else:
            assert code == 0x06
            return int(k)


@pytest.mark.parametrize(("architecture", "number"), IOCTL)
def test_typing_is_refused_on_every_architecture(architecture: int, number: int) -> None:
    assert verdict(architecture, number, TIOCSTI) == DENY
    assert verdict(architecture, number, TIOCLINUX) == DENY
    assert verdict(architecture, number, TIOCSTI | 1 << 32) == DENY
    assert verdict(architecture, number, TIOCGWINSZ) == ALLOW
    assert verdict(architecture, number + 1, TIOCSTI) == ALLOW


def test_an_unknown_architecture_is_let_through() -> None:
    assert verdict(0xDEAD, 16, TIOCSTI) == ALLOW
