from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nsctl.engine.model.errors import Refused
from nsctl.engine.runner import tools
from nsctl.engine.runner.tools import find_tool, iptables_backend, missing_tool


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only directory in which tools are looked for."""
    found = tmp_path / "bin"
    found.mkdir(mode=0o755)
    monkeypatch.setattr(tools, "TOOL_PATH", (str(found),))
    find_tool.cache_clear()
    iptables_backend.cache_clear()
    yield found
    find_tool.cache_clear()
    iptables_backend.cache_clear()


def tool(directory: Path, name: str, mode: int = 0o755) -> str:
    path = directory / name
    path.touch()
    path.chmod(mode)
    return str(path)


def test_a_tool_is_found_in_the_fixed_directories_only(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool(directory, "ip")
    monkeypatch.setenv("PATH", "/usr/bin:/usr/sbin")
    assert find_tool("ip") == path
    assert find_tool("ls") is None


@pytest.mark.parametrize("name", ["../bin/ip", "/usr/bin/ls", "./ip", "", ".", ".."])
def test_a_path_is_no_tool(directory: Path, name: str) -> None:
    tool(directory, "ip")
    assert find_tool(name) is None


def test_what_can_not_be_executed_is_no_tool(directory: Path) -> None:
    tool(directory, "ip", 0o644)
    (directory / "tc").mkdir()
    assert find_tool("ip") is None
    assert find_tool("tc") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's tools are asked whose they are")
@pytest.mark.parametrize("fault", ["writable file", "writable directory", "file of another", "directory of another"])
def test_what_somebody_else_could_have_put_there_is_refused(directory: Path, fault: str) -> None:
    path = tool(directory, "ip")
    target = directory if "directory" in fault else path
    if "writable" in fault:
        Path(target).chmod(0o777)
    else:
        os.chown(target, 65534, 65534)
    with pytest.raises(Refused, match="somebody other than root"):
        find_tool("ip")


def test_the_back_end_that_was_used_before_is_used_again(directory: Path) -> None:
    plain = tool(directory, "iptables-restore")
    legacy = tool(directory, "iptables-legacy-restore")
    tool(directory, "iptables")
    assert find_tool("iptables-restore") == plain
    assert find_tool("iptables-restore", "legacy") == legacy
    assert find_tool("iptables-restore", "nft") == plain
    assert find_tool("ip", "legacy") is None


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_the_back_end_is_where_the_links_lead(directory: Path, backend: str) -> None:
    tool(directory, "xtables-multi")
    (directory / f"iptables-{backend}").symlink_to("xtables-multi")
    (directory / "alternative").symlink_to(f"iptables-{backend}")
    (directory / "iptables").symlink_to("alternative")
    assert iptables_backend() == backend


def test_without_iptables_there_is_no_back_end(directory: Path) -> None:
    assert directory.is_dir()
    assert iptables_backend() == ""


def test_a_missing_tool_is_named_with_its_package() -> None:
    error = missing_tool("nsenter")
    assert "nsenter" in error.message
    assert error.hint == "apt install util-linux"
