"""
Imports without their heavy parts.

plumbum imports urllib.request for remote paths (28 of its 43 ms), structlog imports its developer console and asyncio
(50 of 74 ms): nsctl uses neither.
The standard library's `LazyLoader` stands in for such a module while the library is imported, and is taken out of
`sys.modules` again afterwards, so that whoever really needs the module gets the real one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

__all__ = ["import_without"]


def import_without(name: str, *heavy: str) -> ModuleType:
    """
    Import `name` while the modules `heavy` are loaded only if they are really used.
    """
    if name in sys.modules:
        return sys.modules[name]
    stands_in: dict[str, ModuleType] = {}
    for module in heavy:
        if module in sys.modules:
            continue
        spec = importlib.util.find_spec(module)
        if spec is None or spec.loader is None:
            continue
        spec.loader = importlib.util.LazyLoader(spec.loader)
        lazy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lazy)
        sys.modules[module] = stands_in[module] = lazy
    try:
        return importlib.import_module(name)
    finally:
        for module, lazy in stands_in.items():
            if sys.modules.get(module) is lazy:
                del sys.modules[module]
