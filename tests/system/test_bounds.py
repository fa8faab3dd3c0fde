"""What is out of reach of a sandbox, whatever it isolates and wherever nsctl's own files lie."""

from __future__ import annotations

import pytest

from tests.lab import Lab, assert_back, snapshot
from tests.system.support import down, inside, said, unchanged, up

pytestmark = pytest.mark.warm

KINDS = ("mount,ipc,pid,uts,net", "uts,net", "net")
OWN = ("/run/nsctl", "/run/netns", "/var/log/nsctl")
ELSEWHERE = {"NSCTL_STATE_DIR": "/run/far/state", "NSCTL_AUDIT_LOG": "/var/log/far/trail.jsonl"}


@pytest.mark.parametrize("isolate", KINDS)
def test_nsctls_own_files_are_hidden_and_can_not_be_written(lab: Lab, isolate: str) -> None:
    with unchanged(lab):
        up(lab, "none", "--name", "web", "--isolate", isolate)
        for path in OWN:
            assert inside(lab, "web", "ls", "-A", path) == ""
            done = lab.nsctl("exec", "web", "--", "touch", f"{path}/x")
            assert "Read-only file system" in done.stderr
        down(lab, "web")


@pytest.mark.parametrize("isolate", KINDS)
def test_the_kernels_settings_are_read_only_but_for_the_networks(lab: Lab, isolate: str) -> None:
    up(lab, "none", "--name", "web", "--isolate", isolate)
    for key in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/swappiness",
        "/sys/kernel/uevent_seqnum",
    ):
        done = lab.nsctl("exec", "web", "--", "sh", "-c", f": >{key}")
        assert ("Read-only" in done.stderr, done.returncode != 0) == (True, True), (key, done)
    inside(lab, "web", "sysctl", "-qw", "net/ipv4/ip_default_ttl=65")


@pytest.mark.parametrize("isolate", KINDS)
def test_state_and_trail_are_hidden_wherever_they_lie(lab: Lab, isolate: str) -> None:
    before = snapshot(lab)
    lab.nsctl("up", "none", "--name", "web", "--isolate", isolate, env=ELSEWHERE, check=True)
    for path in (*OWN[1:], "/run/far/state", "/var/log/far"):
        done = lab.nsctl("exec", "web", "--", "sh", "-c", f"[ ! -d {path} ] || ls -A {path}", env=ELSEWHERE)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), path
    lab.nsctl("down", "web", env=ELSEWHERE, check=True)
    lab.run(["rm", "-r", "/run/far", "/var/log/far"], check=True)
    assert_back(lab, before)


@pytest.mark.parametrize("words", [("up", "none"), ("run", "none", "--", "true"), ("apply", "-")])
def test_a_trail_that_is_not_alone_in_its_directory_is_refused(lab: Lab, words: tuple[str, ...]) -> None:
    lab.write("/var/log/messages", "x")
    before = snapshot(lab)
    done = lab.nsctl(
        *words,
        env={"NSCTL_AUDIT_LOG": "/var/log/nsctl.jsonl"},
        input=said(lab, "up", "none", "--dry-run", "--format", "json"),
    )
    assert (done.returncode, done.stdout) == (125 if words[0] == "run" else 2, "")
    assert "/var/log/nsctl.jsonl is not alone in its directory" in done.stderr
    assert "hint: give it one of its own, for example NSCTL_AUDIT_LOG=/var/log/nsctl/nsctl.jsonl" in done.stderr
    assert_back(lab, before)


def test_rotated_trails_are_no_strangers_to_it(lab: Lab) -> None:
    env = {"NSCTL_AUDIT_LOG": "/var/log/own/t.jsonl"}
    lab.write("/var/log/own/t.jsonl.1", "")
    lab.nsctl("up", "none", env=env, check=True)
    lab.nsctl("down", "none", env=env, check=True)


def test_a_sandbox_that_was_first_does_not_see_the_networks_that_come_later(lab: Lab) -> None:
    lab.run(["sh", "-c", "umount /run/netns; rmdir /run/netns; true"])
    up(lab, "host", "--name", "first")
    up(lab, "none", "--name", "web")
    assert inside(lab, "first", "ls", "-A", "/run/netns") == ""


@pytest.mark.parametrize("isolate", ["uts,net", "net"])
def test_what_the_host_mounts_later_is_seen_where_no_mounts_of_its_own_were_asked_for(lab: Lab, isolate: str) -> None:
    lab.run(["mount", "--make-rshared", "/"], check=True)
    lab.run(["mkdir", "/run/later"], check=True)
    up(lab, "none", "--name", "web", "--isolate", isolate)
    lab.run(["mount", "-t", "tmpfs", "later", "/run/later"], check=True)
    lab.write("/run/later/file", "x")
    assert inside(lab, "web", "ls", "/run/later") == "file\n"
    mounts = lab.run(["cat", "/proc/self/mountinfo"]).stdout
    inside(lab, "web", "true")
    assert lab.run(["cat", "/proc/self/mountinfo"]).stdout == mounts


def test_a_path_of_its_own_does_not_keep_a_command_from_its_bounds(lab: Lab) -> None:
    up(lab, "none", "--name", "web", "--isolate", "net", "--env", "PATH=/nowhere")
    assert inside(lab, "web", "/bin/ls", "-A", "/run/nsctl") == ""
    assert inside(lab, "web", "/usr/bin/printenv", "PATH") == "/nowhere\n"


def test_a_command_that_can_not_be_bounded_does_not_run(lab: Lab) -> None:
    up(lab, "none", "--name", "web", "--isolate", "net")
    lab.write("/run/mount", "#!/bin/sh\nexit 32\n", 0o755)
    lab.run(["mount", "--bind", "/run/mount", "/usr/bin/mount"], check=True)
    done = lab.nsctl("exec", "web", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
