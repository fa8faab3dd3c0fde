"""11. Hostile input, through the pure part: what gets past it is a plan whose every word is known to be harmless."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from nsctl.engine.app.parsers import environment
from nsctl.engine.model.commands import Command
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.model.effects import LinkIs
from nsctl.engine.model.errors import Invalid, NsctlError
from nsctl.engine.model.facts import Facts, Link, Process, Route, Sandbox
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_ifname, check_mac, check_name, display
from nsctl.engine.model.options import fields_of, from_strings
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning import render
from nsctl.engine.planning.planner import plan
from nsctl.engine.runner.batch import BatchItem
from nsctl.engine.runner.batches import batches_of, do_items
from nsctl.engine.runner.ip_batch import IpBatch
from nsctl.engine.runner.iptables_restore import IptablesRestore
from nsctl.modes import bridge, container, host, none
from tests.faults.corpus import WORDS
from tests.faults.tally import Tally

MODES = {m.name: m for m in (none.MODE, host.MODE, bridge.MODE, container.MODE)}
FACTS = Facts(
    links={"lo": Link("lo"), "eth0": Link("eth0", 2, "02:00:00:00:00:01")},
    routes=(Route(IPv4Network("203.0.113.0/24"), "eth0"),),
    uplinks=("eth0",),
    sysctls={f"net/ipv4/conf/{name}/forwarding": "0" for name in ("eth0", "nsbr0")},
    sandboxes={"there": Sandbox("there", "none")},
    processes={1: Process(1, 1, 1), 7: Process(7, 1, 7)},
)
HOSTILE = st.sampled_from(WORDS) | st.text(max_size=30) | st.text("-./:0123456789abcdef%,= \n\x1b'\"$\\#", max_size=20)
PLAUSIBLE = st.sampled_from(
    ["web", "x--y", "10.0.3.0/24", "10.0.3.9", "br-x", "eth1", "02:00:00:00:00:09", "1400", "7"]
)
HARD = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def hunt(tally: Tally, test: Callable[..., None], kind: str, times: int) -> None:
    """Try a property on many inputs, which the seed chooses."""
    survived = False
    try:
        seed(tally.seed)(settings(HARD, max_examples=times)(test))()
        survived = True
    finally:
        tally.note(f"hostile input: {kind}", survived=survived, times=times if survived else 1)


def clean(error: NsctlError, says: str = ".+") -> None:
    assert error.exit_status == 2
    assert re.fullmatch(says, error.message)
    for text in (error.message, error.hint):
        assert text.isprintable()
        assert len(text) < 1000


def test_names_are_what_they_may_be_or_are_refused(tally: Tally) -> None:
    allowed = {
        check_name: r"[a-z][a-z0-9_-]{0,62}",
        check_ifname: r"[a-z][a-z0-9_.-]{0,14}",
        check_mac: r"[0-9a-f]{2}(:[0-9a-f]{2}){5}",
    }

    @given(st.sampled_from(sorted(allowed, key=str)), HOSTILE | PLAUSIBLE)
    def test(check: Callable[[str], str], text: str) -> None:
        try:
            assert re.fullmatch(allowed[check], check(text))
        except Invalid as e:
            clean(e)
        assert display(text).isprintable()
        assert len(display(text)) <= 80

    hunt(tally, test, "names", 2000)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Mode, dict[str, str], str, tuple[str, ...], list[str]]:
    mode = MODES[draw(st.sampled_from(sorted(MODES)))]
    texts = [f.name for f in fields_of(mode.options) if f.type is not bool]
    chosen = draw(st.dictionaries(st.sampled_from(texts), HOSTILE | PLAUSIBLE, max_size=2)) if texts else {}
    if mode is container.MODE:
        chosen.setdefault("target", draw(HOSTILE | st.sampled_from(["there", "7"])))
    words = st.lists(HOSTILE, max_size=3).map(tuple)
    return mode, chosen, draw(HOSTILE | PLAUSIBLE), draw(words), draw(st.lists(HOSTILE.map("A={}".format), max_size=1))


def made(mode: Mode, chosen: dict[str, str], name: str, command: tuple[str, ...], env: list[str]) -> Plan:
    wanted = {"env": environment(env, {})}
    return plan(
        mode, Request(check_name(name), from_strings(mode.options, chosen), mode.isolate, command, wanted), FACTS
    )


def options_in(argv: tuple[str, ...]) -> Iterator[str]:
    """The words that a tool would take for options, with the values that are the user's made alike."""
    for word in argv:
        if word.startswith("-"):
            yield re.sub(r"=.*", "=", word)


