from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl.engine.model.commands import Command, Spawn
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.model.effects import LinkUp
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import Batch, BatchItem, Single, Spawned, Writes
from nsctl.engine.runner.batches import batches_of, do_items, kind_of, undo_items
from nsctl.engine.runner.ip_batch import IpBatch, ip_line
from nsctl.engine.runner.iptables_restore import Ip6tablesRestore, IptablesRestore
from nsctl.engine.runner.nft_file import NftFile


def item(key: str, command: Command, after: frozenset[str] | None) -> BatchItem:
    return BatchItem(key, typed(command), after)


FLUSH = "*filter\n-F NSCTL-X\n-X NSCTL-X\nCOMMIT\n"


def kind(*argv: str, stdin: str | None = None, netns: str | None = None, ok: tuple[int, ...] = (0,)) -> type[Batch]:
    return kind_of(typed(Command(argv, stdin, netns, ok)))


# What may be fused.


@pytest.mark.parametrize(
    "words",
    [
        "ip link add dev br0 type bridge",
        "ip addr add 10.0.0.1/24 dev br0",
        "ip address del 10.0.0.1/24 dev br0",
        "ip route add default via 10.0.0.1 dev eth0",
        "ip netns add web",
        "ip netns del web",
    ],
)
def test_plain_ip_commands_are_batched(words: str) -> None:
    assert kind(*words.split()) == IpBatch
    assert kind(*words.split(), netns="web") == IpBatch


@pytest.mark.parametrize(
    "argv",
    [
        ("ip", "-n", "web", "link", "show"),
        ("ip", "-6", "route", "add", "default"),
        ("ip", "netns", "exec", "web", "true"),
        ("ip", "link", "set", "dev", "br0", "alias", "a#b"),
        ("ip", "link", "set", "dev", "br0", "alias", 'a"b'),
        ("ip", "link", "set", "dev", "br0", "alias", "a\nb"),
        ("ip", "link", "set", "dev", "br0", "alias", "a\\"),
        ("ip", "vrf", "show"),
        ("ip",),
        ("ip", "route", "add", "default", *(["nexthop", "via", "10.0.0.1"] * 40)),
    ],
)
def test_what_a_batch_would_read_differently_is_not_batched(argv: tuple[str, ...]) -> None:
    assert kind(*argv) == Single


def test_an_ip_command_with_input_or_with_other_good_statuses_runs_by_itself() -> None:
    assert kind("ip", "link", "del", "dev", "x", ok=(0, 1)) == Single
    assert kind("ip", "link", "del", "dev", "x", stdin="") == Single


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("iptables -w -t filter -N NSCTL-X", IptablesRestore),
        ("iptables -w -t filter -A NSCTL-X -j ACCEPT", IptablesRestore),
        ("ip6tables -w -t nat -I NSCTL-X 1 -j ACCEPT", Ip6tablesRestore),
        ("iptables -w -t filter -D NSCTL-X -j ACCEPT", IptablesRestore),
        ("iptables -w -t filter -P FORWARD DROP", Single),
        ("iptables -w -t filter -F", Single),
        ("iptables -t filter -A NSCTL-X -j ACCEPT", Single),
        ("iptables -w -A NSCTL-X -j ACCEPT", Single),
        ("iptables -w -t filter -E NSCTL-X NSCTL-Y", Single),
        ("iptables", Single),
    ],
)
def test_rules_of_the_usual_form_are_restored(words: str, expected: type[Batch]) -> None:
    assert kind(*words.split()) == expected


def test_only_restores_that_flush_nothing_are_fused() -> None:
    assert kind("iptables-restore", "-w", "--noflush", stdin=FLUSH) == IptablesRestore
    assert kind("iptables-restore", "-w", stdin=FLUSH) == Single
    assert kind("iptables-restore", "-w", "--noflush") == Single


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sysctl -qw net/ipv4/conf/br0/forwarding=1", Writes),
        ("sysctl -qw net/ipv4/conf/eth0.7/forwarding=1", Writes),
        ("sysctl -qw net.ipv4.ip_forward=1", Single),
        ("sysctl -qw net/ipv4/ip_forward", Single),
        ("sysctl -qw net/../../../etc/passwd=x", Single),
        ("sysctl -qw /net/ipv4/ip_forward=1", Single),
        ("sysctl -w net/ipv4/ip_forward=1", Single),
        ("mkdir -m 0700 /run/x", Writes),
        ("mkdir -m u+rwx /run/x", Single),
        ("mkdir -m 0700 x", Single),
        ("mkdir -m 0700 /run/x /run/y", Single),
        ("mkdir -p /run/x", Single),
        ("rmdir /run/x", Writes),
        ("rmdir -p", Single),
        ("rm -f /run/x /run/y", Writes),
        ("rm -f -r /run/x", Single),
        ("rm -rf /run/x", Single),
    ],
)
def test_plain_writes_need_no_process(words: str, expected: type[Batch]) -> None:
    assert kind(*words.split()) == expected


