"""
Effects: how to tell whether a step's result is in place.

An effect is data.
`nsctl.engine.host` compares it with the kernel and answers with a `State`; nothing here touches the system.
Effects that live in a network namespace name it in `netns` (a name under /run/netns); None is the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = [
    "EFFECTS",
    "AddrOn",
    "ChainIs",
    "CommandSucceeds",
    "DirIs",
    "Effect",
    "FileIs",
    "LinkIs",
    "LinkSet",
    "LinkUp",
    "NetnsIs",
    "NftTable",
    "PortFilter",
    "ProcessIs",
    "RouteVia",
    "RuleTagged",
    "State",
    "SysctlIs",
    "ZoneIs",
    "effect_from_json",
    "effect_to_json",
    "wrong_field",
]


class State(Enum):
    """What the kernel says of an effect."""

    OURS = "ours"
    """In place, and made by nsctl."""
    ABSENT = "absent"
    """Not there."""
    FOREIGN = "foreign"
    """Something else is in its place."""


@dataclass(frozen=True, slots=True)
class LinkIs:
    """
    A link of this name with this hardware address: the address is the mark of ownership.

    It is given when the link is created, atomically, which an alias is not.

    `master_index` is given where the master is not nsctl's: it is that very link, whatever it is called by now.
    """

    kind: ClassVar[str] = "link"
    name: str
    mac: str
    type: str = ""
    master: str | None = None
    mtu: int | None = None
    netns: str | None = None
    master_index: int | None = None


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The link is up."""

    kind: ClassVar[str] = "up"
    name: str
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class LinkSet:
    """
    A property of a link has this value.

    `attribute` is one of addrgenmode, alias, mtu, master, group, group_fwd_mask, hairpin, isolated, promisc.
    """

    kind: ClassVar[str] = "linkset"
    name: str
    attribute: str
    value: str
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class AddrOn:
    """The link carries this address (`10.0.3.2/24`)."""

    kind: ClassVar[str] = "addr"
    link: str
    address: str
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class RouteVia:
    """A route of the main table: `destination` is `default` or a prefix."""

    kind: ClassVar[str] = "route"
    destination: str
    via: str | None
    link: str
    metric: int | None = None
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class SysctlIs:
    """
    A sysctl (key with slashes: `net/ipv4/conf/br0/forwarding`) has `value`; `before` is what was found.

    `globally` is what `conf/all` had when the step was planned, for a setting that the kernel copies from there to
    every link: whoever switches it on there since relies on this one too.
    """

    kind: ClassVar[str] = "sysctl"
    key: str
    value: str
    before: str
    netns: str | None = None
    globally: str | None = None


@dataclass(frozen=True, slots=True)
class NetnsIs:
    """
    /run/netns/NAME is a network namespace that nsctl made or bound.

    `inode` is given where the namespace existed before (a target's): then it must be that very one.
    `source` names the sandbox whose namespace this is, if it is shared.
    """

    kind: ClassVar[str] = "netns"
    name: str
    inode: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ChainIs:
    """An iptables chain of nsctl's own (`NSCTL-…`)."""

    kind: ClassVar[str] = "chain"
    table: str
    chain: str
    family: int = 4
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class RuleTagged:
    """An iptables rule, in the order of words in which `iptables -S` prints it."""

    kind: ClassVar[str] = "rule"
    table: str
    chain: str
    spec: tuple[str, ...]
    family: int = 4
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class NftTable:
    """A table of nsctl's own in nftables, with the rules that it was made with."""

    kind: ClassVar[str] = "nft"
    family: str
    name: str


@dataclass(frozen=True, slots=True)
class PortFilter:
    """
    By this port of a bridge comes in only what this hardware address, and one of these addresses, has sent.

    It is listed so in the sets of the table `bridge nsctl`.
    """

    kind: ClassVar[str] = "port"
    port: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessIs:
    """
    The process whose PID is in `pidfile` runs.

    Its start time, recorded when it was started, tells it from a stranger's.
    """

    kind: ClassVar[str] = "process"
    pidfile: str


