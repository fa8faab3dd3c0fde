from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from nsctl.engine.model.commands import Command, UndoCommand
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.runner import Runner, workers
from nsctl.engine.runner.batch import BatchItem
from nsctl.engine.runner.batches import batches_of
from nsctl.engine.runner.carry_out import Starting, carry_out
from nsctl.engine.runner.perform import Outcome, perform_batch
from nsctl.engine.runner.result import Result
from tests.lab import Lab, needs, shim


def item(key: str, *argv: str, after: Sequence[str] = (), stdin: str | None = None) -> BatchItem:
    return BatchItem(key, typed(Command(argv, stdin)), frozenset(after))


def script(key: str, text: str, *after: str) -> BatchItem:
    return item(key, "sh", "-c", text, after=after)


@dataclass
class Log:
    """What `carry_out` tells."""

    started: list[list[str]] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        return [i.key for outcome in self.ended for i in outcome.done]

    @property
    def failed(self) -> list[str]:
        return [outcome.failed.key for outcome in self.ended if outcome.failed is not None]


def carried_out(
    items: Sequence[BatchItem],
    log: Log,
    *,
    stop_after: int | None = None,
    force: bool = False,
    while_they_work: Callable[[], None] | None = None,
) -> list[str]:
    """Carry items out; the keys of those that never began."""
    batches = batches_of(items)
    stop = lambda: stop_after is not None and len(log.ended) >= stop_after  # noqa: E731
    for event in carry_out(batches, Runner(20), stop=stop, force=force):
        if isinstance(event, Starting):
            log.started.append([i.key for batch in event.batches for i in batch.items])
        elif isinstance(event, Outcome):
            log.ended.append(event)
        elif while_they_work is not None:
            while_they_work()
    over = set(map(id, (outcome.batch for outcome in log.ended)))
    return [i.key for batch in batches if id(batch) not in over for i in batch.items]


# Order.


def test_a_run_begins_when_those_it_waits_for_are_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    items = [
        script("a", f"sleep 0.1; echo a >> {out}"),
        script("b", f"echo b >> {out}", "a"),
        script("c", f"echo c >> {out}", "b"),
    ]
    log = Log()
    assert carried_out(items, log) == []
    assert out.read_text().split() == ["a", "b", "c"]
    assert log.started == [["a"], ["b"], ["c"]]


def test_two_runs_go_on_side_by_side(tmp_path: Path) -> None:
    # Each waits for the other's file.
    one, two = tmp_path / "one", tmp_path / "two"
    wait = "for n in $(seq 500); do test -e {} && exit 0; sleep 0.01; done; exit 1"
    log = Log()
    items = [script("a", f"touch {one};" + wait.format(two)), script("b", f"touch {two};" + wait.format(one))]
    carried_out(items, log)
    assert (sorted(log.done), log.failed) == (["a", "b"], [])


