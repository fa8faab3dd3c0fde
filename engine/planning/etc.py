"""A sandbox's /etc/hosts and /etc/resolv.conf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, ip_address
from typing import Any

from nsctl.engine.model.effects import AddrOn, NetnsIs, RouteVia
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step

__all__ = ["HOST_GATEWAY", "NO_SEARCH", "hosts", "resolv_conf"]

HOST_GATEWAY = "host-gateway"
"""Docker's word for the address by which a sandbox reaches its host."""
NO_SEARCH = "."
"""Docker's word for no search list at all."""
_LOOPBACK = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(name: str, isolate: Sequence[str], settings: Mapping[str, Any], facts: Facts, steps: Sequence[Step]) -> str:
    """
    The content of /etc/hosts: the sandbox's own name first, then what was added, localhost, and the host's lines.

    Where the network is not the host's, neither are the names that the host gives its loopback addresses: nobody
    listens there. They stay if the sandbox shares the host's name, which is one of them.

    Args:
        name: The sandbox's name.
        isolate: The kinds of namespaces of its own.
        settings: `add_host`: `NAME:ADDRESS`.
        facts: The host.
        steps: The mode's steps.

    Raises:
        Invalid: A name is the sandbox's own, or `host-gateway` is asked for, and there is none.
    """
    sources = [s.effect for s in steps if isinstance(s.effect, NetnsIs) and s.effect.name == name]
    found = [s.effect.address for s in steps if isinstance(s.effect, AddrOn) and s.effect.netns == name]
    names = [name]
    for source in (effect.source for effect in sources if effect.source is not None):
        owner = facts.sandboxes.get(source)
        found += owner.addresses if owner is not None else ()
        names.append(source)  # whose network it is, it goes by that name, too
    addresses = [a.partition("/")[0] for a in found] or ["127.0.1.1"]  # as Debian does for a host without an address
    # First, and nowhere else: many take the first line that has a name, some take all of them.
    own = [f"{a}\t{n}\n" for n in (names if found else names[:1]) for a in addresses]
    added = [word.partition(":")[::2] for word in settings.get("add_host", ())]
    if double := next((n for n, _ in added if n in names), ""):
        raise Invalid(f"--add-host: '{display(double)}' has its address already", hint="choose another name")
    own += [f"{_address(a, name, facts, steps)}\t{n}\n" for n, a in added]
    taken = {*names, *(n for n, _ in added)}
    apart = bool(sources) and "uts" in isolate
    rest = _others(facts.hosts, taken) if apart else (_without(line, taken) for line in facts.hosts.splitlines())
    return "".join(own) + (_LOOPBACK if apart else "") + "".join(f"{line}\n" for line in rest if line)


def resolv_conf(content: str | None, settings: Mapping[str, Any]) -> str | None:
    """
    The content of /etc/resolv.conf: the host's, but for the name servers and search lists that were chosen.

    Args:
        content: The host's; None where it has none.
        settings: `dns`, `dns_search`.
    """
    servers, search = settings.get("dns", ()), settings.get("dns_search", ())
    if content is None or not (servers or search):
        return content
    replaced = ({"nameserver"} if servers else set()) | ({"search", "domain"} if search else set())
    kept = [line for line in content.splitlines() if not (set(line.split()[:1]) & replaced)]
    listed = [f"search {' '.join(search)}"] if search and list(search) != [NO_SEARCH] else []
    return "".join(f"{line}\n" for line in (*kept, *listed, *(f"nameserver {s}" for s in servers)))


def _address(address: str, name: str, facts: Facts, steps: Iterable[Step]) -> str:
    if address != HOST_GATEWAY:
        return address
    effects = [s.effect for s in steps]
    for effect in effects:
        if isinstance(effect, RouteVia) and effect.netns == name and effect.destination == "default" and effect.via:
            return effect.via
    for effect in effects:
        if isinstance(effect, AddrOn) and effect.netns is None:  # of an internal network: there is no route
            return effect.address.partition("/")[0]
    owners = [facts.sandboxes.get(e.source or "") for e in effects if isinstance(e, NetnsIs) and e.name == name]
    gateways: list[IPv4Interface | None] = [facts.networks.get(o.network or "") for o in owners if o is not None]
    for gateway in gateways:
        if gateway is not None:
            return str(gateway.ip)
    if not owners and not any(isinstance(e, NetnsIs) and e.name == name for e in effects):
        return "127.0.0.1"  # the host's network is its own
    raise Invalid(
        f"--add-host: '{display(name)}' has no gateway that {HOST_GATEWAY} could be", hint="give an address instead"
    )


def _others(text: str, taken: set[str]) -> Iterator[str]:
    # Lines of other machines: loopback and link-local groups stand above.
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words and _is_elsewhere(words[0]):
            yield _without(line, taken)


def _is_elsewhere(word: str) -> bool:
    try:
        address = ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_multicast or address.is_unspecified)


def _without(line: str, names: set[str]) -> str:
    # A line of hosts(5) without some names; empty where those were all it had.
    text, sign, comment = line.partition("#")
    words = text.split()
    if not names & set(words[1:]):
        return line
    kept = [words[0], *(w for w in words[1:] if w not in names)]
    return "" if len(kept) == 1 else "\t".join([kept[0], " ".join(kept[1:])]) + (f" {sign}{comment}" if sign else "")
