"""Where state and audit trail are, and what surrounds a change: privilege, observers, lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsctl.engine.cli import out
from nsctl.engine.model.errors import Conflict, Invalid, Refused
from nsctl.engine.model.names import display

if TYPE_CHECKING:
    from nsctl.engine.executor import Session
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.model.events import Event
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.store import SandboxRow
    from nsctl.hooks.manager import Plugins

__all__ = ["AppContext", "need_root", "no_sandbox", "sandbox_in", "settled"]

_MAKING = frozenset({"up", "run", "apply", "adopt"})
_UNDOING = frozenset({"down", "recover", "check", "repair", "confirm", "watch"})


def _session_type() -> Any:
    from nsctl.engine.executor import Session

    return Session


class AppContext:
    """
    What every command is given.

    Args:
        state_dir: nsctl's directory under /run.
        audit_log: The audit trail.
        session_type: What opens the store; tests put a fake here.
        words: The command line, for hints.
    """

    def __init__(
        self,
        state_dir: Path | None = None,
        audit_log: Path | None = None,
        session_type: Callable[[], Any] = _session_type,
        words: list[str] | None = None,
    ) -> None:
        self.state_dir = state_dir or _absolute("NSCTL_STATE_DIR", "/run/nsctl")
        self.audit_log = audit_log or _absolute("NSCTL_AUDIT_LOG", "/var/log/nsctl/audit.jsonl")
        self.session_type = session_type
        self.words = words or []

    @contextmanager
    def open_readonly(self) -> Iterator[Session | None]:
        """The state without a lock, for commands that change nothing; None where there is none that can be read."""
        if self.session_type is _session_type and not os.access(self.state_dir / "state.db", os.R_OK):
            yield None  # without the imports
            return
        with self.session_type().read(self.state_dir) as session:
            if session is not None:
                session.hidden = self.masked
            yield session

    @contextmanager
    def read(self) -> Iterator[Reading | None]:
        """What the store says of the sandboxes, for commands that need no more; None where there is none to be read."""
        if not os.access(self.state_dir / "state.db", os.R_OK):
            yield None  # without the imports
            return
        from nsctl.engine.executor.reading import Reading

        with Reading.opened(self.state_dir) as reading:
            if reading is not None:
                reading.hidden = self.masked
            yield reading

    @property
    def masked(self) -> tuple[str, ...]:
        """The directories that no sandbox may reach, beside the state directory: the whole one that the trail is in."""
        return (str(self.audit_log.parent),)

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

    @property
    def head_copy(self) -> str:
        """Where the number and hash of the trail's last record are kept a second time, apart from the log."""
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

    @property
    def hidden(self) -> bool:
        """Whether there is a state that only root may read."""
        return self.state_dir.exists() and not os.access(self.state_dir, os.R_OK | os.X_OK)

    def note_hidden(self) -> None:
        """Say before a dry run, if it is so, that it can't know what is up."""
        if self.hidden:
            out.note("note: what nsctl has made can't be seen without root: planned as if there were no sandbox")

    def facts(self, session: Session | None) -> Facts:
        """What modes may know of the host."""
        if session is not None:
            return session.facts()
        from nsctl.engine.host.facts import gather

        return gather(str(self.state_dir), {}, {}, self.masked, _read if os.geteuid() == 0 else None)

    @contextmanager
    def open_for_change(
        self, operation: str, plugins: Plugins | None = None, *, step_timeout: float = 30.0, fuse: bool = True
    ) -> Iterator[Session]:
        """
        A locked session, with the audit trail, the progress display and the plugins watching.

        What came of it is settled then: from its end to that of the process, signals change nothing.

        Args:
            operation: The command's name, for the audit trail.
            plugins: The plugins that were loaded; none are where a broken one must not be in the way, and they are
                told afterwards.
            step_timeout: The deadline of one step; seconds.
            fuse: Whether steps may be carried out in batches.
        """
        need_root(self)
        if operation in _MAKING:
            self.check_trail()
        from nsctl.hooks.audit import AuditTrail
        from nsctl.hooks.manager import Plugins
        from nsctl.hooks.progress import Progress, wanted

        watching = Plugins() if plugins is None else plugins
        modes = watching.modes()
        trail = AuditTrail(str(self.audit_log), lambda mode: _origin(modes.get(mode)), self.head_copy)
        watching.watch(trail, "nsctl:audit")
        progress = Progress()
        if wanted():
            watching.watch(progress, "nsctl:progress")
        if out.verbose:
            from nsctl.engine.cli.step_printer import StepPrinter

            watching.watch(StepPrinter(), "nsctl:verbose")
        for_later: list[Event] = []
        emit = watching.emit if operation not in _UNDOING else _both(watching.emit, for_later.append)
        session = self.session_type()(self.state_dir, emit, step_timeout=step_timeout, fuse=fuse, operation=operation)
        session.hidden = self.masked
        session.to_the_end = True
        try:
            with session.locked():
                yield session
        except Conflict as e:
            from nsctl.engine.executor.elsewhere import named

            raise named(e, self.state_dir) from e.__cause__
        finally:
            progress.close()
            trail.flush()
            for line in session.recovered:
                out.note(f"recovered first: {line}")
            if plugins is None and for_later:
                try:  # a plugin may never end, and nothing is held up by that but the result
                    with session.ctx.signals.at_once(afresh=True):
                        _tell_afterwards(watching, for_later)
                except KeyboardInterrupt:
                    out.warning("a signal came while plugins were told of it: not all of them know")
            for line in dict.fromkeys([*watching.warnings, *getattr(session, "warnings", ())]):
                out.warning(line)
            for line in dict.fromkeys(trail.failures):
                out.warning(f"the audit trail {self.audit_log} is missing records: {line}")


def _read(argv: tuple[str, ...], netns: str | None) -> tuple[int, str]:
    from nsctl.engine.runner import Runner

    return Runner().read(argv, netns)


def need_root(world: AppContext) -> None:
    """
    Refuse, plainly, what only root can do.

    Raises:
        Refused: The process is not root's.
    """
    if os.geteuid() != 0:
        import shlex

        command = shlex.join(world.words)
        raise Refused("this needs root", hint="sudo nsctl " + command.replace("\n", "\\n"))


def settled(session: Session | None) -> dict[str, SandboxRow]:
    """The sandboxes that are up, for a dry run: without what another nsctl is at, or was killed at; which is said."""
    if session is None:
        return {}
    if session.unfinished:
        out.note("note: another nsctl is at work, or was killed: shown as if nothing of that came to be")
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


def _both(one: Callable[[Event], None], two: Callable[[Event], None]) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        two(event)
        one(event)

    return emit


def _tell_afterwards(already: Plugins, events: list[Event]) -> None:
    from nsctl.hooks.manager import Plugins, entry_points

    if all(point.built_in for point in entry_points()):
        return
    plugins = Plugins.load("")
    for event in events:
        plugins.emit(event, afterwards=True)
    already.warnings.extend(plugins.warnings)


def _origin(loaded: Any) -> str:
    return f"{loaded.distribution} {loaded.version}".strip() if loaded is not None else ""


def _absolute(variable: str, default: str) -> Path:
    value = os.environ.get(variable) or default
    # It stands in every plan: in scripts, and in lines of messages.
    if not value.startswith("/") or not value.isprintable() or ".." in value.split("/"):
        raise Invalid(
            f"{variable} is '{display(value)}', which is not an absolute path", hint=f"the default is {default}"
        )
    return Path(os.path.normpath(value))
