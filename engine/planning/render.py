"""
A plan in three forms: text for people, a shell script, JSON.

All show to the letter what would run; `shell_of` is the one place that puts a command into words.
"""

from __future__ import annotations

import json as json_module
import shlex
from collections.abc import Container, Iterator
from itertools import groupby

from nsctl.engine.model.commands import AnyCommand, Spawn, argv_of
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.carried import Carried, comment_with

__all__ = ["FORMS", "expecting", "json", "sh", "shell_of", "text"]

_PRESENT = "in place already, shared"


def shell_of(command: AnyCommand | None) -> str:
    """A command as a line of shell (or several, where it reads or is given something of several lines), or nothing."""
    if command is None:
        return ""
    line, document = _line_and_document(command)
    return line + document


def _quoted(word: str) -> str:
    """A word for a shell, and for the eyes: no part of it is an instruction to a terminal."""
    # As printf writes it: 'a'"$(printf '\033')"'b'.
    parts = (shlex.quote(part) if seen else f"\"$(printf '{_octal(part)}')\"" for seen, part in _by_sight(word))
    return "".join(parts) or "''"


def _octal(text: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in text.encode(errors="surrogateescape"))


def _by_sight(text: str) -> Iterator[tuple[bool, str]]:
    """The parts of a text that can be seen, and those that can't."""
    if text.isprintable():
        if text:
            yield True, text
        return
    for seen, part in groupby(text, lambda c: c.isprintable() or c in "\n\t"):
        yield seen, "".join(part)


def _line_and_document(command: AnyCommand) -> tuple[str, str]:
    line = " ".join(map(_quoted, argv_of(command)))
    if isinstance(command, Spawn):
        return f"{line} </dev/null >>{shlex.quote(command.log)} 2>&1 &", ""
    if command.stdin is None:
        return line, ""
    end = "EOF"
    while end in command.stdin.splitlines():
        end += "_"
    content = command.stdin if command.stdin.endswith("\n") or not command.stdin else command.stdin + "\n"
    return f"{line} <<'{end}'", f"\n{content}{end}"


def text(plan: Plan, present: Container[str] = ()) -> str:
    """
    For people: numbered, with reason, command and undo.

    Args:
        plan: The plan.
        present: The keys of steps that are in place already.
    """
    lines = [f"claims {step.why}" for step in plan.steps if step.is_claim]
    changes = [step for step in plan.steps if not step.is_claim]
    width = len(str(len(changes)))
    margin = " " * (width + 2)
    for number, step in enumerate(changes, 1):
        note = f" ({_PRESENT})" if step.key in present else ""
        lines.append(f"{number:>{width}}. {step.why}{note}")
        lines += _indented(shell_of(step.do), margin + "  ")
        lines += _undo_text(step, margin)
    return "\n".join(lines)


def _undo_text(step: Step, margin: str) -> Iterator[str]:
    if step.removed_with:
        yield f"{margin}undo: goes with {step.removed_with}"
    elif step.undo:
        yield f"{margin}undo:"
        for command in step.undo:
            yield from _indented(shell_of(command), margin + "  ")
    else:
        yield f"{margin}undo: none, {step.no_undo}"


def _indented(block: str, margin: str) -> Iterator[str]:
    for line in block.split("\n"):
        yield margin + line if line else ""


def json(plan: Plan, present: Container[str] = ()) -> str:  # noqa: ARG001 - the three forms are called alike
    """The versioned plan, which `nsctl apply` takes."""
    made = json_module.dumps(plan.to_json(), indent=2, ensure_ascii=False)
    return "".join(part if seen else json_module.dumps(part)[1:-1] for seen, part in _by_sight(made))


_ADOPT = """\
# nsctl knows nothing of it until "nsctl adopt THIS", which compares it with the plan in the last line and takes it
# over; from then on, take it down with "nsctl down".
"""
_HEAD = """\
#!/bin/sh
# {title}
# Builds it step by step; if a step fails, what was done is undone, last first.
# "sh THIS down" takes down again what it has built.
{adopt}set -eu
umask 022
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

done=0 stop=0
step() {{
    done=$(($1 - 1))
    [ "$stop" -eq 0 ] || exit "$stop"
    echo "$1/{total} $2" || :
}}
undo() {{
    status=$?
    set +e
    trap - EXIT
    trap : HUP INT TERM
    echo "failed: undoing what was done" >&2
    take_down
    exit "$status"
}}
ready() {{ # PID FILE...: wait until each of the files has content, as long as the process lives
    pid=$1 tries=0
    shift
    for file; do
        until [ -s "$file" ]; do
            tries=$((tries + 1))
            [ "$tries" -le 300 ] && [ "$stop" -eq 0 ] && kill -0 "$pid" 2>/dev/null || return 1
            sleep 0.1
        done
    done
}}
"""

