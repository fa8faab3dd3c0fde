"""A sandbox that is up, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsctl.engine.app.requests import Up

__all__ = ["described", "made_and_ended"]


def described(done: Up) -> str:
    """The result of `up`."""
    row = done.row
    if done.ended:
        return made_and_ended(row.name)
    info = row.info
    parts = [", ".join(info.get("addresses", ()))]
    if info.get("network"):
        parts[0] += f" on {info['network']}" if parts[0] else f"a link on {info['network']}, without an address"
    if info.get("gateway"):
        parts.append(f"gateway {info['gateway']}")
    if info.get("shares"):
        parts.append(f"the network of {info['shares']}")
    if not any(parts):
        parts = ["a network of its own, without an address" if info.get("netns") else "the host's network"]
    return f"{row.name} is up: {', '.join(p for p in parts if p)}{' (already)' if done.already else ''}"


def made_and_ended(name: str) -> str:
    """A sandbox whose workload has ended by itself since it was made."""
    return f"{name} was made; its command has ended already, see: nsctl logs {name}"
