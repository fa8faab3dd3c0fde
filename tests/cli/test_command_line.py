from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nsctl import __version__
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.common_options import UpCommon
from nsctl.engine.model.options import fields_of
from nsctl.engine.model.plan import Plan
from nsctl.hooks.manager import Plugins
from tests.cli.conftest import Nsctl

MODES = ("bridge", "container", "host", "none")
PYTHON = [sys.executable, "-I", "-X", "nsctl=nsctl", "-m", "nsctl"]


def test_the_version_is_one_line(nsctl: Nsctl) -> None:
    done = nsctl("--version")
    assert (done.status, done.stdout, done.stderr) == (0, f"nsctl {__version__}\n", "")


def test_the_help_names_every_command(nsctl: Nsctl) -> None:
    done = nsctl("--help")
    assert done.status == 0
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary[:20])}", done.stdout, re.MULTILINE), name
    assert nsctl().stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(nsctl: Nsctl, command: str) -> None:
    done = nsctl(command, "--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: nsctl {command}")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("command", ["up", "run"])
@pytest.mark.parametrize("mode", MODES)
def test_the_help_of_a_mode_shows_exactly_its_options_and_the_common_ones(
    nsctl: Nsctl, command: str, mode: str
) -> None:
    done = nsctl(command, mode, "--help")
    assert done.status == 0
    shown = set(re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", done.stdout, re.MULTILINE))
    own = {f.flag for f in fields_of(Plugins.load(mode).modes()[mode].mode.options)}
    common = {"--" + f.name.replace("_", "-") for f in fields(UpCommon)} - (
        {"--confirm"} if command == "run" else set()
    )
    assert shown == own | common | {"--help"}


def test_defaults_and_types_are_in_the_help(nsctl: Nsctl) -> None:
    text = " ".join(nsctl("up", "bridge", "--help").stdout.split())
    assert "--subnet NETWORK/PREFIX" in text
    assert "[default: eth0]" in text
    assert "--target NAME|PID" in nsctl("up", "container", "--help").stdout
    assert "[required]" in nsctl("up", "container", "--help").stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("dwn", "there is no command 'dwn'", "did you mean 'down'?"),
        ("up", "which mode?", "nsctl up MODE"),
        ("up brige", "there is no mode 'brige'", "did you mean 'bridge'?"),
        ("up xyzzy", "there is no mode 'xyzzy'", "the modes are: bridge, container, host, none"),
        ("up bridge --subnt 10.0.0.0/24", "there is no option '--subnt'", "did you mean --subnet?"),
        ("up bridge web", "unexpected argument 'web'", "a name after --name"),
        ("up bridge --mtu", "option '--mtu' requires an argument", "see nsctl"),
        ("up bridge --mtu ten --dry-run", "--mtu: 'ten' is not a whole number", "in decimal"),
        ("up bridge --subnet 10.0.0.1/24 --dry-run", "is not an IPv4 network", "did you mean 10.0.0.0/24?"),
        ("up none --name 1234 --dry-run", "name '1234' is not allowed", "beginning with a letter"),
        ("up none --name ../x --dry-run", "name '../x' is not allowed", "lower-case"),
        ("up none --isolate mont --dry-run", "'mont' is not a kind of namespace", "did you mean 'mount'?"),
        ("up none --cap-add sys_admn --dry-run", "is not a capability", "did you mean 'sys_admin'?"),
        ("up none --env 1=2 --dry-run", "'1' is not a variable's name", "NAME=VALUE"),
        ("up none --env NO_SUCH_VARIABLE --dry-run", "is not set here", "NO_SUCH_VARIABLE=VALUE"),
        ("up none --format json", "--format says how a dry run is shown", "--dry-run"),
        ("up none --format yaml --dry-run", "'yaml' is not a choice", "text, sh, json"),
        ("up none --step-timeout 0 --dry-run", "is not a duration", "60s"),
        ("up none --confirm soon --dry-run", "is not a duration", "60s"),
        ("up container --dry-run", "--target is missing", "--target NAME|PID"),
        ("down", "which sandboxes?", "--all"),
        ("down web --all", "NAME and --all do not go together", "leave all but one of them out"),
        ("down Web", "name 'Web' is not allowed", "lower-case"),
        ("inspect", "missing argument 'NAME'", "see nsctl inspect --help"),
        ("ls extra", "unexpected argument 'extra'", "see nsctl ls --help"),
        ("recover --yes", "--yes is an answer to --scan", "--scan --yes"),
        ("log --verify web", "--verify stands alone", "nsctl log --verify"),
        ("modes brige", "there is no mode 'brige'", "did you mean 'bridge'?"),
        ("apply /no/such/file", "can't be read: No such file", "ls -l /no/such/file"),
        ("adopt /no/such/file", "nsctl: /no/such/file can't be read: No such file", "ls -l /no/such/file"),
        ("up none --ip 10.0.3.4", "there is no option '--ip'", "see nsctl up none --help"),
        ("systemd", "which command?", "nsctl systemd --help"),
        ("-v", "which command?", "nsctl --help"),
    ],
)
def test_a_wrong_command_line_is_refused_with_one_line_and_a_hint(
    nsctl: Nsctl, words: str, message: str, hint: str
) -> None:
    done = nsctl(*words.split())
    assert done.status == 2
    assert message in done.refusal
    assert hint in done.stderr


