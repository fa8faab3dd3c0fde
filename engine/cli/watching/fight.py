"""Whoever takes away what is put back is answered less and less often."""

from __future__ import annotations

from time import monotonic

__all__ = ["FREE", "LONGEST", "Fight"]

_AGAIN, FREE, LONGEST = 3.0, 5, 60.0
"""What is missing again within so many seconds is a fight; after so many rounds, pauses grow up to so many seconds."""


class Fight:
    """Whether somebody takes away what is put back, as fast as that."""

    def __init__(self) -> None:
        self._mended: frozenset[str] = frozenset()
        self._at = 0.0
        self._rounds = 0
        self._pause = 0.0

    def round(self, mended: frozenset[str], *, restless: bool) -> tuple[float, str]:
        """
        After a look: how long to wait until the next one, in seconds, and a line for the user.

        Args:
            mended: The keys of what was put back.
            restless: It was gone again before the look was over.
        """
        if not mended:
            return 0.0, ""
        now = monotonic()
        again = restless or (bool(mended & self._mended) and now - self._at < _AGAIN + self._pause)
        before = self._rounds
        self._rounds = self._rounds + 1 if again else 0
        if restless:
            self._rounds = max(self._rounds, FREE)
        self._mended, self._at = mended, now
        self._pause = min(2.0 ** (self._rounds - FREE), LONGEST) if self._rounds >= FREE else 0.0
        if before < FREE <= self._rounds:
            return self._pause, (
                f"somebody takes {min(mended)} away as often as it is put back:"
                f" from now on, pauses grow up to {LONGEST:g} s"
            )
        return self._pause, ""
