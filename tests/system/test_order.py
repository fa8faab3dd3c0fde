"""Rules in chains of nsctl's: they stand in their order, once, and no others beside them without being named."""

from __future__ import annotations

import json

import pytest

from nsctl.engine.testing.snapshot import assert_same
from tests.lab import Lab, assert_back, needs, snapshot
from tests.system.support import down, said, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
TAG = "-m comment --comment nsctl:nsbr0"
DROP = f"! -i nsbr0 -o nsbr0 -m conntrack ! --ctstate RELATED,ESTABLISHED {TAG} -j DROP"
ACCEPT = f"-o nsbr0 {TAG} -j ACCEPT"
BEHIND = f"iptables -D NSCTL-FORWARD {DROP}; iptables -A NSCTL-FORWARD {DROP}"
"""Then whatever is for the bridge is accepted first."""
GUARD = f"iptables -D NSCTL-GUARD -o nsbr0 {TAG} -j RETURN; iptables -A NSCTL-GUARD -o nsbr0 {TAG} -j RETURN"
AHEAD = f"iptables -I NSCTL-FORWARD {ACCEPT}"
TWICE = f"iptables -A NSCTL-FORWARD {DROP}"
JUMP = "iptables -A FORWARD -m comment --comment nsctl:jump -j NSCTL-FORWARD"


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def chain(lab: Lab, name: str) -> list[str]:
    return lab.run(["iptables", "-S", name], check=True).stdout.splitlines()


def found(lab: Lab) -> list[tuple[str, str, str]]:
    done = lab.nsctl("check", "--json")
    drifts = json.loads(done.stdout)["drift"]
    assert done.returncode == (4 if drifts else 0), done
    return [(d["key"], d["found"], d["state"]) for d in drifts]


@pytest.mark.parametrize(("act", "name"), [(BEHIND, "NSCTL-FORWARD"), (GUARD, "NSCTL-GUARD")], ids=["forward", "guard"])
def test_rules_that_stand_in_another_order_are_named_and_put_back(lab: Lab, act: str, name: str) -> None:
    up(lab, *NET)
    before = chain(lab, name)
    sh(lab, act)
    ((key, what, state),) = found(lab)
    assert key.startswith(f"rule/4/filter/{name}/")
    assert what.startswith("stands behind rules that it has to precede: ")
    assert state == "changed"
    said(lab, "repair")
    assert found(lab) == []
    assert sorted(chain(lab, name)) == sorted(before)
    assert "nothing is missing" in said(lab, "repair")
    down(lab, "web")


def test_all_of_a_chain_is_put_in_order_by_one_command(lab: Lab) -> None:
    up(lab, *NET)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.4.0/24")
    before = chain(lab, "NSCTL-FORWARD")
    sh(lab, "iptables-save -t filter | awk '/^-A NSCTL-FORWARD/ {held[++n] = $0; next} /^COMMIT/"
            " {while (n) print held[n--]} {print}' | iptables-restore")  # fmt: skip
    assert chain(lab, "NSCTL-FORWARD") != before
    assert len(found(lab)) == 4
    planned = said(lab, "repair", "--dry-run")
    assert planned.count("put the rules that NSCTL-FORWARD begins with at its head again") == 1
    assert planned.count("iptables-restore -w --noflush") == 1
    said(lab, "repair")
    assert found(lab) == []
    assert [line[-4:] for line in chain(lab, "NSCTL-FORWARD")[1:]] == ["DROP"] * 4 + ["CEPT"] * 4
    down(lab, "web", "db")


@pytest.mark.parametrize("option", [[], ["--no-batch"]])
def test_up_puts_in_order_what_it_relies_on(lab: Lab, option: list[str]) -> None:
    before = snapshot(lab)
    up(lab, *NET)
    sh(lab, BEHIND)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24", *option)
    assert found(lab) == []
    sh(lab, BEHIND)
    up(lab, "bridge", "--name", "far", "--subnet", "10.0.4.0/24", *option)
    assert found(lab) == []
    down(lab, "web", "db", "far")
    assert_back(lab, before)


