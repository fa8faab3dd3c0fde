"""Why a packet is not delivered, in words: the cause, its owner, and the command that changes it."""

from __future__ import annotations

from nsctl.engine.kit.firewall import FORWARD
from nsctl.engine.reach.chains import DROPPING, End, Passage
from nsctl.engine.reach.model import Cause, Device, Host, PolicyRule, Ruleset, TableRoute, text
from nsctl.engine.reach.routing import Way

__all__ = [
    "by_chain",
    "by_forwarding",
    "by_link",
    "by_route",
    "by_source_check",
    "by_untracked",
    "described_route",
    "owner_of",
]

_OWNERS = {
    "nsctl": ("NSCTL-",),
    "ufw": ("ufw-", "ufw6-"),
    "docker": ("DOCKER",),
    "libvirt": ("LIBVIRT_",),
    "podman": ("NETAVARK",),
    "kubernetes": ("KUBE-", "cali-", "CILIUM_", "FLANNEL-", "CNI-"),
    "firewalld": ("FWD_", "FWDI_", "FWDO_", "FORWARD_", "INPUT_", "PRE_", "POST_", "IN_"),
    "tailscale": ("ts-",),
    "fail2ban": ("f2b-",),
}
"""Whose chains are whose, by what their names begin with."""
_REPAIR = "nsctl repair puts it back"
_LONGEST = 160


def owner_of(chains: tuple[str, ...], words: tuple[str, ...] = ()) -> str:
    """Whose a rule is, by its comment or by the names of the chains it stands in."""
    if any(word.startswith("nsctl:") for word in words):
        return "nsctl"
    for name in chains[1:]:
        for owner, beginnings in _OWNERS.items():
            if name.startswith(beginnings):
                return owner
    return "the host"


def by_chain(passage: Passage, rules: Ruleset, host: Host, about: str) -> Cause | None:
    """
    The rule or the policy that drops; None where it can't be told that one does.

    Args:
        passage: What became of the packet.
        rules: The packet filter.
        host: The host.
        about: What is dropped: `what comes from nsbr0`.
    """
    if not passage.blocked:
        return None
    end = next(end for end in passage.ends if end.verdict in DROPPING)
    builtin = end.chains[0]
    what = "rejects" if end.verdict == "REJECT" else "drops"
    place = f"{end.table} table, {end.backend} back end"
    shown = _shown(end)
    if end.number:
        clause = f"rule {end.number} of {end.chains[-1]} {what} {about}: {shown} ({place})"
        cause = Cause("rule", clause, f"-A {end.chains[-1]} {shown}", owner_of(end.chains, end.words), _see(end))
    else:
        clause = f"the policy of {builtin} {what} {about} ({place})"
        cause = Cause("policy", clause, f"-P {builtin} {end.verdict}", hint=_see(end))
    if (end.table, builtin) != ("filter", "FORWARD") or cause.whose == "nsctl":
        return cause
    if rules.chain("filter", FORWARD) is None and any(r.chain("filter", FORWARD) is not None for r in host.rulesets):
        return cause  # nsctl's chains are in the other back end
    # The place of nsctl's own chain, which would have accepted the packet.
    jump = _jump(rules, end)
    if FORWARD in passage.visited:
        lost = f"{FORWARD} accepts it no more"
    elif jump is None:
        lost = f"nothing in {builtin} leads to {FORWARD} any more"
    else:
        return cause._replace(hint=f"it comes before the jump to {FORWARD}, rule {jump}: remove it, or narrow it down")
    return Cause("chain", f"{lost}, and {clause}", FORWARD, "nsctl", _REPAIR)


def _shown(end: End) -> str:
    shown = " ".join(_quoted(word) for word in end.words)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


def _see(end: End) -> str:
    return f"see: iptables -t {end.table} -nvL {end.chains[-1]} --line-numbers"


def by_untracked(end: End, about: str) -> Cause:
    """A rule that takes packets out of connection tracking: nothing translates them, and no answer is known as one."""
    shown = _shown(end)
    clause = f"rule {end.number} of {end.chains[-1]} takes {about} out of connection tracking, and NAT: {shown}"
    return Cause("rule", clause, f"-A {end.chains[-1]} {shown}", owner_of(end.chains, end.words), _see(end))


