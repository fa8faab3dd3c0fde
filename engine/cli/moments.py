"""Moments as people type them for `--since` and `--until`: a span back from now, a date, a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display

__all__ = ["moment"]

_BACK = re.compile(r"-?(?=\d)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?:in)?)?(?:(\d{1,9})s)?(?: ago)?")
_CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")
_DAYS = {"today": 0, "yesterday": 1}


def moment(text: str, flag: str, now: datetime) -> datetime:
    """
    A moment: `10m`, `2h`, `1h30m`, `7d` (ago); `today`, `yesterday`, `now`; `15:04`; or as in ISO 8601.

    What names no time zone is local time; a date alone is its beginning.

    Args:
        text: What was typed.
        flag: What it was typed for.
        now: The time, with its zone.

    Raises:
        Invalid: It is none of these.
    """
    found = _read(text, now)
    if found is None:
        raise Invalid(
            f"{flag}: '{display(text)}' is not a time",
            hint=f"write it like {flag} 10m (ago), {flag} today, {flag} 15:04, or {flag} 2026-01-31T15:04",
        )
    return found.astimezone(UTC)


def _read(text: str, now: datetime) -> datetime | None:
    if not text.isascii():
        return None
    try:
        if (back := _BACK.fullmatch(text)) is not None and any(back.groups()):
            days, hours, minutes, seconds = (int(part or 0) for part in back.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if text == "now":
            return now
        if text in _DAYS:
            text = (now.astimezone().date() - timedelta(days=_DAYS[text])).isoformat()
        elif _CLOCK.fullmatch(text):
            text = f"{now.astimezone().date().isoformat()}T{text}"
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):  # a 13th month, or long before there were calendars
        return None
