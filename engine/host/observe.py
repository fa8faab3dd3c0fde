"""Effects compared with the kernel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nsctl.engine.host import process
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.host.nftables import nft_table, port_filter
from nsctl.engine.host.observation import Identity, Known, Observation, absent, foreign, ours
from nsctl.engine.host.zones import observe_zone
from nsctl.engine.model import effect as e
from nsctl.engine.model.effect import Effect, State
from nsctl.engine.model.effect_links import host_link_of, key_on_link, on_link
from nsctl.engine.model.facts import Link

__all__ = ["Observation", "identity_of", "observe"]

_METRIC_6 = 1024
"""IP6_RT_PRIO_USER."""


def observe(
    effect: Effect,
    kernel: Kernel,
    identity: Identity | None = None,
    *,
    in_flight: bool = False,
    own_macs: frozenset[str] = frozenset(),
    backend: str = "",
) -> Observation:
    """
    Compare an effect with the kernel.

    Args:
        effect: The effect.
        kernel: The kernel, fresh enough.
        identity: What `identity_of` returned right after the step.
        in_flight: The step had started when nsctl died, so nobody knows whether it ran.
        own_macs: With `in_flight`: the hardware addresses of links that nsctl may have put into the namespace by then.
        backend: The iptables back end that a rule or chain was made with; the one in use, if empty.
    """
    known = Known(identity, in_flight, own_macs, backend)
    if identity and "index" in identity and (name := host_link_of(effect)) is not None:
        return _of_link(effect, name, kernel, known)
    return _OBSERVERS[type(effect)](effect, kernel, known)


def _of_link(effect: Effect, name: str, kernel: Kernel, known: Known) -> Observation:
    # A setting of a link that nsctl did not make: the link is known by its index, which the host gives only once.
    link = kernel.link_by_index((known.identity or {})["index"])
    if link is None:
        other = kernel.link(name)
        observed = foreign(f"{name} is another link now") if other is not None else absent(f"{name} is gone")
        return replace(observed, gone=True)
    if link.name == name:
        return _OBSERVERS[type(effect)](effect, kernel, known)
    observed = _OBSERVERS[type(effect)](on_link(effect, link.name), kernel, known)
    return replace(observed, found=f"{observed.found}; {name} is called {link.name} now", link=link.name)


def identity_of(effect: Effect, kernel: Kernel, *, of_others: bool = False) -> dict[str, int] | None:
    """
    What tells the thing that a step has just made from another of the same name.

    None where the effect alone tells.

    Read it right after the step, from a kernel that has forgotten what it saw before.

    Args:
        effect: The effect.
        kernel: The kernel.
        of_others: It is a setting of a link that no step makes: then the link's index belongs to the identity.
    """
    if of_others and (name := host_link_of(effect)) is not None:
        link = kernel.link(name)
        return {"index": link.index} if link and link.name == name else None
    if isinstance(effect, e.LinkIs):
        link = kernel.link(effect.name, effect.netns)
        if link is None or effect.mac != link.mac:  # somebody has renamed it already
            link = kernel.link_by_mac(effect.mac, effect.netns) if effect.mac else None
        return {"index": link.index} if link and (link.name == effect.name or link.mac == effect.mac) else None
    if isinstance(effect, e.NftTable):
        table = kernel.nft_table()
        return {"rules": table.rules} if table is not None else None
    if isinstance(effect, e.NetnsIs):
        inode, cookie = kernel.netns_inode(effect.name), kernel.netns_cookie(effect.name)
        return None if inode is None else {"inode": inode} if cookie is None else {"inode": inode, "cookie": cookie}
    return _mark_of_process(effect, kernel) if isinstance(effect, e.ProcessIs) else None


def _mark_of_process(effect: e.ProcessIs, kernel: Kernel) -> dict[str, int] | None:
    pid = process.pid_in(effect.pidfile)
    start = kernel.process(pid) if pid is not None else None
    if pid is None or start is None:
        return None
    init = process.init_of(pid)
    init_start = kernel.process(init)
    if init_start is None:
        init, init_start = pid, start
    return {"pid": pid, "start": start, "init": init, "init_start": init_start}


def _link(effect: e.LinkIs, kernel: Kernel, known: Known) -> Observation:
    index = known.identity.get("index") if known.identity else None
    named = kernel.link(effect.name, effect.netns)
    link = named if named is not None and named.name == effect.name else None
    if link is None or link.mac != effect.mac:
        marked = kernel.link_by_index(index, effect.netns) if index is not None else None
        if marked is not None and marked.mac == effect.mac:
            return _our_link(effect, marked, kernel)  # renamed, whoever has the name now
        if named is None:
            return absent()
        if link is None:
            return foreign(f"an alternative name of {named.name}")
        # The host gives no index twice: it is our link, with another address. A namespace of the same name might.
        if effect.netns is not None or marked is None or marked.index != link.index:
            return foreign(f"mac {link.mac or 'none'}, expected {effect.mac}")
    wrong = ""
    if effect.type and link.type != effect.type:
        wrong = f"type {link.type or 'none'}, expected {effect.type}"
    elif effect.netns is None and index is not None and link.index != index:
        # The hardware address is derived from names: whoever knows them can give it to a link of his own.
        wrong = f"another link with the same hardware address (index {link.index}, not {index})"
    return foreign(wrong) if wrong else _our_link(effect, link, kernel)


def _our_link(effect: e.LinkIs, link: Link, kernel: Kernel) -> Observation:
    drifts = []
    if link.name != effect.name:
        drifts.append(f"renamed to {link.name}")
    if link.mac != effect.mac:
        drifts.append(f"mac {link.mac or 'none'}, expected {effect.mac}")
    if effect.master_index is not None:
        if why := _on_another(effect.master or "", effect.master_index, link, kernel):
            drifts.append(why)
    elif effect.master is not None and link.master != effect.master:
        drifts.append(f"master {link.master or 'none'}, expected {effect.master}")
    if effect.mtu is not None and link.mtu != effect.mtu:
        drifts.append(f"mtu {link.mtu}, expected {effect.mtu}")
    drift = "; ".join(drifts)
    return ours(drift or "in place", drift, link.name if link.name != effect.name else None)


def _on_another(master: str, index: int, link: Link, kernel: Kernel) -> str:
    # A bridge that is not nsctl's is known by its index: it may be renamed, and its hardware address follows its ports.
    there = kernel.link(link.master) if link.master is not None else None
    if there is not None and there.index == index:
        return ""
    theirs = kernel.link_by_index(index)
    if theirs is not None and theirs.type == "bridge":
        return f"master {link.master or 'none'}, expected {theirs.name}"
    if link.master is not None:
        return f"a port of {link.master}; the bridge {master} that it joined is gone"
    return f"a port of nothing: the bridge {master} that it joined is gone"


def _up(effect: e.LinkUp, kernel: Kernel, _: Known) -> Observation:
    link = kernel.link(effect.name, effect.netns)
    if link is None or link.name != effect.name:
        return absent("no such link")
    return ours("up") if link.up else absent("down")


_SWITCHES = {"on": "on", "1": "on", "true": "on", "yes": "on", "off": "off", "0": "off", "false": "off", "no": "off"}


def _linkset(effect: e.LinkSet, kernel: Kernel, _: Known) -> Observation:
    link = kernel.link(effect.name, effect.netns)
    if link is None or link.name != effect.name:
        return absent("no such link")
    found, wanted = kernel.linkset(effect.name, effect.attribute, effect.netns), effect.value
    if effect.attribute in ("hairpin", "isolated", "promisc"):
        wanted = _SWITCHES.get(wanted, wanted)
    elif effect.attribute == "group" and wanted == "default":
        wanted = "0"
    return ours() if found == wanted else absent(f"{effect.attribute} {found or 'none'}, expected {effect.value}")


def _address(effect: e.AddrOn, kernel: Kernel, _: Known) -> Observation:
    found = kernel.addresses(effect.link, effect.netns)
    if effect.address in found or (":" in effect.address and _same_address(effect.address, found)):
        return ours()
    return absent()


def _same_address(wanted: str, found: frozenset[str]) -> bool:
    # IPv6 has many spellings.
    from ipaddress import ip_interface

    value = ip_interface(wanted)
    return any(ip_interface(address) == value for address in found if ":" in address)


def _route(effect: e.RouteVia, kernel: Kernel, _: Known) -> Observation:
    six = ":" in effect.destination or ":" in (effect.via or "")
    # What `ip route add` gives a route whose metric is not said.
    metric = effect.metric if effect.metric is not None else (_METRIC_6 if six else 0)
    destination = _destination(effect.destination)
    others = []
    for route in kernel.routes(effect.netns, 6 if six else 4):
        if route.destination != destination or route.metric != metric:
            continue
        link = kernel.link_by_index(route.ifindex, effect.netns)
        name = link.name if link else f"link {route.ifindex}"
        if route.via == effect.via and name == effect.link:
            return ours()
        others.append(f"via {route.via} dev {name}" if route.via else f"dev {name}")
    return foreign(f"another route: {others[0]}") if others else absent()


def _destination(text: str) -> str:
    # As the kernel's routes are told: `default`, or a prefix with its length.
    if text in ("default", "0.0.0.0/0", "::/0"):
        return "default"
    return text if "/" in text else f"{text}/{128 if ':' in text else 32}"


def _sysctl(effect: e.SysctlIs, kernel: Kernel, _: Known) -> Observation:
    found = kernel.sysctl(effect.key, effect.netns)
    if found is None:
        return absent("no such key")
    if found.split() == effect.value.split():
        return Observation(State.OURS, f"value {found}", taken=_taken_over(effect, kernel))
    if found.split() == effect.before.split():
        return absent(f"value {found}, expected {effect.value}")
    return foreign(f"value {found}, expected {effect.value}")


def _taken_over(effect: e.SysctlIs, kernel: Kernel) -> str:
    # Docker, libvirt and administrators switch forwarding on for all links: who does so after us relies on ours, too.
    if effect.globally is None or effect.netns is not None or effect.globally.split() == effect.value.split():
        return ""
    key = key_on_link(effect.key, "all")
    now = kernel.sysctl(key)
    return f"{key} is {now} by now" if now is not None and now.split() == effect.value.split() else ""


def _netns(effect: e.NetnsIs, kernel: Kernel, known: Known) -> Observation:
    identity = known.identity
    if not kernel.netns_taken(effect.name):
        return absent()
    inode = kernel.netns_inode(effect.name)
    if inode is None:
        if (identity or known.in_flight) and kernel.netns_left_over(effect.name):
            # `ip netns add` was killed between making the file and mounting on it, or somebody unmounted it.
            return ours("no namespace is mounted there", "no namespace is mounted there")
        return foreign("a file that is no network namespace")
    # The identity is what the step really made: that is what an undo takes away.
    expected = identity.get("inode") if identity else None
    if expected is None:
        expected = effect.inode
    if expected is None and effect.source is not None:
        expected = kernel.netns_inode(effect.source)
    if expected is not None:
        return ours() if inode == expected and _same(effect, kernel, identity) else foreign("another network namespace")
    if not known.in_flight:
        return foreign("a network namespace that nsctl did not make")
    return _pristine(effect.name, kernel, known.own_macs)


def _same(effect: e.NetnsIs, kernel: Kernel, identity: Identity | None) -> bool:
    # The number of a namespace that is gone is given to the next one at once, the cookie never.
    return not identity or "cookie" not in identity or kernel.netns_cookie(effect.name) in {None, identity["cookie"]}


def _pristine(name: str, kernel: Kernel, own_macs: frozenset[str]) -> Observation:
    # Nobody wrote down which namespace was made under this name: it counts as ours only if nobody else uses it.
    for link in kernel.links(name).values():
        if link.name != "lo" and link.mac not in own_macs:
            return foreign(f"a network namespace with a link that is not nsctl's: {link.name}")
    pid = kernel.someone_in(name)
    return foreign(f"a network namespace in use by process {pid}") if pid is not None else ours()


def _chain(effect: e.ChainIs, kernel: Kernel, known: Known) -> Observation:
    rules = kernel.rules(effect.table, effect.chain, effect.family, effect.netns, known.backend)
    return ours() if rules is not None else absent()


def _rule(effect: e.RuleTagged, kernel: Kernel, known: Known) -> Observation:
    rules = kernel.rules(effect.table, effect.chain, effect.family, effect.netns, known.backend)
    if rules is None:
        return absent("no such chain")
    return ours() if effect.spec in rules else absent()


def _process(effect: e.ProcessIs, kernel: Kernel, known: Known) -> Observation:
    identity = known.identity
    if identity and "start" in identity:
        # Not the pidfile's: somebody else may have written to it, and start times count only in hundredths of a second.
        pid = identity["pid"]
        return ours(f"process {pid}") if kernel.process(pid) == identity["start"] else absent("not running")
    pid_there = process.pid_in(effect.pidfile)
    pid = -1 if pid_there is None else pid_there
    if pid_there is None or kernel.process(pid) is None:
        return absent("not running")
    # Whatever it became since, it names the sandbox's directory in its arguments, or writes its log there.
    directory = os.path.dirname(effect.pidfile) + "/"
    if any(directory in text for text in (process.command_of(pid), *process.outputs_of(pid))):
        return ours(f"process {pid}")
    return absent("not running")


def _file(effect: e.FileIs, kernel: Kernel, known: Known) -> Observation:
    kind = kernel.kind(effect.path)
    if kind is None:
        return absent()
    if kind != "file":
        return foreign("not a regular file")
    content = kernel.file(effect.path)
    if content == effect.content:
        return ours()
    if known.in_flight and content is not None and effect.content.startswith(content):
        return ours("half written", "half written")  # nsctl died between making it and writing the last of it
    return foreign("other content")


def _directory(effect: e.DirIs, kernel: Kernel, _: Known) -> Observation:
    kind = kernel.kind(effect.path)
    if kind is None:
        return absent()
    return ours() if kind == "directory" else foreign("not a directory")


def _command(effect: e.CommandSucceeds, kernel: Kernel, _: Known) -> Observation:
    result = kernel.output(effect.argv, effect.netns)
    if result is None:
        return absent()
    status, output = result
    if status != 0:
        return absent(f"{effect.argv[0]} exits with {status}")
    if effect.output is not None and output.rstrip("\n") != effect.output.rstrip("\n"):
        return absent(f"{effect.argv[0]} prints something else")
    return ours()


def _zone(effect: e.ZoneIs, kernel: Kernel, _: Known) -> Observation:
    return observe_zone(effect, kernel.zones)


_OBSERVERS: dict[type[Effect], Callable[[Any, Kernel, Known], Observation]] = {
    e.LinkIs: _link,
    e.NetnsIs: _netns,
    e.ProcessIs: _process,
    e.FileIs: _file,
    e.ChainIs: _chain,
    e.RuleTagged: _rule,
    e.NftTable: nft_table,
    e.PortFilter: port_filter,
    e.LinkUp: _up,
    e.LinkSet: _linkset,
    e.AddrOn: _address,
    e.RouteVia: _route,
    e.SysctlIs: _sysctl,
    e.DirIs: _directory,
    e.CommandSucceeds: _command,
    e.ZoneIs: _zone,
}