@dataclass(frozen=True, slots=True)
class FileIs:
    """A regular file with this content."""

    kind: ClassVar[str] = "file"
    path: str
    content: str


@dataclass(frozen=True, slots=True)
class DirIs:
    """A directory."""

    kind: ClassVar[str] = "dir"
    path: str


@dataclass(frozen=True, slots=True)
class CommandSucceeds:
    """
    A read-only command of the author's own exits 0 when the result is in place.

    It prints `output`, where that is given.
    """

    kind: ClassVar[str] = "command"
    argv: tuple[str, ...]
    output: str | None = None
    netns: str | None = None


@dataclass(frozen=True, slots=True)
class ZoneIs:
    """A link of the host's is in this zone of firewalld's; where firewalld does not run, nobody misses it."""

    kind: ClassVar[str] = "zone"
    zone: str
    link: str


Effect = (
    LinkIs
    | LinkUp
    | LinkSet
    | AddrOn
    | RouteVia
    | SysctlIs
    | NetnsIs
    | ChainIs
    | RuleTagged
    | NftTable
    | PortFilter
    | ProcessIs
    | FileIs
    | DirIs
    | CommandSucceeds
    | ZoneIs
)

EFFECTS: dict[str, type[Effect]] = {
    cls.kind: cls
    for cls in (
        LinkIs,
        LinkUp,
        LinkSet,
        AddrOn,
        RouteVia,
        SysctlIs,
        NetnsIs,
        ChainIs,
        RuleTagged,
        NftTable,
        PortFilter,
        ProcessIs,
        FileIs,
        DirIs,
        CommandSucceeds,
        ZoneIs,
    )
}
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "tuple[str, ...]": (tuple,),
}
_FIELDS = {kind: {f.name: _TYPES[str(f.type)] for f in fields(cls)} for kind, cls in EFFECTS.items()}
_ANY_TEXT = frozenset({"argv", "before", "content", "output", "value"})
"""Fields that are read or compared, and not shown: they may hold newlines and the like."""
_NEEDED = {kind: frozenset(f.name for f in fields(cls) if f.default is MISSING) for kind, cls in EFFECTS.items()}


def effect_to_json(effect: Effect) -> dict[str, Any]:
    """The effect as plain data, without the fields that are None by default."""
    data: dict[str, Any] = {"kind": effect.kind}
    for name in _FIELDS[effect.kind]:
        value = getattr(effect, name)
        if value is not None or name in _NEEDED[effect.kind]:
            data[name] = list(value) if isinstance(value, tuple) else value
    return data


def effect_from_json(data: dict[str, Any]) -> Effect:
    """
    The inverse of `effect_to_json`.

    Raises:
        KeyError: The kind is unknown.
        TypeError: A field is unknown, missing or of another type.
    """
    kind = data["kind"]
    cls: Callable[..., Effect] = EFFECTS[kind]
    types = _FIELDS[kind]
    values = dict(data)
    del values["kind"]
    for name, value in values.items():
        right = types.get(name, ())
        if type(value) is str and str in right:  # most of them are
            continue
        if type(value) is list and tuple in right and all(isinstance(v, str) for v in value):
            values[name] = tuple(value)
        elif not isinstance(value, right) or isinstance(value, bool):
            raise TypeError(f"{kind}: {name} can't be {value!r}")
    return cls(**values)


def wrong_field(effect: Effect) -> str:
    """The field that has another type than declared, or can't be shown or passed on; empty if none."""
    for name, types in _FIELDS[effect.kind].items():
        value = getattr(effect, name)
        if not isinstance(value, types) or isinstance(value, bool):
            return name
        texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        for text in texts:
            if not isinstance(text, str) or not (text.isprintable() or (name in _ANY_TEXT and _can_be_read(text))):
                return name
    return ""


def _can_be_read(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))
