"""By the resident process or without it: what comes of a command, what it starts and what is recorded are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ENVIRONMENT, Lab, Shims, needs, nsctl_argv, shim
from tests.resident.support import COLD, alike, requests, server_on_machine, why_not
from tests.system.support import down, eventually, init_of, said, terminal, unchanged, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

WEB = ("up", "bridge", "--name", "web", "--isolate", "net")
WORK = ("up", "none", "--name", "web", "--", "sleep", "100")


def test_it_runs_the_commands_that_are_its_own_and_no_others(host: Lab) -> None:
    assert why_not(host) == ""
    assert why_not(host, *WEB) == ""
    assert why_not(host, "check", "web") == ""
    assert why_not(host, "repair") == ""
    assert why_not(host, "recover") == ""
    for own in (("inspect", "web"), ("exec", "web", "--", "true"), ("run", "none", "--", "true"), ("modes",)):
        before = requests(host)
        said(host, *own)
        assert requests(host) == before + 1, own
    assert why_not(host, "down", "web") == ""


def test_without_one_nothing_is_asked_and_nothing_is_said(lab: Lab) -> None:
    assert "resident" not in lab.nsctl("-v", "ls").stderr


@pytest.mark.parametrize(
    "words",
    [
        "ls",
        "ls --json",
        "ls --help",
        "ls nonsense",
        "up",
        "up nonsense",
        "up bridge --dry-run",
        "up bridge --dry-run --format json",
        "up bridge --subnet 300.0.0.0/24",
        "up none -- ",
        "down nobody",
        "apply /nowhere.json",
        "apply -",
        "check",
        "check nobody",
        "repair --dry-run",
        "recover --yes",
    ],
)
def test_what_is_said_is_the_same(host: Lab, words: str) -> None:
    alike(host, *words.split(), input="{}")


def test_up_and_down_leave_nothing(host: Lab) -> None:
    with unchanged(host):
        up(host, "bridge", "--name", "web")
        alike(host, "ls", "--quiet")
        alike(host, "check")
        down(host, "web")


def test_what_the_command_gets_is_the_callers(host: Lab) -> None:
    plan = said(host, "up", "none", "--name", "web", "--dry-run", "--format", "json")
    host.write("/run/here/plan.json", plan)
    script = 'cd /run/here && nsctl() { "$@"; } && exec "$@" apply plan.json'
    assert host.run(["sh", "-c", script, "sh", *nsctl_argv()], check=True).stdout.startswith("web is up")
    down(host, "web")
    # A descriptor beside 0, 1 and 2, as of `nsctl apply <(…)`.
    done = host.run(["sh", "-c", 'exec "$@" apply /dev/fd/7 7</run/here/plan.json', "sh", *nsctl_argv()], check=True)
    assert done.stdout.startswith("web is up")
    down(host, "web")
    assert host.nsctl("apply", "-", input=plan, check=True).stdout.startswith("web is up")
    host.nsctl("down", "web", check=True)
    host.nsctl(*WORK, env={"NSCTL_STATE_DIR": "/run/other"}, check=True)
    assert host.exists("/run/other/state.db")
    host.nsctl("down", "web", env={"NSCTL_STATE_DIR": "/run/other"}, check=True)


def _of_init(lab: Lab, prefix: Sequence[str], env: dict[str, str]) -> dict[str, Any]:
    """What a sandbox's init has from nsctl, which has it from its caller."""
    done = lab.run([*prefix, *nsctl_argv(*WORK)], env=ENVIRONMENT | env)
    assert done.returncode == 0, done
    pid = init_of(lab, "web")
    status = dict(line.split(":", 1) for line in lab.read(f"/proc/{pid}/status").splitlines())
    found = {
        name: status[name].strip()
        for name in (
            "Umask Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Cpus_allowed SigBlk SigIgn".split()
        )
    }
    found |= {name: lab.read(f"/proc/{pid}/{name}") for name in ("limits", "oom_score_adj", "cgroup", "environ")}
    stat = lab.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    found |= {"nice": stat[16], "policy": stat[38]}
    found["timerslack"] = lab.read(f"/proc/{pid}/timerslack_ns")
    lab.nsctl("down", "web", env=COLD, check=True)
    return found


@pytest.mark.parametrize(
    "prefix",
    [
        [],
        ["nice", "-n", "7"],
        ["prlimit", "--core=0:0", "--nofile=100:200", "--stack=4194304:8388608", "--"],
        ["prlimit", "--nofile=64:64", "--"],
        ["choom", "-n", "500", "--"],
        ["taskset", "1"],
        ["chrt", "--batch", "0"],
        ["ionice", "-c", "3"],
        ["setpriv", "--groups=7,8"],
        ["sh", "-c", 'umask 0; exec "$@"', "sh"],
        ["nohup"],
        ["sh", "-c", 'trap "" INT QUIT TERM; exec "$@"', "sh"],
    ],
    ids=lambda prefix: " ".join(prefix[:4]) or "plain",
)
def test_what_it_starts_has_the_callers_limits_and_priorities(host: Lab, prefix: list[str]) -> None:
    assert why_not(host, prefix=prefix) == ""
    assert _of_init(host, prefix, {}) == _of_init(host, prefix, COLD)


