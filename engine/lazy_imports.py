"""
Imports without their heavy parts: all that nsctl does to start quickly where an `import` statement would not do.

A stand-in takes a heavy module's place in `sys.modules` while a library is imported, and is taken out again
afterwards, so that whoever really needs the module gets the real one: the library too, at the first use.
The standard library's `LazyLoader` would not do: before Python 3.12 the `import` statement itself loads its module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OnDemand", "import_without", "load_pathlib"]


class OnDemand(ModuleType):
    """
    Stands in for a module until something of it is used.

    Args:
        name: The module's name.
        functions: What is taken from it by `from … import …`: each is a function that fetches the real one when called.
    """

    def __init__(self, name: str, *functions: str) -> None:
        super().__init__(name)
        for function in functions:
            setattr(self, function, _called_later(name, function))

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import system and inspect ask for these: no use
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def _called_later(module: str, function: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), function)(*args, **kwargs)

    return call


def import_without(name: str, *heavy: str) -> ModuleType:
    """
    Import `name` while the modules `heavy` are loaded only if they are really used.

    Args:
        name: The module.
        heavy: The others; `module:function,function` for one that functions are taken from at once.
    """
    if name in sys.modules:
        return import_module(name)  # waits, where another thread is still importing it
    parts = [one.partition(":") for one in heavy]
    stand_ins = {
        module: OnDemand(module, *filter(None, functions.split(",")))
        for module, _, functions in parts
        if module not in sys.modules
    }
    sys.modules.update(stand_ins)
    try:
        return import_module(name)
    finally:
        for module, stand_in in stand_ins.items():
            if sys.modules.get(module) is stand_in:
                del sys.modules[module]


def load_pathlib() -> None:
    """Import pathlib without what it needs for URIs and Windows only: 0.9 ms in place of 2.6 (2026-11-30)."""
    import_without("pathlib", "urllib.parse:quote_from_bytes", "ntpath")
