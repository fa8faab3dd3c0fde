"""What the resident process has loaded is what lies on the disk, or it is not asked, and ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nsctl.engine.resident.code import PACKAGE
from tests.lab import ENVIRONMENT, Lab
from tests.resident.support import server_of
from tests.system.plugins import Environment
from tests.system.support import eventually

pytestmark = pytest.mark.system

PLUGIN = """\
import os
from nsctl import Mode, hookimpl, kit
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Options:
    pass

def steps(request, facts):
    yield kit.netns(request.name)

@hookimpl
def nsctl_modes():
    with open("/run/loaded", "a") as file:
        file.write(f"{os.getppid()}\\n")
    return [Mode("extra", "one more", Options, steps)]
"""


@pytest.fixture(scope="module")
def installed(_labs: None, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An nsctl whose files a test may change."""
    return Environment(tmp_path_factory.mktemp("installed"))


def _nsctl(lab: Lab, installed: Environment, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(installed.python), "-I", "-X", "nsctl=nsctl", "-m", "nsctl", *words]
    return lab.run(argv, env=ENVIRONMENT, check=True)


def _touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # its time of change tells even so


def _ends(lab: Lab, pid: int) -> bool:
    return eventually(lambda: not lab.exists(f"/proc/{pid}"))


def test_code_that_has_changed_is_not_run_from_memory(lab: Lab, installed: Environment) -> None:
    for place in ("nsctl/engine/cli/out.py", "nsctl/modes/none.py", "nsctl/engine/cli/watching/loop.py"):
        _nsctl(lab, installed, "resident", "start")
        pid = server_of(lab)
        _touch(installed.packages / place)
        told = _nsctl(lab, installed, "-v", "ls").stderr
        assert f"the code has changed: {installed.packages / place}" in told
        assert _ends(lab, pid)
        assert "resident" not in _nsctl(lab, installed, "-v", "ls").stderr


def test_a_file_in_whose_place_is_another_one_is_not_run_from_memory(host: Lab) -> None:
    place = f"{PACKAGE}/engine/cli/out.py"
    host.run(["cp", place, "/run/out.py"], check=True)
    host.run(["mount", "--bind", "/run/out.py", place], check=True)
    assert f"the code has changed: {place}" in host.nsctl("-v", "ls", check=True).stderr


def test_plugins_are_loaded_for_each_command_and_a_new_one_ends_it(lab: Lab, installed: Environment) -> None:
    _nsctl(lab, installed, "resident", "start")
    with installed.plugin("extra", PLUGIN):
        assert "the code has changed" in _nsctl(lab, installed, "-v", "ls").stderr
        _nsctl(lab, installed, "up", "extra", "--name", "a")  # so that it is compiled
        _nsctl(lab, installed, "down", "a")
        lab.run(["rm", "/run/loaded"], check=True)
        _nsctl(lab, installed, "resident", "start")
        pid = server_of(lab)
        assert not lab.exists("/run/loaded")
        for name in ("a", "b"):
            assert _nsctl(lab, installed, "-v", "up", "extra", "--name", name).stdout.startswith(f"{name} is up")
            _nsctl(lab, installed, "down", name)
        assert {int(word) for word in lab.read("/run/loaded").split()} == {pid}


def test_another_installation_is_another_code(lab: Lab, installed: Environment) -> None:
    lab.nsctl("resident", "start", check=True)
    assert "other code" in _nsctl(lab, installed, "-v", "ls").stderr