_MAIN = """\
if [ "${{1-}}" = down ]; then
    done={total}
    take_down
    exit
fi
# A signal waits for the step to end. None is ignored: the sandbox would inherit that.
trap : PIPE
trap 'stop=129' HUP
trap 'stop=130' INT
trap 'stop=143' TERM
trap undo EXIT
"""


def sh(plan: Plan, present: Container[str] = (), carried: Carried | None = None) -> str:
    """
    A script that needs only sh and the system's tools, and undoes itself if one of its steps fails.

    Args:
        plan: The plan.
        present: The keys of steps that are in place already: the script leaves them alone.
        carried: What `nsctl adopt` takes over of it, if that is not the plan itself; without plans, nothing.
    """
    carried = Carried((plan,)) if carried is None else carried
    numbered = [(n, s) for n, s in enumerate((s for s in plan.steps if not s.is_claim), 1)]
    mine = [(n, s) for n, s in numbered if s.key not in present]
    total = len(numbered)
    adopt = _ADOPT if carried.plans else ""
    head = _HEAD.format(title=f"nsctl: {plan.name}, mode {plan.mode}", total=total, adopt=adopt)
    parts = [head, "take_down() {\nset +e\n"]
    keys = {s.key for _, s in mine}
    for number, step in reversed(mine):
        if step.undo and step.removed_with not in keys:
            parts.append(_undo_sh(number, step))
    parts += ["}\n\n", _MAIN.format(total=total)]
    state = _state_dir(plan)
    if state is not None:
        parts.append(f"[ -d {shlex.quote(state)} ] || mkdir -m 0700 {shlex.quote(state)}\n")
    claims = [display(step.why) for step in plan.steps if step.is_claim]
    parts += [f"\n# claims {', '.join(claims)}\n"] if claims else []
    for number, step in numbered:
        parts.append(f"\nstep {number} {shlex.quote(step.why + (f' ({_PRESENT})' if step.key in present else ''))}\n")
        if step.key in present:
            continue
        do = step.do
        if isinstance(do, Spawn):  # a process's output is private
            parts.append(f"(umask 077; : >>{shlex.quote(do.log)})\n")
        parts.append(f"{expecting(do)}\n" if do is not None else "")
        if isinstance(do, Spawn):
            waited = do.ready or do.pidfile
            # It runs already, whether or not it gets ready: from here on it is undone.
            parts.append(f"done={number}\nready $! {shlex.quote(do.pidfile)} {shlex.quote(waited)}\n")
    parts.append(f'\ndone={total}\n[ "$stop" -eq 0 ] || exit "$stop"\ntrap - EXIT\n')
    parts.append(f"echo {shlex.quote(f'{plan.name} is up')}\n")
    if carried.plans:
        parts.append(f"exit\n{comment_with(carried)}")
    return "".join(parts)


def _undo_sh(number: int, step: Step) -> str:
    # Heredocs can't be indented: so nothing is.
    commands = "\n".join(expecting(c) for c in step.undo)
    return f"if [ $done -ge {number} ]; then\n{commands}\nfi\n"


def expecting(command: AnyCommand) -> str:
    """A command whose other good exit statuses than 0 count as 0 too."""
    line, document = _line_and_document(command)
    if command.ok != (0,):
        line += f" || case $? in {'|'.join(map(str, command.ok))}) ;; *) (exit $?) ;; esac"
    return line + document


def _state_dir(plan: Plan) -> str | None:
    for step in plan.steps:
        match step.key.split("/"):
            case ["dir", *parts, "sandboxes"]:
                return "/".join(parts)
            case _:
                pass
    return None


FORMS = {"text": text, "sh": sh, "json": json}
"""The forms by name, as `--format` has them; all are called with a plan and the keys that are in place already."""
