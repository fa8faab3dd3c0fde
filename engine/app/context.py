"""Where state and audit trail are, and what surrounds a change: privilege, observers, lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.errors import Conflict, Invalid, Refused
from nsctl.engine.model.names import display

if TYPE_CHECKING:
    from nsctl.engine.app.requests import Execution
    from nsctl.engine.executor import Session
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.model.diagnostics import Diagnostic
    from nsctl.engine.model.events import Event
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.store import SandboxRow
    from nsctl.hooks.manager import Plugins

__all__ = ["AppContext", "no_sandbox", "sandbox_in", "settled"]

STATE_DIR = "/run/nsctl"
AUDIT_LOG = "/var/log/nsctl/audit.jsonl"
_MAKING = frozenset({"up", "run", "apply", "adopt"})
_UNDOING = frozenset({"down", "recover", "check", "repair", "confirm", "watch"})


def _session_type() -> Any:
    from nsctl.engine.executor import Session

    return Session


class AppContext:
    """
    What every operation is given: the places, and who hears of what happens.

    Args:
        state_dir: nsctl's directory under /run.
        audit_log: The audit trail.
        report: Is told each diagnostic at once; without it they are kept in `diagnostics`.
        observers: Makes the observers of one change, by name, besides the audit trail and the plugins; one that has a
            `close` is closed when the change is over.
        words: The command line, for the hint to whoever is not root.
        ends_process: Whether the process only reports the result of a change, and ends: then signals stay held to its
            end, so that none says otherwise.
        session_type: Returns the type that opens the store; tests put a fake here.
    """

    def __init__(
        self,
        state_dir: str | Path = STATE_DIR,
        audit_log: str | Path = AUDIT_LOG,
        *,
        report: Callable[[Diagnostic], None] | None = None,
        observers: Callable[[], Mapping[str, Any]] = dict,
        words: Sequence[str] = (),
        ends_process: bool = False,
        session_type: Callable[[], Any] = _session_type,
    ) -> None:
        self.state_dir = Path(state_dir)
        self.audit_log = Path(audit_log)
        self.diagnostics: list[Diagnostic] = []
        """The diagnostics so far, where no `report` was given."""
        self.report: Callable[[Diagnostic], None] = report or self.diagnostics.append
        self.words = words
        self._ends_process = ends_process
        self._observers = observers
        self._session_type = session_type
        self._warned: set[str] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **rest: Any) -> AppContext:
        """
        The context of a process: NSCTL_STATE_DIR and NSCTL_AUDIT_LOG say where its state and audit trail are.

        Raises:
            Invalid: One of them is no absolute path.
        """
        places = (("NSCTL_STATE_DIR", STATE_DIR), ("NSCTL_AUDIT_LOG", AUDIT_LOG))
        return cls(*(_absolute(name, environment.get(name) or default, default) for name, default in places), **rest)

    # -- diagnostics

    def warn(self, message: str) -> None:
        """Report a warning, and the same one only once."""
        if message not in self._warned:
            self._warned.add(message)
            self._report("warning", message)

    def note(self, message: str) -> None:
        """Report a note."""
        self._report("note", message)

    def _report(self, level: Any, message: str) -> None:
        from nsctl.engine.model.diagnostics import Diagnostic

        self.report(Diagnostic(level, message))

    # -- looking

    @property
    def hidden(self) -> bool:
        """Whether there is a state that only root may read."""
        return self.state_dir.exists() and not os.access(self.state_dir, os.R_OK | os.X_OK)

    def note_hidden(self) -> None:
        """Note before a dry run, if it is so, that it can't know what is up."""
        if self.hidden:
            self.note("what nsctl has made can't be seen without root: planned as if there were no sandbox")

    @property
    def masked(self) -> tuple[str, ...]:
        """The directories that no sandbox may reach, beside the state directory: the whole one that the trail is in."""
        return (str(self.audit_log.parent),)

    @contextmanager
    def read(self) -> Iterator[Reading | None]:
        """Open what the store says of the sandboxes, and no more; None where there is none that can be read."""
        if not os.access(self.state_dir / "state.db", os.R_OK):
            yield None  # without the imports
            return
        from nsctl.engine.executor.reading import Reading

        with Reading.opened(self.state_dir) as reading:
            if reading is not None:
                reading.hidden = self.masked
            yield reading

    @contextmanager
    def open_readonly(self) -> Iterator[Session | None]:
        """Open a session that changes nothing, without a lock; None where there is no state that can be read."""
        if self._session_type is _session_type and not os.access(self.state_dir / "state.db", os.R_OK):
            yield None  # without the imports
            return
        with self._session_type().read(self.state_dir) as session:
            if session is not None:
                session.hidden = self.masked
            yield session

    def facts(self, session: Session | None) -> Facts:
        """The facts that modes plan from, with a session or without one."""
        if session is not None:
            return session.facts()
        from nsctl.engine.host.facts import gather

        return gather(str(self.state_dir), {}, {}, self.masked, _read if os.geteuid() == 0 else None)

    # -- changing

    @contextmanager
    def open_for_change(
        self, operation: str, plugins: Plugins | None = None, how: Execution | None = None
    ) -> Iterator[Session]:
        """
        Open a locked session, which the audit trail, the plugins and the context's observers watch.

        Args:
            operation: The operation's name, for the audit trail.
            plugins: The plugins that were loaded; none are where a broken one must not be in the way, and they are
                told afterwards.
            how: How steps are carried out.

        Raises:
            Refused: The process is not root's, or the store can't be used.
            Busy: Another nsctl is at work.
        """
        self.need_root()
        if operation in _MAKING:
            self.check_trail()
        from nsctl.engine.app.requests import Execution
        from nsctl.engine.model.diagnostics import Diagnostic
        from nsctl.hooks.audit import AuditTrail
        from nsctl.hooks.manager import Plugins

        timeout, batch = how or Execution()
        watching = Plugins() if plugins is None else plugins
        modes = watching.modes()
        trail = AuditTrail(str(self.audit_log), lambda mode: _origin(modes.get(mode)), self.head_copy)
        watching.watch(trail, "nsctl:audit")
        observers = self._observers()
        for name, observer in observers.items():
            watching.watch(observer, name)
        for_later: list[Event] = []
        emit = watching.emit if operation not in _UNDOING else _both(watching.emit, for_later.append)
        session = self._session_type()(self.state_dir, emit, step_timeout=timeout, fuse=batch, operation=operation)
        session.hidden = self.masked
        session.to_the_end = self._ends_process
        try:
            with session.locked():
                yield session
        except Conflict as e:
            from nsctl.engine.executor.elsewhere import named

            raise named(e, self.state_dir) from e.__cause__
        finally:
            for observer in observers.values():
                if hasattr(observer, "close"):
                    observer.close()
            trail.flush()
            for line in session.recovered:
                self.report(Diagnostic("recovered", line))
            warnings = [] if plugins is not None or not for_later else self._tell_plugins(session, for_later)
            for line in dict.fromkeys([*watching.warnings, *warnings, *session.warnings]):
                self.report(Diagnostic("warning", line))
            for line in dict.fromkeys(trail.failures):
                self.report(Diagnostic("warning", f"the audit trail {self.audit_log} is missing records: {line}"))

    def _tell_plugins(self, session: Session, events: list[Event]) -> list[str]:
        # Afterwards: a plugin may never end, and nothing is held up by that but the result.
        from nsctl.hooks.manager import Plugins, entry_points

        try:
            with session.ctx.signals.at_once(afresh=True):
                if all(point.built_in for point in entry_points()):
                    return []
                plugins = Plugins.load("")
                for event in events:
                    plugins.emit(event, afterwards=True)
                return plugins.warnings
        except KeyboardInterrupt:
            self.warn("a signal came while plugins were told of it: not all of them know")
            return []

    def need_root(self) -> None:
        """
        Refuse, plainly, what only root can do.

        Raises:
            Refused: The process is not root's.
        """
        if os.geteuid() != 0:
            import shlex

            command = shlex.join(self.words).replace("\n", "\\n")
            raise Refused("this needs root", hint=f"sudo nsctl {command}" if command else "")

    # -- the audit trail

    @property
    def head_copy(self) -> str:
        """The file with a second copy of the number and hash of the trail's last record, apart from the log."""
        from nsctl.engine.model.places import HOST_DIR
        from nsctl.hooks.apart import copy_name

        return f"{HOST_DIR}/{copy_name(str(self.audit_log))}"

    def record(self, event: str, sandbox: str, **fields: Any) -> None:
        """
        Record what is no plan: a command that is started in a sandbox, an acknowledgement.

        Raises:
            Refused: It can't be written.
        """
        from nsctl.hooks.writer import TrailFile

        TrailFile(str(self.audit_log), self.head_copy).note(event, sandbox, **fields)

    def check_trail(self) -> None:
        """
        Refuse a trail that does not have its directory for itself: what else is in there would be hidden with it.

        Raises:
            Invalid: There is something else.
        """
        from nsctl.engine.model.places import HIDDEN

        folder, name = self.audit_log.parent, self.audit_log.name
        try:
            others = [other for other in os.listdir(folder) if not other.startswith(name)]
        except OSError:  # the trail itself says what is wrong with its place
            return
        others = [other for other in others if folder / other not in {self.state_dir, *self.state_dir.parents}]
        if others and folder not in {self.state_dir, Path(HIDDEN[0])}:
            raise Invalid(
                f"the audit trail {display(str(self.audit_log))} is not alone in its directory, "
                "which every sandbox has to be kept out of",
                hint=f"give it one of its own, for example NSCTL_AUDIT_LOG={display(str(folder / 'nsctl' / name))}",
            )