def test_files_are_written_without_a_process_only_where_the_command_means_the_same() -> None:
    assert kind("install", "-m", "0644", "/dev/stdin", "/run/x", stdin="x") == Writes
    assert kind("install", "-m", "0644", "/dev/stdin", "/run/x") == Single
    assert kind("install", "-m", "0644", "/etc/hosts", "/run/x", stdin="x") == Single
    assert kind("install", "-m", "0644", "/dev/stdin", "/run/x", stdin="x", netns="web") == Single
    assert kind("sysctl", "-qw", "net/ipv4/ip_default_ttl=65", netns="web") == Writes


def test_a_detached_process_is_by_itself() -> None:
    run = batches_of([BatchItem("x", Spawn(("sleep", "9"), "/p", "/l", "web"), frozenset())])[0]
    assert (type(run), run.netns) == (Spawned, "web")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("pkill", "-KILL", "-F", "/run/x.pid"), True),
        (("sh", "-c", "exec pkill -KILL --ns $$ --nslist net"), True),
        (("sh", "-c", "rm x; exec pkill x"), False),
        (("sh", "-c"), False),
        (("sh",), False),
        (("kill", "7"), False),
    ],
)
def test_commands_that_only_kill_are_known(argv: tuple[str, ...], *, expected: bool) -> None:
    assert Command(argv).ends_processes is expected


# What the fused commands read.


def test_words_are_quoted_for_a_batch_where_they_have_to_be() -> None:
    argv = ("ip", "link", "set", "dev", "br0", "alias", "it's a bridge;")
    assert ip_line(Command(argv)) == 'link set dev br0 alias "it\'s a bridge;"'
    assert ip_line(Command(("ip", "link", "set", "dev", "br0", "alias", ""))) == 'link set dev br0 alias ""'


def items(*commands: str, netns: str | None = None) -> list[BatchItem]:
    return [item(f"k{n}", Command(tuple(c.split()), netns=netns), frozenset()) for n, c in enumerate(commands, 1)]


def test_a_batch_has_a_line_for_each_item() -> None:
    run = IpBatch(None, items("ip link add dev a type bridge", "ip link set dev a up"))
    text, owners = run.text()
    assert text == "link add dev a type bridge\nlink set dev a up\n"
    assert owners == [[run.items[0]], [run.items[1]]]


def test_links_are_deleted_as_a_group_where_there_are_several() -> None:
    run = IpBatch(None, items("ip netns del w", "ip link del dev a", "ip netns del x", "ip link del dev b"))
    text, owners = run.text(77)
    assert text.splitlines() == [
        *(
            "netns del w",
            "link set dev a group 77",
            "link set dev b group 77",
            "link del group 77",
            "netns del x",
        ),
    ]
    one, two, three, four = run.items
    assert owners == [[one], [two], [four], [two, four], [three]]


def test_many_links_are_set_down_before_they_are_deleted() -> None:
    run = IpBatch(None, items(*(f"ip link del dev v{n}" for n in range(101))))
    text, owners = run.text(77)
    assert text.splitlines()[101:] == ["link set group 77 down", "link del group 77"]
    assert owners[101:] == [run.items, run.items]


def test_a_link_that_waits_for_something_else_in_the_batch_is_not_moved_past_it() -> None:
    one, two = items("ip link del dev a", "ip link set dev eth0 nomaster")
    three = item("k3", Command(("ip", "link", "del", "dev", "b")), frozenset({"k2"}))
    four = item("k4", Command(("ip", "link", "del", "dev", "c")), frozenset())
    text, _ = IpBatch(None, [one, two, three, four]).text(77)
    assert text.splitlines() == [
        *("link set dev a group 77", "link set dev c group 77", "link del group 77"),
        *("link set dev eth0 nomaster", "link del dev b"),
    ]


