"""The commands on a real kernel, each in a lab of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import pytest

from nsctl.engine.model.plan import NAMESPACES
from tests.lab import Lab, assert_back, nsctl_argv, snapshot


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def up(lab: Lab, *words: str) -> None:
    lab.nsctl("up", *words, check=True)


def test_up_says_what_came_of_it_in_one_line_and_down_leaves_nothing(lab: Lab) -> None:
    before = snapshot(lab)
    done = lab.nsctl("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n"
    done = lab.nsctl("down", "web")
    assert (done.returncode, done.stdout, done.stderr) == (0, "web is down\n", "")
    assert_back(lab, before)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["none", "--name", "x"], "x is up: a network of its own, without an address\n"),
        (["host", "--name", "x"], "x is up: the host's network\n"),
    ],
)
def test_a_sandbox_without_addresses_says_so(lab: Lab, words: list[str], line: str) -> None:
    assert lab.nsctl("up", *words, check=True).stdout == line


def test_a_sandbox_that_shares_says_whose_network_it_has(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    done = lab.nsctl("up", "container", "--target", "web", "--name", "probe", check=True)
    assert done.stdout == "probe is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1, the network of web\n"


def test_up_again_changes_nothing_and_with_other_options_names_the_difference(lab: Lab) -> None:
    words = ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--env", "TOKEN=s3cret")
    lab.nsctl(*words, check=True)
    before = snapshot(lab)
    done = lab.nsctl(*words)
    assert (done.returncode, done.stdout) == (0, "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1 (already)\n")
    for more, difference in (
        (["--mtu", "1400"], "mtu is unset, not 1400"),
        (["--internal"], "internal is off, not on"),
        (["--isolate", "net"], "isolate is mount,ipc,pid,uts,net, not net"),
        (["--env", "TOKEN=other"], "other variables"),
        (["--", "sleep", "60"], "command is unset, not sleep 60"),
        (["--cap-drop", "kill"], "cap-drop is unset, not kill"),
    ):
        # An option may be given only once, so TOKEN's other value stands in its place.
        kept = words[:-2] if "--env" in more else words
        done = lab.nsctl(*kept, *more)
        assert done.returncode == 2
        assert f"'web' is up already, with other options: {difference}\n" in done.stderr
        assert "s3cret" not in done.stderr
        assert "hint: take it down first (nsctl down web)" in done.stderr
    done = lab.nsctl("up", "none", "--name", "web")
    assert "mode is bridge, not none\n" in done.stderr
    assert_back(lab, before)


def test_ls_and_inspect_tell_what_is_up(lab: Lab) -> None:
    assert "no sandbox is up" in lab.nsctl("ls", check=True).stderr
    assert json.loads(lab.nsctl("ls", "--json", check=True).stdout) == []
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--env", "TOKEN=s3cret", "--", "sleep", "3600")
    head, row = lab.nsctl("ls", check=True).stdout.splitlines()
    assert head.split() == ["NAME", "MODE", "ADDRESS", "NETWORK", "PID", "STATE", "AGE"]
    assert row.split()[:4] == ["web", "bridge", "10.0.3.2/24", "nsbr0"]
    assert row.split()[5] == "up"
    text = lab.nsctl("inspect", "web", check=True).stdout
    assert "s3cret" not in text  # it is pasted into reports
    found = json.loads(text)
    assert len(text.splitlines()) < len(found["steps"]) + 60
    full = json.loads(lab.nsctl("inspect", "-v", "web", check=True).stdout)
    assert full | {"steps": [], "age_seconds": 0} == found | {"steps": [], "age_seconds": 0}
    assert [s["key"] for s in full["steps"]] == [s["key"] for s in found["steps"]]
    assert all("do" not in s or {"undo", "removed_with", "no_undo"} & s.keys() for s in full["steps"])
    assert found["pid"] == int(row.split()[4])
    assert (found["gateway"], found["command"]) == ("10.0.3.1", ["sleep", "3600"])
    assert found["isolate"] == list(NAMESPACES)
    assert found["settings"]["env"] == ["TOKEN"]
    assert lab.exists(found["log"])
    assert {s["state"] for s in found["steps"]} == {"done"}
    done = lab.nsctl("inspect", "wbe")
    assert (done.returncode, "did you mean 'web'?" in done.stderr) == (2, True)


def test_down_shows_beforehand_what_it_would_undo_and_what_is_shared(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    up(lab, "container", "--target", "web", "--name", "probe")
    before = snapshot(lab)
    shown = lab.nsctl("down", "--all", "--dry-run", check=True).stdout
    assert "undo link/nsbr0" in shown
    assert "ip link del dev nsbr0" in shown
    done = lab.nsctl("down", "web")
    assert done.returncode == 2
    assert "'web' is shared by probe" in done.stderr
    assert_back(lab, before)
    assert lab.nsctl("down", "web", "--force", check=True).stdout == "web is down\nprobe is down\n"
    assert lab.nsctl("down", "web").returncode == 2
    assert lab.nsctl("down", "--all", check=True).stdout == "nothing is up\n"


@pytest.mark.parametrize("isolate", [",".join(NAMESPACES), "net", "net,uts", "mount,net"])
def test_exec_runs_a_command_where_the_sandbox_is_and_has_its_status(lab: Lab, isolate: str) -> None:
    up(lab, "none", "--name", "web", "--isolate", isolate)
    assert lab.nsctl("exec", "web", "--", "ip", "-br", "link", check=True).stdout.split()[:2] == ["lo", "DOWN"]
    assert lab.nsctl("exec", "web", "--", "sh", "-c", "exit 7").returncode == 7
    assert lab.nsctl("exec", "web", "--", "no-such-command").returncode == 127
    assert lab.nsctl("exec", "web", "--", "/etc/passwd").returncode == 126
    assert lab.nsctl("exec", "web", "--", "cat", check=True, input="through a pipe\n").stdout == "through a pipe\n"
    hostname = lab.nsctl("exec", "web", "--", "hostname", check=True).stdout.strip()
    assert (hostname == "web") == ("uts" in isolate)


def test_exec_dies_of_the_signal_that_its_command_dies_of(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        assert lab.nsctl("exec", "web", "--", "sh", "-c", f"kill -{number} $$").returncode == 128 + number


def test_nothing_of_nsctls_leaks_into_a_command(lab: Lab) -> None:
    up(lab, "none", "--name", "web", "--env", "FROM=up")
    environment = {"LD_PRELOAD": "", "PYTHONPATH": "/x", "XTABLES_LIBDIR": "/x", "SECRET": "x", "TERM": "xterm"}
    found = lab.nsctl("exec", "web", "--", "env", env=environment, check=True).stdout.splitlines()
    assert sorted(line.partition("=")[0] for line in found) == ["FROM", "HOME", "LANG", "PATH", "TERM"]
    script = "ls /proc/self/fd; umask; cat /proc/self/status"
    text = lab.nsctl("exec", "web", "--", "sh", "-c", script, check=True).stdout
    fds, _, rest = text.partition("00")
    assert fds.split() == ["0", "1", "2", "3"]  # 3 is the one that ls reads the folder with
    assert rest.startswith("22\n")
    assert "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" in text
    assert "NoNewPrivs:\t1\n" in text


def test_exec_refuses_what_is_not_there(lab: Lab) -> None:
    done = lab.nsctl("exec", "web", "--", "true")
    assert (done.returncode, "there is no sandbox 'web'" in done.stderr) == (125, True)
    up(lab, "none", "--name", "web")
    pid = json.loads(lab.nsctl("inspect", "web", check=True).stdout)["pid"]
    # By a process of the lab's: `lab.call` would take the number for one of the machine's.
    lab.run(["kill", "-KILL", str(pid)], check=True)
    until(lambda: lab.nsctl("exec", "web", "--", "true").returncode == 125)
    assert "the init of 'web' has died" in lab.nsctl("exec", "web", "--", "true").stderr


def test_shell_opens_the_users_shell_if_it_is_one(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    which = 'echo "$0"; hostname\n'
    done = lab.nsctl("shell", "web", input=which, env={"SHELL": "/usr/local/strange/bash"}, check=True)
    assert done.stdout.endswith("bash\nweb\n")
    done = lab.nsctl("shell", "web", input=which, env={"SHELL": "/opt/evil"}, check=True)
    assert done.stdout == "/bin/sh\nweb\n"


@pytest.mark.parametrize("mode", ["none", "host", "bridge"])
def test_run_has_the_status_of_its_command_and_leaves_nothing(lab: Lab, mode: str) -> None:
    before = snapshot(lab)
    done = lab.nsctl("run", mode, "--name", "job", "--", "sh", "-c", "hostname; cat; exit 9", input="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (9, "job\nin\n", "")
    assert lab.nsctl("run", mode, "--", "sh", "-c", "kill -TERM $$").returncode == 143
    assert lab.nsctl("run", mode, "--", "no-such-command").returncode == 127
    assert_back(lab, before)


def test_run_beside_a_sandbox_of_its_name_is_refused(lab: Lab) -> None:
    up(lab, "none")
    before = snapshot(lab)
    done = lab.nsctl("run", "none", "--name", "none", "--", "true")
    assert (done.returncode, "'none' is up already" in done.stderr) == (125, True)
    assert_back(lab, before)


TRAPS = "trap 'echo got {0}; exit 5' {0}; echo ready; while :; do sleep 0.05; done"


def wait_for_line(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout is not None
    for got in child.stdout:
        if got == f"{line}\n":
            return
    raise AssertionError(f"the output ended without {line!r}")


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1"])
def test_signals_are_the_commands_and_the_sandbox_is_still_taken_down(lab: Lab, command: str, name: str) -> None:
    before = snapshot(lab)
    if command == "exec":
        up(lab, "none", "--name", "x")
        before = snapshot(lab)
    words = ["run", "none", "--name", "job"] if command == "run" else ["exec", "x"]
    child = lab.nsctl_popen(*words, "--", "bash", "-c", TRAPS.format(name))
    wait_for_line(child, "ready")
    child.send_signal(signal.Signals[f"SIG{name}"])
    wait_for_line(child, f"got {name}")
    assert child.wait(20) == 5
    assert_back(lab, before)


def test_a_command_that_a_signal_ends_gives_128_and_its_number(lab: Lab) -> None:
    before = snapshot(lab)
    child = lab.nsctl_popen("run", "none", "--", "sh", "-c", "echo ready; exec sleep 60")
    wait_for_line(child, "ready")
    child.terminate()
    assert child.wait(20) == 143
    assert_back(lab, before)


@pytest.mark.parametrize("command", ["recover", "down"])
def test_what_a_killed_run_leaves_the_next_command_takes_away(lab: Lab, command: str) -> None:
    before = snapshot(lab)
    child = lab.nsctl_popen("run", "none", "--name", "job", "--", "sh", "-c", "echo ready; exec sleep 60")
    wait_for_line(child, "ready")
    child.kill()
    child.wait(20)
    if command == "recover":
        assert "job" in lab.nsctl("recover", check=True).stdout
    else:
        assert "recovered first: " in lab.nsctl("down", "--all", check=True).stderr
    assert_back(lab, before)


# What a person does at a terminal: runs in the lab, with nsctl on a pseudo-terminal of its own.
TERMINAL = """
import os, pty, select, sys, time
script, argv = eval(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(argv[0], argv)
seen = b""
def read_until(what, seconds=15):
    global seen
    end = time.monotonic() + seconds
    while what not in seen:
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            raise SystemExit(f"no {what!r} in {seen!r}")
        try:
            seen += os.read(fd, 65536)
        except OSError:
            raise SystemExit(f"the terminal closed before {what!r}: {seen!r}")
    seen = seen[seen.index(what) + len(what):]
for expected, typed in script:
    read_until(expected)
    os.write(fd, typed)
while True:
    try:
        if not os.read(fd, 65536):
            break
    except OSError:
        break
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

REPL = (
    "import os, signal, sys\n"
    "def hear(*_): os.write(1, b'heard\\n')\n"
    "signal.signal(signal.SIGINT, hear)\n"
    "os.write(1, b'ready\\n')\n"
    "for line in sys.stdin: print('read', line.strip(), flush=True); exit(6)\n"
)


def at_a_terminal(lab: Lab, script: Sequence[tuple[bytes, bytes]], *words: str) -> str:
    done = lab.run([sys.executable, "-I", "-c", TERMINAL, repr(list(script)), *nsctl_argv(*words)], timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("command", ["run", "exec"])
def test_interrupt_at_the_terminal_reaches_the_command_once_and_only_it(lab: Lab, command: str) -> None:
    if command == "exec":
        up(lab, "none", "--name", "x")
    words = ["run", "none", "--name", "job"] if command == "run" else ["exec", "x"]
    script = [(b"ready", b"\x03"), (b"heard", b"\x03"), (b"heard", b"hello\n"), (b"read hello", b"")]
    assert at_a_terminal(lab, script, *words, "--", sys.executable, "-I", "-c", REPL) == "6"


def test_a_shell_at_the_terminal_has_job_control(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    script = [
        (b"#", b"sh -c 'echo ready; exec sleep 100'\n"),
        (b"\nready", b"\x1a"),
        (b"Stopped", b"kill %1\n"),
        (b"#", b"hostname; tty; exit 3\n"),
        (b"web", b""),
        (b"/dev/pts/", b""),
    ]
    done = lab.run(
        [sys.executable, "-I", "-c", TERMINAL, repr(script), *nsctl_argv("shell", "web")],
        env={"SHELL": "/bin/bash", "PATH": "/usr/sbin:/usr/bin", "TERM": "dumb"},
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_terminal_that_closes_ends_run_and_the_sandbox_is_taken_down(lab: Lab) -> None:
    before = snapshot(lab)
    program = TERMINAL.replace(
        "while True:\n    try:\n        if not", "os.close(fd)\nwhile True:\n    try:\n        if not"
    )
    argv = [sys.executable, "-I", "-c", program, repr([(b"ready", b"")])]
    done = lab.run([*argv, *nsctl_argv("run", "none", "--", "sh", "-c", "echo ready; exec sleep 60")])
    assert done.stdout.strip() == str(128 + signal.SIGHUP)
    assert_back(lab, before)


@pytest.mark.both_ways
def test_check_repair_recover_and_confirm_say_what_they_find(lab: Lab) -> None:
    assert lab.nsctl("check", check=True).stdout == "no sandbox is up, so there is nothing to compare\n"
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    assert lab.nsctl("check", check=True).stdout == "everything is as it was made\n"
    assert lab.nsctl("repair", check=True).stdout == "nothing is missing\n"
    assert lab.nsctl("recover", check=True).stdout == "nothing to recover\n"
    assert lab.nsctl("confirm", "web", check=True).stdout == "web stays: it was not waiting for a confirmation\n"
    lab.run(["ip", "-n", "web", "route", "del", "default"], check=True)
    done = lab.nsctl("check")
    assert done.returncode == 4
    assert "route/web:default" in done.stdout
    assert "needed by web" in done.stdout
    [drift] = json.loads(lab.nsctl("check", "web", "--json").stdout)["drift"]
    assert (drift["holders"], drift["state"]) == (["web"], "absent")
    assert "ip -n web route add default via 10.0.3.1" in lab.nsctl("repair", "--dry-run", check=True).stdout
    assert "put back route/web:default" in lab.nsctl("repair", check=True).stdout
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("check", "wbe").returncode == 2


def test_a_sandbox_that_nobody_confirms_goes_down_by_itself(lab: Lab) -> None:
    before = snapshot(lab)
    done = lab.nsctl("up", "none", "--name", "a", "--confirm", "1s", check=True)
    assert "nsctl confirm a" in done.stderr
    assert "unconfirmed" in lab.nsctl("ls", check=True).stdout
    up(lab, "none", "--name", "b", "--confirm", "1s")
    assert lab.nsctl("confirm", "b", check=True).stdout == "b stays\n"
    until(lambda: [s["name"] for s in json.loads(lab.nsctl("ls", "--json").stdout)] == ["b"])
    lab.nsctl("down", "b", check=True)
    assert_back(lab, before)


def test_the_trail_is_shown_filtered_followed_and_verified(lab: Lab) -> None:
    done = lab.nsctl("log")
    assert (done.returncode, "there is no audit trail" in done.stderr) == (2, True)
    follower = lab.nsctl_popen("log", "--follow", "b")
    up(lab, "none", "--name", "a")
    up(lab, "none", "--name", "b", "--env", "TOKEN=s3cret", "--", "sleep", "60")
    assert follower.stdout is not None
    seen: list[str] = []
    for outcome in ("up: done", "down: done"):
        for line in follower.stdout:
            seen.append(line)
            if outcome in line:
                break
        if outcome == "up: done":
            lab.run(["mv", "/var/log/nsctl/audit.jsonl", "/var/log/nsctl/audit.jsonl.1"], check=True)
            lab.nsctl("down", "b", check=True)
    follower.terminate()
    assert all("  b  " in line for line in seen)
    assert any("ip netns add b" in line for line in seen)
    text = lab.nsctl("log", check=True).stdout
    assert "plan started  down" in text
    assert "s3cret" not in lab.run(["sh", "-c", "cat /var/log/nsctl/*"], check=True).stdout
    records = [json.loads(line) for line in lab.nsctl("log", "--json", "b", check=True).stdout.splitlines()]
    assert {r["sandbox"] for r in records} == {"b"}
    done = lab.nsctl("log", "--verify")
    assert (done.returncode, done.stdout.startswith("the trail is whole: ")) == (0, True)
    lab.run(["sed", "-i", "2d", "/var/log/nsctl/audit.jsonl"], check=True)
    done = lab.nsctl("log", "--verify")
    assert (done.returncode, "missing" in done.stdout) == (4, True)


@pytest.mark.both_ways
def test_a_saved_plan_is_carried_out_as_it_is_and_refused_where_it_does_not_fit(lab: Lab) -> None:
    before = snapshot(lab)
    words = ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    lab.write("/run/plan.json", lab.nsctl(*words, "--dry-run", "--format", "json", check=True).stdout)
    done = lab.nsctl("apply", "/run/plan.json")
    assert (done.returncode, done.stdout) == (0, "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n")
    done = lab.nsctl("apply", "/run/plan.json")
    assert (done.returncode, "'web' is up already" in done.stderr) == (2, True)
    lab.nsctl("down", "web", check=True)
    lab.run(["ip", "link", "add", "nsbr0", "type", "bridge"], check=True)
    taken = snapshot(lab)
    done = lab.nsctl("apply", "/run/plan.json")
    assert done.returncode == 2
    assert "nsbr0" in done.stderr
    assert_back(lab, taken)
    lab.run(["ip", "link", "del", "nsbr0"], check=True)
    lab.run(["rm", "/run/plan.json"], check=True)
    assert_back(lab, before)


def test_verbose_shows_every_step_on_stderr(lab: Lab) -> None:
    done = lab.nsctl("-v", "up", "none", check=True)
    assert "done: ip netns add none" in done.stderr
    assert done.stdout.count("\n") == 1
    assert "undone: netns/none" in lab.nsctl("-v", "down", "none", check=True).stderr


def test_a_trail_that_cannot_be_written_stops_up_but_not_down(lab: Lab) -> None:
    up(lab, "none", "--name", "a")
    before = snapshot(lab)
    lab.run(["sh", "-c", "mv /var/log/nsctl /var/log/away; echo >/var/log/nsctl"], check=True)
    done = lab.nsctl("up", "none", "--name", "b")
    assert (done.returncode, "the audit record can't be written" in done.stderr) == (2, True)
    assert_back(lab, before)
    done = lab.nsctl("down", "a")
    assert (done.returncode, done.stdout) == (0, "a is down\n")
    assert "nsctl: warning: the audit trail" in done.stderr


WITH_PLUGIN = (
    "import sys\nsys.path.append('/run/plugins')\nfrom nsctl.engine.cli import main\nsys.exit(main(sys.argv[1:]))\n"
)


def install(lab: Lab, source: str) -> None:
    lab.write("/run/plugins/extra.py", f"from nsctl import hookimpl\n@hookimpl\n{source}\n")
    lab.write("/run/plugins/extra-1.0.dist-info/entry_points.txt", "[nsctl]\nextra = extra\n")


def with_plugin(lab: Lab, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run nsctl where a distribution with one plugin is installed."""
    install(lab, source)
    return lab.run([sys.executable, "-I", "-c", WITH_PLUGIN, *words])


def test_a_plugin_watches_up_as_it_happens_and_hears_of_down_afterwards(lab: Lab) -> None:
    note = "def nsctl_event(event): print(type(event).__name__, event.sandbox, file=open('/run/seen', 'a'))"
    assert with_plugin(lab, note, "up", "none").returncode == 0
    seen = lab.read("/run/seen").splitlines()
    assert (seen[0], seen[-1]) == ("PlanStarted none", "PlanFinished none")
    assert "StepDone none" in seen
    lab.write("/run/seen", "")
    assert with_plugin(lab, note, "down", "none").returncode == 0
    seen = lab.read("/run/seen").splitlines()
    assert (seen[0], seen[-1]) == ("PlanStarted none", "PlanFinished none")
    assert "StepUndone none" in seen


def test_a_plugin_that_vetoes_or_fails_leaves_the_host_as_it_was(lab: Lab) -> None:
    lab.write("/run/plugins/extra.py", "")
    for source, words in (
        ("def nsctl_review(plan): return 'not on a Friday'", "refuses the plan for 'none': not on a Friday"),
        ("def nsctl_review(plan): raise SystemExit(0)", "failed to review the plan"),
        ("def nsctl_event(event): raise RuntimeError('no')", "stopped the change: RuntimeError: no"),
    ):
        before = snapshot(lab).without("files")
        done = with_plugin(lab, source, "up", "none")
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert snapshot(lab).without("files") == before


@pytest.mark.parametrize("source", ["raise RuntimeError('broken')", "def nsctl_event(event): raise SystemExit(9)"])
def test_no_plugin_can_keep_a_sandbox_from_going_down(lab: Lab, source: str) -> None:
    up(lab, "none")
    done = with_plugin(lab, source, "down", "none")
    assert (done.returncode, done.stdout) == (0, "none is down\n")
    assert done.stderr.startswith("nsctl: warning: ")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
@pytest.mark.parametrize("when", ["heard", "loaded"])
def test_a_plugin_that_never_ends_afterwards_ends_with_a_signal(lab: Lab, when: str, signum: signal.Signals) -> None:
    up(lab, "none")
    hang = "import sys, time; print('there', file=sys.stderr, flush=True); time.sleep(1000)"
    source = f"def nsctl_event(event):\n    {hang}" if when == "heard" else f"def nsctl_review(plan): pass\n{hang}"
    install(lab, source)
    child = lab.popen([sys.executable, "-I", "-c", WITH_PLUGIN, "down", "none"])
    assert child.stderr is not None
    assert child.stderr.readline() == "there\n"
    child.send_signal(signum)
    output, errors = child.communicate(timeout=10)
    assert (child.returncode, output) == (0, "none is down\n"), errors
    assert errors.startswith("nsctl: warning: ")
    assert "Traceback" not in errors


def test_heavy_libraries_are_never_loaded_on_the_way_up_and_down(lab: Lab) -> None:
    heavy = ["asyncio", "importlib.metadata", "pydantic", "rich", "ssl", "tomllib", "urllib.request"]
    code = (
        "import sys\n"
        "from nsctl.engine.cli import main\n"
        "status = main(sys.argv[1:])\n"
        f"print([m for m in {heavy} if m in sys.modules], status)\n"
    )
    for words in (
        ["up", "bridge", "--name", "web"],
        ["ls"],
        ["exec", "web", "--", "true"],
        ["check"],
        ["down", "web"],
        ["run", "none", "--", "true"],
    ):
        done = lab.run([sys.executable, "-I", "-c", code, *words], check=True)
        assert done.stdout.splitlines()[-1] == "[] 0", words
