"""
Lab files on a real kernel, each test in a lab of its own: what others left, what comes through a pipe, who gets what.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nsctl.engine.cli.apply import _HEADER
from tests.cli.conftest import Nsctl
from tests.lab import Lab, assert_back, assert_same, nsctl_argv, shim, snapshot

FILE = "/run/lab/lab.toml"
TWO = '[sandbox.c]\nmode = "none"\nisolate = ["net"]\ncount = 2\n'
NOTE = "note: another nsctl is at work, or was killed: shown as if nothing of that came to be\n"
LAN = '[network.lan]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\nisolate = ["net"]\n'


def apply(lab: Lab, text: str, *more: str) -> str:
    lab.write(FILE, text)
    done = lab.nsctl("apply", FILE, *more)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refused(lab: Lab, text: str, *more: str) -> str:
    lab.write(FILE, text)
    before = snapshot(lab)
    done = lab.nsctl("apply", FILE, *more)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert_same(before, snapshot(lab))
    return done.stderr


def addresses(lab: Lab) -> dict[str, str]:
    """Each sandbox's only address."""
    rows = json.loads(lab.nsctl("ls", "--json", check=True).stdout)
    return {row["name"]: ",".join(row["addresses"]).partition("/")[0] for row in rows}


def killed(lab: Lab, text: str, *more: str) -> None:
    """An apply that is killed while it works."""
    shims = shim(lab, ["ip"])
    shims.plan({1: "kill-parent-after"})
    lab.write(FILE, text)
    done = lab.nsctl("apply", FILE, *more)
    assert (done.returncode, len(shims.injected)) == (-9, 1), done
    shims.plan({})