def settled(ctx: AppContext, session: Session | None) -> dict[str, SandboxRow]:
    """The sandboxes that are up, for a dry run: without what another nsctl is at, or was killed at, which is noted."""
    if session is None:
        return {}
    if session.unfinished:
        ctx.note("another nsctl is at work, or was killed: shown as if nothing of that came to be")
    return {name: row for name, row in session.sandboxes().items() if row.state == "up"}


def sandbox_in(session: Reading | None, name: str) -> tuple[Reading, SandboxRow]:
    """
    A sandbox, and the store that it is in.

    Raises:
        Invalid: There is no such sandbox.
    """
    rows = {} if session is None else session.sandboxes()
    if session is None or name not in rows:
        raise no_sandbox(name, rows)
    return session, rows[name]


def no_sandbox(name: str, names: Iterable[str]) -> Invalid:
    """The error for a sandbox that is not there."""
    from nsctl.engine.model.options import nearest

    meant = nearest(name, names)
    return Invalid(f"there is no sandbox '{name}'", hint=f"did you mean '{meant}'?" if meant else "see: nsctl ls")


def _read(argv: tuple[str, ...], netns: str | None) -> tuple[int, str]:
    from nsctl.engine.runner import Runner

    return Runner().read(argv, netns)


def _both(one: Callable[[Event], None], two: Callable[[Event], None]) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        two(event)
        one(event)

    return emit


def _origin(loaded: Any) -> str:
    return f"{loaded.distribution} {loaded.version}".strip() if loaded is not None else ""


def _absolute(variable: str, value: str, default: str) -> str:
    # It stands in every plan: in scripts, and in lines of messages.
    if not value.startswith("/") or not value.isprintable() or ".." in value.split("/"):
        raise Invalid(
            f"{variable} is '{display(value)}', which is not an absolute path", hint=f"the default is {default}"
        )
    return os.path.normpath(value)
