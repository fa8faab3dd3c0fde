"""
What a lab file says.

    [network.lan]                 a network with defaults for its sandboxes: a mode and options of that mode
    [sandbox.web]                 a sandbox: network or mode, the mode's options, and
        isolate, command, count, env, user, workdir, dns, dns_search, add_host, sysctl, cap_add, cap_drop, privileged
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from nsctl.engine.labfiles.text import Source
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_name, display, said_by
from nsctl.engine.model.options import check_plain, fields_of, from_plain, nearest, to_plain
from nsctl.engine.model.plan import NAMESPACES
from nsctl.engine.planning.sharing import in_order

__all__ = ["COMMON", "COUNT_MAX", "Lab", "Wanted", "read_lab"]

COMMON = {
    "network": "the [network.NAME] that it is on, whose settings it takes; or a network, in a file without such tables",
    "mode": "the mode, where no network names it",
    "count": "make so many: NAME-1, NAME-2, …",
    "isolate": "the kinds of namespaces it gets",
    "command": "its workload, as a list of words",
    "env": "variables for its workload",
    "user": "whose its workload is: USER or USER:GROUP",
    "workdir": "the directory where its workload begins",
    "dns": "name servers, in place of the host's",
    "dns_search": "domains to search names in, in place of the host's",
    "add_host": "names in /etc/hosts: NAME:ADDRESS",
    "sysctl": "settings of its own network",
    "cap_add": "capabilities added",
    "cap_drop": "capabilities dropped",
    "privileged": "whether it keeps all capabilities",
}
"""Keys of every sandbox, whatever its mode."""
NETWORK = "network"
"""The option of a mode's that says which network; a sandbox's key of the same name gives it."""
_ELSEWHERE = frozenset({"bridge", "join"})
"""Who says one of these names its network by something else than the name that the file gave it."""
_OF_SANDBOXES = ("network", "count")
"""Keys that a network may not have."""
COUNT_MAX = 4096
SHARING = "container"
"""The mode whose `target` is whose network it shares."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
SANDBOXES_MAX = 10_000
"""In one file; one network namespace and a dozen steps each."""


class Wanted(Struct, frozen=True):
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

    @property
    def address(self) -> str:
        """The address it asks for, without a prefix; nothing if it takes what it gets."""
        chosen = self.options.get("ip")
        return chosen.partition("/")[0] if isinstance(chosen, str) else ""


class Lab(Struct, frozen=True):
    """
    A lab file.

    Args:
        source: The file.
        sandboxes: What it wants, in the file's order, but sharers after their targets.
    """

    source: Source
    sandboxes: tuple[Wanted, ...] = ()


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
        settings_of: Checks what is for every mode (`env`, `user`, `cap_add`, …) as the command line does.

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
    reader = _Reader(source, mode_of, modes, settings_of)
    for name, table in _tables(source, "network").items():
        reader.read_network(name, table)
    wanted: dict[str, Wanted] = {}
    for name, table in _tables(source, "sandbox").items():
        for one in reader.sandboxes(name, table):
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