@pytest.mark.parametrize("words", [["exec", "web"], ["exec", "web", "ls"], ["run", "none"], ["run", "non", "--", "ls"]])
def test_where_the_status_is_the_commands_nsctls_own_failure_is_125(nsctl: Nsctl, words: list[str]) -> None:
    done = nsctl(*words)
    assert done.status == 125
    assert done.refusal


def test_names_from_outside_are_escaped_in_messages(nsctl: Nsctl) -> None:
    assert r"\x1b[2J" in nsctl("up", "\x1b[2J").refusal
    assert "\x1b" not in nsctl("up", "none", "--name", "\x1b[2J", "--dry-run").stderr
    assert nsctl("up", "none", "--name", "\udcff", "--dry-run").status == 2


CHANGING = [
    "up none",
    "run none -- true",
    "down web",
    "exec web -- true",
    "shell web",
    "ls",
    "inspect web",
    "check",
    "repair",
    "recover",
    "confirm web",
]


@pytest.mark.parametrize("words", CHANGING)
def test_without_root_what_needs_it_says_so_plainly(
    nsctl: Nsctl, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = nsctl(*words.split())
    assert done.status == (125 if words.startswith(("run", "exec", "shell")) else 2)
    assert done.refusal == "nsctl: this needs root"
    assert done.stderr.splitlines()[1] == f"hint: sudo nsctl {words}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["text", "sh", "json"])
def test_a_dry_run_needs_no_root_and_changes_nothing(
    nsctl: Nsctl, form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = nsctl("up", "none", "--name", "web", "--dry-run", "--format", form)
    assert (done.status, done.stderr) == (0, "")
    assert "ip netns add web" in done.stdout or form == "json"
    assert list(tmp_path.iterdir()) == []


def test_the_script_of_a_dry_run_is_one_that_sh_reads(nsctl: Nsctl) -> None:
    script = nsctl("up", "none", "--dry-run", "--format", "sh").stdout
    assert subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_plan_of_a_dry_run_is_what_apply_takes(nsctl: Nsctl, tmp_path: Path) -> None:
    text = nsctl("up", "none", "--name", "web", "--dry-run", "--format", "json", "--", "sleep", "60").stdout
    plan = Plan.from_json(json.loads(text))
    assert (plan.mode, plan.name, plan.command) == ("none", "web", ("sleep", "60"))
    (tmp_path / "plan.json").write_text(text)
    done = nsctl("apply", str(tmp_path / "plan.json"), "--dry-run")
    assert done.status == 0
    assert done.stdout == nsctl("up", "none", "--name", "web", "--dry-run", "--", "sleep", "60").stdout


def test_what_stands_after_the_dashes_is_never_read_as_nsctls(nsctl: Nsctl) -> None:
    text = nsctl("up", "none", "--dry-run", "--format", "json", "--", "echo", "--name", "x", "--", "-h").stdout
    assert json.loads(text)["command"] == ["echo", "--name", "x", "--", "-h"]
    assert json.loads(text)["name"] == "none"


def test_what_was_asked_for_besides_the_mode_is_in_the_plan(nsctl: Nsctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "value")
    plan = json.loads(
        nsctl(
            *(
                "up",
                "none",
                "--dry-run",
                "--format",
                "json",
                "--env",
                "HERE",
                "--env",
                "A=b=c",
                "--cap-add",
                "CAP_SYS_TIME",
            ),
            *("--cap-drop", "net_raw,kill", "--isolate", "net,pid", "--", "true"),
        ).stdout
    )
    assert plan["settings"] == {
        "cap_add": ["sys_time"],
        "cap_drop": ["kill", "net_raw"],
        "privileged": False,
        "env": {"HERE": "value", "A": "b=c"},
    }
    assert plan["isolate"] == ["pid", "net"]


@pytest.mark.parametrize("variable", ["NSCTL_STATE_DIR", "NSCTL_AUDIT_LOG"])
@pytest.mark.parametrize("value", ["relative", "/run/../etc", "~/x"])
def test_a_place_that_is_not_absolute_is_refused(
    nsctl: Nsctl, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    done = nsctl("ls")
    assert done.status == 2
    assert f"{variable} is '{value}'" in done.refusal


def test_modes_lists_each_mode_with_its_package(nsctl: Nsctl) -> None:
    done = nsctl("modes")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [[m, "nsctl"] for m in MODES]
    listed = json.loads(nsctl("modes", "--json").stdout)
    assert [m["name"] for m in listed] == list(MODES)


def test_modes_of_one_mode_shows_its_options_and_an_example(nsctl: Nsctl) -> None:
    text = nsctl("modes", "bridge").stdout
    assert "--subnet NETWORK/PREFIX" in text
    assert "example: nsctl up bridge" in text
    data = json.loads(nsctl("modes", "bridge", "--json").stdout)
    assert {o["name"]: o["default"] for o in data["options"]}["ifname"] == "eth0"


def test_a_broken_plugin_is_a_row_and_a_warning(nsctl: Nsctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "odd-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[nsctl]\nodd = no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "odd        odd 1.0      broken: " in nsctl("modes").stdout
    done = nsctl("up", "none", "--dry-run")
    assert done.status == 0
    assert done.stderr.count("nsctl: warning: ") == 1
    assert "can't be used" in nsctl("up", "odd").stderr


def test_a_fault_of_nsctls_own_is_one_line_and_with_v_a_traceback(
    nsctl: Nsctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "check", ("maintenance:no_such_function", ""))
    done = nsctl("check")
    assert done.status == 70
    assert "internal error: AttributeError" in done.refusal
    assert "Traceback" in nsctl("-v", "check").stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"nsctl_plan": 99}',
        '{"nsctl_plan": 2}',
        '{"nsctl_plan": 2, "mode": 1, "steps": [1]}',
        "[" * 10**5,
    ],
)
def test_a_file_that_is_no_plan_is_refused(nsctl: Nsctl, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    done = nsctl("apply", str(tmp_path / "plan.json"), "--dry-run")
    assert done.status == 2
    assert done.refusal


def test_a_binary_file_is_refused_as_a_plan(nsctl: Nsctl, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"\xff\xfe\x00")
    assert nsctl("apply", str(tmp_path / "plan"), "--dry-run").status == 2


def run(*words: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PYTHON, *words], capture_output=True, text=True, check=False, timeout=60, **kwargs)


def test_nobody_listening_is_no_failure() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" | :; exit 0', "sh", *PYTHON, "up", "bridge", "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_data_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([*PYTHON, "modes"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "the output can't be written: No space left on device" in done.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(redirection: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *PYTHON, "modes"], check=False, capture_output=True
    )
    assert done.returncode == 0
    assert done.stderr == b""


HEAVY = (
    "asyncio concurrent.futures importlib.metadata logging plumbum pydantic rich sqlite3 ssl structlog tomllib"
    " urllib.request"
).split()
RUNNING = {"logging", "plumbum"}
"""What it takes to run a command."""
LIGHT = {
    "--version": [*HEAVY, "pluggy", "ipaddress.x", "nsctl.hooks", "nsctl.engine.model.plan"],
    "--help": [*HEAVY, "pluggy", "nsctl.hooks", "nsctl.engine.model.plan"],
    "down --help": [*HEAVY, "nsctl.engine.model.plan"],
    "up bridge --help": [*HEAVY, "nsctl.modes.none", "nsctl.engine.executor"],
    # As root the rules of the firewall are read, which takes a command.
    "up bridge --dry-run": [
        *(m for m in HEAVY if os.geteuid() or m not in RUNNING),
        "nsctl.modes.none",
        "nsctl.engine.executor",
    ],
    "modes": HEAVY,
}


@pytest.mark.parametrize("words", LIGHT)
def test_nothing_heavy_is_imported_for(words: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from nsctl.engine.cli import main\n"
        f"status = main({words.split()!r})\n"
        f"print([m for m in {LIGHT[words]} if m in sys.modules], status, file=sys.stderr)\n"
    )
    environment = os.environ | {"NSCTL_STATE_DIR": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stderr == "[] 0\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's environment is distrusted")
def test_the_environment_cannot_choose_what_root_runs(tmp_path: Path) -> None:
    (tmp_path / "ipaddress.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(99)\n")
    done = subprocess.run(
        [sys.executable, "-m", "nsctl", "modes", "none"],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()
