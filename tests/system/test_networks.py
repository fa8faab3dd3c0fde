"""Networks: the one that all share who name none, those with names, and what `networks` lists."""

from __future__ import annotations

import json

import pytest

from tests.lab import INTERNET_ADDRESS, Lab
from tests.system.support import data, down, inspect, refused, said, unchanged, up

pytestmark = pytest.mark.warm


def reaches(lab: Lab, name: str, address: str) -> bool:
    return lab.nsctl("exec", name, "--", "ping", "-c1", "-W2", address).returncode == 0


def alias(lab: Lab, bridge: str) -> str:
    (found,) = json.loads(lab.run(["ip", "-json", "link", "show", "dev", bridge], check=True).stdout)
    return str(found.get("ifalias", ""))


def test_sandboxes_that_name_no_network_reach_each_other(lab: Lab) -> None:
    with unchanged(lab):
        assert up(lab, "bridge", "--name", "a") == "a is up: 10.77.0.2/24 on nsbr0, gateway 10.77.0.1\n"
        assert up(lab, "bridge", "--name", "b") == "b is up: 10.77.0.3/24 on nsbr0, gateway 10.77.0.1\n"
        assert reaches(lab, "a", "10.77.0.3")
        assert reaches(lab, "b", INTERNET_ADDRESS)
        assert said(lab, "run", "bridge", "--name", "c", "--", "ping", "-c1", "-W2", "-q", "10.77.0.2")
        down(lab, "a")
        assert reaches(lab, "b", INTERNET_ADDRESS)
        down(lab, "b")


