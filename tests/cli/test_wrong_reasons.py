"""
What a newcomer typed, and what nsctl said to it: the reason must be the true one, and nothing is ignored in silence.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Nsctl


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        # The other family.
        ("bridge --subnet fd00:1::/64", "--subnet: 'fd00:1::/64' is not an IPv4 network: it is of IPv6", "10.0.3.0/24"),
        ("bridge --subnet fd00:1::", "--subnet: 'fd00:1::' is not an IPv4 network: it is of IPv6", "10.0.3.0/24"),
        ("bridge --ip fd00:1::2", "--ip: 'fd00:1::2' is not an IPv4 address: it is of IPv6", "10.0.3.2"),
        ("bridge --gateway ::1", "--gateway: '::1' is not an IPv4 address: it is of IPv6", "10.0.3.2"),
        ("bridge --ip fe80::1%eth0", "--ip: 'fe80::1%eth0' is not an IPv4 address: it is of IPv6", "10.0.3.2"),
        # The prefix.
        ("bridge --subnet 10.0.3.0/33", "--subnet: '10.0.3.0/33' is not an IPv4 network", "from 0 to 32"),
        ("bridge --subnet 10.0.3.0/-1", "--subnet: '10.0.3.0/-1' is not an IPv4 network", "from 0 to 32"),
        ("bridge --subnet 10.0.3.0/x", "--subnet: '10.0.3.0/x' is not an IPv4 network", "from 0 to 32"),
        ("bridge --subnet 10.0.3/24", "--subnet: '10.0.3/24' is not an IPv4 network", "four numbers from 0 to 255"),
        ("bridge --subnet 10.0.3.256/24", "--subnet: '10.0.3.256/24' is not an IPv4 network", "from 0 to 255"),
        ("bridge --subnet 010.0.3.0/24", "--subnet: '010.0.3.0/24' is not an IPv4 network", "leading zeros"),
        ("bridge --subnet 10.0.3.7/24", "--subnet: '10.0.3.7/24' is not an IPv4 network", "did you mean 10.0.3.0/24?"),
        ("bridge --subnet 10.0.3.0", "is not an IPv4 network with a prefix length", "10.0.3.0/24"),
        # Reserved words.
        ("bridge --ifname lo", "--ifname 'lo' is reserved: every network namespace has", "choose another name"),
        ("bridge --bridge all", "--bridge 'all' is reserved: in the kernel's settings", "choose another name"),
        ("bridge --bridge default", "--bridge 'default' is reserved: in the kernel's settings", "choose another name"),
        ("bridge --ifname Eth0", "--ifname 'Eth0' is not allowed", "lower-case letters"),
        # A bridge by the name of its own cable.
        ("bridge --bridge ns-web --name web", "ns-web is a bridge, and has to be the host's end", "another --bridge"),
        # Switches.
        ("none --privileged=true", "--privileged is a switch, and takes no value", "write --privileged alone"),
        ("bridge --internal=yes", "--internal is a switch, and takes no value", "write --internal alone"),
        # Given twice.
        ("bridge --subnet 10.0.3.0/24 --subnet 10.0.4.0/24", "--subnet is given twice", "leave one of them out"),
        ("none --name a --name a", "--name is given twice", "leave one of them out"),
        ("--name a none --name b", "--name is given twice", "leave one of them out"),
        ("none --format sh --format json", "--format is given twice", "leave one of them out"),
        ("none --env A=1 --env A=2", "--env: 'A' is given twice", "leave one of them out"),
        # Contradictions.
        ("none --cap-add sys_time --cap-drop CAP_SYS_TIME", "--cap-add and --cap-drop both name sys_time", "leave it"),
        ("none --privileged --cap-drop kill", "--privileged keeps all capabilities, so --cap-drop would", "leave"),
        ("none --privileged --cap-add sys_time", "--privileged keeps all capabilities, so --cap-add would", "leave"),
        ("none --cap-drop ALL", "--cap-drop: 'ALL' is not a capability", "name them"),
        ("bridge --internal --uplink lo", "--internal has no way out, so no --uplink", "leave one of them out"),
        ("none --", "no command stands after --", "leave -- out"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_and_how_it_is_right(
    nsctl: Nsctl, words: str, message: str, hint: str
) -> None:
    done = nsctl("up", "--dry-run", *words.split())
    assert done.status == 2
    assert message in done.refusal
    assert hint in done.stderr.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("ls --json -q", "--quiet and --json are two forms", "leave one of them out"),
        ("apply FILE --dry-run --json --format sh", "--format and --json are two forms", "leave one of them out"),
        ("apply FILE --format sh", "--format says how a dry run is shown", "add --dry-run"),
        ("down --step-timeout 1s --step-timeout 2s web", "--step-timeout is given twice", "leave one of them out"),
        ("down --all --file x", "--all and --file do not go together", "leave all but one"),
        ("log -n 1 -n 2", "--lines is given twice", "leave one of them out"),
        ("log --lines 1 -n 2", "--lines is given twice", "leave one of them out"),
        ("logs web -n many", "-n: 'many' is not a number of lines", "-n 20"),
        ("log nosuch", "there is no audit trail", "nsctl makes it with the first change"),
        ("recover --yes", "--yes is an answer to --scan", "nsctl recover --scan --yes"),
    ],
)
def test_no_command_ignores_what_it_was_given(nsctl: Nsctl, words: str, message: str, hint: str) -> None:
    done = nsctl(*words.split())
    assert done.status == 2
    assert message in done.refusal
    assert hint in done.stderr.splitlines()[1]


def test_a_switch_may_be_said_twice(nsctl: Nsctl) -> None:
    once = nsctl("up", "none", "--privileged", "--dry-run")
    assert once.status == 0
    assert nsctl("up", "none", "--privileged", "--dry-run", "--privileged", "--dry-run") == once


@pytest.mark.parametrize("text", ["a: 1\n", "---\nservices:\n  web: x\n", "# a lab\n\nsandbox:\n  web:\n"])
@pytest.mark.parametrize("name", ["a.yml", "a.yaml", "a"])
def test_yaml_is_called_yaml(nsctl: Nsctl, tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text)
    done = nsctl("apply", str(tmp_path / name), "--dry-run")
    assert done.status == 2
    assert done.refusal == f"nsctl: {tmp_path / name} is YAML, which nsctl does not read"
    assert "a lab file is TOML" in done.stderr


@pytest.mark.parametrize("text", ["{", "nonsense", "[1, 2"])
def test_what_is_no_yaml_is_not_called_so(nsctl: Nsctl, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan").write_text(text)
    assert "this is not JSON" in nsctl("apply", str(tmp_path / "plan"), "--dry-run").refusal


@pytest.mark.parametrize("name", ["lab.toml", "lab"])
def test_a_byte_order_mark_is_passed_over(nsctl: Nsctl, tmp_path: Path, name: str) -> None:
    text = '[sandbox.web]\nmode = "none"\n'
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    marked = nsctl("apply", str(tmp_path / name), "--dry-run")
    assert marked.status == 0
    (tmp_path / name).write_text(text)
    assert nsctl("apply", str(tmp_path / name), "--dry-run") == marked


def test_a_plan_with_a_byte_order_mark_is_a_plan(nsctl: Nsctl, tmp_path: Path) -> None:
    text = nsctl("up", "none", "--name", "web", "--dry-run", "--format", "json").stdout
    (tmp_path / "plan.json").write_text("\ufeff" + text, encoding="utf-8")
    done = nsctl("apply", str(tmp_path / "plan.json"), "--dry-run", "--format", "json")
    assert (done.status, done.stdout) == (0, text)
    done = nsctl("apply", str(tmp_path / "plan.json"), "--dry-run", "--json")
    assert done.refusal == "nsctl: --json says what a lab file changes, and this is a plan"
    script = nsctl("apply", str(tmp_path / "plan.json"), "--dry-run", "--format", "sh").stdout
    assert script == nsctl("up", "none", "--name", "web", "--dry-run", "--format", "sh").stdout


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('cap_add = ["kill"]\ncap_drop = ["kill"]', "'cap_add' and 'cap_drop' both name kill"),
        ('privileged = true\ncap_drop = ["kill"]', "'privileged' keeps all capabilities, so 'cap_drop' would"),
    ],
)
def test_a_lab_file_that_contradicts_itself_is_refused_too(
    nsctl: Nsctl, tmp_path: Path, keys: str, message: str
) -> None:
    (tmp_path / "lab.toml").write_text(f'[sandbox.web]\nmode = "none"\n{keys}\n')
    done = nsctl("apply", str(tmp_path / "lab.toml"), "--dry-run")
    assert done.status == 2
    assert message in done.refusal


def test_ls_of_only_names_is_a_line_each(nsctl: Nsctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = nsctl("ls", "-q")
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
