"""Hand-made plans, with everything that kit's steps have: sharing, fusing, `removed_with`, processes, files, rules."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from nsctl.engine import kit
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.commands import Command, Spawn
from nsctl.engine.model.effects import (
    AddrOn,
    ChainIs,
    CommandSucceeds,
    DirIs,
    FileIs,
    LinkIs,
    LinkUp,
    NetnsIs,
    ProcessIs,
    RouteVia,
    RuleTagged,
    SysctlIs,
)
from nsctl.engine.model.plan import Plan, Step

__all__ = [
    "CHAIN",
    "CommandSucceeds",
    "Plan",
    "Step",
    "attaching",
    "cable",
    "changed",
    "command",
    "failing",
    "half_done",
    "network",
    "plan",
    "replace",
    "sandbox",
]

CHAIN = "NSCTL-T"
KILL = "exec pkill -KILL --ns $$ --nslist net"
INIT = 'echo ready > "$0"; exec sleep 1000'


def command(*argv: str, stdin: str | None = None, netns: str | None = None, ok: tuple[int, ...] = (0,)) -> Command:
    return Command(argv, stdin, netns, ok)


def network(bridge: str = "br7", gateway: str = "10.9.7.1/24") -> list[Step]:
    """What sandboxes on one bridge share."""
    mac = f"02:00:00:00:00:{sum(bridge.encode()) % 256:02x}"
    link, rule = f"link/{bridge}", ("-o", bridge, "-m", "comment", "--comment", "nsctl:t", "-j", "ACCEPT")
    flush = f"*filter\n-F {CHAIN}\n-X {CHAIN}\nCOMMIT\n"
    return [
        Step(
            link,
            "a bridge",
            command("ip", "link", "add", "dev", bridge, "address", mac, "type", "bridge"),
            (command("ip", "link", "del", "dev", bridge),),
            LinkIs(bridge, mac, "bridge"),
            after=(),
        ),
        Step(
            f"addr/{bridge}",
            "its address",
            command("ip", "addr", "add", gateway, "dev", bridge),
            (command("ip", "addr", "del", gateway, "dev", bridge),),
            AddrOn(bridge, gateway),
            removed_with=link,
            after=(link,),
        ),
        Step(
            f"up/{bridge}",
            "up",
            command("ip", "link", "set", "dev", bridge, "up"),
            effect=LinkUp(bridge),
            removed_with=link,
            after=(link,),
        ),
        Step(
            f"sysctl/{bridge}",
            "forward from it",
            command("sysctl", "-qw", f"net/ipv4/conf/{bridge}/forwarding=1"),
            effect=SysctlIs(f"net/ipv4/conf/{bridge}/forwarding", "1", "0"),
            removed_with=link,
            after=(link,),
        ),
        Step(
            "sysctl/lo",
            "a setting of the host's",
            command("sysctl", "-qw", "net/ipv4/conf/lo/forwarding=1"),
            (command("sysctl", "-qw", "net/ipv4/conf/lo/forwarding=0"),),
            SysctlIs("net/ipv4/conf/lo/forwarding", "1", "0"),
            after=(),
        ),
        Step(
            "chain/4/filter/T",
            "nsctl's own chain",
            command("iptables", "-w", "-t", "filter", "-N", CHAIN),
            (command("iptables-restore", "-w", "--noflush", stdin=flush),),
            ChainIs("filter", CHAIN),
            after=(),
        ),
        Step(
            "rule/4/filter/T/1",
            "let it pass",
            command("iptables", "-w", "-t", "filter", "-A", CHAIN, *rule),
            (command("iptables", "-w", "-t", "filter", "-D", CHAIN, *rule),),
            RuleTagged("filter", CHAIN, rule),
            removed_with="chain/4/filter/T",
            after=("chain/4/filter/T",),
        ),
    ]


def sandbox(name: str, number: int, bridge: str = "br7") -> list[Step]:
    """What is one sandbox's own."""
    directory, netns, host = f"/run/nsctl/sandboxes/{name}", f"netns/{name}", f"ns-{name}"
    mac, address = f"02:00:00:00:01:{number:02x}", f"10.9.7.{number}/24"
    pidfile, log, ready = (f"{directory}/{file}" for file in ("init.pid", "init.log", "ready"))
    return [
        Step(
            netns,
            "a namespace",
            command("ip", "netns", "add", name),
            (command("sh", "-c", KILL, netns=name, ok=(0, 1)), command("ip", "netns", "del", name)),
            NetnsIs(name),
            after=(),
        ),
        Step(
            f"sysctl/{name}:no6",
            "no IPv6 in it",
            command("sysctl", "-qw", "net/ipv6/conf/default/disable_ipv6=1", netns=name),
            effect=SysctlIs("net/ipv6/conf/default/disable_ipv6", "1", "0", name),
            removed_with=netns,
            after=(netns,),
        ),
        Step(
            f"link/{host}",
            "a cable into it",
            command(
                *("ip", "link", "add", "dev", host, "address", mac, "master", bridge),
                *("type", "veth", "peer", "name", "eth0", "netns", name, "address", f"02:00:00:00:02:{number:02x}"),
            ),
            (command("ip", "link", "del", "dev", host),),
            LinkIs(host, mac, "veth", master=bridge),
            after=(f"sysctl/{name}:no6", f"link/{bridge}"),
        ),
        Step(
            f"up/{host}",
            "up",
            command("ip", "link", "set", "dev", host, "up"),
            effect=LinkUp(host),
            removed_with=f"link/{host}",
            after=(f"link/{host}",),
        ),
        Step(
            f"addr/{name}:eth0",
            "its address",
            command("ip", "addr", "add", address, "dev", "eth0", netns=name),
            effect=AddrOn("eth0", address, name),
            removed_with=netns,
            after=(f"link/{host}",),
        ),
        Step(
            f"up/{name}:eth0",
            "up",
            command("ip", "link", "set", "dev", "eth0", "up", netns=name),
            effect=LinkUp("eth0", name),
            removed_with=netns,
            after=(f"addr/{name}:eth0",),
        ),
        Step(
            f"route/{name}:default",
            "its way out",
            command("ip", "route", "add", "default", "via", "10.9.7.1", "dev", "eth0", netns=name),
            effect=RouteVia("default", "10.9.7.1", "eth0", None, name),
            removed_with=netns,
            after=(f"up/{name}:eth0",),
        ),
        Step(
            "dir/sandboxes",
            "a place for files",
            command("mkdir", "-m", "0700", "/run/nsctl/sandboxes"),
            (command("rmdir", "/run/nsctl/sandboxes"),),
            DirIs("/run/nsctl/sandboxes"),
            after=(),
        ),
        Step(
            f"dir/{name}",
            "a place for its files",
            command("mkdir", "-m", "0700", directory),
            (command("rm", "-f", pidfile, log, ready), command("rmdir", directory)),
            DirIs(directory),
            after=("dir/sandboxes",),
        ),
        Step(
            f"file/{name}",
            "a file",
            command("install", "-m", "0644", "/dev/stdin", f"{directory}/hosts", stdin="127.0.0.1 localhost\n"),
            (command("rm", "-f", f"{directory}/hosts"),),
            FileIs(f"{directory}/hosts", "127.0.0.1 localhost\n"),
            after=(f"dir/{name}",),
        ),
        Step(
            f"init/{name}",
            "its init",
            Spawn(("sh", "-c", INIT, ready), pidfile, log, name, ready),
            (command("pkill", "-KILL", "-F", pidfile, ok=(0, 1)),),
            ProcessIs(pidfile),
            after=(netns, f"dir/{name}", f"route/{name}:default"),
        ),
    ]


