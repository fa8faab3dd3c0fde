"""scripts/nsctl on a fresh clone, and on one that something happened to."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

import nsctl
from tests.packaging.clones import Clone

pytestmark = pytest.mark.slow

VERSION = f"nsctl {nsctl.__version__}\n"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_debian = pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="not a Debian")


def stamps(clone: Clone) -> list[str]:
    return sorted(path.name for path in (clone.path / ".venv").glob(".nsctl-*"))


def test_two_first_starts_at_once_both_work_and_make_one_environment(clone: Clone) -> None:
    assert [(status, out) for status, out, _ in clone.told] == [(0, VERSION)] * 2, clone.told
    assert "".join(err for _, _, err in clone.told).count("making .venv") == 1


def test_the_first_start_compiles_everything_although_the_environment_asks_not_to(clone: Clone) -> None:
    (site,) = (clone.path / ".venv" / "lib").glob("python3*/site-packages")
    for folder in (site / "pluggy", *(clone.path / name for name in ("src/nsctl", "engine", "modes", "hooks"))):
        sources = {path.stem for path in folder.glob("*.py")}
        assert {path.name.partition(".")[0] for path in (folder / "__pycache__").glob("*.pyc")} == sources


def test_the_second_start_says_nothing_of_its_own(clone: Clone) -> None:
    second = clone.start("--version")
    assert (second.returncode, second.stdout, second.stderr) == (0, VERSION, "")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_second_start_runs_one_shell_and_one_python_and_forks_nothing(clone: Clone, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(trace))
    assert clone.start("--version", before=strace).stdout == VERSION
    calls = trace.read_text().splitlines()
    programs = [re.search(r'execve\("(.*?)"', call) for call in calls]
    launcher, python, *others = calls
    assert others == []
    assert [found and Path(found[1]).name for found in programs] == ["nsctl", "python"], (launcher, python)


def test_it_starts_through_a_link_from_anywhere_with_its_arguments_as_they_are(clone: Clone, tmp_path: Path) -> None:
    link = tmp_path / "linked nsctl"
    link.symlink_to(clone.path / "scripts" / "nsctl")
    assert clone.start("--version", script=link).stdout == VERSION
    refused = clone.start("no such 'mode'", script=link)
    assert refused.returncode == 2
    assert "no such 'mode'" in refused.stderr


def test_a_moved_clone_is_set_up_anew(clone: Clone) -> None:
    clone.path = clone.path.rename(clone.path.with_name("moved"))
    first = clone.start("--version")
    assert (first.returncode, first.stdout) == (0, VERSION)
    assert "making .venv" in first.stderr
    assert clone.start("--version").stderr == ""


def test_a_vanished_interpreter_is_replaced_even_if_that_was_killed_half_way(clone: Clone) -> None:
    python = clone.path / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    for _ in range(3):
        killed = clone.begin()
        time.sleep(1.5)  # in the middle of making, then of installing
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert ".nsctl-run" not in stamps(clone)
    assert clone.start("--version").stdout == VERSION
    assert stamps(clone) == [".nsctl-run"]


def test_a_changed_pyproject_is_installed_again(clone: Clone) -> None:
    (clone.path / "pyproject.toml").touch()
    again = clone.start("--version")
    assert again.stdout == VERSION
    assert "installing nsctl" in again.stderr
    assert "making .venv" not in again.stderr


def test_a_failed_installation_is_refused_and_the_next_start_heals_it(clone: Clone) -> None:
    (clone.path / "pyproject.toml").touch()
    no_packages = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    failed = clone.start("--version", env=no_packages)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "pip could not install nsctl" in failed.stderr
    assert clone.start("--version").stdout == VERSION


@needs_root
def test_others_start_what_root_has_set_up(clone: Clone) -> None:
    other = clone.start("--version", before=NOBODY)
    assert (other.returncode, other.stdout, other.stderr) == (0, VERSION, "")


@needs_root
def test_others_are_told_when_only_root_can_set_it_up(clone: Clone) -> None:
    stamp = clone.path / ".venv" / ".nsctl-run"
    aside = stamp.rename(stamp.with_name("aside"))
    refused = clone.start("--version", before=NOBODY)
    aside.rename(stamp)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "start this once as root" in refused.stderr


@pytest.mark.parametrize("files", range(12, 20))
def test_too_few_open_files_are_not_taken_for_missing_packages(clone: Clone, files: int) -> None:
    limited = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh")
    done = clone.start("--version", before=limited)
    assert done.stdout in {VERSION, ""}, done
    assert "packages" not in done.stderr
    assert "making" not in done.stderr
    if done.stdout == "":
        assert re.search("[Oo]pen", done.stderr), done  # of the shell, or of what it started
    (clone.path / "pyproject.toml").touch()
    assert clone.start("--version", before=limited).stdout == ""
    assert clone.start("--version").stdout == VERSION


@needs_root
@needs_debian
class TestMissingPackages:
    """In a mount namespace where something that is no file lies over pkill; apt-get is a script that takes notes."""

    @pytest.fixture
    def without_pkill(self) -> tuple[str, ...]:
        pkill = shutil.which("pkill")
        assert pkill is not None
        hide = f'mount --bind /dev/null {os.path.realpath(pkill)} && exec "$@"'
        return ("unshare", "--mount", "--propagation=private", "sh", "-c", hide, "sh")

    def test_a_run_asks_for_nothing_that_only_tests_need(self, clone: Clone) -> None:
        only_tests = [found for name in ("ping", "git", "conntrack", "strace") if (found := shutil.which(name))]
        assert only_tests
        hide = " && ".join(f"mount --bind /dev/null {os.path.realpath(path)}" for path in only_tests)
        bare = ("unshare", "--mount", "--propagation=private", "sh", "-c", f'{hide} && exec "$@"', "sh")
        (clone.path / "pyproject.toml").touch()
        done = clone.start("--version", before=bare)
        assert done.stdout == VERSION
        assert "packages" not in done.stderr

    @pytest.fixture
    def apt(self, tmp_path: Path) -> Path:
        (tmp_path / "bin").mkdir()
        apt_get = tmp_path / "bin" / "apt-get"
        apt_get.write_text(
            '#!/bin/sh\necho "$@" >> "${0%/*}/../said"\n[ "$1" = update ] || grep -q update "${0%/*}/../said"\n'
        )
        apt_get.chmod(0o755)
        return tmp_path

    def test_root_installs_them_and_fetches_the_lists_if_need_be(
        self, clone: Clone, apt: Path, without_pkill: tuple[str, ...]
    ) -> None:
        done = clone.start("--version", before=without_pkill, env={"PATH": f"{apt}/bin:{os.environ['PATH']}"})
        assert done.stdout == VERSION
        assert "installing Debian packages: procps" in done.stderr
        said = (apt / "said").read_text().splitlines()
        assert [line.split()[0] for line in said] == ["install", "update", "install"]
        assert [line.split()[-1] for line in said if line.startswith("install")] == ["procps"] * 2

    def test_others_are_told_their_names(self, clone: Clone, without_pkill: tuple[str, ...]) -> None:
        (clone.path / "pyproject.toml").touch()
        told = clone.start("--version", before=(*without_pkill, *NOBODY))
        assert "apt-get install procps" in told.stderr
        assert clone.start("--version").stdout == VERSION