def test_after_a_failure_nothing_more_begins_and_what_is_under_way_ends(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    items = [
        script("slow", f"sleep 0.3; touch {slow}"),
        script("bad", "sleep 0.05; exit 3"),
        *(script(f"queued{n}", f"touch {tmp_path}/queued{n}") for n in range(5)),
        script("later", f"touch {tmp_path}/later", "bad"),
    ]
    log = Log()
    never = carried_out(items, log)
    assert log.failed == ["bad"]
    assert slow.exists()
    assert "slow" in log.done
    assert "later" in never
    assert not (tmp_path / "later").exists()
    for n in range(5):
        assert (tmp_path / f"queued{n}").exists() is (f"queued{n}" in log.done) is (f"queued{n}" not in never)


def test_what_need_not_hold_others_up_is_done_while_they_work(tmp_path: Path) -> None:
    # The two wait for a file that only the main thread makes.
    go = tmp_path / "go"
    wait = f"for n in $(seq 500); do test -e {go} && exit 0; sleep 0.01; done; exit 1"
    log = Log()
    carried_out([script("a", wait), script("b", wait)], log, while_they_work=go.touch)
    assert (sorted(log.done), log.failed) == (["a", "b"], [])


def test_who_stops_listening_is_left_with_nothing_under_way(tmp_path: Path) -> None:
    # `a` is over when `b` is at work.
    others = set(threading.enumerate())
    begun = tmp_path / "begun"
    items = [
        script("a", f"until test -e {begun}; do sleep 0.01; done"),
        script("b", f"touch {begun}; sleep 0.3; touch {tmp_path}/b"),
        script("c", f"touch {tmp_path}/c", "a"),
    ]

    def broken() -> None:
        with closing(carry_out(batches_of(items), Runner(20))) as events:
            for event in events:
                if isinstance(event, Outcome):
                    raise OSError("the journal")

    with pytest.raises(OSError, match="the journal"):
        broken()
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()
    assert set(threading.enumerate()) <= others


def test_nothing_begins_before_it_was_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(carry_out(batches_of([script("a", f"touch {out}")]), Runner(20))) as events:
        assert isinstance(next(events), Starting)
    assert not out.exists()


def test_undoing_goes_on_past_failures(tmp_path: Path) -> None:
    items = [script("bad", "exit 3"), script("later", f"touch {tmp_path}/later", "bad")]
    log = Log()
    assert carried_out(items, log, force=True) == []
    assert (log.failed, log.done) == (["bad"], ["later"])


def test_a_signal_stops_what_has_not_begun(tmp_path: Path) -> None:
    items = [script("a", "true"), script("b", f"touch {tmp_path}/b", "a")]
    log = Log()
    assert carried_out(items, log, stop_after=1) == ["b"]
    assert (log.done, log.failed) == (["a"], [])


def test_a_signal_stops_what_waits_for_a_worker(tmp_path: Path) -> None:
    items = [script(f"k{n}", f"sleep 0.05; touch {tmp_path}/k{n}") for n in range(30)]
    log = Log()
    never = carried_out(items, log, stop_after=1)
    assert len(never) >= 25
    assert len(list(tmp_path.iterdir())) == 30 - len(never)


def test_a_missing_tool_is_a_failure_of_its_item() -> None:
    log = Log()
    carried_out([item("a", "no-such-tool")], log)
    assert log.failed == ["a"]
    assert "no-such-tool" in log.ended[0].result.stderr
    assert log.ended[0].error is not None


def test_good_statuses_other_than_0_are_good() -> None:
    log = Log()
    commands = [BatchItem("a", typed(Command(("sh", "-c", "exit 1"), ok=(0, 1))), frozenset())]
    carried_out(commands, log)
    assert (log.done, log.failed) == (["a"], [])


# Which item failed: real tools, in a lab.

lab_only = pytest.mark.system


def performed(lab: Lab, items: Sequence[BatchItem], *, force: bool = False, backend: str = "") -> Outcome:
    runs = batches_of(items)
    assert len(runs) == 1
    return lab.call(perform_batch, runs[0], Runner(20), force=force, backend=backend)


def bridge(name: str) -> BatchItem:
    return item(name, "ip", "link", "add", "dev", name, "type", "bridge")


def keys(items: Sequence[BatchItem]) -> list[str]:
    return [i.key for i in items]


def links(lab: Lab) -> set[str]:
    return {link["ifname"] for link in json.loads(lab.run(["ip", "-j", "link"], check=True).stdout)}


@lab_only
@pytest.mark.parametrize("place", range(4))
def test_a_batch_names_the_line_that_failed(lab: Lab, place: int) -> None:
    items = [bridge(f"br{n}") for n in range(3)]
    items.insert(place, item("bad", "ip", "link", "set", "dev", "nope", "up"))
    outcome = performed(lab, items)
    assert outcome.failed is items[place]
    assert keys(outcome.done) == [f"br{n}" for n in range(place)]
    assert not outcome.guessed
    assert links(lab) == {"lo", "eth0", *keys(outcome.done)}


@lab_only
@pytest.mark.parametrize("words", ["ip link set dev lo master nope", "ip addr add 300.0.0.0/8 dev lo"])
def test_a_batch_that_ends_at_a_line_it_cannot_parse_does_not_pretend_to_know(lab: Lab, words: str) -> None:
    outcome = performed(lab, [bridge("br0"), item("bad", *words.split()), bridge("br1")])
    assert outcome.guessed
    assert outcome.done == []
    assert links(lab) == {"lo", "eth0", "br0"}


@lab_only
@pytest.mark.parametrize(
    "bad",
    [
        "ip link del dev nope",
        "ip link set dev lo master nope",
        "ip addr add 300.0.0.0/8 dev lo",
    ],
)
def test_undoing_in_a_batch_goes_on_past_a_line_that_fails(lab: Lab, bad: str) -> None:
    performed(lab, [bridge("br0"), bridge("br1")])
    delete = [item(name, "ip", "link", "del", "dev", name) for name in ("br0", "br1")]
    missing = item("missing", "ip", "link", "del", "dev", "nope")
    outcome = performed(lab, [delete[0], missing, item("bad", *bad.split()), delete[1]], force=True)
    assert links(lab) == {"lo", "eth0"}
    assert outcome.failed is not None
    assert "bad" not in keys(outcome.done)
    assert "br1" in keys(outcome.done)


@lab_only
def test_odd_words_come_through_a_batch_as_they_are(lab: Lab) -> None:
    alias = "it's; $HOME `x` & (a) | b*"
    items = [bridge("br0"), item("alias", "ip", "link", "set", "dev", "br0", "alias", alias)]
    assert performed(lab, items).failed is None
    assert json.loads(lab.run(["ip", "-j", "link", "show", "br0"]).stdout)[0]["ifalias"] == alias


def rule(key: str, *words: str, table: str = "filter") -> BatchItem:
    return item(key, "iptables", "-w", "-t", table, *words)


BACKENDS = [pytest.param(name, marks=needs(f"tool:iptables-{name}")) for name in ("nft", "legacy")]
BAD_RULES = [
    "-A NSCTL-NO -j ACCEPT",
    "-A NSCTL-T -m nosuch -j ACCEPT",
    "-D NSCTL-T -o br99 -j ACCEPT",
    "-N NSCTL-T",
    "-F NSCTL-NO",
]


@lab_only
@pytest.mark.parametrize("bad", BAD_RULES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_restore_names_the_line_that_failed_and_changes_nothing(lab: Lab, backend: str, bad: str) -> None:
    rules = [
        rule("nat", "-N", "NSCTL-N", table="nat"),
        rule("chain", "-N", "NSCTL-T"),
        rule("first", "-A", "NSCTL-T", "-o", "br0", "-j", "ACCEPT"),
        rule("bad", *bad.split()),
        rule("last", "-A", "NSCTL-T", "-o", "br1", "-j", "ACCEPT"),
    ]
    outcome = performed(lab, rules, backend=backend)
    assert outcome.failed is rules[3]
    assert outcome.done == []
    assert "NSCTL" not in lab.run([f"iptables-{backend}", "-S"], check=True).stdout


@lab_only
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_restore_never_flushes_a_chain_that_is_there(lab: Lab, backend: str) -> None:
    for words in ("-N NSCTL-T", "-A NSCTL-T -j ACCEPT"):
        lab.run([f"iptables-{backend}", *words.split()], check=True)
    assert performed(lab, [rule("chain", "-N", "NSCTL-T")], backend=backend).failed is not None
    assert "-A NSCTL-T -j ACCEPT" in lab.run([f"iptables-{backend}", "-S"]).stdout


@lab_only
@pytest.mark.parametrize("backend", BACKENDS)
def test_undoing_rules_goes_on_past_one_that_is_gone(lab: Lab, backend: str) -> None:
    made = [
        rule("chain", "-N", "NSCTL-T"),
        *(rule(f"r{n}", "-A", "NSCTL-T", "-o", f"br{n}", "-j", "ACCEPT") for n in range(3)),
    ]
    assert performed(lab, made, backend=backend).failed is None
    undo = [rule(f"r{n}", "-D", "NSCTL-T", "-o", f"br{n}", "-j", "ACCEPT") for n in (0, 7, 2)]
    outcome = performed(lab, undo, force=True, backend=backend)
    assert keys(outcome.done) == ["r0", "r2"]
    assert lab.run([f"iptables-{backend}", "-S", "NSCTL-T"]).stdout.splitlines() == [
        *("-N NSCTL-T", "-A NSCTL-T -o br1 -j ACCEPT"),
    ]


TABLE = item("table", "nft", "add table bridge t; add set bridge t s { type ifname; }")


def element(verb: str, name: str) -> BatchItem:
    return item(name, "nft", f'{verb} element bridge t s {{ "{name}" }}')


def elements(lab: Lab) -> set[str]:
    listed = lab.run(["nft", "-j", "list", "ruleset", "bridge"], check=True).stdout
    return {e for entry in json.loads(listed)["nftables"] if "set" in entry for e in entry["set"].get("elem", ())}


@lab_only
@needs("nft")
@pytest.mark.parametrize(
    "bad", ['add element bridge t nope { "x" }', 'delete element bridge t s { "x" }', "add garbage bridge t"]
)
def test_a_transaction_of_nfts_names_the_line_that_failed_and_changes_nothing(lab: Lab, bad: str) -> None:
    items = [TABLE, element("add", "a"), item("bad", "nft", bad), element("add", "b")]
    outcome = performed(lab, items)
    assert (outcome.failed, outcome.done, outcome.guessed) == (items[2], [], False)
    assert "bridge" not in lab.run(["nft", "list", "ruleset"], check=True).stdout


@lab_only
@needs("nft")
def test_undoing_in_a_transaction_of_nfts_goes_on_past_an_element_that_is_gone(lab: Lab) -> None:
    assert performed(lab, [TABLE, *(element("add", name) for name in "abc")]).failed is None
    outcome = performed(lab, [element("delete", name) for name in "axc"], force=True)
    assert keys(outcome.done) == ["a", "c"]
    assert elements(lab) == {"b"}


@lab_only
@pytest.mark.parametrize("backend", BACKENDS)
def test_comments_come_through_a_restore_as_they_are(lab: Lab, backend: str) -> None:
    comment = "it's $HOME `x` & (a)"
    made = [
        rule("chain", "-N", "NSCTL-T"),
        rule("rule", "-A", "NSCTL-T", "-m", "comment", "--comment", comment, "-j", "ACCEPT"),
    ]
    assert performed(lab, made, backend=backend).failed is None
    shown = lab.run([f"iptables-{backend}", "-S"]).stdout.replace("\\", "")  # it escapes quotes
    assert f'--comment "{comment}"' in shown


@lab_only
def test_a_timed_out_batch_says_so_and_is_not_tried_again(lab: Lab) -> None:
    shim(lab, "ip", {1: "hang"})
    runs = batches_of([bridge("br0"), bridge("br1")])
    begun = time.monotonic()
    outcome = lab.call(perform_batch, runs[0], Runner(0.2), force=True, backend="")
    assert outcome.result.timed_out
    assert outcome.done == []
    assert time.monotonic() - begun < 3


_INSIDE = """\
import os, threading
from nsctl.engine.runner.batch import BatchItem
from nsctl.engine.runner.batches import batches_of
from nsctl.engine.model.commands import Command, UndoCommand
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.runner import Runner
from nsctl.engine.runner.carry_out import carry_out
def here(): return os.stat("/proc/thread-self/ns/net").st_ino
home = here()
inside = {n: os.stat(f"/run/netns/{n}").st_ino for n in ("a", "b")}
def each(n, *argv): return BatchItem("/".join((n, *argv)), Command(argv, netns=n), frozenset())
items = [each(n, *words.split()) for n in inside for words in (
    "ip link set dev lo up", "sysctl -qw net/ipv4/ip_default_ttl=77", "iptables -w -t filter -N NSCTL-T")]
outcomes = []
def carried_out(items):
    batches = batches_of(items)
    for event in carry_out(batches, Runner(20)):
        assert here() == home, "the main thread is elsewhere"
        if hasattr(event, "result"):
            outcomes.append(event)
    return len(batches)
assert carried_out(items) == len(outcomes) and all(o.failed is None for o in outcomes), outcomes
assert here() == home
assert threading.active_count() == 1
one = [each("a", "ip", "link", "set", "dev", "lo", "down")]  # a single run: it, too, must not move the main thread
carried_out(one)
assert here() == home
bad = [each("nope", "ip", "link", "set", "dev", "lo", "up")]
carried_out(bad)
assert outcomes[-1].failed is not None and "No such file" in outcomes[-1].result.stderr, outcomes[-1]
assert here() == home
print("good")
"""


@lab_only
def test_workers_enter_namespaces_and_the_main_thread_stays_at_home(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.run(["ip", "netns", "add", name], check=True)
    done = lab.run([sys.executable, "-I", "-c", _INSIDE])
    assert done.stdout == "good\n", done.stderr
    for name in ("a", "b"):
        enter = ["nsenter", f"--net=/run/netns/{name}"]
        assert lab.run([*enter, "sysctl", "-n", "net.ipv4.ip_default_ttl"]).stdout == "77\n"
        assert "-N NSCTL-T" in lab.run([*enter, "iptables", "-S"]).stdout
    assert "UP" not in lab.run(["ip", "-n", "a", "-br", "link", "show", "lo"]).stdout
    assert "UP" in lab.run(["ip", "-n", "b", "-br", "link", "show", "lo"]).stdout
    assert lab.run(["sysctl", "-n", "net.ipv4.ip_default_ttl"]).stdout == "64\n"
    assert "NSCTL-T" not in lab.run(["iptables", "-S"]).stdout


# What is known after a process that failed: scripted.


class Script(Runner):
    """Says what it was told to, one thing for each command, and then only that all is well."""

    def __init__(self, *says: Result) -> None:
        super().__init__(5)
        self.says = list(says)
        self.ran: list[str] = []

    def run(
        self,
        command: UndoCommand,
        *,
        tools: Mapping[str, str] | None = None,
        timeout: float | None = None,
        here: bool = False,
    ) -> Result:
        assert (tools is None or "iptables" in tools, timeout is None or timeout > 0, here) == (True, True, True)
        self.ran.append(" ".join(command.argv))
        return self.says.pop(0) if self.says else Result(0)


DELETED = [item(f"v{n}", "ip", "link", "del", "dev", f"v{n}") for n in range(3)]
ROUTE = item("route", "ip", "route", "del", "10.0.0.0/8")


def undone(items: Sequence[BatchItem], *says: Result) -> tuple[list[str], list[str]]:
    script = Script(*says)
    [run] = batches_of(items)
    outcome = perform_batch(run, script, force=True, backend="", group=77)
    return sorted(keys(outcome.done)), script.ran[1:]


def test_of_links_deleted_together_only_the_one_that_failed_is_tried_again() -> None:
    said = Result(1, stderr='Cannot find device "v1"\nCommand failed -:2\n')
    assert undone([*DELETED, ROUTE], said) == (["route", "v0", "v1", "v2"], ["ip link del dev v1"])


def test_where_the_deletion_itself_failed_all_links_are_tried_again_and_nothing_else() -> None:
    said = Result(1, stderr="RTNETLINK answers: Operation not supported\nCommand failed -:4\n")
    again = [f"ip link del dev v{n}" for n in range(3)]
    assert undone([*DELETED, ROUTE], said) == (["route", "v0", "v1", "v2"], again)


def test_what_a_batch_that_was_killed_had_not_named_is_done_again() -> None:
    said = Result(-9, stderr='Cannot find device "v0"\nCommand failed -:1\n')
    done, again = undone([item("gone", "ip", "addr", "del", "10.0.0.1/8", "dev", "v0"), ROUTE], said)
    assert (done, again) == (["route"], ["ip route del 10.0.0.0/8"])


def test_rules_of_a_table_that_was_restored_are_not_deleted_twice() -> None:
    rules = [
        rule("nat", "-D", "POSTROUTING", "-j", "ACCEPT", table="nat"),
        rule("one", "-D", "FORWARD", "-j", "DROP"),
        rule("two", "-D", "FORWARD", "-j", "ACCEPT"),
    ]
    said = Result(1, stderr="iptables-restore: line 5 failed\n")
    done, again = undone(rules, said, Result(1, stderr="no such rule"))
    assert done == ["nat", "two"]
    assert again == [
        "iptables -w -t filter -D FORWARD -j DROP",
        "iptables -w -t filter -D FORWARD -j ACCEPT",
    ]


NO_WAY_BACK = """\
import sys
from nsctl.engine.runner.batch import BatchItem
from nsctl.engine.runner.batches import batches_of
from nsctl.engine.model.commands import Command, UndoCommand
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.runner import Runner, workers, netns
from nsctl.engine.runner.carry_out import carry_out

force, calls, enter = "force" in sys.argv, [], netns.setns

def once(fd, kind):
    calls.append(fd)
    if len(calls) > 1:
        raise OSError(12, "Cannot allocate memory")
    enter(fd, kind)

netns.setns, netns._ATTEMPTS, workers.WORKERS = once, 2, 1
inside = BatchItem("a", typed(Command(("ip", "link", "set", "dev", "lo", "up"), netns="web")), frozenset())
add = [Command(("ip", "link", "add", "dev", f"d{n}", "type", "bridge")) for n in range(60)]
runs = batches_of([inside, *(BatchItem(f"d{n}", typed(c), frozenset({"a"})) for n, c in enumerate(add))])

for event in carry_out(runs, Runner(20), force=force):
    if hasattr(event, "result"):
        print(event.batch.netns, len(event.done), event.failed.key, "no way back" in event.result.stderr)
"""


@lab_only
@pytest.mark.parametrize("force", ["", "force"])
def test_a_thread_that_cannot_come_back_does_nothing_more(lab: Lab, force: str) -> None:
    # The next batch of the host's would be carried out inside.
    lab.run(["ip", "netns", "add", "web"], check=True)
    done = lab.run([sys.executable, "-I", "-c", NO_WAY_BACK, force], check=True)
    assert done.stdout == "web 0 a True\n" + ("None 0 d0 True\n" if force else "")
    assert links(lab) == {"lo", "eth0"}
    assert "d0" not in lab.run(["ip", "-n", "web", "link"], check=True).stdout


def test_a_thread_that_fails_in_any_way_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def entered(_: str | None) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(workers, "entered", entered)
    log = Log()
    carried_out(
        [BatchItem("a", typed(Command(("ip", "link", "set", "dev", "lo", "up"), netns="web")), frozenset())], log
    )
    assert (log.done, log.failed) == ([], ["a"])
