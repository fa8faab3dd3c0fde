from __future__ import annotations

import json

import pytest

from tests.lab import Lab, assert_same, snapshot
from tests.system.support import data, down, refused, said, unchanged, up

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


@pytest.mark.parametrize(
    "wanted", [("none", "--name", "x"), ("host", "--name", "x"), WEB, (*WEB, "--", "sleep", "1000")], ids=" ".join
)
def test_up_again_changes_nothing_and_succeeds(lab: Lab, wanted: tuple[str, ...]) -> None:
    first = up(lab, *wanted)
    before = snapshot(lab)
    assert up(lab, *wanted) == first.rstrip("\n") + " (already)\n"
    assert_same(before, snapshot(lab))


def test_up_again_of_a_sandbox_that_shares_changes_nothing_too(lab: Lab) -> None:
    up(lab, "none")
    sharer = ("container", "--target", "none", "--name", "sharer")
    first = up(lab, *sharer)
    assert up(lab, *sharer) == first.rstrip("\n") + " (already)\n"


def test_up_with_other_options_is_refused_with_the_difference_named(lab: Lab) -> None:
    up(lab, *WEB, "--mtu", "1400", "--env", "SECRET=1", "--", "sleep", "1000")
    before = snapshot(lab)
    same = ("up", *WEB, "--env", "SECRET=1")
    work = ("--", "sleep", "1000")
    mtu = ("--mtu", "1400")
    for args, says in [
        ((*same, *work), "mtu is 1400, not unset"),
        ((*same, "--mtu", "1300", *work), "mtu is 1400, not 1300"),
        ((*same, *mtu, "--internal", *work), "internal is off, not on"),
        ((*same, *mtu, "--ip", "10.0.3.7", *work), "ip is unset, not 10.0.3.7"),
        ((*same, *mtu), "command is sleep 1000, not unset"),
        ((*same, *mtu, "--", "sleep", "1001"), "command is sleep 1000, not sleep 1001"),
        ((*same, *mtu, "--isolate", "net,pid", *work), "isolate is mount,ipc,pid,uts,net, not pid,net"),
        ((*same, *mtu, "--cap-add", "sys_ptrace", *work), "cap-add is unset, not sys_ptrace"),
        (("up", *WEB, "--env", "SECRET=2", *mtu, *work), "other variables$"),
        (("up", "none", "--name", "web"), "mode is bridge, not none"),
    ]:
        says = f"'web' is up already, with other options: (.*; )?{says}"  # noqa: PLW2901  the whole of it
        refused(lab, *args, says=says, hint="nsctl down web|another --name", before=before)


def test_the_name_is_the_modes_if_none_is_given(lab: Lab) -> None:
    up(lab, "none")
    up(lab, "host")
    assert [found["name"] for found in data(lab, "ls", "--json")] == ["host", "none"]


@pytest.mark.both_ways
def test_down_takes_the_sandboxes_that_are_named_and_leaves_the_others(lab: Lab) -> None:
    with unchanged(lab):
        for name in ("a", "b", "c"):
            up(lab, "none", "--name", name)
        assert down(lab, "a", "c") == "a is down\nc is down\n"
        assert [found["name"] for found in data(lab, "ls", "--json")] == ["b"]
        down(lab, "b")


def test_down_of_one_that_is_not_there_takes_none_down(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    refused(lab, "down", "web", "db", says="there is no sandbox 'db'", hint="nsctl ls")
    refused(lab, "down", "wep", says="there is no sandbox 'wep'", hint="did you mean 'web'?")
    refused(lab, "down", says="which sandboxes", hint="nsctl down NAME..., nsctl down --all")
    refused(lab, "down", "web", "--all", says="NAME and --all do not go together")
    assert [found["state"] for found in data(lab, "ls", "--json")] == ["up"]


def test_down_of_all_takes_all_down(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, "none")
        up(lab, *WEB)
        assert sorted(down(lab, "--all").splitlines()) == ["none is down", "web is down"]
    assert down(lab, "--all") == "nothing is up\n"


@pytest.mark.both_ways
def test_a_dry_run_of_down_shows_what_would_be_undone_and_does_nothing(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, *WEB[:2], "db", *WEB[3:])
    before = snapshot(lab)
    one = down(lab, "web", "--dry-run")
    assert "ip netns del web" in one
    assert "ip link del dev nsbr0" not in one  # db needs it
    every = down(lab, "--all", "--dry-run")
    keys = [line.split()[2].rstrip(":") for line in every.splitlines() if " undo " in line]
    assert keys.index("init/web") < keys.index("netns/web")
    assert keys.index("addr/nsbr0/10.0.3.1/24") < keys.index("link/nsbr0")
    assert "ip link del dev nsbr0" in every
    assert_same(before, snapshot(lab))


def test_the_undo_of_a_dry_run_is_what_the_trail_says_was_run(lab: Lab) -> None:
    up(lab, *WEB)
    planned = [line.split()[2].rstrip(":") for line in down(lab, "web", "--dry-run").splitlines() if " undo " in line]
    down(lab, "web")
    records = [
        record
        for record in map(json.loads, said(lab, "log", "--json").splitlines())
        if record["event"] == "step_undone" and not record["step"].startswith("claim/")
    ]
    assert [record["step"] for record in records] == planned


@pytest.mark.both_ways
def test_v_shows_every_step_on_stderr(lab: Lab) -> None:
    done = lab.nsctl("-v", "up", "none", check=True)
    assert done.stdout == "none is up: a network of its own, without an address\n"
    assert "ip netns add none" in done.stderr
    assert "ip netns del none" in lab.nsctl("-v", "down", "none", check=True).stderr
