"""What the journal may make root run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nsctl import Command, Step
from nsctl.engine.kit.port_filter import TABLE
from nsctl.engine.model.commands import (
    AddLink,
    Chain,
    Ip,
    Kill,
    KillInNetns,
    KillJoined,
    MakeDir,
    Nft,
    Peer,
    RemoveDir,
    RemoveFiles,
    RenameLink,
    RestoreRules,
    Rule,
    Spawn,
    Sysctl,
    UndoCommand,
    WriteFile,
)
from nsctl.engine.model.effects import ProcessIs
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.mode import Request
from nsctl.engine.planning.planner import plan as planned
from nsctl.engine.planning.shapes import BUILT_IN, why_refused
from nsctl.hooks.manager import entry_points
from nsctl.modes import host, none
from nsctl.testing import plan_case
from tests.modes.test_cases import CASES, MODES

STATE = "/run/nsctl"
PLACE = "/run/nsctl/sandboxes"


def refused(step: Step, state_dir: str = STATE) -> str:
    return why_refused(step, step.commands, state_dir)


@pytest.mark.parametrize(
    "path", [p for p in CASES if "error" not in json.loads(p.read_text())], ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_all_that_built_in_modes_plan_is_passed(path: Path) -> None:
    case = json.loads(path.read_text())
    made = plan_case(case, MODES)
    state = case["facts"].get("state_dir", STATE)
    assert [refused(step, state) for step in made.steps] == [""] * len(made.steps)


@pytest.mark.parametrize("isolate", [(), ("uts",), ("mount",), ("mount", "uts", "ipc", "pid")])
@pytest.mark.parametrize("command", [(), ("sleep", "1")])
@pytest.mark.parametrize("settings", [{}, {"privileged": True}, {"env": {"A": "b c"}, "cap_add": ["sys_admin"]}])
@pytest.mark.parametrize("state", [STATE, "/run/a b/'c\"d"])
def test_so_are_all_inits(
    isolate: tuple[str, ...], command: tuple[str, ...], settings: dict[str, Any], state: str
) -> None:
    facts = Facts(state_dir=state, hidden=("/var/log/x y",), resolv_conf="nameserver 192.0.2.1\n")
    made = planned(host.MODE, Request("web", host.MODE.options(), isolate, command, settings), facts)
    assert [refused(step, state) for step in made.steps] == [""] * len(made.steps)


def test_built_in_modes_are_known() -> None:
    assert {point.name for point in entry_points() if point.built_in} == BUILT_IN


def step(*argv: str, stdin: str | None = None, netns: str | None = None) -> Step:
    return Step("x", "y", Command(("true",)), (Command(argv, stdin, netns),))


def of(command: UndoCommand) -> Step:
    return Step("x", "y", Command(("true",)), (command,))


MARKED = ("-m", "comment", "--comment", "nsctl:x", "-j", "DROP")
STEPS = planned(none.MODE, Request("web", none.MODE.options(), ("mount", "net"), ("sleep", "1"), {}), Facts()).steps
INIT = next(s for s in STEPS if isinstance(s.do, Spawn))
SCRIPT = next(s for s in STEPS if s.key == f"file/{PLACE}/web/init")


def other(**changes: Any) -> Step:
    assert isinstance(INIT.do, Spawn)
    return replace(INIT, do=replace(INIT.do, **changes))


def in_init(old: str, new: str) -> Step:
    assert isinstance(SCRIPT.do, WriteFile)
    content = SCRIPT.do.content.replace(old, new)
    assert content != SCRIPT.do.content
    return replace(SCRIPT, do=replace(SCRIPT.do, content=content))


def in_words(old: str, new: str) -> Step:
    argv = tuple(word.replace(old, new) for word in INIT.argv)
    assert argv != INIT.argv
    return other(argv=argv)


BAD = {
    "another tool": step("touch", "/x"),
    "a shell": step("sh", "-c", "touch /x"),
    "the fixed script on the host": step("sh", "-c", "exec pkill -KILL --ns $$ --nslist net"),
    "a file elsewhere": step("rm", "-f", f"{PLACE}/web/init.pid", "/etc/passwd"),
    "a file by dots": step("rm", "-f", f"{PLACE}/web/../../../etc/passwd"),
    "a file beside": step("install", "-m", "0644", "/dev/stdin", "/run/nsctl/sandboxes.x/y", stdin=""),
    "a mode with setuid": step("install", "-m", "4755", "/dev/stdin", f"{PLACE}/web/x", stdin=""),
    "an option in place of a file": step("rm", "-f", "-r", f"{PLACE}/web"),
    "a setting outside of net": step("sysctl", "-qw", "kernel/core_pattern=|/x"),
    "a setting by dots": step("sysctl", "-qw", "net/../kernel/core_pattern=|/x"),
    "a file of settings": step("sysctl", "-p", "/x"),
    "a command in a namespace": step("ip", "netns", "exec", "web", "touch", "/x"),
    "a batch": step("ip", "-batch", "-", stdin="netns exec web touch /x\n"),
    "a batch file": step("ip", "-batch", "/x"),
    "code in the kernel": step("ip", "link", "set", "dev", "x", "xdp", "object", "x.o"),
    "a chain of somebody else's": step("iptables", "-w", "-t", "filter", "-F", "FORWARD"),
    "a rule without the mark": step("iptables", "-w", "-t", "filter", "-D", "INPUT", "-j", "DROP"),
    "a command of iptables's": step(
        "iptables", "-w", "-t", "filter", "-A", "NSCTL-X", "--modprobe=/x", "-m", "comment", "--comment", "nsctl:x"
    ),
    "the same, shortened": step(
        "iptables", "-w", "-t", "filter", "-A", "NSCTL-X", "--modp", "/x", "-m", "comment", "--comment", "nsctl:x"
    ),
    "a library by its path": step(
        "iptables", "-w", "-t", "filter", "-A", "NSCTL-X", "-m", "comment", "--comment", "nsctl:x", "-j", "../../x"
    ),
    "a restored chain": step("iptables-restore", "-w", "--noflush", stdin="*filter\n-F INPUT\nCOMMIT\n"),
    "a restored policy": step("iptables-restore", "-w", "--noflush", stdin="*filter\n:INPUT DROP [0:0]\nCOMMIT\n"),
    "a flushing restore": step("iptables-restore", stdin="*filter\nCOMMIT\n"),
    "a table of somebody else's": step("nft", "delete table inet filter"),
    "a ruleset": step("nft", "flush ruleset"),
    "an element of somebody else's": step("nft", 'delete element inet filter ports { "ns-web" }'),
    "an element and more": step("nft", 'delete element bridge nsctl ports { "ns-web" }; flush ruleset'),
    "an element that breaks out": step("nft", 'add element bridge nsctl ports { "x" }; include "/x" }'),
    "a file of nft's": step("nft", "-f", "/x"),
    "another table in the file": step("nft", "-f", "-", stdin="table bridge nsctl {\n}\n"),
    "the table and more": step("nft", "-f", "-", stdin=TABLE + "flush ruleset\n"),
    "more before the table": step("nft", "-f", "-", stdin="flush ruleset\n" + TABLE),
    "the table in a namespace": step("nft", "delete table bridge nsctl", netns="web"),
    "a namespace by a path": step("ip", "link", "set", "dev", "x", "up", netns="../x"),
    "the end of a stranger": step("pkill", "-KILL", "-F", "/run/sshd.pid"),
    "the end of all": step("pkill", "-KILL", "."),
    "a pidfile elsewhere": other(pidfile="/etc/x"),
    "a log elsewhere": other(log="/etc/cron.d/x"),
    "an effect elsewhere": replace(INIT, effect=ProcessIs("/run/sshd.pid")),
    "an init's script with another line": in_init("umask 022", "touch /x"),
    "an init's script with more on a line": in_init("unset id", "unset id; touch /x"),
    "an init's script with another file": in_init(f"{PLACE}/web/hosts", "/srv/x"),
    "an init's script that runs what a path says": in_init(f"{PLACE}/web/init.ready", f"{PLACE}/web/$(touch${{IFS}}x)"),
    "an init that becomes another thing": other(argv=("sh", f"{PLACE}/web/init", "sleep", "1")),
    "an init that runs another's script": in_words("web/init", "other/init"),
    "an init that runs another file": in_words("web/init", "web/hosts"),
    "an init that runs a script of its own": other(argv=("sh", "-c", "touch /x", *INIT.argv[6:])),
    "an init that keeps more than it should": in_words("--inh-caps=-all", "--inh-caps=+all"),
    "an init with other words for setpriv": in_words("--no-new-privs", "--securebits=+noroot"),
    "no init": other(argv=("sleep", "1")),
    "a command of ip's by its fields": of(Ip("netns", "exec", ("web", "touch", "/x"))),
    "code in the kernel by its fields": of(Ip("link", "set", (), "x", ("xdp", "object", "x.o"))),
    "another object of ip's": of(Ip("xfrm", "add", ("state",))),
    "an option of ip's": of(Ip("-batch", "/x")),
    "an alias that is no alias": of(Ip("link", "set", ("x",), "y", ("alias", ""))),
    "a link's type by a path": of(AddLink("x", "../x")),
    "a peer with more words": of(AddLink("x", "veth", peer=Peer("y z", "web"))),
    "a peer in a namespace by a path": of(AddLink("x", "veth", peer=Peer("y", "/proc/1/ns/net"))),
    "a name with a line of its own": of(RenameLink("x", "y\nnetns exec web touch /x")),
    "a name that is nothing": of(RenameLink("x", "")),
    "a setting with a line of its own": of(Sysctl("net/x", "1\nkernel.core_pattern=|/x")),
    "a setting that goes up": of(Sysctl("net/../kernel/core_pattern", "|/x")),
    "a file by its fields": of(WriteFile("/etc/cron.d/x", "* * * * * root touch /x\n")),
    "a unit with other lines": of(WriteFile("/etc/systemd/system/nsctl-watch.service", "[Service]\nExecStart=/x\n")),
    "a directory elsewhere": of(MakeDir("/etc/x")),
    "a directory that goes": of(RemoveDir("/etc")),
    "files that go": of(RemoveFiles((f"{PLACE}/web/log", "/etc/passwd"))),
    "a chain in a table of its own": of(Chain("-N", "x\n*nat", "NSCTL-X")),
    "a rule with a line of its own": of(Rule("-A", "filter", "NSCTL-X\n-F INPUT", MARKED)),
    "a rule of another's": of(Rule("-D", "filter", "INPUT", ("-j", "DROP"))),
    "a restored rule of another's": of(RestoreRules("filter", (("-D", "INPUT", "-j", "DROP"),))),
    "a restored table that ends": of(RestoreRules("filter", (("COMMIT",), ("*nat",)))),
    "a restore of another table": of(RestoreRules("filter\n*nat", (("-F", "NSCTL-X"),))),
    "nft's file by its text": of(Nft(TABLE + "include /x\n")),
    "the end of another's": of(Kill("/run/sshd.pid")),
    "the end of what another joined": of(KillJoined("/run/sshd.pid")),
    "the end of all by a path": of(KillInNetns("../x")),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_of_nsctls_shape_is_refused(what: str) -> None:
    bad = BAD[what]
    commands = bad.undo if bad.do == Command(("true",)) else bad.commands[:1]
    assert why_refused(bad, commands, STATE)