def test_a_copy_that_accepts_first_is_no_way_in(lab: Lab) -> None:
    up(lab, *NET)
    sh(lab, AHEAD)
    assert {state for _, _, state in found(lab)} == {"changed", "foreign"}
    assert lab.nsctl("repair").returncode == 4
    ((key, what, state),) = found(lab)
    assert key.startswith("rule/4/filter/NSCTL-FORWARD/")
    assert (what, state) == ("it is there 2 times, of which nsctl made one", "foreign")
    assert [line[-4:] for line in chain(lab, "NSCTL-FORWARD")[1:3]] == ["DROP", "DROP"]
    down(lab, "web")


def test_a_copy_behind_goes_when_the_order_is_put_right(lab: Lab) -> None:
    up(lab, *NET)
    before = sorted(chain(lab, "NSCTL-FORWARD"))
    sh(lab, TWICE)
    said(lab, "repair")
    assert found(lab) == []
    assert sorted(chain(lab, "NSCTL-FORWARD")) == before
    down(lab, "web")


def test_a_comment_alone_makes_no_rule_nsctls(lab: Lab) -> None:
    up(lab, *NET)
    sh(lab, "iptables -I NSCTL-FORWARD -m comment --comment nsctl:zzz -j DROP")
    strange = "-m comment --comment nsctl:zzz -j DROP"
    assert found(lab) == [("chain/4/filter/NSCTL-FORWARD", f"a rule that is not nsctl's: {strange}", "foreign")]
    assert lab.nsctl("repair").returncode == 4
    done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    assert done.returncode == 0
    assert f"NSCTL-FORWARD holds a rule that is not nsctl's: {strange}" in done.stderr
    done = lab.nsctl("down", "--all")
    assert done.returncode == 0
    assert f"with NSCTL-FORWARD goes a rule that is not nsctl's: {strange}" in done.stderr


@pytest.mark.parametrize("tool", ["nft", pytest.param("legacy", marks=needs("iptables-legacy"))])
@pytest.mark.parametrize("option", [[], ["--no-batch"]])
def test_what_is_there_twice_is_named_and_goes_with_down(lab: Lab, tool: str, option: list[str]) -> None:
    sh(lab, "cp -a /etc/alternatives /run/; mount --bind /run/alternatives /etc/alternatives")
    for name in ("iptables", "iptables-save", "iptables-restore"):
        first, _, rest = name.partition("-")
        sh(lab, f"ln -sfn /usr/sbin/{first}-{tool}{rest and '-' + rest} /etc/alternatives/{name}")
    before = snapshot(lab)
    up(lab, *NET)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.4.0/24")
    sh(lab, f"{JUMP}; {JUMP}; iptables -A NSCTL-FORWARD {ACCEPT}")
    assert {what for _, what, _ in found(lab)} == {f"it is there {n} times, of which nsctl made one" for n in (2, 3)}
    done = lab.nsctl("down", "web", *option)  # the chain stays
    assert (done.returncode, done.stderr) == (0, "")
    assert "nsbr0" not in "".join(chain(lab, "NSCTL-FORWARD"))
    done = lab.nsctl("down", "db", *option)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same(before, snapshot(lab))


def test_rules_of_another_store_are_no_strangers(lab: Lab) -> None:
    up(lab, *NET)
    done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", "10.0.4.0/24", env={"NSCTL_STATE_DIR": "/run/other"})
    assert (done.returncode, done.stderr) == (0, "")
    assert found(lab) == []
    sh(lab, BEHIND)
    assert lab.nsctl("check", env={"NSCTL_STATE_DIR": "/run/other"}).returncode == 4
    said(lab, "repair")
    assert found(lab) == []
    for place in ("/run/other", "/run/nsctl"):
        assert lab.nsctl("down", "--all", env={"NSCTL_STATE_DIR": place}).returncode == 0
