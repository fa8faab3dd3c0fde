"""A mode by its name, with the plugins that have a say."""

from __future__ import annotations

from nsctl.engine.cli.common_options import RESERVED
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.names import display
from nsctl.engine.model.options import nearest
from nsctl.hooks.manager import Plugins, entry_points

__all__ = ["load"]


def load(name: str) -> tuple[Plugins, Mode]:
    """
    A mode, and the plugins that have a say.

    Raises:
        Invalid: There is no such mode (the nearest is named), or its plugin is broken.
    """
    plugins = Plugins.load(name, reserved=RESERVED)
    found = plugins.modes().get(name)
    if found is not None:
        return plugins, found.mode
    for broken in plugins.broken:
        if broken.name == name:
            raise Invalid(f"mode '{name}' can't be used: {broken.reason}", hint=f"it came with {broken.distribution}")
    known = [*plugins.modes(), *(p.name for p in entry_points() if p.built_in)]
    meant = nearest(name, known)
    listed = ", ".join(sorted(set(known)))
    raise Invalid(
        f"there is no mode '{display(name)}'", hint=f"did you mean '{meant}'?" if meant else f"the modes are: {listed}"
    )
