"""
A TOML file as data, and the line on which each thing stands.

tomllib gives no positions, so a message finds its line by the table's header and the key below it.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display

__all__ = ["Source"]

_AT = re.compile(r"\(at line (\d+), column (\d+)\)")
_TOO_MANY_DIGITS = re.compile("[0-9_]{4300}")
"""More than 4,300, and Python makes no number of them."""
_KEY_MOST = 1000
"""Characters of a key that are looked for: a pattern of megabytes takes seconds to compile."""
_END = "(at end of document)"


class Source:
    """
    A lab file's data, with a line for every complaint.

    Args:
        path: The file's name, for messages.
        text: What it holds.

    Raises:
        Invalid: It is no TOML.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._lines = text.split("\n")  # TOML knows no other ends of lines
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except (ValueError, RecursionError) as e:  # not only TOMLDecodeError: Python reads no number of 5,000 digits
            found = _AT.search(str(e))
            line = int(found[1]) if found else len(text.rstrip("\n").split("\n")) if _END in str(e) else 1
            what = _AT.sub("", str(e)).replace(_END, "").strip()
            if not isinstance(e, tomllib.TOMLDecodeError):
                digits = _TOO_MANY_DIGITS.search(text)
                line = text.count("\n", 0, digits.start()) + 1 if digits else 1
                what = "a number has too many digits" if digits else "it is nested too deeply"
            raise Invalid(
                f"{display(path)}, line {line}: {display(what)}", hint="it must be TOML: see https://toml.io"
            ) from e

    def wrong(self, what: str, table: tuple[str, ...], key: str | None = None, hint: str = "") -> Invalid:
        """An error that carries the file and the line."""
        return Invalid(f"{display(self.path)}, line {self.line(table, key)}: {what}", hint=hint)

    def line(self, table: tuple[str, ...], key: str | None = None) -> int:
        """The line of a table's header, or of a key in it; 1 where neither is found (an inline table, say)."""
        words = r"\s*\.\s*".join(_word(t) for t in table)
        # What stands at the top is found by any header below it, too, and as a key.
        top = rf"\s*\[+\s*{words}\s*[\].]|\s*{words}\s*[=.]"
        header = re.compile(top if len(table) == 1 else rf"\s*\[\s*{words}\s*\]")
        wanted = re.compile(r"\s*" + _word(key) + r"\s*[=.]") if key is not None else None
        start = 0
        for number, line in enumerate(self._lines, 1):
            if not start and table and header.match(line):
                start = number
                if wanted is None:
                    return number
            elif (start or not table) and wanted is not None and wanted.match(line):
                return number
            elif start and line.lstrip().startswith("["):
                break
        return start or 1


def _word(key: str) -> str:
    # `allow-overlap` and `allow_overlap` are one key.
    rest = r"[^\s=.\]]*" if len(key) > _KEY_MOST else r"[\"']?"
    return r"[\"']?" + re.sub("[-_]", "[-_]", re.escape(key[:_KEY_MOST]).replace(r"\-", "-")) + rest
