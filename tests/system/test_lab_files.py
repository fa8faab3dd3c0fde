from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

from tests.lab import Lab, Shims, assert_back, assert_same, shim, snapshot
from tests.system.alike import alike

FILE = "/run/lab/lab.toml"
EXAMPLE = """\
[network.lan]                      # optional: named defaults for its sandboxes
mode = "bridge"
subnet = "10.0.3.0/24"

[sandbox.web]
network = "lan"
ip = "10.0.3.10"
command = ["python3", "-m", "http.server", "--directory", "/run/empty", "80"]

[sandbox.client]
mode = "bridge"
subnet = "10.0.3.0/24"
isolate = ["net"]
count = 50                         # client-1 … client-50

[sandbox.probe]
mode = "container"
target = "web"
"""
SMALL = EXAMPLE.replace("count = 50", "count = 3").replace(
    '"python3", "-m", "http.server", "--directory", "/run/empty", "80"', '"sleep", "1000"'
)
CHANGED = SMALL.replace('"1000"', '"2000"').replace("count = 3", "count = 2")


def apply(lab: Lab, text: str, *more: str) -> str:
    lab.write(FILE, text)
    return said(lab, "apply", FILE, *more)


def said(lab: Lab, *words: str) -> str:
    done = lab.nsctl(*words)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def change(lab: Lab, text: str, *more: str) -> Any:
    return json.loads(apply(lab, text, "--json", *more))


def inodes(lab: Lab) -> dict[str, int]:
    """The network namespaces: name → which one it is."""
    return {n: lab.call(os.stat, f"/run/netns/{n}").st_ino for n in lab.call(os.listdir, "/run/netns")}


def pids(lab: Lab) -> dict[str, int | None]:
    return {s["name"]: s["pid"] for s in json.loads(said(lab, "ls", "--json"))}


def test_the_example_comes_up_changes_and_goes(lab: Lab) -> None:
    lab.write(FILE, "")
    before = snapshot(lab)
    clients = [f"client-{n}" for n in range(1, 51)]
    assert apply(lab, EXAMPLE) == "done: 52 made\n"
    first, running = inodes(lab), pids(lab)
    assert set(first) == {"web", "probe", *clients} == set(running)
    assert first["probe"] == first["web"]
    there = snapshot(lab)
    assert said(lab, "check") == "everything is as it was made\n"
    # Whoever asks for an address has it, the others get the rest, and all reach each other.
    found = json.loads(said(lab, "inspect", "web"))
    assert (found["addresses"], found["command"][0]) == (["10.0.3.10/24"], "python3")
    said(lab, "exec", "client-50", "--", "ping", "-c", "1", "-W", "2", "10.0.3.10")

    # Applied again, it finds everything as it is to be.
    assert apply(lab, EXAMPLE) == "nothing to do: 52 as the file says\n"
    assert_same(there, snapshot(lab))

    # Fewer clients and another command: web starts anew, and so does probe, which shares its network.
    text = EXAMPLE.replace("count = 50", "count = 20").replace('"80"', '"8080"')
    assert apply(lab, text) == "done: 2 restarted with changes, 30 taken down, 20 left as they were\n"
    second = inodes(lab)
    assert set(second) == {"web", "probe", *clients[:20]}
    assert {n for n in second if second[n] != first[n]} == {"web", "probe"}
    assert {n for n, pid in pids(lab).items() if pid is not None} == {"web", "probe"}
    assert not {running["web"], running["probe"]} & set(pids(lab).values())
    assert json.loads(said(lab, "inspect", "web"))["command"][-1] == "8080"

    # A file that names nothing takes all of it away.
    assert apply(lab, "") == "done: 22 taken down\n"
    assert_back(lab, before)


def test_down_takes_away_what_a_file_made_and_nothing_else(lab: Lab) -> None:
    lab.write(FILE, SMALL)
    said(lab, "up", "bridge", "--name", "mine", "--network", "lan", "--subnet", "10.0.3.0/24")
    before = snapshot(lab)
    apply(lab, SMALL)
    lab.run(["ln", "-s", FILE, "/run/lab/link.toml"], check=True)
    shown = said(lab, "down", "--file", "/run/lab/link.toml", "--dry-run")
    assert "ip netns del client-3" in shown
    assert not re.search(r"mine|nsbr-lan$|route del", shown, re.MULTILINE)
    gone = said(lab, "down", "--file", "/run/lab/link.toml")
    assert sorted(gone.splitlines()) == [f"{n} is down" for n in ("client-1", "client-2", "client-3", "probe", "web")]
    assert said(lab, "down", "--file", FILE) == "nothing is up that this file made\n"
    lab.run(["rm", "/run/lab/link.toml"], check=True)
    assert_back(lab, before)


