"""The three forms of a plan; the script really runs."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable

import pytest

from nsctl import Command, Plan, Request, Spawn, Step, kit
from nsctl.engine.host.facts import gather
from nsctl.engine.model.facts import Facts
from nsctl.engine.planning import render
from nsctl.engine.planning.planner import plan
from nsctl.modes import bridge, host, none
from tests.lab import INTERNET_ADDRESS, Lab, assert_back, snapshot


def a_plan(*steps: Step) -> Plan:
    return Plan("test", "web", {}, steps)


def thing(key: str, *argv: str, undo: str = "", stdin: str | None = None) -> Step:
    return kit.command(
        key, f"make {key}", argv, undo=[("echo", f"undo-{key}")] if not undo else [("sh", "-c", undo)], stdin=stdin
    )


@pytest.mark.parametrize(
    "argv",
    [
        ("echo", "a b"),
        ("echo", "it's"),
        ("echo", "$HOME `id`"),
        ("echo", "line\nline"),
        ("echo", ""),
        ("echo", "!", "*"),
    ],
)
def test_a_line_of_shell_gives_the_very_words_back(argv: tuple[str, ...]) -> None:
    line = render.shell_of(Command(argv))

    assert tuple(shlex.split(line)) == argv
    assert (
        subprocess.run(["sh", "-c", line], capture_output=True, check=True, text=True).stdout
        == " ".join(argv[1:]) + "\n"
    )


@pytest.mark.parametrize("content", ["", "a\n", "a", "EOF\n", "EOF_\nEOF\n", "$HOME `id` \\ '\"\n"])
def test_what_a_command_reads_reaches_it_unchanged(content: str) -> None:
    line = render.shell_of(Command(("cat",), stdin=content))

    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, text=True)
    assert done.stdout == content if content.endswith("\n") or not content else content + "\n"


def test_a_command_inside_a_namespace_shows_how_it_gets_there() -> None:
    assert render.shell_of(Command(("ip", "link"), netns="web")) == "ip -n web link"
    assert render.shell_of(Command(("ping", "::1"), netns="web")) == "nsenter --net=/run/netns/web -- ping ::1"


def test_text_numbers_the_steps_with_reason_command_and_undo() -> None:
    shown = render.text(plan(none.MODE, Request("web", none.Options(), ("net",)), Facts()))

    assert shown == (
        "1. make the network namespace web\n"
        "     ip netns add web\n"
        "   undo:\n"
        "     nsenter --net=/run/netns/web -- sh -c 'exec pkill -KILL --ns $$ --nslist net'\n"
        "     ip netns del web\n"
        "2. let ordinary users of web bind ports below 1024\n"
        "     nsenter --net=/run/netns/web -- sysctl -qw net/ipv4/ip_unprivileged_port_start=0\n"
        "   undo: goes with netns/web\n"
        "3. let ordinary users of web ping\n"
        "     nsenter --net=/run/netns/web -- sysctl -qw 'net/ipv4/ping_group_range=0 2147483647'\n"
        "   undo: goes with netns/web"
    )


def test_text_says_what_is_in_place_already() -> None:
    shown = render.text(a_plan(thing("a", "true"), thing("b", "true")), present={"a"})

    assert "1. make a (in place already, shared)" in shown
    assert "2. make b\n" in shown


def test_every_form_shows_every_command_to_the_letter() -> None:
    made = plan(bridge.MODE, Request("web", bridge.Options()), Facts(uplinks=("eth0",)))
    text, script, data = render.text(made), render.sh(made), json.loads(render.json(made))

    for step in made.steps:
        line = render.shell_of(step.do)
        assert line in script
        assert all(part.strip() in text for part in line.split("\n"))
    assert Plan.from_json(data) == made


def run(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script, "sh", *args], capture_output=True, text=True, check=False, timeout=20)


def test_a_failing_step_undoes_those_before_it_last_first() -> None:
    script = render.sh(a_plan(thing("a", "true"), thing("b", "true"), thing("c", "false"), thing("d", "true")))

    done = run(script)

    assert done.returncode == 1
    assert [w for w in done.stdout.split() if w.startswith("undo-")] == ["undo-b", "undo-a"]


def test_a_failing_undo_does_not_stop_the_others() -> None:
    script = render.sh(a_plan(thing("a", "true"), thing("b", "true", undo="exit 7"), thing("c", "sh", "-c", "exit 3")))

    done = run(script)

    assert done.returncode == 3
    assert "undo-a" in done.stdout


def test_what_goes_with_something_else_is_not_undone_on_its_own() -> None:
    inside = kit.command("b", "make b", ("true",), undo=[("echo", "undo-b")], removed_with="a")

    assert "undo-b" not in run(render.sh(a_plan(thing("a", "true"), inside, thing("c", "false")))).stdout


def test_what_is_in_place_already_is_neither_done_nor_undone() -> None:
    script = render.sh(a_plan(thing("a", "echo", "do-a"), thing("b", "false")), present={"a"})

    assert "-a" not in run(script).stdout.replace("make a", "")


def test_down_undoes_everything() -> None:
    script = render.sh(a_plan(thing("a", "echo", "do-a"), thing("b", "echo", "do-b")))

    assert run(script, "down").stdout.split() == ["undo-b", "undo-a"]


@pytest.mark.parametrize(("signal", "status"), [("HUP", 129), ("INT", 130), ("TERM", 143)])
def test_a_signal_waits_for_the_step_and_then_undoes_it_too(signal: str, status: int) -> None:
    step = thing("b", "sh", "-c", f"kill -{signal} $PPID; sleep 0.1; echo did-b")

    done = run(render.sh(a_plan(thing("a", "true"), step, thing("c", "echo", "did-c"))))

    assert done.returncode == status
    assert done.stdout.split()[-3:] == ["did-b", "undo-b", "undo-a"]


def test_a_closed_output_does_not_stop_it() -> None:
    script = render.sh(a_plan(thing("a", "true"), thing("b", "true")))

    assert subprocess.run(["sh", "-c", f"({script}) >&-"], check=False, capture_output=True).returncode in {0, 1}
    done = subprocess.run(["bash", "-c", 'sh -c "$1" | true; exit ${PIPESTATUS[0]}', "bash", script], check=False)
    assert done.returncode in {0, 1}


def test_a_process_that_never_gets_ready_is_undone(tmp_path: pytest.TempPathFactory) -> None:
    spawn = Spawn(("false",), f"{tmp_path}/pid", f"{tmp_path}/log", ready=f"{tmp_path}/ready")
    step = Step("p", "start it", spawn, (Command(("echo", "undo-p")),))

    done = run(render.sh(a_plan(thing("a", "true"), step)))

    assert done.returncode == 1
    assert [w for w in done.stdout.split() if w.startswith("undo-")] == ["undo-p", "undo-a"]


def test_the_script_builds_a_bridge_that_works_and_takes_it_down(lab: Lab) -> None:
    made = lab.call(_a_bridge)
    lab.write("/run/web.sh", render.sh(made))
    before = snapshot(lab)

    lab.run(["sh", "/run/web.sh"], check=True)
    pid = lab.read("/run/nsctl/sandboxes/web/init.pid").strip()
    inside = ["nsenter", "-t", lab.run(["pgrep", "-P", pid], check=True).stdout.strip(), "--all", "--"]
    assert lab.run([*inside, "hostname"], check=True).stdout == "web\n"
    assert lab.run([*inside, "ping", "-c1", "-W1", INTERNET_ADDRESS]).returncode == 0
    assert lab.run(["ping", "-c1", "-W1", "10.77.0.2"]).returncode == 0

    lab.run(["sh", "/run/web.sh", "down"], check=True)
    lab.run(["rmdir", "/run/nsctl"], check=True)
    assert_back(lab, before)


def test_the_script_undoes_itself_whichever_step_fails(lab_factory: Callable[[], Lab]) -> None:
    lab = lab_factory()
    made = lab.call(_a_bridge)
    lab.run(["mkdir", "-m", "0700", "/run/nsctl"], check=True)
    for words in ([], ["down"]):  # tables and modules are there from now on
        lab.run(["sh", "-c", render.sh(made), "sh", *words], check=True)
    before = snapshot(lab)
    for number in range(len(made.steps)):
        steps = list(made.steps)
        steps[number] = Step(steps[number].key, "fail", Command(("false",)), steps[number].undo)
        done = lab.run(["sh", "-c", render.sh(Plan("bridge", "web", {}, tuple(steps)))])
        assert done.returncode == 1, number
        assert_back(lab, before)


def _a_bridge() -> Plan:
    return plan(bridge.MODE, Request("web", bridge.Options(), bridge.MODE.isolate), gather("/run/nsctl", {}, {}))


def test_without_a_pid_namespace_all_that_a_workload_started_ends_with_it(lab: Lab) -> None:
    request = Request("web", host.Options(), ("uts",), ("sh", "-c", "sleep 71 & sleep 72"))
    lab.write("/run/web.sh", render.sh(lab.call(lambda: plan(host.MODE, request, gather("/run/nsctl", {}, {})))))
    before = snapshot(lab)

    lab.run(["sh", "/run/web.sh"], check=True)
    assert lab.run(["pgrep", "-fc", "sleep 7"]).stdout.strip() != "0"

    lab.run(["sh", "/run/web.sh", "down"], check=True)
    lab.run(["rmdir", "/run/nsctl"], check=True)
    assert_back(lab, before)
