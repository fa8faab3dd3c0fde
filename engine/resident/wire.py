"""What client and server say to each other: words without NUL, in messages that arrive whole or not at all."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BEGUN",
    "COMMANDS",
    "DIED",
    "DIRECTORY",
    "ECHO",
    "ENDED",
    "FORWARDED",
    "HELLO",
    "MOST",
    "MOST_FILES",
    "REFUSED",
    "RUN",
    "SOCKET",
    "STATUS",
    "joined",
    "parted",
]

DIRECTORY = "/run/nsctl"
SOCKET = f"{DIRECTORY}/resident.sock"
COMMANDS = frozenset({"up", "down", "apply", "check", "repair", "recover", "ls"})
"""Not `run`, `exec` and `shell`: what these start is to be the caller's own child."""

RUN, STATUS = b"run", b"status"
"""What is asked."""
HELLO, ECHO, REFUSED, BEGUN, ENDED, DIED = b"hello", b"echo", b"refused", b"begun", b"ended", b"died"
"""What is answered: a child is there; send this back; no, because; the ticket is taken; the exit status; a signal."""

MOST = 1 << 20
"""Bytes of a message; the kernel's limit is lower."""
MOST_FILES = 64
"""Descriptors beside those that each request has; 253 go into a message."""
FORWARDED = (1, 2, 3, 15, 20)
"""HUP, INT, QUIT, TERM and TSTP: those that a command does something about. Any other ends client and command alike."""


def joined(groups: Sequence[Sequence[bytes]]) -> bytes:
    """
    Groups of words as a message.

    Raises:
        ValueError: A word holds NUL.
    """
    words = [b"%d" % len(group) for group in groups]
    every = [word for group in groups for word in group]
    if any(b"\0" in word for word in every):
        raise ValueError("NUL in a word")
    return b"\0".join([b" ".join(words), *every])


def parted(message: bytes) -> list[list[bytes]]:
    """
    The groups of words in a message.

    Raises:
        ValueError: It is none.
    """
    head, *words = message.split(b"\0")
    sizes = [int(size) for size in head.split()]
    if any(size < 0 for size in sizes) or sum(sizes) != len(words):
        raise ValueError("not as many words as it says")
    groups = []
    for size in sizes:
        groups.append(words[:size])
        del words[:size]
    return groups
