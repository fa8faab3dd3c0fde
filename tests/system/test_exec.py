from __future__ import annotations

import os
import signal

import pytest

from tests.lab import Lab, nsctl_argv
from tests.system.support import SOON, eventually, init_of, inside, namespaces, said, terminal, up


@pytest.fixture
def web(lab: Lab) -> Lab:
    up(lab, "none", "--name", "web")
    return lab


def test_a_command_runs_in_all_namespaces_of_the_sandbox(web: Lab) -> None:
    ours = namespaces(web, init_of(web, "web"))
    kinds = ("mnt", "ipc", "pid", "uts", "net")
    seen = inside(web, "web", "readlink", *(f"/proc/self/ns/{kind}" for kind in kinds)).split()
    assert seen == [ours[kind] for kind in kinds]


def test_output_and_errors_are_the_commands(web: Lab) -> None:
    done = web.nsctl("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_what_stands_behind_the_dashes_is_never_read_as_nsctls(web: Lab) -> None:
    assert inside(web, "web", "echo", "--version", "--", "-v", "") == "--version -- -v \n"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["sh", "-c", "exit 200"], 200),
        (["sh", "-c", "kill -SEGV $$"], 128 + signal.SIGSEGV),
        (["/"], 126),
        (["/etc/passwd"], 126),
        (["no-such-command"], 127),
        (["/no/such/command"], 127),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_exit_status_is_the_commands(web: Lab, command: list[str], status: int) -> None:
    assert web.nsctl("exec", "web", "--", *command).returncode == status


