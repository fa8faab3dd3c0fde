"""How a thread ends that signals are not meant for."""

from __future__ import annotations

import signal

__all__ = ["deaf"]


def deaf() -> None:
    """
    Block every signal in the calling thread, as the last thing it does.

    The kernel has a thread for a moment longer than `join` waits for it.
    A signal that the main thread blocks, to take it or pass it on, would be that thread's then, and end the process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
