"""Attachments: a sandbox's cables. Each was made by a mode with its options, and holds the steps that make it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Attachment", "sandbox_of"]


class Attachment(Struct, frozen=True, omit_defaults=True):
    """
    One cable of a sandbox.

    Args:
        sandbox: The sandbox.
        interface: The interface's name inside.
        mode: The mode that made it.
        options: The mode's options as plain data.
        steps: The keys of the steps that it holds.
        addresses: Its addresses inside, with prefix lengths.
        gateway: The gateway of the default route by it.
        link: The bridge, or other link of the host's, that it is on.
        network: The network's name.
        mac: The hardware address inside.
        networks: The address of each bridge of nsctl's that it needs, with prefix length.
        names: The network's name of each of those that is called otherwise.
        joined: The bridge of somebody else's that it is on.
    """

    sandbox: str
    interface: str
    mode: str
    options: dict[str, Any]
    steps: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    link: str | None = None
    network: str | None = None
    mac: str | None = None
    networks: dict[str, str] = {}
    names: dict[str, str] = {}
    joined: str | None = None

    @property
    def name(self) -> str:
        """The holder of its steps: `web/eth0`."""
        return f"{self.sandbox}/{self.interface}"


def sandbox_of(holder: str) -> str:
    """The sandbox that a holder of steps is, or belongs to: `web` of `web` and of `web/eth0`."""
    return holder.partition("/")[0]
