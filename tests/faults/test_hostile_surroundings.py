"""11. Hostile surroundings: variables, directories, streams, and as many words as there can be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.ground import Ground
from tests.faults.tally import Tally
from tests.faults.test_hostile import printable, refused
from tests.faults.warm import Done, Warm
from tests.lab import nsctl_argv, snapshot


@pytest.fixture(scope="module")
def ground(warm: Warm) -> Iterator[Ground]:
    made = Ground(warm)
    yield made
    made.close()


PLACES = ("/run/a\nnsctl: done", "/x\x1b[2J", "x", "/../x")
ENVIRONMENTS = {
    **{f"{name} {value!r}": {name: value} for name in ("NSCTL_STATE_DIR", "NSCTL_AUDIT_LOG") for value in PLACES},
    "no directory": {"NSCTL_STATE_DIR": "/dev/null"},
    "below a file": {"NSCTL_STATE_DIR": "/dev/null/x"},
    "of the kernel's": {"NSCTL_STATE_DIR": "/proc/nsctl"},
    "too long": {"NSCTL_STATE_DIR": "/" + "x/" * 3000},
    "a name too long": {"NSCTL_STATE_DIR": "/" + "x" * 300},
    "a trail that is a directory": {"NSCTL_AUDIT_LOG": "/run"},
    "a trail below a file": {"NSCTL_AUDIT_LOG": "/dev/null/x"},
}


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_a_place_that_is_none_is_refused(ground: Ground, tally: Tally, what: str) -> None:
    refused(ground.warm.run(ground.lab, "up", "none", env=ENVIRONMENTS[what]))
    ground.back()
    tally.note("hostile input: environments", survived=True)


ODD = (
    {"COLUMNS": "-1", "LINES": "x", "TERM": "\x1b[2J", "LANG": "xx_XX", "LC_ALL": "\x1b", "NO_COLOR": "", "HOME": ""}
    | {"PATH": ".:/run/bin", "SHELL": "/run/bin/sh", "ENV": "/run/bin/sh", "BASH_ENV": "/run/bin/sh", "IFS": "/"}
    | {"TMPDIR": "/nowhere", "SUDO_USER": "\x1b[2J", "LD_LIBRARY_PATH": ".", "PYTHONINSPECT": "1"}
    | {"PYTHONPATH": "/run/bin", "PYTHONHOME": "/run/bin", "PYTHONSTARTUP": "/run/bin/typer.py"}
)
EVERYTHING = ("up bridge --name web", "ls", "inspect web", "exec web -- true", "log", "check", "down web", "up --help")


def test_an_odd_environment_changes_nothing_of_what_is_done(ground: Ground, tally: Tally) -> None:
    pairs = [f"{name}={value}" for name, value in ODD.items()]
    for name in ("ip", "sh", "unshare", "typer.py", "sitecustomize.py", "usercustomize.py", "json.py", "nsctl.py"):
        evil = "open('/run/evil', 'w')\n" if "." in name else "#!/bin/sh\n: >/run/evil\n"
        ground.lab.write(f"/run/bin/{name}", evil, 0o755)
    ground.before = snapshot(ground.lab)
    for place in ("/run/bin", "/run/gone"):
        for words in EVERYTHING:
            ground.lab.run(["mkdir", "-p", "/run/gone"], check=True)
            script = f'cd {place} && rmdir /run/gone && exec env -i "$@"'
            done = ground.lab.run(["sh", "-c", script, "sh", *pairs, *nsctl_argv(*words.split())])
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), (words, done.stderr)
            assert printable(done.stdout + done.stderr)
    assert not ground.lab.exists("/run/evil")
    ground.back()
    tally.note("hostile input: environments", survived=True, times=len(ODD))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "9>&1", ">/dev/full 2>&1"])
def test_streams_that_are_closed_or_taken_do_no_harm_to_a_change(ground: Ground, tally: Tally, closed: str) -> None:
    for words in ("up bridge --name web", "exec web -- true", "down web"):
        done = ground.lab.run(["bash", "-c", f'"$@" {closed}', "bash", *nsctl_argv(*words.split())])
        assert done.returncode == 0, done.stderr
    ground.back()
    tally.note("hostile input: environments", survived=True, times=3)


def test_as_many_words_as_the_kernel_passes_on(ground: Ground, tally: Tally) -> None:
    words = ["x" * 100_000] * 10
    for line in (["down"], ["up", "none"], ["ls"], ["check"], ["exec"]):
        done = ground.lab.run([*nsctl_argv(*line), *words])
        said = refused(Done((*line, "…"), done.returncode, done.stdout, done.stderr), 2, 125)
        assert len(said) < 1000
    ground.good("up", "none", "--name", "web")
    done = ground.lab.run([*nsctl_argv("exec", "web", "--", "true"), *words])
    assert done.returncode == 0, done.stderr[:1000]
    ground.good("down", "web")
    ground.back()
    tally.note("hostile input: command lines", survived=True, times=6)
