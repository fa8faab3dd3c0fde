"""
Transcripts: what a document shows of a terminal, run again and compared.

A block in the language `console` begins with a prompt: `# ` (root), or `$ ` (anybody; nsctl is then run as the user
nobody). Lines that begin with the same prompt are commands, `> ` goes on with one, all others are output.
`…` in the output stands for anything: for any lines if it is alone on its line.
A block in the language `sh` is commands only, which must succeed.

All commands of a page run in one shell, in one lab, so that a reader who follows the page gets what it shows.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import Block
from tests.lab import Lab
from tests.lab.systemd import stand_in

WORK = "/mnt/reader"
"""Where the reader is; not under /run, which is hidden in the labs that a reader's tests make."""
ELSEWHERE = {"sudo scripts/test": "it runs these very tests"}
"""What is not run, and why."""
_MARK = "\x01"
_BIN = f"{WORK}/.bin"
_ENV = f"{WORK}/.env"

_VARIES = [
    (r" +", " "),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b\d+(\.\d+)? ms\b", "N ms"),
    (r"time=\S+ N?", "time=N"),
    (r"@if\d+", "@ifN"),
    (r"^(\S+ \S+ \S+ \S+) (\d+|-) (up|dead) \S+$", r"\1 PID \3 AGE"),
    (r"\(PID \d+\)", "(PID N)"),
    (r"^ ?(\d+) (\?|pts/\d+) (\S+) \d+:\d\d ", r"N \2 \3 TIME "),
    (r"\b\d+ records\b", "N records"),
    (r"\bin \d+\.\d+s$", "in Ns"),
    (r"\bstep \d+ of \d+\b", "step N of N"),  # a host without IPv6, or without /etc/resolv.conf, has fewer
    (r"^rtt .*", "rtt"),
]


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command of a transcript, and what the document says that it prints.

    Args:
        line: Where the command stands, from 1.
        text: The command.
        output: The lines that follow it.
        by_nobody: Whether its nsctl is run without root.
        must_succeed: Whether it is an error if it fails.
    """

    line: int
    text: str
    output: tuple[str, ...]
    by_nobody: bool = False
    must_succeed: bool = False


def commands_of(block: Block) -> list[Command]:
    """The commands of a block."""
    if block.language == "sh":
        return [Command(n, text, (), must_succeed=True) for n, text in enumerate(block.lines, block.line)]
    prompt = block.lines[0][:2]
    assert prompt in {"# ", "$ "}, f"line {block.line}: a transcript begins with a prompt"
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.lines, block.line):
        if line.startswith(prompt):
            found.append((number, [line[2:]], []))
        elif line.startswith("> ") and not found[-1][2]:
            found[-1][1].append(line[2:])
        else:
            found[-1][2].append(line)
    nobody = prompt == "$ "
    return [Command(number, "\n".join(text), tuple(output), nobody) for number, text, output in found]


def script_of(blocks: list[Block]) -> tuple[str, list[Command]]:
    """The shell script that a page amounts to, and the commands whose output it marks."""
    lines = [f"cd {WORK}", "exec 2>&1", "status=0", "export reader"]
    commands: list[Command] = []
    for block in blocks:
        if block.noted("not run"):
            continue
        lines += block.noted("lab")
        for name in block.noted("file"):
            text = "".join(f"{line}\n" for line in block.lines)
            lines.append(f"mkdir -p $(dirname {name}) && printf %s {shlex.quote(text)} >{name}")
        if block.language in {"console", "sh"}:
            for command in commands_of(block):
                if command.text in ELSEWHERE:
                    continue
                lines += [
                    f"reader={'nobody' if command.by_nobody else 'root'}",
                    f"printf '\\001{len(commands)}:%s\\n' $status",
                    "( exit $status )",  # so that the reader's `echo $?` is of the reader's last command
                    f"eval {shlex.quote(command.text)}",
                    "status=$?",
                ]
                commands.append(command)
    lines.append(f"printf '\\001{len(commands)}:%s\\n' $status")
    return "\n".join(lines) + "\n", commands


def equip(lab: Lab) -> None:
    """
    Give the reader what a machine with nsctl on it has: `nsctl`, a clone's `scripts/nsctl`, `sudo`, `pytest`, and a
    `pip` that installs in an environment of its own, without a network.
    """
    python = shlex.quote(sys.executable)
    nsctl = f"""#!/bin/sh
