"""A script of --format sh is run, and nsctl takes over what it has made: all of it, and nobody else's."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab, assert_same, needs, nsctl_argv, snapshot
from tests.system.support import data, down, init_of, inside, refused, said, unchanged, up
from tests.system.test_dry_run import MODES, WEB, prepare, show

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables"), pytest.mark.warm]

SCRIPT = "/root/web.sh"
LAB = """
[network.n]
mode = "bridge"
subnet = "10.0.3.0/24"

[sandbox.a]
network = "n"

[sandbox.b]
network = "n"
"""


@pytest.fixture
def host(lab: Lab) -> Lab:
    """A lab with a folder of root's own for scripts."""
    lab.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "root", "/root"], check=True)
    return lab


def made_by_script(lab: Lab, wanted: tuple[str, ...], *, run: bool = True) -> None:
    prepare(lab, wanted)
    lab.write(SCRIPT, show(lab, wanted, "sh"))
    if run:
        done = lab.run(["sh", SCRIPT])
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wanted", MODES.values(), ids=MODES)
def test_what_a_script_made_is_taken_over_and_is_as_if_up_had_made_it(host: Lab, wanted: tuple[str, ...]) -> None:
    prepare(host, wanted)
    with unchanged(host):
        made_by_script(host, wanted)
        before = snapshot(host, ifindex=False)
        names = [found["name"] for found in data(host, "ls", "--json")]
        assert "web" not in names
        assert said(host, "adopt", SCRIPT).startswith("web is up: ")
        assert_same(before, snapshot(host, ifindex=False))
        assert said(host, "check") == "everything is as it was made\n"
        assert "web" in [found["name"] for found in data(host, "ls", "--json")]
        assert said(host, "up", *wanted).endswith(" (already)\n")
        if "net only" not in wanted:
            assert inside(host, "web", "hostname")
        assert down(host, "web") == "web is down\n"
    records = [json.loads(line) for line in said(host, "log", "--json", "web").splitlines()]
    started = next(record for record in records if record["event"] == "plan_started")
    assert (started["operation"], started["sandbox"]) == ("adopt", "web")


def test_adopting_twice_changes_nothing_and_says_so(host: Lab) -> None:
    made_by_script(host, WEB)
    first = said(host, "adopt", SCRIPT)
    before = snapshot(host)
    assert said(host, "adopt", SCRIPT) == first.replace("\n", " (already)\n")
    assert_same(before, snapshot(host))


def test_rules_that_came_since_and_are_in_nobodys_way_are_no_reason_to_refuse(host: Lab) -> None:
    made_by_script(host, WEB)
    host.run(["iptables", "-I", "FORWARD", "-s", "198.51.100.7", "-j", "DROP"], check=True)
    assert said(host, "adopt", SCRIPT).startswith("web is up: 10.0.3.2/24")


def test_the_plan_as_json_is_taken_over_too(host: Lab) -> None:
    plan = show(host, WEB, "json")
    made_by_script(host, WEB)
    host.write("/root/plan.json", plan)
    assert said(host, "adopt", "/root/plan.json").startswith("web is up: 10.0.3.2/24")
    down(host, "web")


def test_the_script_says_at_its_top_how_it_becomes_nsctls(host: Lab) -> None:
    head = show(host, WEB, "sh").partition("set -eu")[0]
    assert "nsctl adopt THIS" in head
    assert all(line.startswith("#") for line in head.splitlines())