@pytest.mark.parametrize("isolate", ["net", "mount,net"])
def test_statuses_are_the_same_without_a_pid_namespace(lab: Lab, isolate: str) -> None:
    up(lab, "none", "--name", "web", "--isolate", isolate)
    for command, status in [("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM)]:
        done = lab.nsctl("exec", "web", "--", "sh", "-c", command)
        # Where nothing is left to do, nsctl becomes the command, and ends by the signal itself.
        assert done.returncode in {status, 128 - status}
    assert lab.nsctl("exec", "web", "--", "no-such-command").returncode == 127


def test_125_says_that_nsctl_itself_failed(web: Lab) -> None:
    for args in (
        ("exec", "nope", "--", "true"),
        ("exec", "web"),
        ("exec", "web", "--"),
        ("exec", "--", "true"),
        ("shell", "x"),
    ):
        done = web.nsctl(*args)
        assert done.returncode == 125, (args, done)
        assert done.stderr.startswith("nsctl: "), (args, done)


def test_it_works_in_a_pipe(web: Lab) -> None:
    many = "".join(f"line {number}\n" for number in range(20_000))
    done = web.nsctl("exec", "web", "--", "sort", "-r", input=many)
    assert done.stdout.splitlines() == sorted(many.splitlines(), reverse=True)


def test_a_reader_that_goes_away_ends_the_command(web: Lab) -> None:
    pipe = 'set -o pipefail; "$@" | head -n 1; echo ${PIPESTATUS[0]}'
    done = web.run(["bash", "-c", pipe, "bash", *nsctl_argv("exec", "web", "--", "yes")])
    assert done.stdout.split() == ["y", str(128 + signal.SIGPIPE)]


def test_a_signal_is_the_commands(web: Lab) -> None:
    child = web.nsctl_popen("exec", "web", "--", "sh", "-c", "echo ready; exec sleep 1000")
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    assert child.wait(SOON) == 128 + signal.SIGTERM
    assert eventually(lambda: "sleep 1000\n" not in inside(web, "web", "ps", "-e", "-o", "args"))


def test_nothing_of_nsctls_environment_or_files_is_handed_on(web: Lab) -> None:
    env = {"SECRET": "1", "LD_DEBUG": "files", "TERM": "vt100"}
    done = web.nsctl("exec", "web", "--", "env", env=env)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "HOME", "LANG", "TERM"}
    assert inside(web, "web", "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls's own
    assert inside(web, "web", "sh", "-c", "umask") == "0022\n"


def test_variables_given_at_up_are_the_commands_too_but_not_among_its_words(lab: Lab) -> None:
    up(lab, "none", "--env", "GREETING=hello there", "--env", "EMPTY=")
    seen = inside(lab, "none", "sh", "-c", 'echo "$GREETING" "[$EMPTY]"; cat /proc/self/cmdline')
    assert seen.startswith("hello there []\n")
    assert lab.nsctl("inspect", "none").stdout.count("hello there") == 0


def test_a_command_may_do_only_what_a_sandbox_may(web: Lab) -> None:
    def allowed(name: str) -> set[str]:
        words = inside(web, name, "capsh", "--decode=" + _capabilities(web, name)).strip()
        return set(words.partition("=")[2].split(","))

    assert "cap_sys_admin" not in allowed("web")
    assert {"cap_net_admin", "cap_net_raw", "cap_chown"} <= allowed("web")
    assert inside(web, "web", "grep", "NoNewPrivs", "/proc/self/status").split() == ["NoNewPrivs:", "1"]
    up(web, "none", "--name", "free", "--privileged")
    assert "cap_sys_admin" in allowed("free")
    up(web, "none", "--name", "some", "--cap-add", "sys_admin", "--cap-drop", "CAP_NET_RAW,chown")
    assert "cap_sys_admin" in allowed("some")
    assert not {"cap_net_raw", "cap_chown"} & allowed("some")


def _capabilities(lab: Lab, name: str) -> str:
    return inside(lab, name, "grep", "CapEff", "/proc/self/status").split()[1]


def test_on_a_terminal_the_command_has_it(web: Lab) -> None:
    with terminal(
        web, *nsctl_argv("exec", "web", "--", "sh", "-c", "tty; read line; echo got $line; exit 4")
    ) as screen:
        assert screen.shows("/dev/pts/")
        screen.type("some words\n")
        assert screen.end() == 4
        assert "got some words" in screen.screen


def test_on_a_terminal_an_interrupt_goes_to_the_command_once(web: Lab) -> None:
    script = "trap 'echo caught' INT; echo ready; until [ -e /tmp/never ]; do sleep 0.01; done"
    with terminal(web, *nsctl_argv("exec", "web", "--", "sh", "-c", script)) as screen:
        assert screen.shows("ready")
        screen.type("\x03")
        assert screen.shows("caught")
        screen.type("\x1c")
        assert screen.end() == 128 + signal.SIGQUIT
        assert screen.screen.count("caught") == 1


def test_on_a_terminal_it_can_be_stopped_and_continued(web: Lab) -> None:
    with terminal(web, "bash", "--norc", "--noprofile", "-i") as screen:
        screen.type(" ".join(nsctl_argv("exec", "web", "--", "sh", "-c", "'echo ready; exec cat'")) + "\n")
        assert screen.shows("\nready")
        screen.type("first\n")
        assert screen.shows("first\r\nfirst")
        screen.type("\x1a")
        assert screen.shows("Stopped")
        screen.type("echo in the $((1 + 1))nd shell\n")
        assert screen.shows("in the 2nd shell")
        screen.type("fg\n")
        assert screen.shows("exec cat", after="nd shell")
        screen.type("second\n")
        assert screen.shows("second\r\nsecond")
        screen.type("\x04")
        assert screen.shows("# ", after="second\r\nsecond")
        screen.type("exit 9\n")
        assert screen.end() == 9


def test_a_shell_is_the_users_own_if_it_is_one(web: Lab) -> None:
    for shell, running in [("/bin/bash", "bash"), ("/bin/sh", "sh"), ("/no/such/shell", "sh"), ("/usr/bin/env", "sh")]:
        done = web.nsctl("shell", "web", input="hostname; echo $0; exit 6\n", env={"SHELL": shell})
        assert (done.returncode, done.stdout.split()[0]) == (6, "web"), shell
        assert os.path.basename(done.stdout.split()[1]) == running, shell


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_is_interactive_on_a_terminal(web: Lab, shell: str) -> None:
    with terminal(web, "env", f"SHELL=/bin/{shell}", *nsctl_argv("shell", "web")) as screen:
        screen.type("echo flags $- in $(hostname)\n")
        assert screen.shows(" in web\r\n")
        assert "i" in screen.screen.rpartition("flags ")[2].partition(" in ")[0]
        screen.type("exit 3\n")
        assert screen.end() == 3
        assert "process group" not in screen.screen


def test_without_a_command_there_is_a_hint(web: Lab) -> None:
    assert "hint: nsctl exec web -- CMD..." in web.nsctl("exec", "web").stderr
    assert "did you mean 'web'?" in web.nsctl("exec", "wep", "--", "true").stderr


def test_it_works_beside_others_that_change_something(web: Lab) -> None:
    children = [web.nsctl_popen("up", "none", "--name", f"n{number}") for number in range(3)]
    assert said(web, "exec", "web", "--", "hostname") == "web\n"
    assert [child.wait(30) for child in children] == [0, 0, 0]
