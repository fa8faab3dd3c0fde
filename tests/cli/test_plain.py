"""Commands in their plain forms do without typer: what they say and do is what they would with it."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator

import pytest

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