def cable(name: str, number: int, interface: str, bridge: str = "br7") -> list[Step]:
    """A further cable of a sandbox that is there."""
    host, mac, address = f"ns-{name}-{interface}", f"02:00:00:00:03:{number:02x}", f"10.9.7.{number}/24"
    link, inside = f"link/{host}", (f"addr/{name}:{interface}",)
    return [
        kit.claim(f"address/{bridge}", f"10.9.7.{number}"),
        Step(
            link,
            "a cable into it",
            command(
                *("ip", "link", "add", "dev", host, "address", mac, "master", bridge, "type", "veth"),
                *("peer", "name", interface, "netns", name, "address", f"02:00:00:00:04:{number:02x}"),
            ),
            (command("ip", "link", "del", "dev", host),),
            LinkIs(host, mac, "veth", master=bridge),
            after=(f"netns/{name}", f"sysctl/{name}:no6", f"link/{bridge}"),
        ),
        Step(
            f"up/{host}",
            "up",
            command("ip", "link", "set", "dev", host, "up"),
            effect=LinkUp(host),
            removed_with=link,
            after=(link,),
        ),
        Step(
            inside[0],
            "its address",
            command("ip", "addr", "add", address, "dev", interface, netns=name),
            (command("ip", "addr", "del", address, "dev", interface, netns=name),),
            AddrOn(interface, address, name),
            removed_with=f"netns/{name}",
            after=(link,),
        ),
        Step(
            f"up/{name}:{interface}",
            "up",
            command("ip", "link", "set", "dev", interface, "up", netns=name),
            effect=LinkUp(interface, name),
            removed_with=f"netns/{name}",
            after=inside,
        ),
    ]


