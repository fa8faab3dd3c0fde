"""11. Hostile input, through the command line: exit status 2, one line that says why, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.corpus import COMMAND_LINES, CONTROLS, LABS, WORDS
from tests.faults.ground import Ground
from tests.faults.tally import Tally, some
from tests.faults.warm import Done, Warm
from tests.lab import nsctl_argv

MOST = 400
"""Command lines; all of them are three times as many."""
NO_FILES = (
    *("/dev/zero", "/dev/full", "/dev/null", "/dev/fd/77", "/proc/self/mem", "/run", "/run/nobody/home"),
    *("/run/fifo", "/run/fifo.toml", "/run/loop", "/run/empty", "/run/huge", "/run/huge.toml"),
)
MEMORY = f"--as={1 << 30}"
"""What nsctl may have of it, whatever it reads."""


@pytest.fixture(scope="module")
def ground(warm: Warm) -> Iterator[Ground]:
    made = Ground(warm)
    yield made
    made.close()


def printable(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


def refused(done: Done, *statuses: int) -> str:
    """The one line that says why; there may be a hint below it."""
    lines = done.stderr.splitlines()
    assert done.status in (statuses or (2,)), str(done)[:2000]
    assert done.stdout == "", str(done)[:2000]
    assert lines[0].startswith("nsctl: "), str(done)[:2000]
    assert [line[:6] for line in lines[1:]] in ([], ["hint: "]), str(done)[:2000]
    assert printable(done.stderr), repr(done)[:2000]
    assert not any(word in done.stderr for word in ("Traceback", "internal error")), str(done)[:2000]
    return lines[0]


def civil(done: Done) -> Done:
    """Refused, or carried out; in both cases nothing raw reaches the terminal."""
    if done.status:
        refused(done, 2, 125)
    assert printable(done.stdout + done.stderr), repr(done)[:2000]
    return done


def test_whatever_stands_on_the_command_line_is_read_or_refused(ground: Ground, tally: Tally) -> None:
    lines = [[part.replace("@", word) for part in line.split()] for line in COMMAND_LINES for word in WORDS]
    chosen = some(range(len(lines)), MOST, tally.random("hostile words"))
    for number in chosen:
        civil(ground.warm.run(ground.lab, *lines[number], timeout=10))
    ground.back()
    tally.note("hostile input: command lines", survived=True, times=len(chosen))


def test_bytes_that_are_no_text_are_refused_or_passed_on(ground: Ground, tally: Tally) -> None:
    nasty = "'\\377\\376'"
    for line in ("up none --name=@", "up none -- @", "@", "up @", "apply @", "down @", "log @", "up none --env=A=@"):
        words = line.replace("@", f'"$(printf {nasty})"')
        done = ground.lab.run(["sh", "-c", f'"$@" {words}', "sh", *nsctl_argv()])
        refused(Done((line,), done.returncode, done.stdout, done.stderr))
    ground.back()
    tally.note("hostile input: command lines", survived=True, times=8)


@pytest.mark.parametrize("what", LABS)
def test_a_hostile_lab_file_is_refused_with_its_line(ground: Ground, tally: Tally, what: str) -> None:
    content, line = LABS[what]
    ground.lab.write("/run/lab.toml", content)
    try:
        for argv in (("apply", "/run/lab.toml"), ("apply", "/run/lab.toml", "--dry-run")):
            said = refused(ground.warm.run(ground.lab, *argv, timeout=15))
            assert said.startswith("nsctl: /run/lab.toml"), said
            assert line is None or f"lab.toml, line {line}: " in said, said
            assert len(said) < 400
    finally:
        ground.lab.run(["rm", "/run/lab.toml"])
    ground.back()
    tally.note("hostile input: lab files", survived=True, times=2)


@pytest.mark.parametrize("path", NO_FILES)
def test_what_is_no_file_neither_hangs_nor_fills_the_memory(ground: Ground, tally: Tally, path: str) -> None:
    prepare = "mkfifo fifo fifo.toml; ln -s loop loop; : >empty; truncate -s 50G huge huge.toml"
    ground.lab.run(["sh", "-c", f"cd /run && {prepare}"], check=True)
    argv = ["prlimit", MEMORY, *nsctl_argv("apply", path, "--dry-run")]
    done = ground.lab.run(argv, timeout=20)
    said = refused(Done(("apply", path), done.returncode, done.stdout, done.stderr))
    assert path in said
    ground.lab.run(["sh", "-c", "cd /run && rm fifo fifo.toml loop empty huge huge.toml"], check=True)
    ground.back()
    tally.note("hostile input: lab files", survived=True)


def test_what_a_shell_pipes_in_is_no_such_file(ground: Ground) -> None:
    for reader in ("<(cat /run/x.toml)", "- </run/x.toml", "/dev/stdin < <(cat /run/x.toml)"):
        ground.lab.write("/run/x.toml", '[sandbox.a]\nmode = "none"\n')
        done = ground.lab.run(["bash", "-c", f'"$@" {reader}', "bash", *nsctl_argv("apply", "--dry-run")])
        assert (done.returncode, done.stderr) == (0, "")
    ground.lab.run(["rm", "/run/x.toml"])


def saved(ground: Ground) -> dict[str, Any]:
    words = ("--env", "A=b", "--", "sleep", "1000003")
    text = ground.good("up", "none", "--name", "web", "--dry-run", "--format", "json", *words).stdout
    plan: dict[str, Any] = json.loads(text)
    return plan


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *(((key,), value) for key in ("mode", "name") for value in CONTROLS),
        *((("steps", 0, key), value) for key in ("key", "why") for value in ("\x1b[2J", "a\nb", "\ud800")),
        *((("steps", 0, "effect", "name"), value) for value in ("\x1b[2J", "a\0b", "\ud800", "a\nb")),
        *((("settings", key), value) for key in ("cap_add", "cap_drop") for value in (1.5, [5], ["x,y"], ["\x1b"])),
        *((("settings", "env"), value) for value in (5, ["A"], {"A": 5}, {"A\n": "b"}, {"A": "\x1b[2J"}, {"": "b"})),
        (("settings", "privileged"), "yes"),
        (("command",), ["a\0b"]),
        (("command",), ["\ud800"]),
        (("isolate",), ["net", "\x1b[2J"]),
        (("nsctl_plan",), "x" * 1_000_000),
        (("steps", 0, "do", "words"), ["x" * 200_000]),
        (("steps", 0, "do", "kind"), "x" * 1_000_000),
        (("steps", 0, "do"), {"kind": "run", "argv": ["ip"], "ok": []}),
    ],
)
def test_a_plan_with_hostile_words_is_refused(ground: Ground, tally: Tally, where: tuple[Any, ...], value: Any) -> None:
    data = saved(ground)
    place: Any = data
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    for more in ((), ("--dry-run",)):
        said = refused(ground.warm.run(ground.lab, "apply", "-", *more, stdin=json.dumps(data)))
        assert len(said) < 1000
    ground.back()
    tally.note("hostile input: plans", survived=True, times=2)


def test_words_of_a_workload_are_its_own_affair_and_no_terminals(ground: Ground, tally: Tally) -> None:
    words = ["sleep", "1000003", *(w for w in WORDS if "\udcff" not in w and len(w) < 1000)]
    ground.good("up", "none", "--name", "web", "--", "sh", "-c", 'exec "$0" "$1"', *words)
    try:
        for line in ("ls", "inspect web", "log", "check", "up none --name web -- x", "down web --dry-run"):
            assert printable(str(ground.nsctl(*line.split()))), line
        inside = json.loads(ground.good("inspect", "web").stdout)["command"]
        assert inside[5:] == words[2:]
    finally:
        assert printable(str(ground.good("down", "web")))
    ground.back()
    tally.note("hostile input: words of workloads", survived=True, times=len(words))


def test_nothing_in_a_script_is_evaluated(ground: Ground, tally: Tally) -> None:
    around = ("$(", ")"), ("`", "`"), (";", ""), ("\n", "\n"), ("'; ", ";'"), ('"; ', ';"'), ("EOF\n", ""), ("\x1b", "")
    evil = [f"{before}touch /run/evil{after}" for before, after in around]
    env = [f"--env=A{n}={word}" for n, word in enumerate(evil) if word.isprintable()]
    words = ("up", "none", "--name", "web", *env, "--", "sh", "-c", "sleep 1000003", *evil)
    script = ground.good(*words[:4], "--dry-run", "--format=sh", *words[4:]).stdout
    ground.lab.write("/run/web.sh", script)
    for more in ([], ["down"]):
        ground.lab.run(["sh", "/run/web.sh", *more], check=True)
    assert not ground.lab.exists("/run/evil")
    ground.good(*words)
    assert ground.good("exec", "web", "--", "printenv", "A0").stdout == evil[0] + "\n"
    ground.good("down", "web")
    assert not ground.lab.exists("/run/evil")
    ground.lab.run(["sh", "-c", "rm /run/web.sh; rm -rf /run/nsctl/sandboxes"])
    ground.back()
    tally.note("hostile input: words of workloads", survived=True, times=2 * len(evil))


def test_a_sandbox_cannot_write_to_the_terminal_of_who_looks_at_it(ground: Ground, tally: Tally) -> None:
    ground.good("up", "bridge", "--name", "web")
    inside = ["nsenter", "--net=/run/netns/web", "--"]
    for command in ("eth0 down", "eth0 name @", "@ alias @", "@ up"):
        words = [word.replace("@", "\x1b[2J\x9b") for word in command.split()]
        ground.lab.run([*inside, "ip", "link", "set", "dev", *words], check=True)
    for line in ("check", "ls", "repair --dry-run", "repair", "check --json", "inspect web", "down web"):
        done = ground.nsctl(*line.split())
        assert printable(done.stdout + done.stderr), line
    ground.back()
    tally.note("hostile input: words from inside a sandbox", survived=True, times=7)
