"""structlog without what the audit trail never uses: its developer console, rich's tracebacks, asyncio."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from importlib import import_module
from types import ModuleType
from typing import Any

from nsctl.engine.lazy_imports import OnDemand

__all__ = ["load_structlog"]

_ABSENT = ("rich", "better_exceptions", "colorama", "twisted")
_LATER = ("asyncio", "structlog.dev")


class _Console:
    """Stands in for structlog's ConsoleRenderer among its defaults."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def __call__(self, logger: object, method: str, record: MutableMapping[str, Any]) -> Any:
        return import_module("structlog.dev").ConsoleRenderer(**self._options)(logger, method, record)


def load_structlog() -> ModuleType:
    """
    Import structlog without its developer console (rich's tracebacks) and asyncio: 8 ms in place of 75.

    structlog does without what it can't import, and None in `sys.modules` says just that.
    asyncio, which it touches only in its `a…` methods, and its console are stood in for by modules that fetch the real
    ones on demand.
    Afterwards `sys.modules` is as if nothing had been, so that whoever needs one of these later gets the real one.
    """
    if "structlog" in sys.modules:
        return sys.modules["structlog"]
    stand_ins: dict[str, Any] = {name: None for name in _ABSENT if name not in sys.modules}
    stand_ins |= {name: OnDemand(name) for name in _LATER if name not in sys.modules}
    console = stand_ins["structlog.dev"]
    # What structlog takes from it at once, for defaults that nsctl does not use.
    console.ConsoleRenderer, console._has_colors = _Console, False  # noqa: SLF001
    console.set_exc_info = lambda *args: import_module("structlog.dev").set_exc_info(*args)
    sys.modules.update(stand_ins)
    try:
        import structlog
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
        del console.ConsoleRenderer, console._has_colors, console.set_exc_info  # noqa: SLF001
    return structlog
