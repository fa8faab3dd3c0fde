"""
What plugins import: the face of nsctl.

Importing it costs nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

from nsctl._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nsctl.engine import kit
    from nsctl.engine.model import effects, events
    from nsctl.engine.model.commands import Command, Spawn
    from nsctl.engine.model.errors import Conflict, Invalid, NsctlError, Refused
    from nsctl.engine.model.facts import Facts, Link, Process, Sandbox
    from nsctl.engine.model.mode import Mode, Request, Steps, opt
    from nsctl.engine.model.plan import NAMESPACES, Plan, Step
    from nsctl.hooks.spec import hookimpl

__all__ = [
    "NAMESPACES",
    "Command",
    "Conflict",
    "Facts",
    "Invalid",
    "Link",
    "Mode",
    "NsctlError",
    "Plan",
    "Process",
    "Refused",
    "Request",
    "Sandbox",
    "Spawn",
    "Step",
    "Steps",
    "__version__",
    "effects",
    "events",
    "hookimpl",
    "kit",
    "opt",
]

_HOME = {
    "effects": "engine.model.effects",
    "events": "engine.model.events",
    "kit": "engine.kit",
    **dict.fromkeys(("Conflict", "Invalid", "NsctlError", "Refused"), "engine.model.errors"),
    **dict.fromkeys(("Facts", "Link", "Process", "Sandbox"), "engine.model.facts"),
    **dict.fromkeys(("Mode", "Request", "Steps", "opt"), "engine.model.mode"),
    **dict.fromkeys(("Command", "Spawn"), "engine.model.commands"),
    **dict.fromkeys(("NAMESPACES", "Plan", "Step"), "engine.model.plan"),
    "hookimpl": "hooks.spec",
}
_MODULES = frozenset({"effects", "events", "kit"})


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'nsctl' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"nsctl.{home}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
