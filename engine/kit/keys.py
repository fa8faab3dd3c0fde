"""Where a thing is: on the host, or inside a named network namespace."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar, cast

from nsctl.engine.model.names import check_ifname, check_name

__all__ = ["at", "check_link", "link_key", "needs", "port_key", "shared"]

F = TypeVar("F", bound=Callable[..., object])


def shared(function: F) -> F:
    """
    Decorate a function that makes steps of its arguments alone: for the same ones it gives the same objects.

    What a thousand sandboxes on one bridge have in common is so made, and checked, once.
    """
    known = lru_cache(maxsize=256, typed=True)(function)

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            return known(*args, **kwargs)
        except TypeError:  # arguments without a hash; or it is the function's own complaint, which it then repeats
            return function(*args, **kwargs)

    return cast("F", call)


def at(name: str, netns: str | None) -> str:
    """A link's name as keys have it: `eth0`, or `web:eth0` inside the namespace web."""
    return name if netns is None else f"{netns}:{name}"


def link_key(name: str, netns: str | None) -> str:
    """The key of the step that makes a link."""
    return f"link/{at(name, netns)}"


def port_key(name: str) -> str:
    """The key of the step that says what may come in by the port of a bridge."""
    return f"port/{name}"


def needs(link: str, netns: str | None) -> tuple[str, ...]:
    """The keys that something on a link comes after."""
    return (link_key(link, netns),) if netns is None else (f"netns/{netns}", link_key(link, netns))


def check_link(name: str, netns: str | None) -> str:
    """
    The name of a link that steps work on; `lo` is one inside a namespace.

    Raises:
        Invalid: A name is not allowed.
    """
    if netns is not None:
        check_name(netns)
        if name == "lo":
            return name
    return check_ifname(name)