def test_who_names_no_network_shares_the_first_one_as_long_as_it_is_up(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/24")
    up(lab, "bridge", "--name", "b", "--subnet", "10.0.4.0/24")
    assert " on nsbr0," in up(lab, "bridge", "--name", "c")
    down(lab, "a", "c")
    assert " on nsbr1," in up(lab, "bridge", "--name", "d")
    assert " on nsbr2," in up(lab, "bridge", "--name", "e", "--subnet", "10.0.5.0/24")
    assert " on nsbr1," in up(lab, "bridge", "--name", "f")


def test_internal_sandboxes_that_name_no_network_share_one_without_a_way_out(lab: Lab) -> None:
    up(lab, "bridge", "--name", "open")
    assert up(lab, "bridge", "--name", "a", "--internal") == "a is up: 10.77.1.2/24 on nsbr1\n"
    assert up(lab, "bridge", "--name", "b", "--internal") == "b is up: 10.77.1.3/24 on nsbr1\n"
    assert " on nsbr0," in up(lab, "bridge", "--name", "second")
    assert reaches(lab, "a", "10.77.1.3")
    assert not reaches(lab, "a", "10.77.0.2")


def test_a_network_with_a_name_is_joined_by_it_and_apart_from_others(lab: Lab) -> None:
    with unchanged(lab):
        first = up(lab, "bridge", "--name", "a", "--network", "lan", "--subnet", "10.0.3.0/24", "--mtu", "1400")
        assert first == "a is up: 10.0.3.2/24 on lan, gateway 10.0.3.1\n"
        assert up(lab, "bridge", "--name", "b", "--network", "lan") == "b is up: 10.0.3.3/24 on lan, gateway 10.0.3.1\n"
        up(lab, "bridge", "--name", "other", "--network", "a-network-with-a-long-name")
        up(lab, "bridge", "--name", "usual")
        assert alias(lab, "nsbr-lan") == "nsctl:lan"
        assert reaches(lab, "a", "10.0.3.3")
        assert not reaches(lab, "a", "10.77.0.2")
        assert not reaches(lab, "a", "10.77.1.2")
        assert said(lab, "check") == "everything is as it was made\n"
        down(lab, "a", "b", "other", "usual")


def test_a_name_may_be_given_again_when_nobody_is_on_the_network(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--network", "lan", "--subnet", "10.0.3.0/24")
    refused(
        lab, *("up", "bridge", "--name", "b", "--network", "lan", "--subnet", "10.0.4.0/24"),
        says="the network 'lan' has the subnet 10.0.3.0/24, not 10.0.4.0/24", hint="leave --subnet out",
    )  # fmt: skip
    down(lab, "a")
    assert " 10.0.4.2/24 on lan," in up(lab, "bridge", "--name", "b", "--network", "lan", "--subnet", "10.0.4.0/24")


def test_networks_lists_them(lab: Lab) -> None:
    up(lab, "bridge", "--name", "b-10")
    up(lab, "bridge", "--name", "b-2")
    up(lab, "bridge", "--name", "db", "--network", "lan", "--subnet", "10.0.3.0/24", "--internal")
    up(lab, "container", "--name", "probe", "--target", "db")
    up(lab, "none")
    assert said(lab, "networks").splitlines() == [
        "NAME   BRIDGE    SUBNET        GATEWAY    INTERNAL  OWNER  SANDBOXES",
        "lan    nsbr-lan  10.0.3.0/24   10.0.3.1   yes       nsctl  db, probe",
        "nsbr0  nsbr0     10.77.0.0/24  10.77.0.1  no        nsctl  b-2, b-10",
    ]
    assert data(lab, "networks", "--json") == [
        {
            "name": "lan",
            "bridge": "nsbr-lan",
            "subnets": ["10.0.3.0/24"],
            "gateway": "10.0.3.1",
            "internal": True,
            "joined": False,
            "sandboxes": ["db", "probe"],
        },
        {
            "name": "nsbr0",
            "bridge": "nsbr0",
            "subnets": ["10.77.0.0/24"],
            "gateway": "10.77.0.1",
            "internal": False,
            "joined": False,
            "sandboxes": ["b-2", "b-10"],
        },
    ]
    assert inspect(lab, "probe")["network"] == "lan"
    assert {row["name"]: (row["network"], row["bridge"]) for row in data(lab, "ls", "--json")}["db"] == (
        "lan",
        "nsbr-lan",
    )


def test_a_crowd_on_a_network_is_told_short(lab: Lab) -> None:
    lab.write("/run/lab/lab.toml", '[sandbox.a]\nmode = "bridge"\nisolate = ["net"]\ncount = 7\n')
    lab.nsctl("apply", "/run/lab/lab.toml", check=True)
    assert said(lab, "networks").splitlines()[1].endswith("no        nsctl  a-1, a-2, a-3, a-4, a-5 and 2 more")


def test_without_networks_nothing_is_listed(lab: Lab) -> None:
    for words in (["networks"], ["networks", "--json"]):
        done = lab.nsctl(*words, check=True)
        assert done.stdout == ("[]\n" if "--json" in words else "")
    assert "nsctl up bridge" in lab.nsctl("networks").stderr


@pytest.mark.parametrize("word", ["--json", ""])
def test_networks_without_root_says_so(lab: Lab, word: str) -> None:
    from tests.lab import nsctl_argv

    drop = ["setpriv", "--reuid", "65534", "--clear-groups"]
    done = lab.run([*drop, *nsctl_argv("networks", *filter(None, [word]))])
    assert (done.returncode, done.stdout) == (2, "")
    assert "this needs root" in done.stderr


def test_the_networks_of_a_lab_file_are_networks_of_their_own(lab: Lab) -> None:
    lab.write(
        "/run/lab/lab.toml",
        '[network.front]\nmode = "bridge"\n[network.back]\nmode = "bridge"\ninternal = true\n'
        '[sandbox.web]\nnetwork = "front"\n[sandbox.app]\nnetwork = "front"\n[sandbox.db]\nnetwork = "back"\n',
    )
    with unchanged(lab):
        lab.nsctl("apply", "/run/lab/lab.toml", check=True)
        assert [(n["name"], n["internal"], n["sandboxes"]) for n in data(lab, "networks", "--json")] == [
            ("back", True, ["db"]),
            ("front", False, ["app", "web"]),
        ]
        web, db = (inspect(lab, name)["addresses"][0].partition("/")[0] for name in ("web", "db"))
        assert reaches(lab, "app", web)
        assert not reaches(lab, "app", db)
        assert "nothing to do: 3 as the file says" in said(lab, "apply", "/run/lab/lab.toml")
        lab.nsctl("down", "--file", "/run/lab/lab.toml", check=True)


def test_a_saved_plan_is_refused_if_its_network_is_on_another_bridge_by_now(lab: Lab) -> None:
    plan = said(lab, "up", "bridge", "--name", "a", "--network", "lan", "--dry-run", "--format", "json")
    lab.write("/run/lab/plan.json", plan)
    up(lab, "bridge", "--name", "b", "--network", "lan", "--bridge", "br7", "--subnet", "10.0.3.0/24")
    refused(
        lab, "apply", "/run/lab/plan.json", says="the network 'lan' is on the bridge br7", hint="make the plan again"
    )


def test_a_name_that_somebody_changed_is_named_and_put_back(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--network", "lan")
    lab.run(["ip", "link", "set", "dev", "nsbr-lan", "alias", "theirs"], check=True)
    done = lab.nsctl("check")
    assert done.returncode == 4
    assert "linkset/nsbr-lan/alias" in done.stdout
    lab.nsctl("repair", check=True)
    assert alias(lab, "nsbr-lan") == "nsctl:lan"
    assert " on lan," in up(lab, "bridge", "--name", "b", "--network", "lan")


def test_a_network_of_two_addresses_works_from_end_to_end(lab: Lab) -> None:
    wanted = ("bridge", "--subnet", "10.0.3.4/31")
    with unchanged(lab):
        assert up(lab, *wanted, "--name", "web") == "web is up: 10.0.3.5/31 on nsbr0, gateway 10.0.3.4\n"
        assert reaches(lab, "web", "10.0.3.4")
        assert reaches(lab, "web", INTERNET_ADDRESS)
        assert lab.run(["ping", "-c1", "-W2", "10.0.3.5"]).returncode == 0
        refused(
            lab, "up", *wanted, "--name", "b", says="every address of 10.0.3.4/31 is taken", hint="another --subnet"
        )
        assert said(lab, "check") == "everything is as it was made\n"
        lab.run(["ip", "-n", "web", "route", "flush", "dev", "eth0"], check=True)
        assert "10.0.3.4/31" in lab.nsctl("check").stdout
        lab.nsctl("repair", check=True)
        assert reaches(lab, "web", INTERNET_ADDRESS)
        down(lab, "web")