def test_with_nothing_there_nothing_is_adopted(host: Lab) -> None:
    made_by_script(host, WEB, run=False)
    refused(host, "adopt", SCRIPT, says="nothing of 'web' is there to be adopted", hint="nsctl apply FILE, or sh FILE")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ip -n web link set eth0 down", "up/web:eth0: down"),
        ("ip -n web address del 10.0.3.2/24 dev eth0", "addr/web:eth0/10.0.3.2/24: missing"),
        ("ip -n web route del default", "missing"),
        ("iptables -F NSCTL-FORWARD", "missing"),
        ("iptables -I FORWARD -j REJECT", "no packet gets past a rule before it"),
        ("kill -9 $(cat /run/nsctl/sandboxes/web/init.pid); sleep 0.3", "init/web: not running"),
        ("echo 127.0.0.1 other >/run/nsctl/sandboxes/web/hosts", "other content"),
        ("ip link set nsbr0 address 02:00:00:00:00:01", "nsbr0: mac 02:00:00:00:00:01, expected"),
    ],
)
def test_a_plan_that_is_not_in_place_as_a_whole_is_refused_and_what_is_wrong_is_named(
    host: Lab, change: str, says: str
) -> None:
    made_by_script(host, WEB)
    host.run(["sh", "-c", change], check=True)
    refused(host, "adopt", SCRIPT, says=f"'web' is not as the plan makes it: .*{says}", hint="nothing was taken over")
    assert data(host, "ls", "--json") == []


def test_a_namespace_in_which_a_stranger_is_at_work_is_not_adopted(host: Lab) -> None:
    made_by_script(host, WEB)
    guest = host.popen(["ip", "netns", "exec", "web", "sleep", "1000"])
    host.run(["sh", "-c", "until [ $(ip netns pids web | wc -l) -ge 3 ]; do sleep 0.1; done"], check=True, timeout=20)
    refused(
        host, "adopt", SCRIPT, says=r"netns/web: a network namespace in use by process \d+, which is not of this plan"
    )
    guest.kill()
    guest.wait()
    assert said(host, "adopt", SCRIPT).startswith("web is up")


def test_a_namespace_with_a_strangers_link_is_not_adopted(host: Lab) -> None:
    made_by_script(host, WEB)
    host.run(["ip", "-n", "web", "link", "add", "dum0", "type", "bridge"], check=True)
    refused(host, "adopt", SCRIPT, says="netns/web: a network namespace with a link that is not of this plan: dum0")


def test_a_strangers_namespace_of_the_same_name_is_not_adopted(host: Lab) -> None:
    made_by_script(host, ("none", "--name", "web", "--isolate", "net"), run=False)
    host.run(["ip", "netns", "add", "web"], check=True)
    host.popen(["ip", "netns", "exec", "web", "sleep", "1000"])
    host.run(["sh", "-c", 'until [ -n "$(ip netns pids web)" ]; do sleep 0.1; done'], check=True, timeout=20)
    refused(host, "adopt", SCRIPT, says="in use by process")


def test_a_namespace_that_the_init_does_not_live_in_is_not_adopted(host: Lab) -> None:
    made_by_script(host, ("none", "--name", "web"))
    host.run(["sh", "-c", "umount /run/netns/web && rm /run/netns/web && ip netns add web"], check=True)
    refused(host, "adopt", SCRIPT, says="netns/web: another network namespace than that of process")


def test_what_nothing_tells_of_is_not_adopted(host: Lab) -> None:
    plan = json.loads(show(host, ("none", "--name", "web"), "json"))
    plan["mode"] = "own"
    extra = {
        "key": "own/thing",
        "why": "do a thing",
        "do": {"kind": "run", "argv": ["true"]},
        "undo": [{"kind": "run", "argv": ["true"]}],
    }
    made_by_script(host, ("none", "--name", "web"))
    plan["steps"].insert(1, extra)
    host.write("/root/plan.json", json.dumps(plan))
    refused(host, "adopt", "/root/plan.json", says="own/thing: nothing tells whether it is in place")


def test_a_plan_that_holds_what_no_mode_plans_is_not_adopted(host: Lab) -> None:
    plan = json.loads(show(host, ("none", "--name", "web"), "json"))
    made_by_script(host, ("none", "--name", "web"))
    plan["steps"][0]["undo"].append({"kind": "run", "argv": ["rm", "-r", "/srv"]})
    host.write("/root/plan.json", json.dumps(plan))
    refused(host, "adopt", "/root/plan.json", says="netns/web is nothing that mode 'none' plans")


