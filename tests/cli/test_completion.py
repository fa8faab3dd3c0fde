"""What a real shell makes of a command line when Tab is pressed, and what nsctl answers it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.completion import SCRIPTS
from nsctl.engine.cli.root import Root
from tests.cli.conftest import Nsctl
from tests.lab import Lab

SHELLS = Path(__file__).parents[2] / "engine" / "cli" / "shells"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
PYTHON = (sys.executable, "-I", "-m", "nsctl")
WAIT = 30.0
"""Seconds until a shell must have completed a line."""
needs_bash_completion = pytest.mark.skipif(not BASH_COMPLETION.exists(), reason="bash-completion is not installed")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")


def answer(*words: str, cwd: Path | str = "/", env: dict[str, str] | None = None) -> tuple[int, list[str]]:
    """The exit status and the candidates, without what they mean; nothing on stderr."""
    done = subprocess.run(
        PYTHON,
        env=os.environ | {"_NSCTL_COMPLETE": "\n".join(words)} | (env or {}),
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_commands_modes_and_options_are_completed() -> None:
    assert answer("") == (0, list(COMMANDS))
    assert answer("up", "br") == (0, ["bridge"])
    assert answer("up", "--name", "x", "br") == (0, ["bridge"])
    assert answer("up", "--na") == (0, ["--name"])
    assert answer("up", "bridge", "--su") == (0, ["--subnet"])
    assert answer("up", "nonsense", "--su") == (0, [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("up", "none", "--format", ""), ["text", "sh", "json"]),
        (("up", "none", "--format=j"), ["--format=json"]),
        (("apply", "--format", "s"), ["sh"]),
        (("up", "none", "--cap-add", "net_"), ["net_admin", "net_bind_service", "net_broadcast", "net_raw"]),
        (("up", "none", "--cap-drop", "NET_A"), ["NET_ADMIN"]),
        (("up", "none", "--isolate", "mount,u"), ["mount,uts"]),
        (("up", "none", "--isolate", "mount,m"), []),
        (("up", "none", "--env", "NSCTL_TEST_V"), ["NSCTL_TEST_VARIABLE"]),
        (("up", "none", "--step-timeout", ""), []),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("schema", ""), ["lab"]),
        (("modes", "h"), ["host"]),
    ],
    ids=" ".join,
)
def test_values_are_completed(words: tuple[str, ...], expected: list[str]) -> None:
    assert answer(*words, env={"NSCTL_TEST_VARIABLE": "1"}) == (0, expected)


def test_lab_files_are_completed_by_suffix_and_other_files_are_left_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    for name in ("a.toml", "b.json", "c.txt", "labs/d.toml"):
        (tmp_path / name).touch()
    assert answer("apply", "", cwd=tmp_path) == (0, ["a.toml", "b.json", "labs/"])
    assert answer("apply", "labs/", cwd=tmp_path) == (0, ["labs/d.toml"])
    assert answer("down", "--file", "", cwd=tmp_path) == (0, ["a.toml", "labs/"])
    assert answer("apply", "c", cwd=tmp_path) == (1, [])
    assert answer("apply", "~/", cwd=tmp_path) == (1, [])
    assert answer("apply", "/no/such/", cwd=tmp_path) == (1, [])


def test_what_follows_the_dashes_is_left_to_the_shell() -> None:
    assert answer("run", "none", "--", "l") == (1, [])


def test_a_fault_on_the_way_prints_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from nsctl.engine import cli

    def broken(*_: object) -> None:
        sys.stderr.write("noise")
        raise RuntimeError("broken")

    monkeypatch.setattr(Root, "shell_complete", broken)
    monkeypatch.setattr("os.umask", lambda _: 0o022)  # of this process, which goes on
    monkeypatch.setenv("_NSCTL_COMPLETE", "u")
    assert cli.main([]) == 0
    assert capfd.readouterr() == ("", "")


def test_the_scripts_are_printed(nsctl: Nsctl) -> None:
    for shell, name in SCRIPTS.items():
        assert nsctl("completion", shell).stdout == (SHELLS / name).read_text()
    refused = nsctl("completion", "tcsh")
    assert (refused.status, refused.stdout) == (2, "")
    assert "there is no completion for 'tcsh'" in refused.stderr


@pytest.mark.system
def test_names_of_sandboxes_and_bridges_are_completed(lab: Lab) -> None:
    lab.nsctl("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", check=True)
    lab.nsctl("up", "none", "--name", "other", check=True)
    lab.run(["ip", "link", "add", "lan0", "type", "bridge"], check=True)

    def asked(*words: str, before: tuple[str, ...] = ()) -> list[str]:
        done = lab.run([*before, *PYTHON], env={"_NSCTL_COMPLETE": "\n".join(words)})
        assert done.stderr == ""
        return done.stdout.split()

    assert asked("down", "w") == ["web"]
    assert asked("up", "container", "--target", "") == ["other", "web"]
    lab.nsctl("up", "bridge", "--name", "lone", "--network", "inner", check=True)
    assert asked("up", "bridge", "--network", "in") == ["inner"]
    assert asked("up", "bridge", "--bridge", "") == ["lan0", "nsbr-inner", "nsbr0"]
    assert asked("up", "bridge", "--uplink", "") == ["eth0"]
    # Not root's store, but the names of namespaces, which anybody may list.
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if lab.run([*nobody, sys.executable, "-c", ""]).returncode == 0:
        assert asked("down", "", before=nobody) == ["lone", "other", "web"]
        assert asked("up", "bridge", "--bridge", "", before=nobody) == ["lan0", "nsbr-inner", "nsbr0"]


def put_nsctl_into(folder: Path) -> None:
    folder.mkdir()
    (folder / "nsctl").write_text(f'#!/bin/sh\nexec {shlex.join(PYTHON)} "$@"\n')
    (folder / "nsctl").chmod(0o755)


class Shell:
    """An interactive shell on a terminal, in a folder of its own, with `nsctl` on its path."""

    def __init__(self, folder: Path, argv: list[str], env: dict[str, str]) -> None:
        put_nsctl_into(folder / "bin")
        path = f"{folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        pid, self._fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execve(argv[0], argv, {"PATH": path, "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C"} | env)  # noqa: S606
        self._pid = pid
        self._screen = ""

    def type(self, keys: str, until: str) -> None:
        """Type, and wait until the screen shows a text."""
        self._screen = ""
        os.write(self._fd, keys.encode())
        end = time.monotonic() + WAIT
        while until not in self._screen:
            assert select.select([self._fd], [], [], max(0.0, end - time.monotonic()))[0], self._screen
            self._screen += os.read(self._fd, 65536).decode(errors="replace")

    def close(self) -> None:
        os.close(self._fd)  # hangs it up
        os.waitpid(self._pid, 0)


@contextlib.contextmanager
def shell(folder: Path, *argv: str, **env: str) -> Iterator[Shell]:
    made = Shell(folder, list(argv), env)
    try:
        yield made
    finally:
        made.close()


LINES = {
    # What is typed before Tab, and what the line is then.
    "nsctl che": "nsctl check ",
    "nsctl up br": "nsctl up bridge ",
    "nsctl up none --isol": "nsctl up none --isolate ",
    "nsctl up none --format js": "nsctl up none --format json ",
    "nsctl up none --format=js": "nsctl up none --format=json ",
    "nsctl apply one": "nsctl apply one.toml ",
    "nsctl apply lab": "nsctl apply labs/",
    "nsctl apply labs/": "nsctl apply labs/two.toml ",
    "nsctl apply note": "nsctl apply notes.txt ",
    "nsctl run none -- touc": "nsctl run none -- touch ",
    "nsctl run none -- ls note": "nsctl run none -- ls notes.txt ",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labs").mkdir()
    for name in ("one.toml", "notes.txt", "labs/two.toml"):
        (tmp_path / name).touch()
    return tmp_path


def completes_every_line(made: Shell) -> None:
    # Tab, and then ^A and ^E to have the line printed, with a mark at its end, so that a blank there is seen.
    for typed, expected in LINES.items():
        made.type(f"{typed}\t@\x01echo :\x05:\n", f":{expected}@:")


@pytest.mark.slow
@needs_bash_completion
def test_bash_with_bash_completion_loads_it_and_completes_every_line(folder: Path) -> None:
    place = folder / ".local" / "share" / "bash-completion" / "completions"
    place.mkdir(parents=True)
    (place / "nsctl").write_text(subprocess.check_output([*PYTHON, "completion", "bash"], text=True))
    (folder / ".bashrc").write_text(f"PS1='ready> '; bind 'set enable-bracketed-paste off'; . {BASH_COMPLETION}\n")
    with shell(folder, "/bin/bash", "-i") as bash:
        bash.type("", "ready> ")
        completes_every_line(bash)


@pytest.mark.slow
def test_bash_alone_completes_every_line_once_the_script_is_read(folder: Path) -> None:
    rc = "PS1='ready> '; bind 'set enable-bracketed-paste off'; . <(nsctl completion bash)\n"
    (folder / ".bashrc").write_text(rc)
    with shell(folder, "/bin/bash", "-i") as bash:
        bash.type("", "ready> ")
        completes_every_line(bash)


@pytest.mark.slow
@needs_zsh
def test_zsh_completes_every_line(folder: Path) -> None:
    (folder / "functions").mkdir()
    (folder / "functions" / "_nsctl").write_text(subprocess.check_output([*PYTHON, "completion", "zsh"], text=True))
    rc = ["fpath=(~/functions $fpath)", "autoload -U compinit", "compinit -u", "bindkey -e", "PS1='ready> '"]
    (folder / ".zshrc").write_text("".join(f"{line}\n" for line in [*rc, "unset zle_bracketed_paste"]))
    with shell(folder, shutil.which("zsh") or "", "-i") as zsh:
        zsh.type("", "ready> ")
        completes_every_line(zsh)


@pytest.mark.slow
@needs_fish
def test_fish_completes_every_line(folder: Path) -> None:
    place = folder / ".config" / "fish" / "completions"
    place.mkdir(parents=True)
    (place / "nsctl.fish").write_text(subprocess.check_output([*PYTHON, "completion", "fish"], text=True))
    path = {"PATH": f"{folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    put_nsctl_into(folder / "bin")
    for typed, expected in LINES.items():
        asked = ["fish", "-c", f"complete -C {shlex.quote(typed)}"]
        done = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=folder, env=path)
        words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        assert (words, done.stderr) == ([expected.split()[-1]], ""), typed