def test_what_it_starts_is_in_the_callers_cgroups(host: Lab) -> None:
    # A lab has none mounted; what is made here is a leaf of the machine's, and goes again.
    kinds = ("-t cgroup -o pids", "-t cgroup2")
    place = "/run/cgroups"
    host.run(["mkdir", place], check=True)
    if not any(host.run(["mount", *kind.split(), "none", place]).returncode == 0 for kind in kinds):
        pytest.skip("no cgroups can be mounted here")
    mine = f"{place}/{host.token}"
    if host.run(["mkdir", mine]).returncode != 0:
        pytest.skip("no cgroup can be made here")
    try:
        prefix = ["sh", "-c", f'echo $$ > {mine}/cgroup.procs && exec "$@"', "sh"]
        assert why_not(host, prefix=prefix) == ""
        by_it, cold = _of_init(host, prefix, {}), _of_init(host, prefix, COLD)
        assert host.token in by_it["cgroup"]
        assert by_it == cold
    finally:
        assert eventually(lambda: host.call(_removed, mine))


def _removed(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def test_what_cannot_be_taken_over_is_a_cold_run(host: Lab) -> None:
    # The server has less than the caller, and may not raise it.
    host.nsctl("resident", "stop", check=True)
    weak = ["prlimit", "--core=0:0", "--", "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"]
    done = host.run([*weak, *nsctl_argv("resident", "start")])
    assert done.returncode == 0, done
    strong = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"]
    if host.run(["sh", "-c", "ulimit -Hc"]).stdout.strip() == "0":
        pytest.skip("there is no more to be had")
    assert why_not(host, prefix=strong) == "the caller's limits can't be taken over"


def test_what_is_recorded_of_the_caller_is_the_same(host: Lab) -> None:
    for env in ({}, COLD):
        script = '"$@" up none --name web; "$@" down web; exit 0'
        host.run(["sh", "-c", script, "sh", *nsctl_argv()], env=ENVIRONMENT | env, cwd="/tmp", check=True)  # noqa: S108
    records = [json.loads(line) for line in host.read("/var/log/nsctl/audit.jsonl").splitlines()]
    told = [
        {key: r[key] for key in ("tty", "cwd", "uid", "loginuid", "sudo_user")} | {"comm": r["parent"]["comm"]}
        for r in records
        if "parent" in r
    ]
    assert told
    assert told[0]["comm"] == "sh"
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP])
@pytest.mark.parametrize("within", ["a step", "reading"])
def test_a_signal_does_what_it_does_without(host: Lab, signum: signal.Signals, within: str) -> None:
    """In the middle of a change it rolls back, or is dropped; before one it ends the command, or stops it."""
    shims = shim(host, ["ip"])
    ends = []
    for env in ({}, COLD):
        with unchanged(host):
            ends.append(_signalled(host, shims, signum, within, env))
    assert ends[0] == ends[1]
    assert ends[0][0] != 0


def _signalled(lab: Lab, shims: Shims, signum: int, within: str, env: dict[str, str]) -> tuple[int, str]:
    if within == "a step":
        shims.plan({1: "hang"})
        child = lab.nsctl_popen(*WEB, "--step-timeout", "2s", env=env)
        assert eventually(lambda: bool(shims.calls))
    else:
        child = lab.nsctl_popen("apply", "-", env=env, stdin=subprocess.PIPE)
        assert eventually(lambda: _reads(lab, child))
    child.send_signal(signum)
    if (within, signum) == ("reading", signal.SIGTSTP):  # no shell is there to continue it, so it does not stop
        child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    return child.wait(20), child.stderr.read()


def _reads(lab: Lab, child: subprocess.Popen[str]) -> bool:
    """Whether nsctl, or what works for it, waits for its standard input."""
    workers = [child.pid, *_children(server_on_machine(lab))]
    return any(_waits(pid) for pid in workers)


def _waits(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()[:2] == ["0", "0x0"]
    except (OSError, IndexError):
        return False


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@pytest.mark.parametrize("env", [{}, COLD], ids=["by it", "cold"])
def test_control_c_at_a_terminal(host: Lab, env: dict[str, str]) -> None:
    words = ["env", *(f"{name}={value}" for name, value in env.items())]
    with terminal(host, *words, *nsctl_argv("apply", "-")) as screen:
        assert eventually(lambda: _reads(host, screen.process))
        screen.type("\x03")
        assert screen.end() == 130


def test_who_kills_the_caller_kills_what_works_for_it(host: Lab) -> None:
    child = host.nsctl_popen("apply", "-", stdin=subprocess.PIPE)
    assert eventually(lambda: _reads(host, child))
    (worker,) = _children(server_on_machine(host))
    child.kill()
    assert eventually(lambda: not Path(f"/proc/{worker}").exists())


def test_whose_worker_is_killed_is_killed_and_the_next_command_cleans_up(host: Lab) -> None:
    shims = shim(host, ["ip"])
    with unchanged(host):
        shims.plan({1: "kill-parent-after"})
        done = host.nsctl(*WEB)
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
        shims.plan({})
        assert "recovered first" in host.nsctl(*WEB, check=True).stderr
        down(host, "web")


@pytest.mark.parametrize("signum", [signal.SIGSTOP, signal.SIGKILL])
def test_if_the_server_is_stopped_or_killed_what_it_began_goes_on(host: Lab, signum: signal.Signals) -> None:
    plan = said(host, "up", "none", "--name", "web", "--dry-run", "--format", "json")
    child = host.nsctl_popen("apply", "-", stdin=subprocess.PIPE)
    assert eventually(lambda: _reads(host, child))
    os.kill(server_on_machine(host), signum)
    output, errors = child.communicate(plan, 20)
    assert (child.returncode, errors) == (0, ""), output
    assert output.startswith("web is up")
    host.nsctl("down", "web", env=COLD, check=True)