def attaching(
    name: str, number: int, interface: str = "eth1", bridge: str = "br8", gateway: str = "10.9.8.1/24"
) -> Plan:
    """A plan for a sandbox that is up: a further cable, on a bridge that may be there."""
    rule = "rule/4/filter/T/1" if bridge == "br7" else f"rule/4/filter/T/{bridge}"
    shared = [replace(step, key=rule) if step.key.startswith("rule/") else step for step in network(bridge, gateway)]
    steps = (*shared, *cable(name, number, interface, bridge))
    one = Attachment(name, interface, "t2", {"number": number}, tuple(step.key for step in steps), link=bridge)
    return Plan("t2", name, {}, steps, attachments=(one,), existing=True)


def plan(name: str = "web", number: int = 2, bridge: str = "br7") -> Plan:
    claims = [kit.claim(f"address/{bridge}", f"10.7.0.{number}")]
    return Plan("t", name, {}, (*claims, *network(bridge), *sandbox(name, number, bridge)), ("net",))


def changed(plan: Plan, key: str, change: Callable[[Step], Step]) -> Plan:
    """The plan with one of its steps changed."""
    return replace(plan, steps=tuple(change(s) if s.key == key else s for s in plan.steps))


def failing(step: Step) -> Step:
    """The step with a command of the same kind that fails without having done anything."""
    do = step.do
    assert do is not None
    if isinstance(do, Spawn):
        return replace(step, do=replace(do, argv=("false",)))
    bad = {
        "ip": ("ip", "link", "set", "dev", "nope", "up"),
        "iptables": ("iptables", "-w", "-t", "filter", "-A", "NSCTL-NOPE", "-j", "ACCEPT"),
        "sysctl": ("sysctl", "-qw", "net/ipv4/conf/nope/forwarding=1"),
        "mkdir": ("mkdir", "-m", "0700", "/run/nope/nope"),
        "install": ("install", "-m", "0644", "/dev/stdin", "/run/nope/nope"),
    }
    return replace(step, do=Command(bad[do.tool], do.stdin, do.netns))


def half_done(step: Step) -> Step:
    """The step with a command that acts, and then says that it failed."""
    do = step.do
    assert do is not None
    if isinstance(do, Spawn):  # it lives, but never says that it is ready
        return replace(step, do=replace(do, argv=("sleep", "1000")))
    return replace(step, do=Command(("sh", "-c", '"$@"; exit 3', "sh", *do.argv), do.stdin, do.netns))