def test_a_second_script_shares_what_the_first_one_made(host: Lab) -> None:
    with unchanged(host):
        made_by_script(host, WEB)
        said(host, "adopt", SCRIPT)
        second = ("bridge", "--name", "db", "--subnet", "10.0.3.0/24")
        host.write("/root/db.sh", show(host, second, "sh"))
        host.run(["sh", "/root/db.sh"], check=True)
        assert said(host, "adopt", "/root/db.sh").startswith("db is up: 10.0.3.3/24 on nsbr0")
        down(host, "web")
        assert said(host, "check") == "everything is as it was made\n"
        assert "1 received" in host.run(["ping", "-c", "1", "-W", "2", "10.0.3.3"]).stdout
        down(host, "db")


def test_a_lab_files_script_is_taken_over_as_a_whole_and_known_as_that_labs(host: Lab) -> None:
    host.write("/root/lab.toml", LAB)
    with unchanged(host):
        host.write(SCRIPT, said(host, "apply", "/root/lab.toml", "--dry-run", "--format", "sh"))
        host.run(["sh", SCRIPT], check=True)
        assert [line.partition(" ")[0] for line in said(host, "adopt", SCRIPT).splitlines()] == ["a", "b"]
        assert said(host, "apply", "/root/lab.toml") == "nothing to do: 2 as the file says\n"
        down(host, "--file", "/root/lab.toml")


def test_half_of_a_lab_is_not_taken_over(host: Lab) -> None:
    host.write("/root/lab.toml", LAB)
    host.write(SCRIPT, said(host, "apply", "/root/lab.toml", "--dry-run", "--format", "sh"))
    host.run(["sh", SCRIPT], check=True)
    host.run(["sh", "-c", "kill -9 $(cat /run/nsctl/sandboxes/b/init.pid); sleep 0.3"], check=True)
    refused(host, "adopt", SCRIPT, says="'a, b' is not as the plan makes it: init/b: not running")
    assert data(host, "ls", "--json") == []


def test_up_of_what_a_script_made_says_how_it_becomes_nsctls(host: Lab) -> None:
    made_by_script(host, WEB)
    refused(host, "up", *WEB, says="overlaps", hint="; if a script of nsctl's made 'web': nsctl adopt SCRIPT")
    done = host.nsctl("run", *WEB, "--", "true")
    assert done.returncode == 125
    assert "nsctl adopt SCRIPT" in done.stderr
    host.run(["sh", SCRIPT, "down"], check=True)
    assert up(host, *WEB).startswith("web is up")


@pytest.mark.parametrize("text", ["", "#!/bin/sh\necho\n", "{}", "[]", '#!/bin/sh\n# nsctl-carried: {"plans": []}\n'])
def test_what_carries_no_plan_is_refused(host: Lab, text: str) -> None:
    host.write(SCRIPT, text)
    refused(host, "adopt", SCRIPT, says="/root/web.sh: ", hint=".")


def test_a_script_that_others_could_have_written_is_refused(host: Lab) -> None:
    made_by_script(host, WEB)
    host.run(["chmod", "666", SCRIPT], check=True)
    refused(host, "adopt", SCRIPT, says="writable to others")


@pytest.mark.nightly
@needs("strace")
def test_an_adoption_that_is_killed_is_whole_or_is_not(host: Lab) -> None:
    made_by_script(host, WEB)
    running = init_of_script(host)
    seen = set()
    for number in range(1, 60):
        strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            f"inject=fdatasync,pwrite64,unlink:signal=KILL:when={number}",
        ]
        done = host.run([*strace, *nsctl_argv("adopt", SCRIPT)])
        names = [found["name"] for found in data(host, "ls", "--json")]
        seen.add((done.returncode == 0, tuple(names)))
        assert host.run(["kill", "-0", running]).returncode == 0
        if names:
            assert said(host, "check") == "everything is as it was made\n"
            break
    assert (False, ()) in seen
    assert said(host, "adopt", SCRIPT).startswith("web is up")
    assert str(init_of(host, "web"))
    down(host, "web")
    assert host.run(["kill", "-0", running]).returncode != 0


def init_of_script(lab: Lab) -> str:
    return lab.read("/run/nsctl/sandboxes/web/init.pid").strip()
