"""
What a lab file says.

    [network.lan]                 named defaults for its sandboxes: a mode and options of that mode
    [sandbox.web]                 a sandbox: network or mode, the mode's options, and
        isolate, command, count, env, cap_add, cap_drop, privileged
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from nsctl.engine.errors import Invalid
from nsctl.engine.lab.text import Source
from nsctl.engine.mode import Mode, Request
from nsctl.engine.names import check_name, display
from nsctl.engine.options import fields_of, from_plain, nearest, to_plain
from nsctl.engine.plan import NAMESPACES

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.values import dataclass

__all__ = ["COMMON", "COUNT_MAX", "Lab", "Wanted", "read_lab"]

COMMON = {
    "network": "the [network.NAME] whose settings it takes",
    "mode": "the mode, where no network names it",
    "count": "make so many: NAME-1, NAME-2, …",
    "isolate": "the kinds of namespaces it gets",
    "command": "its workload, as a list of words",
    "env": "variables for its workload",
    "cap_add": "capabilities added",
    "cap_drop": "capabilities dropped",
    "privileged": "whether it keeps all capabilities",
}
"""What every sandbox may say, whatever its mode."""
COUNT_MAX = 4096
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
SANDBOXES_MAX = 10_000
"""In one file; one network namespace and a dozen steps each."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A sandbox that the file wants.

    Args:
        mode: Its mode.
        request: What to ask the mode for.
        options: The options as plain data, for comparison.
        table: Where in the file it stands.
    """

    mode: Mode
    request: Request
    options: dict[str, Any]
    table: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lab:
    """
    A lab file.

    Args:
        source: The file.
        sandboxes: What it wants, in an order in which it can be planned: chosen addresses first, sharers after targets.
    """

    source: Source
    sandboxes: tuple[Wanted, ...] = field(default=())


def read_lab(
    path: str,
    text: str,
    mode_of: Callable[[str], Mode | None],
    modes: Callable[[], list[str]],
    settings_of: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Lab:
    """
    Read a lab file.

    Args:
        path: Its name, for messages.
        text: Its text.
        mode_of: Finds a mode by name.
        modes: The names of all modes, for hints.
        settings_of: Checks `cap_add`, `cap_drop`, `privileged` and `env` as the command line does.

    Raises:
        Invalid: Something of it is wrong; the message carries file and line.
    """
    source = Source(path, text)
    unknown = [k for k in source.data if k not in ("network", "sandbox")]
    if unknown:
        raise source.wrong(
            f"there is no '{display(unknown[0])}' in a lab file",
            (unknown[0],),
            None,
            _near(unknown[0], ("network", "sandbox")),
        )
    networks = _tables(source, "network")
    for name, table in networks.items():
        if not isinstance(table.get("mode"), str):
            raise source.wrong(
                f"network '{display(name)}' names no mode", ("network", name), "mode", 'for example mode = "bridge"'
            )
        own = next((k for k in ("network", "count") if k in table), None)
        if own is not None:
            raise source.wrong(f"'{own}' is for sandboxes, not for networks", ("network", name), own)
    wanted: dict[str, Wanted] = {}
    for name, table in _tables(source, "sandbox").items():
        for one in _sandboxes(source, name, table, networks, mode_of, modes, settings_of):
            if one.request.name in wanted:
                raise source.wrong(f"there are two sandboxes '{one.request.name}'", one.table)
            wanted[one.request.name] = one
        if len(wanted) > SANDBOXES_MAX:
            raise source.wrong(f"there are more than {SANDBOXES_MAX} sandboxes", ("sandbox", name))
    return Lab(source, tuple(_plannable(source, wanted)))


def _tables(source: Source, kind: str) -> dict[str, dict[str, Any]]:
    tables = source.data.get(kind, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise source.wrong(f"'{kind}' holds tables", (kind,), None, f"write [{kind}.NAME]")
    for name in tables:
        try:
            check_name(name, f"{kind} name")
        except Invalid as e:
            raise source.wrong(e.message, (kind, name), None, e.hint) from e
    return tables


def _sandboxes(
    source: Source,
    name: str,
    table: dict[str, Any],
    networks: dict[str, dict[str, Any]],
    mode_of: Callable[[str], Mode | None],
    modes: Callable[[], list[str]],
    settings_of: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> list[Wanted]:
    place = ("sandbox", name)
    merged = _spelt_one_way(source, place, table)
    network = merged.pop("network", None)
    if network is not None:
        if not isinstance(network, str) or network not in networks:
            raise source.wrong(
                f"there is no network '{display(str(network))}'", place, "network", _near(str(network), networks)
            )
        if merged.get("mode", networks[network]["mode"]) != networks[network]["mode"]:
            raise source.wrong(
                f"network '{network}' is of mode '{networks[network]['mode']}'", place, "mode", "leave the mode out"
            )
        merged = {**_spelt_one_way(source, ("network", network), networks[network]), **merged}

    def table_of(key: str) -> tuple[str, ...]:
        own = network is None or key in {k.replace("-", "_") for k in table}
        return place if own else ("network", network)

    named = merged.pop("mode", None)
    if not isinstance(named, str):
        raise source.wrong(
            f"sandbox '{name}' names neither a mode nor a network", place, None, 'for example mode = "bridge"'
        )
    mode = mode_of(named)
    if mode is None:
        raise source.wrong(f"there is no mode '{display(named)}'", table_of("mode"), "mode", _near(named, modes()))
    common = {k: merged.pop(k) for k in [k for k in merged if k in COMMON]}
    known = [*(f.name for f in fields_of(mode.options)), *COMMON]
    for key in merged:
        if key not in known:
            raise source.wrong(
                f"mode '{mode.name}' has no option '{display(key)}'", table_of(key), key, _near(key, known)
            )
    try:
        options = from_plain(mode.options, merged)
        settings = settings_of(common)
        isolate = _isolate(common.get("isolate"), mode)
        command = _words(common.get("command", []))
    except Invalid as e:
        at = next((k for k in (*merged, *common) if e.message.startswith((f"'{k}'", f"--{k}"))), None)
        raise source.wrong(e.message, place if at is None else table_of(at), at, e.hint) from e
    names = _names(source, place, name, common.get("count"))
    plain = to_plain(options)
    for key in ("ip", "mac"):
        if len(names) > 1 and plain.get(key) is not None:
            raise source.wrong(
                f"{len(names)} sandboxes can't have one address",
                table_of(key),
                key,
                "leave it out: each gets one of its own",
            )
    return [Wanted(mode, Request(n, options, isolate, command, settings), plain, place) for n in names]


def _names(source: Source, place: tuple[str, ...], name: str, count: Any) -> list[str]:
    if count is None:
        return [name]
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= COUNT_MAX:
        raise source.wrong(f"count is a number from 0 to {COUNT_MAX}", place, "count")
    names = [f"{name}-{n}" for n in range(1, count + 1)]
    if names:
        try:
            check_name(names[-1])
        except Invalid as e:
            raise source.wrong(e.message, place, None, e.hint) from e
    return names


def _spelt_one_way(source: Source, place: tuple[str, ...], table: Mapping[str, Any]) -> dict[str, Any]:
    # `allow-overlap` and `allow_overlap` are one key: a sandbox's overrides its network's however it is spelt.
    out: dict[str, Any] = {}
    for key, value in table.items():
        spelt = key.replace("-", "_")
        if spelt in out:
            raise source.wrong(f"'{spelt}' is given twice", place, key)
        out[spelt] = value
    return out


def _isolate(value: Any, mode: Mode) -> tuple[str, ...]:
    if value is None:
        return mode.isolate
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Invalid("'isolate' is a list of words", hint='for example isolate = ["net"]')
    for word in value:
        if word not in NAMESPACES:
            raise Invalid(f"'isolate': '{display(word)}' is not a kind of namespace", hint=_near(word, NAMESPACES))
    return tuple(kind for kind in NAMESPACES if kind in value)


def _words(value: Any) -> tuple[str, ...]:
    # Surrogates stand for bytes that are no text.
    if not isinstance(value, list) or not all(isinstance(v, str) and not _NO_TEXT.search(v) for v in value):
        raise Invalid("'command' is a list of words", hint='for example command = ["sleep", "60"]')
    return tuple(value)


def _near(word: str, words: Any) -> str:
    meant = nearest(word, words)
    return f"did you mean '{meant}'?" if meant else "known: " + (", ".join(words) or "none")


def _plannable(source: Source, wanted: dict[str, Wanted]) -> list[Wanted]:
    # Chosen addresses first, so that no other sandbox is given one of them; who shares a namespace after its owner.
    out: dict[str, Wanted] = {}
    for first in sorted(wanted.values(), key=lambda w: w.options.get("ip") is None):
        chain: dict[str, Wanted] = {}
        one: Wanted | None = first
        while one is not None and one.request.name not in out:
            name = one.request.name
            if name in chain:
                raise source.wrong(f"sandbox '{name}' shares, through others, its own network", one.table, "target")
            chain[name] = one
            one = wanted.get(str(one.options.get("target")))
        out |= dict(reversed(chain.items()))
    return list(out.values())
