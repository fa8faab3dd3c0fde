"""
The sandboxes of a store: as far as `ls`, `exec` and `logs` read it, and load no more than that.

Whether what the rows say can be believed, here and now, is decided here for every reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nsctl.engine.model.progress import DONE, INTENT, STARTED
from nsctl.engine.store import files
from nsctl.engine.store.database import Damaged, Database, Elsewhere, Unwritable
from nsctl.engine.store.home import check_home, here
from nsctl.engine.store.seals import all_loads, intact, loads, use_key

__all__ = ["DONE", "INTENT", "STARTED", "Cable", "SandboxRow", "Sandboxes", "cable_of", "with_shared"]

_STATES = frozenset({INTENT, STARTED, DONE})
_ROW_STATES = frozenset({"building", "up", "removing"})


class Cable(NamedTuple):
    """
    An attachment of a sandbox, as far as who loads little reads it: `Attachment` has all of it.

    Args:
        sandbox: The sandbox.
        interface: The interface's name inside.
        mode: The mode that made it.
        options: The mode's options as plain data.
        networks: The address of each bridge of nsctl's that it needs, with prefix length.
        names: The network's name of each of those that is called otherwise.
        addresses: Its addresses inside, with prefix lengths.
        gateway: The gateway of the default route by it.
        link: The bridge, or other link of the host's, that it is on.
        network: The network's name.
        mac: The hardware address inside.
        joined: The bridge of somebody else's that it is on.
    """

    sandbox: str
    interface: str
    mode: str
    options: dict[str, Any]
    networks: dict[str, str]
    names: dict[str, str]
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    link: str | None = None
    network: str | None = None
    mac: str | None = None
    joined: str | None = None

    @property
    def name(self) -> str:
        """The holder of its steps: `web/eth0`."""
        return f"{self.sandbox}/{self.interface}"


def cable_of(data: Mapping[str, Any]) -> Cable:
    """An attachment from its plain data."""
    known = {"networks": {}, "names": {}} | {name: data[name] for name in Cable._fields if name in data}
    return Cable(**known | {"addresses": tuple(known.get("addresses", ()))})


class SandboxRow:
    """
    A sandbox. Written out, since a dataclass costs `exec` and `ls` a tenth of their time.

    Args:
        state: `building`, `up` or `removing`.
        netns: Whether it has a network namespace with its name.
        shares: Whose network namespace that is, if not its own.
        init: The key of the step that starts its init, if one does.
        log: The file with what its init prints.
        bounds: Whether its init keeps who joins it within bounds.
        attachments: Its cables, of its own or of whose network it shares; they stand in rows of their own.
        created: UTC, ISO 8601.
        created_boot: Seconds since boot.
        owner: PID and start time of the nsctl whose end is this sandbox's end (`run`), or None.
        confirm_by: Seconds since boot until which `nsctl confirm` must come, or None.
        source: The lab file that names it, or empty.
    """

    __slots__ = (
        *("name", "mode", "options", "isolate", "command", "settings", "state"),
        *("netns", "shares", "init", "log", "bounds", "attachments"),
        *("created", "created_boot", "owner", "confirm_by", "source"),
    )

    def __init__(
        self,
        name: str,
        mode: str,
        options: dict[str, Any],
        isolate: tuple[str, ...],
        command: tuple[str, ...],
        settings: dict[str, Any],
        state: str = "building",
        netns: bool = False,  # noqa: FBT001, FBT002 - a row is made and copied as a whole
        shares: str | None = None,
        init: str | None = None,
        log: str | None = None,
        bounds: bool = False,  # noqa: FBT001, FBT002
        attachments: tuple[Cable, ...] = (),
        created: str = "",
        created_boot: float = 0.0,
        owner: tuple[int, int] | None = None,
        confirm_by: float | None = None,
        source: str = "",
    ) -> None:
        self.name = name
        self.mode = mode
        self.options = options
        self.isolate = isolate
        self.command = command
        self.settings = settings
        self.state = state
        self.netns = netns
        self.shares = shares
        self.init = init
        self.log = log
        self.bounds = bounds
        self.attachments = attachments
        self.created = created
        self.created_boot = created_boot
        self.owner = owner
        self.confirm_by = confirm_by
        self.source = source

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, SandboxRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields change

    def __repr__(self) -> str:
        return f"SandboxRow({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, with prefix lengths."""
        return tuple(address for cable in self.attachments for address in cable.addresses)

    @property
    def gateway(self) -> str | None:
        """The gateway of its default route."""
        return next((cable.gateway for cable in self.attachments if cable.gateway is not None), None)

    @property
    def link(self) -> str | None:
        """The bridge, or other link of the host's, that it is on; the first, if there are several."""
        return next((cable.link for cable in self.attachments if cable.link is not None), None)

    @property
    def network(self) -> str | None:
        """The network that it is on; the first, if there are several."""
        return next((cable.network for cable in self.attachments if cable.network is not None), None)

    def with_settings(self, settings: dict[str, Any]) -> SandboxRow:
        """The same with other settings."""
        found = SandboxRow(*self._values())
        found.settings = settings
        return found

    def confirmed(self) -> SandboxRow:
        """The same, to stay."""
        found = SandboxRow(*self._values())
        found.confirm_by = None
        return found