def test_a_plan_holds_no_byte_that_nobody_looked_at(tally: Tally) -> None:
    known = {
        word
        for mode in MODES.values()
        for step in made(mode, {"target": "there"} if mode is container.MODE else {}, "web", ("x",), ["A=b"]).steps
        for command in step.commands
        for word in options_in(command.argv)
    }

    @given(requests())
    def test(asked: tuple[Any, ...]) -> None:
        try:
            found = made(*asked)
        except NsctlError as e:
            clean(e)
            return
        for step in found.steps:
            assert (step.key + step.why).isprintable()
            assert ".." not in step.key.split("/")
            for command in step.commands:
                own = len(command.argv)
                if step.key.startswith("init/") and command is step.do:
                    own -= len(asked[3])  # the rest is the workload
                argv = command.argv[:own]
                assert set(options_in(argv)) <= known
                assert not any("\0" in word for word in command.argv)
                # Scripts are nsctl's own; what of the user's gets into one is its name.
                assert all(word.isprintable() for word in argv if not word.startswith("p=$(cat"))
        assert all(len(s.effect.name) <= 15 for s in found.steps if isinstance(s.effect, LinkIs))
        runs_say_what_was_planned(do_items(found.steps))
        assert Plan.from_json(json.loads(render.json(found))) == found
        shown = (render.text(found), render.json(found))
        assert all(c.isprintable() or c in "\n\t" for text in shown for c in text)

    hunt(tally, test, "options and names, planned", 800)


def unquoted(line: str) -> list[str]:
    """The words of a line, as `ip -batch` and `iptables-restore` agree to read it (lib/utils.c, xshared.c)."""
    seen = line.partition("#")[0]  # a comment even between quotes
    return [a or b for a, b in re.findall(r'"([^"\\]*)"(?=\s|$)|([^\s"\'\\]\S*)', seen)]


def runs_say_what_was_planned(items: list[BatchItem]) -> None:
    """Each line of a batch is exactly one command, word for word."""
    for run in batches_of(items):
        commands = [item.command for item in run.items]
        if isinstance(run, IpBatch):
            text, _ = run.text()
            assert [unquoted(line) for line in text[:-1].split("\n")] == [list(c.argv[1:]) for c in commands]
        elif isinstance(run, IptablesRestore) and all(c.argv[0] in {"iptables", "ip6tables"} for c in commands):
            lines = run.text()[0].split("\n")
            assert max(map(len, lines)) < 10_239
            got = [unquoted(line) for line in lines if line and line[0] == "-"]
            assert sorted(got) == sorted(list(c.argv[4:]) for c in commands)


def test_words_of_a_plugins_rules_and_links_stay_words_in_a_batch(tally: Tally) -> None:
    words = st.lists(HOSTILE | st.just("x" * 9000), min_size=1, max_size=4)
    kinds = st.sampled_from([("ip", "link", "set"), ("ip", "route", "add"), ("iptables", "-w", "-t", "nat", "-A", "X")])

    @given(st.lists(st.tuples(kinds, words), min_size=1, max_size=4))
    def test(given_to: list[tuple[tuple[str, ...], list[str]]]) -> None:
        commands = [Command((*kind, *more)) for kind, more in given_to if not any("\0" in w for w in more)]
        runs_say_what_was_planned([BatchItem(str(n), typed(c), frozenset()) for n, c in enumerate(commands)])

    hunt(tally, test, "words in batches", 1000)


def test_a_shell_gets_every_word_as_it_is_and_evaluates_none(tally: Tally) -> None:
    lists = st.lists(HOSTILE.filter(lambda w: "\0" not in w and is_text(w)), min_size=1, max_size=40)

    @given(lists)
    def test(words: list[str]) -> None:
        words = [w[:1000] for w in words]
        line = render.shell_of(Command(("printf", r"%s\0", *words)))
        assert all(c.isprintable() or c in "\n\t" for c in line)
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, cwd="/")
        assert done.stdout.split(b"\0")[:-1] == [w.encode(errors="surrogateescape") for w in words]
        assert done.stderr == b""

    hunt(tally, test, "words in scripts", 100)


def is_text(word: str) -> bool:
    return not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in word)


@pytest.mark.parametrize("mode", MODES)
def test_a_script_of_hostile_words_is_one_that_sh_reads(tally: Tally, mode: str) -> None:
    chosen = {"target": "there"} if mode == "container" else {}
    words = tuple(w for w in WORDS if "\udcff" not in w)
    env = [f"A{n}={word}" for n, word in enumerate(words) if word.isprintable()]
    script = render.sh(made(MODES[mode], chosen, "web", words, env))
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    assert shlex.quote("$(id)") in script
    tally.note("hostile input: words in scripts", survived=True, times=len(words))
