"""The options of `up` and `run` that every mode has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from nsctl.engine.model.mode import opt
from nsctl.engine.model.options import fields_of, from_strings

__all__ = ["RESERVED", "SHORT", "Common", "UpCommon", "split"]


@dataclass(kw_only=True, eq=False, repr=False)
class Common:
    """What every mode has, whatever its own options."""

    name: str | None = opt(
        None, "the sandbox's name and hostname; by default the first free of MODE, MODE-2, ...", metavar="NAME"
    )
    isolate: str | None = opt(
        None, "namespaces to unshare, of mount,ipc,pid,uts,net; by default the mode's", metavar="LIST"
    )
    env: tuple[str, ...] = opt((), "a variable for CMD; without =VALUE, taken from here", metavar="NAME[=VALUE]")
    user: str | None = opt(
        None, "run CMD as this user, with that group or all of the user's; by default root", metavar="USER[:GROUP]"
    )
    workdir: str | None = opt(
        None, "the directory CMD starts in; by default / for up, the current one for run", metavar="DIR"
    )
    dns: tuple[str, ...] = opt((), "a name server, in place of the host's", metavar="ADDRESS")
    dns_search: tuple[str, ...] = opt(
        (), "a domain to search names in, in place of the host's; . for none", metavar="DOMAIN"
    )
    add_host: tuple[str, ...] = opt(
        (), "a name in /etc/hosts; host-gateway is the address of the host", metavar="NAME:ADDRESS"
    )
    sysctl: tuple[str, ...] = opt((), "a setting of the sandbox's own network", metavar="net.KEY=VALUE")
    cap_add: tuple[str, ...] = opt((), "a capability that CMD keeps besides the usual ones", metavar="CAP")
    cap_drop: tuple[str, ...] = opt((), "a capability that CMD does not keep", metavar="CAP")
    privileged: bool = opt(default=False, help="let CMD keep all capabilities: it can then change the host")
    dry_run: bool = opt(default=False, help="show what would be done, and do nothing; needs no root")
    format: Literal["text", "sh", "json"] | None = opt(None, "how a dry run is shown; text if not given")
    step_timeout: str = opt("30s", "how long one step may take", metavar="TIME")
    no_batch: bool = opt(default=False, help="run the commands one by one rather than in batches")


@dataclass(kw_only=True, eq=False, repr=False)
class UpCommon(Common):
    """What `up` has besides."""

    confirm: str | None = opt(None, "take it down again unless `nsctl confirm NAME` comes in time", metavar="TIME")


RESERVED = frozenset(f.name for f in fields(UpCommon)) | {"ctx", "help"}
"""Names that a mode's own options can't have."""


def split(given: Mapping[str, Any], options_type: type, common_type: type[Common]) -> tuple[Any, Any]:
    """
    What was given, as an instance of the mode's options and one of the common ones.

    Raises:
        Invalid: A value is wrong, or a required one is missing.
    """
    names = {f.name for f in fields_of(common_type)}
    return (
        from_strings(options_type, {k: v for k, v in given.items() if k not in names}),
        from_strings(common_type, {k: v for k, v in given.items() if k in names}),
    )


SHORT = {"env": "-e", "user": "-u", "workdir": "-w"}
"""As docker(1) and podman(1) have them; of options of all modes only, for a mode's own may be called alike."""
