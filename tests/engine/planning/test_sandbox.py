"""The sandbox: how a command gets into it, and what it may do there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from nsctl import Invalid
from nsctl.engine.planning.enter import CAPABILITIES, enter, environment


@dataclass
class Row:
    name: str = "web"
    isolate: tuple[str, ...] = ("mount", "ipc", "pid", "uts", "net")
    settings: dict[str, Any] = field(default_factory=dict)


def test_a_command_enters_all_namespaces_of_the_init() -> None:
    argv = enter(Row(), 4711, ("true",))

    assert argv[:8] == ("nsenter", "-t", "4711", "--mount", "--uts", "--ipc", "--pid", "--net")
    assert argv[8] == "--"
    assert argv[-1] == "true"


def test_only_the_namespaces_of_its_own_are_entered() -> None:
    assert enter(Row(isolate=("uts",)), 4711, ("true",))[:6] == ("nsenter", "-t", "4711", "--mount", "--uts", "--")


MASKED = ("unshare", "--mount", "--propagation", "slave", "--", "sh", "-c", "MASKS", "init", "setpriv")


def test_a_sandbox_that_is_only_a_network_is_entered_by_its_name_and_gets_its_bounds_then() -> None:
    argv = enter(Row(isolate=("net",)), None, ("true",), "MASKS")
    assert argv[:13] == ("nsenter", "--net=/run/netns/web", "--", *MASKED)


def test_a_sandbox_without_any_namespace_gets_its_bounds_too() -> None:
    assert enter(Row(isolate=()), None, ("true",), "MASKS")[:10] == MASKED


def test_the_process_of_a_mode_sets_no_bounds() -> None:
    argv = enter(Row(isolate=("net",)), 4711, ("true",), "MASKS")
    assert argv[:14] == ("nsenter", "-t", "4711", "--net", "--", *MASKED[:9])


def test_a_sandbox_whose_init_is_gone_is_refused() -> None:
    with pytest.raises(Invalid, match="the init of 'web' has ended"):
        enter(Row(), None, ("true",))


def test_a_command_is_bounded_unless_the_sandbox_is_privileged() -> None:
    bounded = enter(Row(), 1, ("true",))
    privileged = enter(Row(settings={"privileged": True}), 1, ("true",))

    assert "--no-new-privs" in bounded
    assert "setpriv" not in privileged


def test_capabilities_are_added_and_dropped() -> None:
    settings = {"cap_add": ["sys_ptrace", "kill"], "cap_drop": ["net_raw"]}
    [bounding] = [w for w in enter(Row(settings=settings), 1, ("true",)) if w.startswith("--bounding-set=")]

    kept = bounding.partition("=")[2].split(",")
    assert kept[0] == "-all"
    assert sorted(kept[1:]) == sorted(f"+{c}" for c in {*CAPABILITIES, "sys_ptrace"} - {"net_raw"})


def test_what_leads_out_of_a_sandbox_is_not_among_the_capabilities() -> None:
    dangerous = {"sys_admin", "sys_ptrace", "sys_module", "mknod", "bpf", "perfmon", "dac_read_search", "sys_rawio"}

    assert not dangerous & set(CAPABILITIES)
    assert {"net_admin", "net_raw", "net_bind_service"} <= set(CAPABILITIES)


def test_the_environment_is_nsctls_own() -> None:
    assert environment({}) == environment({"env": {}})
    found = environment({"env": {"LANG": "de_DE.UTF-8", "X": "1"}}, term="xterm")
    assert found["LANG"] == "de_DE.UTF-8"
    assert found["X"] == "1"
    assert found["TERM"] == "xterm"
    assert set(found) == {"PATH", "HOME", "LANG", "TERM", "X"}