def test_a_link_is_deleted_neither_before_a_barrier_nor_before_what_its_own_step_does_first() -> None:
    after = frozenset({"k1"})
    one, two = items("ip link del dev a", "ip addr flush dev b")
    barrier, last = (
        BatchItem("k2", two.command, None),
        item("k3", Command(("ip", "link", "del", "dev", "b")), after),
    )
    text, _ = IpBatch(None, [one, barrier, last]).text(77)
    assert text.splitlines() == ["link del dev a", "addr flush dev b", "link del dev b"]
    own = [item("k2", Command(("ip", "link", *words.split())), after) for words in ("set dev b nomaster", "del dev b")]
    text, _ = IpBatch(None, [one, *own]).text(77)
    assert text.splitlines() == ["link del dev a", "link set dev b nomaster", "link del dev b"]


def test_a_link_that_waits_for_one_that_stays_behind_stays_behind_too() -> None:
    names = {"l1": (), "x": (), "l2": ("x",), "l3": ("l2",), "l4": ()}
    run = IpBatch(None)
    for key, after in names.items():
        words = ("ip", "addr", "flush", "dev", "l2") if key == "x" else ("ip", "link", "del", "dev", key)
        run.items.append(item(key, Command(words), frozenset(after)))
    text, _ = run.text(77)
    assert text.splitlines() == [
        *("link set dev l1 group 77", "link set dev l4 group 77", "link del group 77"),
        *("addr flush dev l2", "link del dev l2", "link del dev l3"),
    ]


def test_a_single_link_and_links_in_a_namespace_are_deleted_by_name() -> None:
    single = IpBatch(None, items("ip link del dev a", "ip netns del x"))
    assert single.text(77) == single.text()
    inside = IpBatch("web", items("ip link del dev a", "ip link del dev b", netns="web"))
    assert inside.text(77) == inside.text()


def test_a_restore_has_its_tables_in_order_and_knows_whose_each_line_is() -> None:
    commands = items(
        "iptables -w -t filter -N NSCTL-X",
        "iptables -w -t nat -N NSCTL-Y",
        "iptables -w -t filter -A NSCTL-X -o br0 -j ACCEPT",
        "iptables -w -t filter -D NSCTL-X -o br1 -j DROP",
    )
    commands.append(item("k5", Command(("iptables-restore", "-w", "--noflush"), FLUSH), frozenset()))
    text, owners = IptablesRestore(None, commands).text()
    assert list(zip(text.splitlines(), owners, strict=True)) == [
        ("*filter", "k1"),
        ("-N NSCTL-X", "k1"),
        ("-A NSCTL-X -o br0 -j ACCEPT", "k3"),
        ("-D NSCTL-X -o br1 -j DROP", "k4"),
        ("-F NSCTL-X", "k5"),
        ("-X NSCTL-X", "k5"),
        ("COMMIT", "k5"),
        ("*nat", "k2"),
        ("-N NSCTL-Y", "k2"),
        ("COMMIT", "k2"),
    ]


def test_statements_of_nft_are_one_transaction_and_each_line_is_known() -> None:
    table = item("table", Command(("nft", "-f", "-"), stdin="table bridge nsctl {\n}\n"), frozenset())
    first, second = (
        item(k, Command(("nft", f"add element bridge nsctl ports {{ {k} }}")), frozenset({"table"})) for k in ("a", "b")
    )
    [run] = batches_of([table, first, second])
    assert isinstance(run, NftFile)
    text, owners = run.text()
    assert text.splitlines()[2:] == ["add element bridge nsctl ports { a }", "add element bridge nsctl ports { b }"]
    assert owners == [table, table, first, second]


@pytest.mark.parametrize(
    "argv", [("nft", "list", "ruleset"), ("nft", "-f", "/x"), ("nft", "--version"), ("nft", "a\nb"), ("nft", "-f")]
)
def test_what_is_no_single_statement_of_nfts_runs_by_itself(argv: tuple[str, ...]) -> None:
    assert kind(*argv) == Single
    assert kind("nft", "add table bridge x", ok=(0, 1)) == Single


def test_a_chain_is_made_by_a_line_that_fails_where_it_exists() -> None:
    # `:CHAIN - [0:0]` would flush it, whoever made it.
    text, _ = IptablesRestore(None, items("iptables -w -t filter -N NSCTL-X")).text()
    assert ":NSCTL-X" not in text