def _jump(rules: Ruleset, end: End) -> int | None:
    found = rules.chain(end.table, end.chains[0]) or ()
    return next((place for place, words in enumerate(found, 1) if words[-2:] == ("-j", FORWARD)), None)


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def by_link(host: Host, name: str, role: str) -> Cause | None:
    """
    Why a link carries nothing; None if it may.

    That it has no carrier is a kind of its own, `carrier`: of a cable it is what the other end comes to.

    Args:
        host: The host.
        name: The link.
        role: What it is for: `the bridge`.
    """
    link = host.links.get(name)
    if link is None:
        return Cause("link", f"{role} {name} is not there", name, hint=_REPAIR)
    if not link.up:
        return Cause("link", f"{role} {name} is down", name, hint=f"ip link set {name} up")
    if not link.carrier:
        return Cause("carrier", f"{role} {name} has no carrier", name, hint=_carrier(link))
    if link.disabled:
        return Cause("link", f"{role} {name} is a port that its bridge forwards nothing by", name, hint=_REPAIR)
    return None


def _carrier(link: Device) -> str:
    if link.kind == "bridge":
        return "none of its ports is up"
    return "is its other end, or the cable, in place?"


def by_forwarding(host: Host, names: list[str]) -> Cause | None:
    """The links of these that do not forward, as one cause."""
    off = [name for name in names if (link := host.links.get(name)) is not None and link.forwarding is False]
    if not off:
        return None
    keys = [f"net/ipv4/conf/{name}/forwarding" for name in off]
    shown = ", ".join(f"{key.replace('/', '.')}=0" for key in keys)
    others = [name for name, key in zip(off, keys, strict=True) if key not in host.own]
    hint = "; ".join(f"sysctl -w net/ipv4/conf/{name}/forwarding=1" for name in others) or _REPAIR
    return Cause(
        "setting", f"the host forwards nothing that comes in by {' and '.join(off)} ({shown})", keys[0], hint=hint
    )


def by_source_check(host: Host, name: str, way: Way, about: str, sender: int) -> Cause:
    """Source validation of a link drops a packet, since the way back to its source is another."""
    setting = host.settings.get("net/ipv4/conf/all/rp_filter", "0")
    link = host.links[name]
    key = "all" if int(setting or 0) >= link.rp_filter else name
    if way.kind == "unicast":
        back = f"the way back to {text(sender)} is by {' or '.join(hop.link for hop in way.hops)}"
    else:
        back = f"there is no way back to {text(sender)}"
    value = max(int(setting or 0), link.rp_filter)
    clause = f"rp_filter={value} of {key} drops {about}: {back}"
    return Cause(
        "setting",
        clause,
        f"net/ipv4/conf/{key}/rp_filter",
        hint=f"the loose check is enough: sysctl -w net/ipv4/conf/{key}/rp_filter=2",
    )


def by_route(way: Way, about: str) -> Cause:
    """
    A route, or a routing rule, that refuses; or none that leads on.

    Args:
        way: What was found.
        about: What would have to be sent: `from 10.0.3.2 to the outside`.
    """
    if way.route is None and way.rule is not None:
        shown = described_rule(way.rule)
        return Cause("routing rule", f"a routing rule refuses what goes {about}: {shown}", shown, hint="see: ip rule")
    if way.route is not None:
        shown = described_route(way.route)
        table = way.route.table
        hint = "see: ip route show" + ("" if table == 254 else f" table {table}")  # noqa: PLR2004 - the main one
        return Cause("route", f"a route refuses what goes {about}: {shown}", shown, hint=hint)
    return Cause("route", f"no route leads {about}", "default", hint="see: ip route; ip rule")


def described_route(route: TableRoute) -> str:
    """A route as `ip route` shows it."""
    to = "default" if route.length == 0 else f"{text(route.destination)}/{route.length}"
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    hops = "".join(
        (f" via {hop.via}" if hop.via else "") + (f" dev {hop.link}" if hop.link else "") for hop in route.hops
    )
    table = "" if route.table == 254 else f" table {route.table}"  # noqa: PLR2004 - the main one
    return f"{kind}{to}{hops}{table}" + (f" metric {route.metric}" if route.metric else "")


def described_rule(rule: PolicyRule) -> str:
    """A routing rule as `ip rule` shows it, as far as it is about addresses, links and marks."""
    words = ["not"] if rule.inverted else []
    words.append(f"from {text(rule.source)}/{rule.source_length}" if rule.source_length else "from all")
    if rule.destination_length:
        words.append(f"to {text(rule.destination)}/{rule.destination_length}")
    if rule.mask:
        words.append(f"fwmark {rule.mark:#x}" + ("" if rule.mask == 0xFFFFFFFF else f"/{rule.mask:#x}"))  # noqa: PLR2004
    if rule.iif:
        words.append(f"iif {rule.iif}")
    words.append(f"lookup {rule.table}" if rule.action == "table" else rule.action)
    return f"{rule.priority}: {' '.join(words)}"
