"""
What a shell completes: names of sandboxes and modes.
"""

from __future__ import annotations

from contextlib import suppress

from nsctl.engine.errors import NsctlError

__all__ = ["mode_names", "sandbox_names"]


def sandbox_names(incomplete: str) -> list[str]:
    """
    The sandboxes that are up, as far as they may be seen; completion never complains.
    """
    from nsctl.engine.cli.world import World

    with suppress(NsctlError, OSError), World().look() as session:
        return [] if session is None else [name for name in sorted(session.sandboxes()) if name.startswith(incomplete)]
    return []


def mode_names(incomplete: str) -> list[str]:
    """
    The modes.
    """
    from nsctl.hooks.manager import Plugins

    return [name for name in sorted(Plugins.load().modes()) if name.startswith(incomplete)]