def test_what_a_killed_apply_made_is_not_up_for_down_nor_for_a_dry_run(lab: Lab) -> None:
    killed(lab, TWO)
    there = snapshot(lab)
    done = lab.nsctl("down", "--file", FILE, "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing is up that this file made\n", NOTE)
    done = lab.nsctl("down", "c-1", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no sandbox 'c-1'" in done.stderr
    done = lab.nsctl("apply", FILE, "--dry-run")
    assert (done.returncode, done.stderr) == (0, NOTE)
    assert done.stdout.startswith("+ c-1 (none)\n+ c-2 (none)\n")
    assert "in place already" not in done.stdout
    assert_same(there, snapshot(lab))
    done = lab.nsctl("down", "--file", FILE)
    assert (done.returncode, done.stdout) == (0, "nothing is up that this file made\n")
    assert "recovered first: c-1" in done.stderr
    assert NOTE not in lab.nsctl("apply", FILE, "--dry-run").stderr


def test_what_recovery_brings_back_goes_down_with_its_file(lab: Lab) -> None:
    apply(lab, TWO)
    killed(lab, TWO.replace('["net"]', '["net", "uts"]'), "--no-batch")
    done = lab.nsctl("down", "--file", FILE)
    assert (done.returncode, done.stdout) == (0, "c-1 is down\nc-2 is down\n")
    assert lab.call(os.listdir, "/run/netns") == []


def test_addresses_are_given_in_the_files_order_and_chosen_ones_are_kept(lab: Lab) -> None:
    apply(
        lab,
        '[sandbox.a]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\ngateway = "10.0.3.254"\nisolate = ["net"]\n'
        '[sandbox.b]\nmode = "bridge"\nip = "10.0.3.1"\nisolate = ["net"]\n',
    )
    assert addresses(lab) == {"a": "10.0.3.2", "b": "10.0.3.1"}


def test_who_was_given_an_address_makes_room_for_who_asks_for_it(lab: Lab) -> None:
    text = LAN + '[sandbox.a]\nnetwork = "lan"\n[sandbox.b]\nnetwork = "lan"\n'
    apply(lab, text)
    assert addresses(lab) == {"a": "10.0.3.2", "b": "10.0.3.3"}
    text += 'ip = "10.0.3.2"\n'
    assert "~ a (b asks for its address; restarts it)\n" in apply(lab, text, "--dry-run")
    assert apply(lab, text) == "done: 2 restarted with changes\n"
    assert addresses(lab) == {"a": "10.0.3.3", "b": "10.0.3.2"}


def test_two_that_would_make_one_thing_in_two_ways_are_refused_with_the_line(lab: Lab) -> None:
    text = LAN + '[sandbox.a]\nnetwork = "lan"\nifname = "b"\n[sandbox.a-b]\nnetwork = "lan"\n'
    for more in ((), ("--dry-run",)):
        said = refused(lab, text, *more)
        assert f"{FILE}, line 8: a-b: it would make port/ns-a-b another way than what is planned or in place" in said
        assert "choose another name or ifname" in said


def test_a_sandbox_whose_workload_ended_is_made_anew(lab: Lab) -> None:
    text = '[sandbox.web]\nmode = "none"\ncommand = ["sleep", "1000"]\n'
    apply(lab, text)
    assert apply(lab, text) == "nothing to do: 1 as the file says\n"
    pid = json.loads(lab.nsctl("inspect", "web", check=True).stdout)["pid"]
    lab.run(["kill", "-KILL", str(pid)], check=True)
    assert apply(lab, text, "--dry-run").startswith("~ web (its init has ended; restarts it)\n")
    assert apply(lab, text) == "done: 1 restarted with changes\n"
    assert json.loads(lab.nsctl("inspect", "web", check=True).stdout)["pid"] not in {pid, None}


def test_a_sandbox_that_waits_for_its_confirmation_is_not_as_the_file_says(lab: Lab) -> None:
    lab.nsctl("up", "none", "--name", "web", "--confirm", "10m", check=True)
    text = '[sandbox.web]\nmode = "none"\n'
    assert "'web' is up already, and waits for its confirmation\nhint: nsctl confirm web\n" in refused(lab, text)
    lab.nsctl("confirm", "web", check=True)
    assert apply(lab, text) == "nothing to do: 1 as the file says\n"


def test_labs_through_a_pipe_leave_each_other_alone_wherever_they_are_applied(lab: Lab) -> None:
    before = snapshot(lab)

    def piped(text: str, *words: str, where: str = "/") -> str:
        argv = ["env", "-C", where, *nsctl_argv(*words)]
        done = lab.run(argv, input=text)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    assert piped(TWO, "apply", "-") == "done: 2 made\n"
    other = '[sandbox.d]\nmode = "none"\nisolate = ["net"]\n'
    assert piped(other, "apply", "-", where="/etc") == "done: 1 made\n"
    assert piped(TWO.replace('["net"]', '["net", "uts"]'), "apply", "-", where="/etc") == (
        "done: 2 restarted with changes\n"
    )
    assert piped("", "down", "--file", "-", where="/run") == "c-1 is down\nc-2 is down\nd is down\n"
    lab.run(["rm", "-r", "/run/nsctl"], check=True)
    assert_back(lab, before)


def test_a_dry_run_without_root_says_what_it_cannot_see(lab: Lab) -> None:
    apply(lab, TWO)
    lab.write(FILE, '[sandbox.d]\nmode = "none"\n')
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    done = lab.run([*nobody, *nsctl_argv("apply", FILE, "--dry-run")])
    assert done.returncode == 0, done
    assert done.stderr == (
        "note: what nsctl has made can't be seen without root: planned as if there were no sandbox\n"
    )
    assert done.stdout.startswith("+ d (none)\n")


def test_the_format_of_a_dry_run_is_refused_where_there_is_none(nsctl: Nsctl, tmp_path: Path) -> None:
    file = str(tmp_path / "lab.toml")
    Path(file).write_text(TWO, encoding="utf-8")
    done = nsctl("apply", file, "--format", "sh")
    assert (done.status, done.refusal) == (2, "nsctl: --format says how a dry run is shown")
    assert "hint: add --dry-run" in done.stderr
    assert nsctl("apply", file, "--format", "text", "--dry-run").status == 0


def test_what_is_no_text_may_have_been_meant_as_either(nsctl: Nsctl, tmp_path: Path) -> None:
    (tmp_path / "lab").write_bytes(b"\xff[sandbox.a]\n")
    done = nsctl("apply", str(tmp_path / "lab"))
    assert "is not UTF-8 text" in done.refusal
    assert "a lab file in TOML" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "[sandbox.web]\n",
        "# a lab\n  [ sandbox.web ]\n",
        "[[sandbox]]\n",
        'sandbox.web.mode = "none"\n',
        "network . lan = {}\n",
        "sandbox = {}\n",
    ],
)
def test_a_lab_file_is_known_by_its_first_words(text: str) -> None:
    assert _HEADER.search(text)


@pytest.mark.parametrize("text", ['{"sandbox": 1}', '[\n"sandbox"\n]', '{\n "network": {}}', "sandboxes = 1"])
def test_what_is_no_lab_file_is_not_taken_for_one(text: str) -> None:
    assert not _HEADER.search(text)
