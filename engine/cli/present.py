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
    parts = [", ".join(row.addresses)]
    if row.network:
        parts[0] += f" on {row.network}" if parts[0] else f"a link on {row.network}, without an address"
    if row.gateway:
        parts.append(f"gateway {row.gateway}")
    if row.shares:
        parts.append(f"the network of {row.shares}")
    if not any(parts):
        parts = ["a network of its own, without an address" if row.netns else "the host's network"]
    return f"{row.name} is up: {', '.join(p for p in parts if p)}{' (already)' if done.already else ''}"


def made_and_ended(name: str) -> str:
    """A sandbox whose workload has ended by itself since it was made."""
    return f"{name} was made; its command has ended already, see: nsctl logs {name}"
