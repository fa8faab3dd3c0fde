"""
Imports without their heavy parts.

plumbum imports urllib.request for remote paths (28 of its 43 ms), which nsctl never has.
A stand-in takes such a module's place in `sys.modules` while the library is imported, and is taken out again
afterwards, so that whoever really needs the module gets the real one: the library too, at the first use.
The standard library's `LazyLoader` would not do: before Python 3.12 the `import` statement itself loads its module.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

__all__ = ["OnDemand", "import_without"]


class OnDemand(ModuleType):
    """Stands in for a module until something of it is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import system and inspect ask for these: no use
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_without(name: str, *heavy: str) -> ModuleType:
    """Import `name` while the modules `heavy` are loaded only if they are really used."""
    if name in sys.modules:
        return importlib.import_module(name)  # waits, where another thread is still importing it
    stand_ins = {module: OnDemand(module) for module in heavy if module not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(name)
    finally:
        for module, stand_in in stand_ins.items():
            if sys.modules.get(module) is stand_in:
                del sys.modules[module]
