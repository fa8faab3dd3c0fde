"""Commands in their plain forms do without typer: what they say and do is what they would with it."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from nsctl.engine.cli.common_options import UpCommon
from nsctl.engine.cli.loading import load
from nsctl.engine.cli.parameters import command_function
from nsctl.engine.cli.plain_options import plain_options
from nsctl.engine.cli.root import Leaf
from nsctl.engine.model.options import fields_of
from tests.lab import ENVIRONMENT, Lab

START = """
import sys
from nsctl.engine.cli import plain
from nsctl.__main__ import main
{}
sys.argv[0] = "nsctl"
main()
"""
FULLY = "plain.plain = lambda words: None"
"""Everything is read by typer."""
PLAINLY = 'sys.modules |= dict.fromkeys(["typer", "pluggy", "plumbum", "structlog"])'
"""An attempt to import one of these fails."""
UNUSED = [
    *("dataclasses", "inspect", "datetime", "ipaddress", "msgspec", "pickle", "shlex", "socket", "sqlite3"),
    *("subprocess", "threading", "typer", "plumbum", "pluggy", "structlog"),
    *("nsctl.engine.kit", "nsctl.engine.model.facts", "nsctl.engine.model.plan", "nsctl.engine.model.options"),
    *("nsctl.engine.executor.session", "nsctl.engine.planning.init", "nsctl.engine.runner.process"),
    *("nsctl.engine.store.journal", "nsctl.engine.store.rows"),
]
"""What a plain form that succeeds has no use for: each would take longer to load than it is worth."""
AGE = re.compile(r"(?<= )[0-9]+s$", re.MULTILINE)
"""In the table of `ls`."""
PLAIN = [
    "--version",
    "version",
    "ls",
    "logs web",
    "logs ended",
    "logs quiet",
    "logs nosuch",
    "shell web",
    "shell nosuch",
    "shell ended",
    "exec web -- true",
    "exec web -- sh -c exit\\ 7",
    "exec web -- nosuchprogram",
    "exec web -- /etc",
    "exec web -- echo -- --help -v",
    "exec nosuch -- true",
    "exec ended -- true",
]
OTHERS = [
    "ls --json x",
    "ls -q",
    "ls web",
    "logs",
    "logs Web",
    "logs web web",
    "logs -n 1 web",
    "shell",
    "shell -w /nowhere web",
    "exec Web -- true",
    "exec web --",
    "exec web",
    "exec -- true",
    "exec",
    "exec web true",
    "exec web -- ''",
    "exec -u 7 web -- id -u",
    "exec web -u 7 -- id -u",
    "exec -v web -- true",
    "-v exec web -- true",
    "exec --help -- true",
    "exec -h",
    "help exec",
]


@pytest.fixture(scope="module")
def inhabited(_labs: None) -> Iterator[Lab]:
    with Lab() as lab:
        for name, command in (("web", "echo hello; echo wörld >&2; exec sleep 1000"), ("ended", "echo bye")):
            lab.nsctl("up", "none", "--name", name, "--", "sh", "-c", command, check=True)
        lab.nsctl("up", "none", "--name", "quiet", check=True)
        while "wörld" not in lab.nsctl("logs", "web").stdout:
            time.sleep(0.1)
        yield lab


def said(lab: Lab, form: str, how: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-I", "-X", "nsctl=nsctl", "-c", START.format(how), *shlex.split(form)]
    done = lab.run(argv, env=ENVIRONMENT)
    return done.returncode, AGE.sub("", done.stdout), done.stderr


@pytest.mark.parametrize("form", PLAIN)
def test_a_plain_form_does_without_typer_what_it_does_with_it(inhabited: Lab, form: str) -> None:
    assert said(inhabited, form, PLAINLY) == said(inhabited, form, FULLY)


@pytest.mark.parametrize("form", ["--version", "ls", "logs web", "shell web", "exec web -- sh -c 'exit 7'"])
def test_a_plain_form_that_succeeds_loads_nothing_that_it_does_not_use(inhabited: Lab, form: str) -> None:
    assert said(inhabited, form, f"sys.modules |= dict.fromkeys({UNUSED})") == said(inhabited, form, FULLY)


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_no_plain_form_is_read_by_typer(inhabited: Lab, form: str) -> None:
    found = said(inhabited, form, "")
    assert found == said(inhabited, form, FULLY)
    assert "internal error" in said(inhabited, form, PLAINLY)[2]


@pytest.mark.parametrize("form", ["ls", "logs web", "exec web -- true", "shell web", "--version"])
def test_without_root_and_with_a_wrong_place_it_is_the_same(inhabited: Lab, form: str) -> None:
    for words in (["setpriv", "--reuid=65534", "--clear-groups"], ["env", "NSCTL_STATE_DIR=here"]):
        argv = [
            [*words, sys.executable, "-I", "-X", "nsctl=nsctl", "-c", START.format(how), *shlex.split(form)]
            for how in ("", FULLY)
        ]
        one, other = (inhabited.run(a, env=ENVIRONMENT) for a in argv)
        assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


WITHOUT_TYPER = 'sys.modules["typer"] = None'
MADE = [
    "up none --name a",
    "up none",
    "up bridge --name=b --isolate net",
    "up bridge --subnet 10.7.0.0/24 --ip 10.7.0.9 --isolate=net -- sleep 1000",
    "up none --name c --env A=1 --env B=2 -- sh -c 'echo $A $B >/dev/null; sleep 1000'",
    "up none --privileged --no-batch --step-timeout 20s",
    "up none --confirm 60s --name d",
    "up none --dry-run --name e",
    "up bridge --dry-run --format json --isolate net",
    "up none -- /nosuch",
    "up bridge --ip 10.7.0.300",
    "up none --name Web",
    "up none --isolate moon",
    "up none --confirm soon",
    "up none --format sh",
    "up none --user nosuchuser -- true",
    "up container --target nosuch",
    "run none -- sh -c 'exit 7'",
    "run none --isolate net --name r -- sh -c 'echo $HOSTNAME; pwd'",
    "run bridge --isolate net -- ip -4 -o address show dev eth0",
    "run none -- nosuchprogram",
    "run none --workdir /nowhere -- true",
    "down kept",
    "down kept nosuch",
    "down nosuch",
    "down kept kept",
]
REFUSED = [
    "up",
    "up nosuch",
    "up Web",
    "up none --",
    "up none word",
    "up none --nosuch 1",
    "up none --name",
    "up none --name= ",
    "up none --name -x",
    "up none --name a --name b",
    "up none --privileged=yes --name a",
    "up none -e A=1 --dry-run",
    "up --name a none --dry-run",
    "up none --rm --dry-run",
    "up bridge --no-nat --dry-run",
    "up none --help",
    "-v up none --name a",
    "run none",
    "run none --",
    "run none --confirm 5s -- true",
    "run --rm -it none -- true",
    "down",
    "down Web",
    "down --all kept",
    "down --dry-run kept",
    "down -- kept",
]


@pytest.fixture(scope="module")
def host(_labs: None) -> Iterator[Lab]:
    with Lab() as lab:
        keep(lab)
        yield lab


def keep(lab: Lab) -> str:
    """A host with one sandbox on it, as `ls` shows it."""
    lab.nsctl("down", "--all", check=True)
    lab.nsctl("up", "none", "--name", "kept", "--isolate", "net", check=True)
    return listed(lab)


def listed(lab: Lab) -> str:
    rows = (re.sub(r" +[0-9]+ +", " PID ", line) for line in lab.nsctl("ls").stdout.splitlines())
    return re.sub(r"\([0-9]+s left\)", "", AGE.sub("", "\n".join(rows)))


def made(lab: Lab, form: str, how: str) -> tuple[tuple[int, str, str], str]:
    """What a command says and leaves, beside a sandbox that was there; the host is as it was again."""
    found, left = said(lab, form, how), listed(lab)
    if [line.split()[0] for line in left.splitlines()] != ["NAME", "kept"]:
        keep(lab)
    return found, left


@pytest.mark.parametrize("form", MADE)
def test_what_is_made_plainly_is_made_without_typer_as_with_it(host: Lab, form: str) -> None:
    assert made(host, form, WITHOUT_TYPER) == made(host, form, FULLY)


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_not_written_plainly_is_made_or_refused_by_typer(host: Lab, form: str) -> None:
    assert made(host, form, "") == made(host, form, FULLY)
    assert "internal error" in said(host, form, WITHOUT_TYPER)[2]


WORDS = (
    "--name --name=a --name= a b --isolate net --env A=1 --env=B --privileged --dry-run --format json --dns --ip "
    "--ip=10.7.0.9 --no-nat --subnet -e -u -h --help -v --rm word --no-privileged --privileged=1 - --- --=x"
).split()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, ""]), max_size=7))
def test_options_are_read_as_typer_reads_them_or_left_to_it(words: list[str]) -> None:
    _, mode = load("bridge")
    plainly = plain_options(words, [*fields_of(mode.options), *fields_of(UpCommon)])
    if plainly is None:
        return
    read: list[dict[str, Any]] = []
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command("bridge", cls=Leaf)(command_function(mode.options, UpCommon, lambda _, found: read.append(found)))
    typer.main.get_command(app).main(words, prog_name="nsctl", standalone_mode=False)
    assert read == [plainly]
    assert list(read[0]) == list(plainly)
