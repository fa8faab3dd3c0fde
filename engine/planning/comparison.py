"""In what a sandbox that is up differs from what is asked for, by command line and lab file alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from nsctl.engine.model.mode import Request
from nsctl.engine.model.names import display
from nsctl.engine.planning.settings import shown

__all__ = ["Made", "differences"]


class Made(Protocol):
    """What a sandbox was made with; the store's row is one."""

    mode: str
    options: dict[str, Any]
    isolate: tuple[str, ...]
    command: tuple[str, ...]
    settings: dict[str, Any]


def differences(made: Made, mode: str, options: Mapping[str, Any], request: Request) -> str:
    """
    The differences, in words; empty if there are none.

    Args:
        made: What is up.
        mode: The name of the mode that is asked for.
        options: Its options as plain data.
        request: What else is asked for.
    """
    # Values of variables may be secrets: which one differs is enough.
    return "; ".join(
        "other variables" if what == "env" else f"{what} is {_text(shown(what, has))}, not {_text(shown(what, asked))}"
        for what, has, asked in _pairs(made, mode, options, request)
        if has != asked and (has or asked)
    )


def _pairs(made: Made, mode: str, options: Mapping[str, Any], request: Request) -> Iterator[tuple[str, Any, Any]]:
    yield "mode", made.mode, mode
    if made.mode != mode:
        return
    for key in dict.fromkeys([*made.options, *options]):
        yield key.replace("_", "-"), made.options.get(key), options.get(key)
    yield "isolate", ",".join(made.isolate), ",".join(request.isolate)
    yield "command", list(made.command), list(request.command)
    for key in dict.fromkeys([*made.settings, *request.settings]):
        yield key.replace("_", "-"), made.settings.get(key), request.settings.get(key)


def _text(value: Any) -> str:
    if value is None or value in ([], "", {}):
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    return display(" ".join(map(str, value)) if isinstance(value, list) else str(value))
