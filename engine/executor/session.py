"""The face of the executor: one locked session, in which a command plans and acts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nsctl.engine.executor import recovery, transaction
from nsctl.engine.executor.apply import interrupted
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.facts import facts_of
from nsctl.engine.executor.reading import Reading
from nsctl.engine.executor.signals import HeldSignals
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.model.attachment import sandbox_of
from nsctl.engine.model.errors import Busy, Conflict, Invalid, NsctlError, Refused, RollbackFailed
from nsctl.engine.model.events import Event
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.sharing import Sharing
from nsctl.engine.runner import Runner
from nsctl.engine.store import Damaged, HalfDone, Journal, Lock, Others, SandboxRow
from nsctl.engine.store.files import HOST_DIR, ensure_ballast, ensure_private_dir
from nsctl.engine.store.lock import LOCK_FD
from nsctl.engine.store.others import register

if TYPE_CHECKING:
    from nsctl.engine.executor.drift import Drift

__all__ = ["WATCH", "Session"]

WATCH = "watch"
"""The operation that starts no process: what it started would be the watcher's, and end with it."""


class Session(Reading):
    """
    What a command of nsctl's does, from the lock to the last event.

    Args:
        state_dir: nsctl's directory under /run.
        emit: Where events go; the audit trail stops a change by raising on `PlanStarted`.
        step_timeout: The deadline of one step; seconds.
        fuse: Whether steps may be fused.
        operation: What the user asked for, for the journal and the audit trail.
        lock_wait: How long to wait for another nsctl; seconds.
    """

    def __init__(
        self,
        state_dir: Path,
        emit: Callable[[Event], None],
        *,
        step_timeout: float = 30.0,
        fuse: bool = True,
        operation: str = "up",
        lock_wait: float = 60.0,
    ) -> None:
        super().__init__(state_dir)
        self.operation = operation
        self.recovered: list[str] = []
        """What a dead nsctl had left and this one cleaned up, for the user."""
        self.to_the_end = False
        """Whether signals stay held after it: the process only reports the result, and ends."""
        self._emit = emit
        self._timeout = step_timeout
        self._fuse = fuse
        self._wait = lock_wait
        self._context: Context | None = None

    @property
    def ctx(self) -> Context:
        """What the parts of the executor share; there is one only inside `locked` or `read`."""
        if self._context is None:
            raise RuntimeError("outside of a session")
        return self._context

    @property
    def store(self) -> tuple[Journal, Others]:
        """The store, and the host's other stores."""
        return self.ctx.journal, self.ctx.others

    @property
    def warnings(self) -> list[str]:
        """Lines for the user, gathered on the way."""
        if self._context is None:
            return []
        return [*self._context.warnings, *dict.fromkeys(self._context.journal.failures)]

    @property
    def caught(self) -> int | None:
        """The signal that came while it was held, if one did."""
        return self.ctx.signals.caught

    @contextmanager
    def locked(self, *, recover: bool = True) -> Iterator[Session]:
        """
        Take the lock, hold signals, open the store, and clean up what a dead nsctl left.

        Raises:
            Busy: Another nsctl is at work.
            Interrupted: A signal came while waiting for it.
            Refused: The store can't be used, or was damaged and is now set aside.
        """
        with HeldSignals(stay=self.to_the_end) as signals:
            ensure_private_dir(HOST_DIR)
            ensure_private_dir(self.state_dir)
            lock = Lock(HOST_DIR / "lock", self._wait)  # one for the host, whatever the directory of the state is
            try:
                lock.acquire(signals.pending)
            except Busy:
                if signals.caught is not None:
                    raise interrupted(signals.caught) from None
                raise
            try:
                with self._opened(signals):
                    if recover:
                        self.recovered = recovery.recover(self.ctx, starts=self.operation != WATCH)
                    yield self
            finally:
                lock.release()

    @contextmanager
    def _opened(self, signals: HeldSignals) -> Iterator[None]:
        runner = Runner(self._timeout, LOCK_FD)
        try:
            journal = Journal(self.state_dir, host=HOST_DIR)
            register(HOST_DIR, self.state_dir)
            ensure_ballast(self.state_dir)
            try:
                others = Others(HOST_DIR, self.state_dir)
                self._context = Context(journal, runner, Kernel(runner.read), self._emit, signals, others, self._fuse)
                recovery.clear_stale(self.ctx)
                yield
            except OSError as e:
                raise _refused_by_the_system(e, journal) from e
            finally:
                journal.close()
        except Damaged as e:
            from nsctl.engine.store import quarantine

            if quarantine.is_sound(self.state_dir, HOST_DIR):
                raise Refused(f"{e.message}; but on a second look it is sound", hint="try again") from e
            kept = quarantine.set_aside(self.state_dir)
            raise Refused(
                f"{e.message}; it is set aside as {kept}",
                hint="find what nsctl had made, and remove it: nsctl recover --scan",
            ) from e

    @classmethod
    @contextmanager
    def read(cls, state_dir: Path) -> Iterator[Session | None]:
        """
        Only look: no lock, no root needed; None where there is no store that can be read.

        Raises:
            Refused: The store is damaged, or of another version.
        """
        if not os.access(state_dir / "state.db", os.R_OK):
            yield None
            return
        session = cls(state_dir, lambda _: None)
        runner = Runner()
        journal = Journal(state_dir, readonly=True, host=HOST_DIR)
        try:
            others = Others(HOST_DIR, state_dir)
            session._context = Context(journal, runner, Kernel(runner.read), session._emit, HeldSignals(), others)
            yield session
        finally:
            journal.close()

    # -- looking

    def facts(self, without: Sequence[str] = ()) -> Facts:
        """
        What modes may know of the host.

        Args:
            without: Sandboxes that are taken down first: as if they, and what only they hold, were gone.
        """
        read = self.ctx.runner.read if os.geteuid() == 0 else None
        return facts_of(self.state_dir, self.ctx.journal, without, self.ctx.others, self.hidden, read)

    @contextmanager
    def planning(self) -> Iterator[None]:
        """
        A context for what plugins do before anything is changed: it may never end, and a signal ends it.

        Raises:
            Interrupted: A signal came.
        """
        try:
            with self.ctx.signals.at_once():
                yield
        except KeyboardInterrupt:
            if self.caught is None:
                raise
            raise interrupted(self.caught) from None

    def plan_down(self, names: Sequence[str], *, force: bool = False) -> list[Step]:
        """
        The steps that `down` would undo, last applied first.

        Raises:
            Invalid: There is no such sandbox.
            Conflict: Others share it.
        """
        return [row.step for row in self.ctx.journal.held_only_by(self._named(names, force=force))]

    # -- changing

    def up(
        self,
        plans: Sequence[Plan],
        *,
        replace: Sequence[str] = (),
        ephemeral: bool = False,
        confirm: float | None = None,
        source: str = "",
    ) -> list[SandboxRow]:
        """
        Carry out plans as one transaction.

        Args:
            plans: The plans, each for a sandbox that is not there (or is replaced), or for attachments to one that is.
            replace: Sandboxes that are taken down first, and brought back if anything fails.
            ephemeral: They end with this nsctl, however it ends.
            confirm: Seconds in which `confirm` must come, or they are taken down.
            source: The lab file that names them.

        Raises:
            Refused: Nothing was changed.
            StepFailed, Interrupted: Everything was undone.
            RollbackFailed: Something is left.
        """
        return transaction.up(
            self.ctx,
            plans,
            operation=self.operation,
            replace=replace,
            ephemeral=ephemeral,
            confirm=confirm,
            source=source,
        )

    def down(self, names: Sequence[str], *, force: bool = False) -> list[str]:
        """
        Take sandboxes, or attachments of them, down; the names, those of sharers included.

        Raises:
            Invalid: There is no such sandbox.
            Conflict: Others share it.
            RollbackFailed: Something is left.
            Interrupted: A signal came; they are down.
        """
        every = self._named(names, force=force)
        transaction.down(self.ctx, every, operation=self.operation)
        return every

    def check(self, names: Sequence[str] = (), *, again: bool = True) -> list[Drift]:
        """
        What is not as it was made.

        Args:
            names: The sandboxes; all, if none is named.
            again: Look again, even if a repair of the same has just looked and found nothing to do.

        Raises:
            Invalid: There is no such sandbox.
        """
        from nsctl.engine.executor import drift

        self._known(names)
        return drift.check(self.ctx, names, again=again)

    def guests(self, names: Sequence[str] = ()) -> list[str]:
        """What is not nsctl's, and would not outlive these sandboxes (all, if none is named): a line for each kind."""
        from nsctl.engine.executor.guests import guests_of

        rows = self.ctx.journal.held_only_by(names or self.sandboxes())
        return guests_of(self.ctx, rows, {row.step.key for row in rows})

    def repair(self, names: Sequence[str] = (), *, dry_run: bool = False, ended: bool = True) -> list[Step]:
        """
        Make again exactly what is missing; the steps done (or to do).

        Args:
            names: The sandboxes; all, if none is named.
            dry_run: Only say what would be done.
            ended: Whether processes that have ended, and what has gone with them, are made again, too.

        Raises:
            Invalid: There is no such sandbox.
            StepFailed: A step failed; what was mended before it stays.
        """
        from nsctl.engine.executor import repair

        self._known(names)
        return repair.repair(self.ctx, names, dry_run=dry_run, operation=self.operation, ended=ended)

    def recover(self, *, scan_host: bool = False, yes: bool = False) -> list[str]:
        """
        Finish what a dead nsctl left, and take down sandboxes whose init died; lines that say what was done.

        Raises:
            RollbackFailed: Something is still left.

        Args:
            scan_host: Look for what nsctl made and no store knows, by its identities.
            yes: Remove it.
        """
        lines = self.recovered + recovery.recover(self.ctx, thorough=True)
        self.recovered = []
        if self.ctx.left:
            left, self.ctx.warnings[:] = self.ctx.left, []
            raise transaction.left_over("not everything could be undone", left)
        if scan_host:
            from nsctl.engine.executor import orphans

            lines += orphans.scan(self.ctx, remove=yes)
        return lines

    def half_done_elsewhere(self) -> list[HalfDone]:
        """What a killed nsctl left half done in other state directories; the lock is held, so no nsctl works on it."""
        return self.ctx.others.half_done()

    def confirm(self, name: str) -> bool:
        """
        Keep a sandbox that was waiting for its confirmation; False if it was not waiting.

        Raises:
            Invalid: There is no such sandbox.
        """
        waiting = self._known([name])[name].confirm_by is not None
        transaction.confirm(self.ctx, name)
        return waiting

    def _known(self, names: Sequence[str]) -> dict[str, SandboxRow]:
        rows = self.sandboxes()
        for name in names:
            if name not in rows and name not in self._attachments(name):
                from difflib import get_close_matches

                near = get_close_matches(name, rows, 1)
                hint = f"did you mean '{near[0]}'?" if near else "see what is up: nsctl ls"
                raise Invalid(f"there is no sandbox '{name}'", hint=hint)
        return rows

    def _attachments(self, name: str) -> set[str]:
        # `web/eth1` is one of web's.
        sandbox = sandbox_of(name)
        return {each.attachment.name for each in self.ctx.journal.attachments(sandbox)} if name != sandbox else set()

    def _named(self, names: Sequence[str], *, force: bool) -> list[str]:
        rows = self._known(names)
        chosen = list(dict.fromkeys(names))
        more = dict(Sharing(rows).dependents(chosen))
        if more and not force:
            raise Conflict(
                f"'{next(iter(more.values()))}' is shared by {', '.join(more)}",
                hint=f"take them down too: nsctl down {' '.join([*chosen, *more])} (or --force)",
            )
        return [*chosen, *more]


def _refused_by_the_system(error: OSError, journal: Journal) -> NsctlError:
    # No descriptor, no memory, no thread was to be had, or a file could not be read.
    what = f"the system refused: {error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    try:
        under_way = journal.transaction() is not None
    except Refused:
        under_way = True
    if under_way:
        return RollbackFailed(f"{what}; what was begun is not over", hint="finish undoing it: nsctl recover")
    return Refused(what, hint="nothing was changed; see what is used up: ulimit -a; free -m; df /run")
