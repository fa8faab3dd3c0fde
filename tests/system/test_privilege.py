"""Who may do what: only looking at plans, modes and help needs no root."""

from __future__ import annotations

import pytest

from tests.lab import ENVIRONMENT, Lab, assert_same, nsctl_argv, snapshot
from tests.system.support import as_nobody, said, up

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
FREE = [
    ("--version",),
    ("--help",),
    ("up", "--help"),
    ("up", "bridge", "--help"),
    ("down", "--help"),
    ("modes",),
    ("modes", "--json"),
    ("modes", "bridge"),
    ("schema", "lab"),
    *[("up", "bridge", "--dry-run", "--format", form) for form in ("text", "sh", "json")],
    ("up", "none", "--dry-run"),
    ("up", "host", "--dry-run"),
    ("up", "container", "--target", "1000000", "--dry-run"),
    ("run", "none", "--dry-run", "--", "true"),
]
CLOSED = [
    ("up", "none"),
    ("up", "bridge", "--name", "other"),
    ("down", "web"),
    ("down", "--all"),
    ("down", "web", "--dry-run"),
    ("ls",),
    ("ls", "--json"),
    ("inspect", "web"),
    ("check",),
    ("repair",),
    ("recover",),
    ("confirm", "web"),
]


@pytest.mark.parametrize("args", FREE, ids=" ".join)
def test_without_root_plans_modes_and_help_are_shown_as_to_root(lab: Lab, args: tuple[str, ...]) -> None:
    by_root, by_nobody = lab.nsctl(*args), as_nobody(lab, *args)
    assert (by_nobody.returncode, by_nobody.stdout) == (by_root.returncode, by_root.stdout)
    assert by_nobody.stderr == by_root.stderr
    assert by_root.returncode == (2 if "1000000" in args else 0)


def test_everything_else_says_that_it_needs_root(lab: Lab) -> None:
    up(lab, *WEB)
    before = snapshot(lab)
    for args in CLOSED:
        done = as_nobody(lab, *args)
        assert (done.returncode, done.stdout) == (2, ""), (args, done)
        assert done.stderr == f"nsctl: this needs root\nhint: sudo nsctl {' '.join(args)}\n"
    for args in (("run", "none", "--", "true"), ("exec", "web", "--", "true"), ("shell", "web")):
        done = as_nobody(lab, *args)
        assert (done.returncode, done.stdout) == (125, "")  # as a command's own status can't be
        assert done.stderr == f"nsctl: this needs root\nhint: sudo nsctl {' '.join(args)}\n"
    plan = said(lab, "up", "none", "--dry-run", "--format", "json")
    lab.write("/run/plan.json", plan, 0o644)
    assert as_nobody(lab, "apply", "/run/plan.json").stderr.startswith("nsctl: this needs root\n")
    told = as_nobody(lab, "log")
    assert (told.returncode, told.stdout) == (2, "")
    assert "Permission denied" in told.stderr
    lab.run(["rm", "/run/plan.json"])
    assert_same(before, snapshot(lab))


def test_without_root_a_plan_beside_sandboxes_says_that_it_can_not_see_them(lab: Lab) -> None:
    up(lab, *WEB)
    done = as_nobody(lab, "up", "bridge", "--name", "db", "--dry-run")
    assert done.returncode == 0
    assert done.stderr.startswith("note: what nsctl has made can't be seen without root")
    assert "10.77.0.1" in done.stdout


def test_state_and_trail_are_roots_own(lab: Lab) -> None:
    up(lab, "none", "--env", "SECRET=1", "--", "sleep", "1000")
    for path in ("/run/nsctl", "/run/nsctl/sandboxes", "/var/log/nsctl/audit.jsonl", "/run/nsctl/sandboxes/none/env"):
        assert as_nobody(lab, argv=["cat", path]).stderr.endswith("Permission denied\n")
    assert "SECRET=1" not in lab.read("/var/log/nsctl/audit.jsonl")


def test_whatever_the_callers_umask_is_others_can_not_write_or_look(lab: Lab) -> None:
    place = {"NSCTL_STATE_DIR": "/run/far/away/state", "NSCTL_AUDIT_LOG": "/var/log/trail/audit.jsonl"}
    words = nsctl_argv("up", "bridge", *WEB[1:])
    done = lab.run(["sh", "-c", 'umask 0; exec "$@"', "sh", *words], env=ENVIRONMENT | place)
    assert (done.returncode, done.stderr) == (0, "")
    theirs = ["(", "-type", "d", "-perm", "/077", ")", "-o", "(", "-not", "-type", "l", "-perm", "/022", ")"]
    assert lab.run(["find", "/run/far", "/var/log/trail", *theirs], check=True).stdout == ""
