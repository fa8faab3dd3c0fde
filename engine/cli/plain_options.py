"""Options of `up` and `run` that are written plainly: as typer reads them, and none that it would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nsctl.engine.model.options import Field

__all__ = ["plain_options"]


def plain_options(words: Sequence[str], fields: Sequence[Field]) -> dict[str, Any] | None:
    """
    What was given, by the names of the fields and in their order.

    Args:
        words: The words after the mode, up to `--`.
        fields: The options there are.

    Returns:
        None where anything stands there that is no `--switch`, `--option VALUE` or `--option=VALUE`, or is not certain.
    """
    by_flag = {field.flag: field for field in fields}
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        flag, given, value = word.partition("=")
        field = by_flag.get(flag)
        if field is None:
            return None
        if field.type is bool:
            if given or field.default is True:
                return None
            found[field.name] = True
            continue
        value = value if given else next(rest, "")
        if not value or value.startswith("-") or (field.name in found and not field.multiple):
            return None
        if field.multiple:
            found.setdefault(field.name, []).append(value)
        else:
            found[field.name] = value
    return {field.name: found[field.name] for field in fields if field.name in found}