def with_shared(rows: Iterable[SandboxRow], known: Mapping[str, SandboxRow]) -> None:
    """Give those of the rows that share a network the attachments of its owner, which is among those known."""
    for row in rows:
        owner, seen = row, {row.name}
        while owner.shares is not None and owner.shares in known and owner.shares not in seen:
            seen.add(owner.shares)
            owner = known[owner.shares]
        if owner is not row:
            row.attachments = (*owner.attachments, *row.attachments)


class Sandboxes:
    """
    The sandboxes of a store.

    Args:
        state_dir: nsctl's directory; it exists.
        readonly: Only look.
        host: The directory with the key that rows are sealed with; the same, if not given.
        anywhere: Also where what the rows speak of can't be seen: for who only wants to know what is held at all.
    """

    def __init__(
        self, state_dir: Path, *, readonly: bool = True, host: Path | None = None, anywhere: bool = False
    ) -> None:
        self.state_dir = state_dir
        self._host = host or state_dir
        self._home: dict[str, str] = {}
        self._used = False
        self.at_home = True
        """Whether what the rows speak of can be seen from here."""
        self._sandboxes: dict[str, SandboxRow] | None = None
        self._db = Database(state_dir / "state.db", readonly=readonly)
        self._void = self._db.empty
        try:
            self._has_key = self._take_key(readonly=readonly)
            # The rows speak of one boot and of certain namespaces; after a reboot they say nothing, elsewhere too
            # little.
            if not self._void and not self._is_of_here(anywhere=anywhere):
                self._begin_anew(readonly=readonly)
        except BaseException:
            self._db.close()
            raise

    def _take_key(self, *, readonly: bool) -> bool:
        # A store that is in use has its key already: a new one would fit none of its rows.
        self._used = not self._void and any(self._db.rows(sql) for sql in _ANYTHING)
        try:
            key = files.secret(self._host, make=not readonly and not self._used)
        except OSError as e:
            raise Unwritable(f"the key {self._host}/key can't be read or made: {e.strerror}") from e
        use_key(key)
        return bool(key)

    def _is_of_here(self, *, anywhere: bool) -> bool:
        boot = files.boot_id()
        there = dict(self._db.rows("SELECT key, value FROM meta"))
        same_boot = there.get("boot_id") == boot
        if self._used:
            self._check_meta(there, same_boot=same_boot)
            if same_boot:
                self._home = loads(there["home"])
                self._check_home(anywhere=anywhere)
            return same_boot
        if same_boot and intact(there.get("crc"), boot, there.get("home")):
            self._home = loads(there["home"])
            return here().items() <= self._home.items()
        return False

    def _begin_anew(self, *, readonly: bool) -> None:  # noqa: ARG002 - for who may write
        self._void = True

    def _check_meta(self, there: Mapping[str, Any], *, same_boot: bool) -> None:
        if not there:
            raise Damaged(f"the store {self._db.path} is damaged: it does not say which boot it is of")
        if not self._has_key and same_boot:
            raise Unwritable(
                f"{self._host}/key is missing, so nobody can tell whether {self._db.path} is as nsctl wrote it",
                hint="put the file back; else move the store away, and see: nsctl recover --scan",
            )
        if self._has_key and not intact(there.get("crc"), there.get("boot_id"), there.get("home")):
            raise Damaged(f"the store {self._db.path} is damaged: nobody can tell which boot it is of")

    def _check_home(self, *, anywhere: bool) -> None:
        try:
            check_home(self._home, str(self.state_dir))
        except Elsewhere:
            self.at_home = False
            if not anywhere:
                raise

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def sandboxes(self) -> dict[str, SandboxRow]:
        """All sandboxes, by name."""
        if self._sandboxes is None:
            self._sandboxes = self._read_sandboxes()
        return dict(self._sandboxes)

    def _read_sandboxes(self) -> dict[str, SandboxRow]:
        rows = self._rows("SELECT name, data, state, confirm_by, crc FROM sandboxes ORDER BY name")
        for name, data, state, confirm_by, crc in rows:
            if not intact(crc, name, data, repr(confirm_by)) or state not in _ROW_STATES:
                raise Damaged(f"the store's row of sandbox {name!r} is damaged")
        cables: dict[str, list[Cable]] = {}
        for (data,) in all_loads([(row[1],) for row in self._attachment_rows()]):
            cable = cable_of(data)
            cables.setdefault(cable.sandbox, []).append(cable)
        out = {}
        for (name, _, state, confirm_by, _), (fixed,) in zip(rows, all_loads([(row[1],) for row in rows]), strict=True):
            owner = fixed.pop("owner")
            out[name] = SandboxRow(
                name=name,
                state=state,
                attachments=tuple(cables.get(name, ())),
                confirm_by=confirm_by,
                isolate=tuple(fixed.pop("isolate")),
                command=tuple(fixed.pop("command")),
                owner=tuple(owner) if owner else None,
                **fixed,
            )
        with_shared(out.values(), out)
        return out

    def _attachment_rows(self, which: str = "", values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        rows = self._rows(f"SELECT name, data, state, crc FROM attachments {which} ORDER BY name", values)  # noqa: S608
        for name, data, state, crc in rows:
            if not intact(crc, name, data) or state not in _ROW_STATES:
                raise Damaged(f"the store's row of attachment {name!r} is damaged")
        return rows

    def identity(self, key: str) -> dict[str, int] | None:
        """
        What tells a step's result from a look-alike; None for no such step, or one that is not done.

        Raises:
            Damaged: The step's row is not as it was written.
        """
        found = self._step_rows("WHERE key = ?", (key,))
        return loads(found[0][5] or "null") or None if found else None

    def _step_rows(self, which: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        rows = self._rows(f"{_STEPS} {which}", values)
        for _, key, data, crc, state, identity, tools, identity_crc, held, holders in rows:
            good = intact(crc, key, data) and intact(identity_crc, key, identity or "", tools or "")
            # A holder that is missing here would let go of what a sandbox needs.
            if not good or state not in _STATES or held != holders:
                raise Damaged(f"the store's row of step {key!r} is damaged")
        return rows

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return [] if self._void else self._db.rows(sql, values)


_ANYTHING = tuple(f"SELECT 1 FROM {table} LIMIT 1" for table in ("sandboxes", "steps", "transactions"))  # noqa: S608
_STEPS = (
    "SELECT seq, key, data, crc, state, identity, tools, identity_crc, held,"
    " (SELECT count(*) FROM holders WHERE holders.key = steps.key) FROM steps"
)