python={_ENV}/bin/python nobody='--reuid=65534 --regid=65534 --clear-groups'
[ -x $python ] || python={python}
if [ "$reader" = nobody ] && setpriv $nobody $python -I -c '' 2>/dev/null; then # else the tests' Python is root's alone
    exec setpriv $nobody $python -I -X nsctl=nsctl -m nsctl "$@"
fi
exec $python -I -X nsctl=nsctl -m nsctl "$@"
"""
    sites = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    pth = "\n".join(f"import site; site.addsitedir({site!r})" for site in sorted(sites))
    purelib = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    own = f"""#!/bin/sh
set -e
umask 022
if ! [ -x {_ENV}/bin/python ]; then
    {python} -I -m venv --without-pip {_ENV}
    printf '%s\\n' {shlex.quote(pth)} >"$({_ENV}/bin/python -c {shlex.quote(purelib)})/host.pth"
fi
exec """
    pip = f"""{own} {python} -I -m pip --python {_ENV}/bin/python --quiet --disable-pip-version-check "$@"
"""
    pytest = f"""{own} {_ENV}/bin/python -I -m pytest "$@"
"""
    lab.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "reader", "/mnt"], check=True)
    lab.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "srv", "/srv"], check=True)
    lab.call(os.makedirs, WORK, 0o755)
    for path, text in {
        f"{_BIN}/nsctl": nsctl,
        f"{WORK}/scripts/nsctl": nsctl,
        f"{_BIN}/sudo": '#!/bin/sh\nexec "$@"\n',
        f"{_BIN}/pip": pip,
        f"{_BIN}/pytest": pytest,
    }.items():
        lab.write(path, text, 0o755)


def run_page(lab: Lab, blocks: list[Block]) -> list[tuple[Command, int, list[str]]]:
    """Run a page's commands: each with its exit status and what it printed."""
    equip(lab)
    if any(word in line for word in ("systemctl", "nsctl systemd") for block in blocks for line in block.lines):
        stand_in(lab)
    script, commands = script_of(blocks)
    path = f"{_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": WORK, "TERM": "dumb"}
    env |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    done = lab.run(["sh", "-s"], input=script, env=env, timeout=240)
    parts = re.split(rf"{_MARK}(\d+):(\d+)\n", done.stdout)
    outputs = [part.splitlines() for part in parts[3::3]]
    statuses = [int(part) for part in parts[5::3]]
    assert len(statuses) == len(commands), f"the script ended early:\n{done.stdout[-2000:]}{done.stderr}"
    return list(zip(commands, statuses, outputs[: len(commands)], strict=True))


def normal(line: str) -> str:
    """A line without what differs from run to run."""
    line = line.rstrip()
    for pattern, instead in _VARIES:
        line = re.sub(pattern, instead, line)
    return line


def agrees(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether a document's output is what was printed."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else re.escape(normal(line)).replace("…", ".*") + r"\n" for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{normal(line)}\n" for line in printed)) is not None


def is_a_fault(lines: Iterable[str]) -> bool:
    """Whether these lines tell of a fault in nsctl, which no document should show."""
    return any(re.search(r"internal error|Traceback|^FAILED ", line) for line in lines)


def rewrite(page: Path, results: list[tuple[Command, int, list[str]]]) -> None:
    """Put what was printed into the page, where it no longer agrees and nothing was left out by hand."""
    lines = page.read_text().splitlines()
    for command, _, printed in reversed(results):
        left_out = any("…" in line for line in command.output)
        if command.must_succeed or left_out or agrees(command.output, printed) or is_a_fault(printed):
            continue
        start = command.line + command.text.count("\n")
        lines[start : start + len(command.output)] = [line.rstrip() for line in printed]
    page.write_text("\n".join(lines) + "\n")
