"""Doing: refuse before anything is changed, journal everything, then act."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing

from nsctl.engine.executor.announcing import announcements_last, wait_for_ports
from nsctl.engine.executor.context import Context
from nsctl.engine.model.commands import Spawn
from nsctl.engine.model.effects import LinkIs, NetnsIs, ProcessIs, State
from nsctl.engine.model.errors import Interrupted, NotExecuted, NsctlError, StepFailed
from nsctl.engine.model.events import StepDone, StepStarted
from nsctl.engine.model.events import StepFailed as StepFailedEvent
from nsctl.engine.model.names import display
from nsctl.engine.model.observation import Known
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import Batch, Single
from nsctl.engine.runner.batches import BATCH_MOST, batches_of, do_items
from nsctl.engine.runner.carry_out import Event, Starting, carry_out
from nsctl.engine.runner.perform import Outcome
from nsctl.engine.runner.result import Result

__all__ = ["apply", "interrupted"]

_POINTING = frozenset(" \t^~")
NOT_FOUND = 127
"""The exit status of a shell that does not find a command."""


def apply(ctx: Context, steps: Sequence[Step], transaction: str, sandbox: str, *, backend: str = "") -> None:
    """
    Do steps that are in the journal.

    Args:
        ctx: The context.
        steps: The steps.
        transaction: For the events.
        sandbox: For the events.
        backend: The iptables back end to use; the one in use, if empty.

    Raises:
        StepFailed: One failed; the caller rolls back.
        Interrupted: A signal came; the caller rolls back.
    """
    doing = _Doing(ctx, steps, transaction, sandbox, backend)
    for part in _parts(ctx, steps):
        batches = batches_of(do_items(part), fuse=ctx.fuse, most=BATCH_MOST)
        with closing(carry_out(batches, ctx.runner, stop=doing.stopped, backend=backend)) as events:
            for event in events:
                doing.note(event)
        if doing.stopped():
            break
    doing.finish()


class _Doing:
    """What is noted of steps that are being done, in the journal and for observers."""

    def __init__(self, ctx: Context, steps: Sequence[Step], transaction: str, sandbox: str, backend: str) -> None:
        self._ctx = ctx
        self._steps = {step.key: step for step in steps}
        self._position = {step.key: n for n, step in enumerate((s for s in steps if not s.is_claim), 1)}
        self._of = transaction, sandbox
        self._backend = backend
        self._unfinished = dict.fromkeys(self._position)
        self._finished: list[tuple[Step, Outcome]] = []
        """What is done, and not in the journal yet."""
        self._failures: list[tuple[int, NsctlError]] = []
        """With the step's number."""

    def stopped(self) -> bool:
        """Whether nothing more should begin."""
        return bool(self._failures) or self._ctx.signals.pending()

    def note(self, event: Event) -> None:
        """Write down what happens."""
        if isinstance(event, Starting):
            self._starting(event.batches)
        elif isinstance(event, Outcome):
            self._ended(event)
        else:
            self._flush()

    def finish(self) -> None:
        """
        All is over, or has been stopped.

        Raises:
            StepFailed, Interrupted: As `apply`.
        """
        self._flush()
        if self._failures:
            raise min(self._failures, key=lambda failure: failure[0])[1]
        if self._ctx.signals.pending() and self._ctx.signals.caught is not None:
            raise interrupted(self._ctx.signals.caught)
        if self._unfinished:
            raise StepFailed(f"{next(iter(self._unfinished))} was never started")

    def _starting(self, batches: Sequence[Batch]) -> None:
        # Batches end by themselves, and the lock outlives nsctl until they do. What else there is may stay in a
        # namespace: without its identity in the journal, recovery would then take it for a stranger's.
        if any(isinstance(batch, Single) for batch in batches):
            self._flush()
            if self._failures:  # a target's namespace is a stranger's by now: nothing is started in there
                return
        steps = [self._steps[item.key] for batch in batches for item in batch.items]
        # Identities and back ends, too: who looks for it may come when a link has another name, or iptables leads
        # elsewhere.
        self._ctx.journal.started(
            (step.key, self._ctx.identity_before(step), self._ctx.tools(step.tool, self._backend)) for step in steps
        )
        self._ctx.begun.update(step.key for step in steps)
        for step in steps:
            number = self._position[step.key]
            self._ctx.emit_safely(StepStarted(*self._of, step, number, len(self._position)))

    def _ended(self, outcome: Outcome) -> None:
        if outcome.guessed:
            self._find_out(outcome)
        done = [self._steps[item.key] for item in outcome.done]
        self._finished.extend((step, outcome) for step in done)
        for step in done:
            self._unfinished.pop(step.key, None)
        if outcome.failed is not None:
            step = self._steps[outcome.failed.key]
            self._failures.append((self._position[step.key], self._failure(outcome, step)))
        elif any(isinstance(step.effect, ProcessIs) for step in done):
            self._flush()  # a process's identity is best read while it surely lives

    def _flush(self) -> None:
        # What is done, into the journal.
        if not self._finished:
            return
        ctx = self._ctx
        ctx.kernel.forget()
        # Of what concerns links, only these have an identity.
        ctx.kernel.expect(step.effect for step, _ in self._finished if isinstance(step.effect, LinkIs | NetnsIs))
        rows = []
        for step, outcome in self._finished:
            identity = ctx.identity(step)
            if isinstance(step.effect, NetnsIs) and step.effect.is_joined:
                observed = step.effect.observe(ctx.kernel)
                if observed.state is not State.OURS:  # the target ended, and its PID may be a stranger's by now
                    gone = StepFailed(f"{step.why} failed: {observed.found}; the target has ended")
                    self._failures.append((self._position[step.key], gone))
            rows.append((step.key, identity, ctx.tools(step.tool, self._backend)))
            r = outcome.result
            ctx.emit_safely(StepDone(*self._of, step, "", r.executable, r.duration, r.stdout, r.stderr))
        self._finished.clear()
        ctx.journal.done(rows)

    def _find_out(self, outcome: Outcome) -> None:
        # ip exits without a word at a line that it can't parse: what is in place came before that.
        self._ctx.kernel.forget()
        for n, item in enumerate(outcome.batch.items):
            effect = self._steps[item.key].effect
            if effect is None or effect.observe(self._ctx.kernel, Known(in_flight=True)).state is State.ABSENT:
                outcome.failed, outcome.done = item, outcome.batch.items[:n]
                return

    def _failure(self, outcome: Outcome, step: Step) -> NsctlError:
        from nsctl.engine.planning.render import shell_of

        result = outcome.result
        reason = self._reason(outcome, step)
        failed = StepFailedEvent(*self._of, step, result.status, reason, result.executable, result.duration)
        self._ctx.emit_safely(failed)
        what = f"step {self._position[step.key]} of {len(self._position)} ({step.why}) failed"
        if result.not_executed:
            return NotExecuted(f"{what}: {reason}", result.status)
        return StepFailed(f"{what}: {shell_of(step.do).splitlines()[0]}: {reason}")

    def _reason(self, outcome: Outcome, step: Step) -> str:
        result = outcome.result
        if isinstance(outcome.error, NsctlError):
            return str(outcome.error)
        if result.not_executed and isinstance(step.do, Spawn):
            return _not_executed(step.do, result)
        if result.timed_out:
            return f"no answer within {self._ctx.runner.timeout:g} s"
        # ip says which line it was, and nft points at the word.
        lines = [
            line
            for line in result.stderr.splitlines()
            if not line.startswith("Command failed -") and not _POINTING.issuperset(line)
        ]
        status = f"killed by signal {-result.status}" if result.status < 0 else f"exit status {result.status}"
        return " / ".join(lines[-3:]) or status


def _parts(ctx: Context, steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    # Announcements last: what is sent before a bridge's port forwards is lost, and of many the first waits for all.
    early, late = announcements_last(steps) if ctx.fuse else (steps, ())
    yield early
    if late and not ctx.signals.pending():
        wait_for_ports(steps)
    if late:
        yield late


def interrupted(signum: int) -> Interrupted:
    """The error for a signal that came."""
    import signal

    return Interrupted(signum, f"stopped by {signal.Signals(signum).name}")


def _not_executed(spawn: Spawn, result: Result) -> str:
    program = display(spawn.program or "")
    # Shells say where and what in words of their own; what is wrong stands last.
    said = result.stderr.strip().splitlines()
    why = said[-1].rpartition(": ")[2].strip() if said else ""
    if result.status != NOT_FOUND:
        return f"'{program}' can't be executed: {display(why) or 'the shell does not say why'}"
    if "/" in program and os.path.exists(program):
        return f"'{program}' can't be executed: its interpreter was not found"
    return f"'{program}' was not found"