def test_comments_are_quoted_for_a_restore() -> None:
    argv = ("iptables", "-w", "-t", "filter", "-A", "NSCTL-X", "-m", "comment", "--comment", "it's a b", "-j", "ACCEPT")
    text, _ = IptablesRestore(None, [item("x", Command(argv), frozenset())]).text()
    assert '-A NSCTL-X -m comment --comment "it\'s a b" -j ACCEPT' in text


# Which run waits for which.


def commands(key: str, draw: int) -> Command | Spawn:
    """A command of one of the kinds."""
    netns = (None, "web")[draw % 2]
    kinds: tuple[Command | Spawn, ...] = (
        Command(("ip", "link", "add", "dev", key, "type", "bridge"), netns=netns),
        Command(("sysctl", "-qw", f"net/ipv4/conf/{key}/forwarding=1"), netns=netns),
        Command(("iptables", "-w", "-t", "filter", "-N", key)),
        Command(("true", key)),
        Spawn(("sleep", key), "/p", "/l"),
    )
    return kinds[draw % len(kinds)]


@st.composite
def dependent_steps(draw: st.DrawFn) -> list[Step]:
    """
    Steps of which each comes after some of the earlier ones, or is a barrier; some have an undo, some go with others.
    """
    steps: list[Step] = []
    for n in range(draw(st.integers(1, 9))):
        earlier = [s.key for s in steps]
        some = st.lists(st.sampled_from(earlier), max_size=3, unique=True) if earlier else st.just([])
        undo = tuple(
            Command(("ip", "link", "del", "dev", f"k{n}"), netns=draw(st.sampled_from([None, "web"])))
            if draw(st.booleans())
            else Command(("false", f"k{n}"))
            for _ in range(draw(st.integers(0, 2)))
        )
        steps.append(
            Step(
                f"k{n}",
                "why",
                commands(f"k{n}", draw(st.integers(0, 9))),
                undo,
                LinkUp(f"k{n}"),
                draw(st.none() | st.sampled_from(earlier)) if earlier else None,
                after=None if draw(st.integers(0, 7)) == 0 else tuple(draw(some)),
            )
        )
    return steps


def happens_before(runs: list[Batch]) -> dict[int, set[int]]:
    """For each item (by identity), those that are surely over before it begins."""
    over: dict[int, set[int]] = {}
    finished: list[set[int]] = []
    for n, run in enumerate(runs):
        assert all(m < n for m in run.after), "a run waits for itself, or for a later one"
        seen = set().union(*(finished[m] for m in run.after)) if run.after else set()
        for item in run.items:
            over[id(item)] = set(seen)
            seen.add(id(item))
        finished.append(seen)
    return over


def reach(steps: list[Step]) -> dict[str, set[str]]:
    """For each step, those that have to be done before it, near and far."""
    needed: dict[str, set[str]] = {}
    barrier: set[str] = set()
    for n, step in enumerate(steps):
        direct = {s.key for s in steps[:n]} if step.after is None else set(step.after) | barrier
        needed[step.key] = direct.union(*(needed[key] for key in direct)) if direct else set()
        if step.after is None:
            barrier = {step.key}
    return needed


@given(dependent_steps(), st.none() | st.integers(1, 3))
def test_nothing_is_done_before_what_it_needs(steps: list[Step], most: int | None) -> None:
    wanted = do_items(steps)
    runs = batches_of(wanted, most=most)
    assert sorted(id(i) for run in runs for i in run.items) == sorted(map(id, wanted))
    over = happens_before(runs)
    items_of = {i.key: id(i) for i in wanted}
    for key, needed in reach(steps).items():
        assert {items_of[k] for k in needed} <= over[items_of[key]], key


@given(dependent_steps())
def test_everything_is_undone_before_what_it_needed(steps: list[Step]) -> None:
    wanted = undo_items(list(reversed(steps)))
    over = happens_before(batches_of(wanted))
    for key, needed in reach(steps).items():
        mine = [id(i) for i in wanted if i.key == key]
        for item in wanted:
            if item.key in needed:
                assert set(mine) <= over[id(item)], (key, item.key)


@given(dependent_steps())
def test_the_commands_of_one_step_keep_their_order(steps: list[Step]) -> None:
    wanted = undo_items(list(reversed(steps)))
    over = happens_before(batches_of(wanted))
    for n, item in enumerate(wanted):
        assert {id(other) for other in wanted[:n] if other.key == item.key} <= over[id(item)]