def test_what_another_made_is_left_or_refused(lab: Lab) -> None:
    said(lab, "up", "none", "--name", "web")
    lab.write(FILE, SMALL)
    before = snapshot(lab)
    done = lab.nsctl("apply", FILE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'web' is up already, was not made by this file, and differs: mode is none, not bridge" in done.stderr
    assert_back(lab, before)
    assert change(lab, '[sandbox.web]\nmode = "none"\n')["same"] == ["web"]
    assert apply(lab, "") == "nothing to do: 0 as the file says\n"


def test_a_dry_run_as_a_script_builds_all_of_it_and_takes_it_down(lab: Lab) -> None:
    text = '[network.lan]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\n[sandbox.c]\nnetwork = "lan"\ncount = 2\n'
    before = snapshot(lab)
    script = apply(lab, text, "--dry-run", "--format", "sh")
    assert script.splitlines()[:3] == ["#!/bin/sh", "# + c-1 (bridge)", "# + c-2 (bridge)"]
    assert script.count("ip link add dev nsbr-lan ") == 1
    lab.write("/run/build", script)
    lab.run(["sh", "/run/build"], check=True)
    lab.run(["ip", "netns", "exec", "c-1", "ping", "-c1", "-W2", "10.0.3.3"], check=True)
    lab.run(["sh", "/run/build", "down"], check=True)
    lab.run(["rm", "-r", "/run/build", "/run/lab", "/run/nsctl"], check=True)
    assert_back(lab, before)


def test_a_dry_run_as_a_script_begins_with_what_goes(lab: Lab) -> None:
    apply(lab, '[sandbox.c]\nmode = "none"\nisolate = ["net"]\ncount = 2\n')
    script = apply(lab, '[sandbox.c]\nmode = "none"\nisolate = ["net"]\ncount = 1\n', "--dry-run", "--format", "sh")
    first, *comments, begin, stop = script.splitlines()[1:6]
    assert (first, begin, stop) == ("# - c-2", 'if [ "${1-}" != down ]; then', "set -e")
    assert "not brought back by it (nsctl apply would)" in comments[-1]
    assert script.splitlines()[-2:] == ["ip netns del c-2", "fi"]
    lab.write("/run/build", script)
    lab.run(["sh", "/run/build"], check=True)
    assert lab.call(os.listdir, "/run/netns") == ["c-1"]
    # Now the first of its commands fails: none is run behind it.
    lab.write("/run/build", script.replace("fi\n", "touch /run/went-on\nfi\n"))
    assert lab.run(["sh", "/run/build"]).returncode != 0
    assert not lab.exists("/run/went-on")


def test_a_dry_run_as_json_is_one_document_with_plans_that_apply_takes(lab: Lab) -> None:
    apply(lab, '[sandbox.old]\nmode = "none"\nisolate = ["net"]\n')
    found = json.loads(apply(lab, '[sandbox.web]\nmode = "none"\n', "--dry-run", "--format", "json"))
    assert (found["new"], found["changed"], found["gone"], found["same"]) == (["web"], {}, ["old"], [])
    assert found["undo"][-1] == "ip netns del old"
    (plan,) = found["plans"]
    lab.write("/run/plan.json", json.dumps(plan))
    assert said(lab, "apply", "/run/plan.json").startswith("web is up")


def test_a_dry_run_shows_the_difference_and_the_commands_and_changes_nothing(lab: Lab) -> None:
    lab.write(FILE, SMALL)
    before = snapshot(lab)
    shown = said(lab, "apply", FILE, "--dry-run")
    head = [f"+ {n} ({m})" for n, m in (("web", "bridge"), *((f"client-{i}", "bridge") for i in (1, 2, 3)))]
    assert shown.splitlines()[:6] == [*head, "+ probe (container)", ""]
    assert "ip netns add client-3" in shown
    assert_back(lab, before)

    apply(lab, SMALL)
    lab.write(FILE, CHANGED + '[sandbox.more]\nmode = "none"\n')
    before = snapshot(lab)
    shown = said(lab, "apply", FILE, "--dry-run")
    assert shown.splitlines()[:5] == [
        "+ more (none)",
        "~ web (command is sleep 1000, not sleep 2000; restarts it)",
        "~ probe (web, whose network it shares; restarts it)",
        "- client-3",
        "",
    ]
    undone, _, done = shown.partition("make the network namespace")
    assert "ip netns del client-3" in undone
    assert "ip link del dev ns-web" in undone
    assert "route del" not in undone  # it goes with its namespace
    assert "client-1" not in undone
    assert "ip netns add more" in done
    assert "client-" not in done
    assert json.loads(said(lab, "apply", FILE, "--dry-run", "--json")) == {
        "new": ["more"],
        "changed": {"web": "command is sleep 1000, not sleep 2000", "probe": "web, whose network it shares"},
        "gone": ["client-3"],
        "same": ["client-1", "client-2"],
    }
    assert_back(lab, before)


def test_json_says_what_was_changed(lab: Lab) -> None:
    everything = ["web", "client-1", "client-2", "client-3", "probe"]
    assert change(lab, SMALL) == {"new": everything, "changed": {}, "gone": [], "same": []}
    assert change(lab, SMALL) == {"new": [], "changed": {}, "gone": [], "same": everything}
    assert change(lab, CHANGED)["gone"] == ["client-3"]
    assert sorted(change(lab, "")["gone"]) == ["client-1", "client-2", "probe", "web"]


def test_settings_that_are_the_same_change_nothing_the_second_time(lab: Lab) -> None:
    text = (
        '[sandbox.a]\nmode = "none"\nenv = { LANG = "C", EMPTY = "" }\ncap_add = ["CAP_SYS_PTRACE"]\n'
        'cap-drop = ["kill"]\nisolate = ["net", "pid", "mount"]\ncommand = ["sleep", "1000"]\n'
        '[sandbox.b]\nmode = "bridge"\nmtu = 1400\ninternal = true\nsubnet = "10.0.9.0/24"\n'
        "allow-overlap = true\nprivileged = true\n"
    )
    assert len(change(lab, text)["new"]) == 2
    assert change(lab, text)["same"] == ["a", "b"]


def test_an_error_names_the_line_and_changes_nothing(lab: Lab) -> None:
    lab.write(FILE, SMALL.replace("network = ", "netwrok = "))
    before = snapshot(lab)
    done = lab.nsctl("apply", FILE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nsctl: {FILE}, line 6: there is no key 'netwrok'")
    lab.write(FILE, SMALL.replace("10.0.3.10", "10.0.4.10"))
    done = lab.nsctl("apply", FILE)
    assert done.returncode == 2
    assert re.match(rf"nsctl: {FILE}, line 5: web: 10.0.4.10 is not in 10.0.3.0/24", done.stderr)
    said(lab, "up", "bridge", "--name", "mine", "--network", "lan", "--subnet", "10.0.3.0/24", "--ip", "10.0.3.10")
    lab.write(FILE, SMALL)
    done = lab.nsctl("apply", FILE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nsctl: {FILE}, line 5: web: 10.0.3.10 is taken by 'mine'\nhint: ")
    said(lab, "down", "mine")
    lab.write(FILE, SMALL.replace("network = ", "netwrok = "))
    assert_back(lab, before)


def calls_of_a_replacing_apply(lab: Lab, shims: Shims, *, anew: bool) -> list[tuple[int, str]]:
    """
    Each tool that it calls, by number, with `before` and, where nsctl waits for the tool's end, `after`.

    Args:
        anew: Only those with which it makes things anew, once the old ones are gone.
    """
    shims.plan({})
    apply(lab, CHANGED)
    calls = shims.calls
    apply(lab, SMALL)
    first = next(n for n, c in enumerate(calls, 1) if c.argv[:2] == ("ip", "-batch"))
    assert 1 < first < len(calls) - 2
    return [
        (n, when)
        for n, c in enumerate(calls, 1)
        for when in (("before", "after") if c.argv[0] == "ip" else ("before",))
        if n >= first or not anew
    ]


def replaced(lab: Lab, shims: Shims, number: int, action: str) -> subprocess.CompletedProcess[str]:
    """A replacing apply in which this happens at that call."""
    while True:
        lab.write(FILE, CHANGED)
        shims.plan({number: action})
        done = lab.nsctl("apply", FILE)
        if action.endswith("before") or shims.calls[number - 1].argv[0] == "ip":
            return done
        # Two tools at once came in the other order: nsctl does not wait for this one's end. Again.
        shims.plan({})
        lab.nsctl("recover", check=True)
        apply(lab, SMALL)


def test_a_failing_step_in_a_replacing_apply_brings_the_old_sandboxes_back(lab: Lab) -> None:
    apply(lab, SMALL)
    shims = shim(lab, ["ip", "unshare"])
    cases = calls_of_a_replacing_apply(lab, shims, anew=True)
    there, kept = alike(lab), inodes(lab)
    for number, when in cases:
        done = replaced(lab, shims, number, f"fail-{when}")
        assert (done.returncode, done.stdout, len(shims.injected)) == (1, "", 1), (number, when, done)
        shims.plan({})
        lab.write(FILE, SMALL)
        assert_same(there, alike(lab))
        assert said(lab, "check") == "everything is as it was made\n"
        assert all(kept[n] == inodes(lab)[n] for n in ("client-1", "client-2"))
        assert change(lab, SMALL)["changed"] == {}
    assert apply(lab, CHANGED) == "done: 2 restarted with changes, 1 taken down, 2 left as they were\n"


def test_a_replacing_apply_that_is_killed_is_recovered_from(lab: Lab) -> None:
    apply(lab, SMALL)
    shims = shim(lab, ["ip", "unshare"])
    cases = calls_of_a_replacing_apply(lab, shims, anew=False)
    there = alike(lab)
    for number, when in cases:
        done = replaced(lab, shims, number, f"kill-parent-{when}")
        assert (done.returncode, len(shims.injected)) == (-9, 1), (number, when, done)
        shims.plan({})
        done = lab.nsctl("recover")
        assert done.returncode == 0, (number, when, done)
        lab.write(FILE, SMALL)
        assert_same(there, alike(lab))
        assert change(lab, SMALL)["changed"] == {}, (number, when)


PLUGIN = """
from dataclasses import dataclass
from nsctl import Mode, hookimpl, kit, opt

@dataclass(frozen=True)
class Options:
    links: int = opt(1, "how many links inside")
    broken: bool = opt(False, "fails half-way")

def steps(request, facts):
    name, o = request.name, request.options
    yield kit.netns(name)
    for n in range(o.links):
        yield kit.command(
            f"link/{name}:d{n}", f"make d{n}", ["ip", "link", "add", "dev", f"d{n}", "type", "bridge"], netns=name,
            removed_with=f"netns/{name}", after=[f"netns/{name}"],
        )
    if o.broken:
        yield kit.command(
            f"broken/{name}", "what fails", ["ip", "link", "set", "dev", "nosuch", "up"], netns=name,
            removed_with=f"netns/{name}", after=[f"netns/{name}"],
        )
        yield kit.link_up("lo", netns=name)

@hookimpl
def nsctl_modes():
    return [Mode("dummies", "links that lead nowhere", Options, steps, isolate=("net",))]
"""
WITH_PLUGIN = (
    "import sys\nsys.path.append('/run/plugins')\nfrom nsctl.engine.cli import main\nsys.exit(main(sys.argv[1:]))\n"
)


def with_plugin(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run nsctl where a distribution with a mode is installed."""
    lab.write("/run/plugins/extra.py", PLUGIN)
    lab.write("/run/plugins/extra-1.0.dist-info/entry_points.txt", "[nsctl]\nextra = extra\n")
    return lab.run([sys.executable, "-I", "-B", "-c", WITH_PLUGIN, *words])


def test_a_plugins_mode_and_its_options_are_accepted(lab: Lab) -> None:
    lab.write(FILE, '[sandbox.a]\nmode = "dummies"\nlinks = 3\ncount = 2\n')
    done = with_plugin(lab, "apply", FILE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done: 2 made\n", "")
    assert "d2" in lab.run(["ip", "-n", "a-2", "link"], check=True).stdout
    assert with_plugin(lab, "apply", FILE).stdout == "nothing to do: 2 as the file says\n"
    lab.write(FILE, '[sandbox.a]\nmode = "dummies"\nlnks = 3\n')
    done = with_plugin(lab, "apply", FILE)
    assert "line 3: mode 'dummies' has no option 'lnks'\nhint: did you mean 'links'?" in done.stderr
    schema = json.loads(with_plugin(lab, "schema", "lab").stdout)
    assert "dummies" in schema["properties"]["sandbox"]["additionalProperties"]["properties"]["mode"]["enum"]
    assert said(lab, "down", "--file", FILE) == "a-1 is down\na-2 is down\n"


def test_a_failing_step_of_one_sandbox_undoes_all_and_is_named(lab: Lab) -> None:
    lab.write(FILE, '[sandbox.a]\nmode = "dummies"\nlinks = 3\n[sandbox.b]\nmode = "dummies"\nbroken = true\n')
    with_plugin(lab, "ls")
    before = snapshot(lab)
    done = with_plugin(lab, "apply", FILE)
    assert done.returncode == 1
    assert "(what fails) failed: ip -n b link set dev nosuch up: Cannot find device" in done.stderr
    assert_back(lab, before)


def test_the_schema_is_printed_as_json_also_without_a_host(lab: Lab) -> None:
    found = json.loads(said(lab, "schema", "lab"))
    assert set(found["properties"]) == {"network", "sandbox"}
    done = lab.nsctl("schema", "lap")
    assert (done.returncode, "there is no schema of 'lap'" in done.stderr) == (2, True)