class _Reader(Struct):
    """
    Reads the tables of a file, networks first.

    Args:
        networks: Those read so far: their keys, spelt one way.
    """

    source: Source
    mode_of: Callable[[str], Mode | None]
    modes: Callable[[], list[str]]
    settings_of: Callable[[Mapping[str, Any]], dict[str, Any]]
    networks: dict[str, dict[str, Any]] = {}

    def read_network(self, name: str, table: dict[str, Any]) -> None:
        """A network, which is checked whether or not a sandbox names it."""
        place = ("network", name)
        spelt = _spelt_one_way(self.source, place, table)
        own = next((k for k in _OF_SANDBOXES if k in spelt), None)
        if own is not None:
            raise self.source.wrong(f"'{own}' is for sandboxes, not for networks", place, own)
        if not isinstance(spelt.get("mode"), str):
            raise self._nameless(place, spelt, f"network '{name}' names no mode", ("mode",))
        self.networks[name] = spelt
        given = {k: v for k, v in spelt.items() if k != "mode"}
        self._read(check_plain, self._mode(spelt["mode"], place), given, lambda _: place, _OF_SANDBOXES)

    def sandboxes(self, name: str, table: dict[str, Any]) -> list[Wanted]:
        """The sandboxes of a table: one, or as many as it counts."""
        place = ("sandbox", name)
        own = _spelt_one_way(self.source, place, table)
        network = own.pop("network", None)
        defaults = self._network(place, network, own)
        merged = {**defaults, **own}

        def table_of(key: str | None) -> tuple[str, ...]:
            return ("network", network) if key in defaults and key not in own else place

        named = merged.pop("mode", None)
        if not isinstance(named, str):
            what = f"sandbox '{name}' names neither a mode nor a network"
            raise self._nameless(place, own, what, ("network", "mode"))
        mode = self._mode(named, table_of("mode"))
        names = _names(self.source, place, name, merged.pop("count", None))
        if network is not None and NETWORK in (f.name for f in fields_of(mode.options)):
            if not _ELSEWHERE & merged.keys():
                merged[NETWORK] = network
        elif network is not None and not defaults:
            raise self.source.wrong(f"mode '{mode.name}' has no networks", place, "network", "leave 'network' out")
        options, settings, isolate, command = self._read(from_plain, mode, merged, table_of)
        plain = to_plain(options)
        for key in ("ip", "mac"):
            if len(names) > 1 and plain.get(key) is not None:
                raise self.source.wrong(
                    f"{len(names)} sandboxes can't have one address",
                    table_of(key),
                    key,
                    "leave it out: each gets one of its own",
                )
        return [Wanted(mode, Request(n, options, isolate, command, settings), plain, place) for n in names]

    def _network(self, place: tuple[str, ...], network: Any, own: Mapping[str, Any]) -> dict[str, Any]:
        # The defaults of a sandbox that names this network.
        if network is None:
            return {}
        found = self.networks.get(network) if isinstance(network, str) else None
        if found is None and not self.networks and isinstance(network, str) and "mode" in own:
            return {}
        if found is None:
            shown = said_by(network)
            raise self.source.wrong(f"there is no network '{shown}'", place, "network", _near(shown, self.networks))
        if own.get("mode", found["mode"]) != found["mode"]:
            raise self.source.wrong(
                f"network '{network}' is of mode '{found['mode']}'", place, "mode", "leave the mode out"
            )
        return found

    def _mode(self, named: str, place: tuple[str, ...]) -> Mode:
        mode = self.mode_of(named)
        if mode is None:
            raise self.source.wrong(f"there is no mode '{display(named)}'", place, "mode", _near(named, self.modes()))
        return mode

    def _nameless(self, place: tuple[str, ...], table: Mapping[str, Any], what: str, meant: Iterable[str]) -> Invalid:
        # Without a mode, nobody knows what else may stand there; but a misspelt one can be told.
        for key in table:
            if key not in COMMON and (near := nearest(key, meant)):
                return self.source.wrong(f"there is no key '{display(key)}'", place, key, f"did you mean '{near}'?")
        return self.source.wrong(what, place, "mode", 'for example mode = "bridge"')

    def _read(
        self,
        read: Callable[[type, Mapping[str, Any]], Any],
        mode: Mode,
        given: Mapping[str, Any],
        table_of: Callable[[str | None], tuple[str, ...]],
        not_here: tuple[str, ...] = (),
    ) -> tuple[Any, dict[str, Any], tuple[str, ...], tuple[str, ...]]:
        # The options, as `read` has them, and what every sandbox may say.
        common = {k: v for k, v in given.items() if k in COMMON}
        own = {k: v for k, v in given.items() if k not in COMMON or k == NETWORK}
        known = [*(f.name for f in fields_of(mode.options)), *(k for k in COMMON if k not in not_here)]
        for key in own:
            if key not in known:
                raise self.source.wrong(
                    f"mode '{mode.name}' has no option '{display(key)}'", table_of(key), key, _near(key, known)
                )
        try:
            return (
                read(mode.options, own),
                self.settings_of(common),
                _isolate(common.get("isolate"), mode),
                _words(common.get("command", [])),
            )
        except Invalid as e:
            at = next((k for k in given if e.message.startswith(f"'{k}'")), None)
            raise self.source.wrong(e.message, table_of(at), at, e.hint) from e


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
    # Who shares a namespace after its owner; what `target` means to a plugin's mode nobody knows: it may be a peer.
    targets = {name: target for name, one in wanted.items() if isinstance(target := one.options.get("target"), str)}
    sharers = {name for name, one in wanted.items() if one.mode.name == SHARING}
    order, circular = in_order(wanted, targets, sharers)
    if circular:
        raise source.wrong(
            f"sandbox '{circular}' shares, through others, its own network", wanted[circular].table, "target"
        )
    return [wanted[name] for name in order]