@given(dependent_steps())
def test_runs_are_of_one_kind_and_one_namespace(steps: list[Step]) -> None:
    for run in batches_of(do_items(steps)):
        assert {i.command.netns for i in run.items} == {run.netns}
        assert type(run) is not Single or len(run.items) == 1
        if isinstance(run, IpBatch):
            assert all(i.command.argv[0] == "ip" for i in run.items)


@given(dependent_steps())
def test_without_fusing_every_command_is_by_itself_and_in_order(steps: list[Step]) -> None:
    wanted = do_items(steps)
    runs = batches_of(wanted, fuse=False)
    assert [run.items for run in runs] == [[i] for i in wanted]
    assert [run.after for run in runs] == [{n - 1} if n else set() for n in range(len(runs))]


def test_what_goes_with_something_that_goes_has_no_command_of_its_own() -> None:
    link = Step("link", "", Command(("true",)), (Command(("del-link",)),), after=())
    address = Step("addr", "", Command(("true",)), (Command(("del-addr",)),), removed_with="link", after=("link",))
    assert [i.command.argv for i in undo_items([address, link])] == [("del-link",)]
    assert [i.command.argv for i in undo_items([address])] == [("del-addr",)]
    assert [i.command.argv for i in undo_items([address, link], going={"addr"})] == [("del-addr",)]
    assert undo_items([address, link], going={"other"}) == []


def test_a_step_without_a_command_of_its_own_still_links_two_that_have_one() -> None:
    below = Step("below", "", Command(("true",)), (Command(("ip", "link", "del", "dev", "x")),), after=())
    between = Step("between", "", Command(("true",)), after=("below",))
    above = Step("above", "", Command(("true",)), (Command(("false",)),), after=("between",))
    first, second = batches_of(undo_items([above, between, below]))
    assert [first.items[0].key, second.items[0].key] == ["above", "below"]
    assert second.after == {0}


def test_a_barrier_without_a_command_of_its_own_is_still_one() -> None:
    below = Step("below", "", Command(("true",)), (Command(("ip", "link", "del", "dev", "x")),), after=())
    barrier = Step("barrier", "", Command(("true",)))
    above = Step("above", "", Command(("true",)), (Command(("false",)),), after=())
    first, second = batches_of(undo_items([above, barrier, below]))
    assert [first.items[0].key, second.items[0].key] == ["above", "below"]
    assert second.after == {0}


def test_a_run_that_is_full_is_followed_by_another() -> None:
    items = [item(f"k{n}", Command(("ip", "netns", "add", f"k{n}")), frozenset()) for n in range(5)]
    inner = item("up", Command(("ip", "link", "set", "dev", "lo", "up"), netns="k0"), frozenset({"k0"}))
    runs = batches_of([*items, inner], most=2)
    assert [(len(run.items), run.netns, run.after) for run in runs] == [
        (2, None, set()),
        (2, None, {0}),
        (1, None, {1}),
        (1, "k0", {0}),
    ]


def test_a_thousand_sandboxes_are_a_handful_of_runs_and_one_for_each_namespace() -> None:
    steps = [Step("link/br0", "", Command(("ip", "link", "add", "dev", "br0", "type", "bridge")), after=())]
    for n in range(1000):
        own = (f"netns/s{n}", "link/br0")
        steps += [
            Step(f"netns/s{n}", "", Command(("ip", "netns", "add", f"s{n}")), after=()),
            Step(f"link/s{n}", "", Command(("ip", "link", "add", "dev", f"v{n}", "type", "veth")), after=own),
            Step(f"up/s{n}", "", Command(("ip", "link", "set", "dev", "eth0", "up"), netns=f"s{n}"), after=own),
        ]
    runs = batches_of(do_items(steps))
    assert len(runs) == 1001
    assert len(runs[0].items) == 2001
    assert [run.after for run in runs[1:]] == [{0}] * 1000


def test_a_claim_between_two_undos_holds_up_neither() -> None:
    # Else a thousand cables would be taken away one by one, and not at once.
    undo = (Command(("ip", "link", "del", "dev", "x")),)
    cables = [Step(f"link/{n}", "", Command(("ip", "link")), undo, after=()) for n in range(3)]
    steps = [step for n, cable in enumerate(cables) for step in (Step(f"claim/address/{n}", "", None), cable)]
    assert [item.after for item in undo_items(list(reversed(steps)))] == [frozenset()] * 3
