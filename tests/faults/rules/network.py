"""What bridges let pass, and which addresses are free."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_NETWORK = "tests/system/test_network.py"
_NO_PORT = "test_a_hardware_address_inside_is_that_of_no_port_of_the_bridge"

_NETWORKS = "tests/system/test_networks.py"
_CASE = "tests/modes/test_cases.py::test_a_case_plans_exactly_these_commands[bridge/{}]"
_SIBLINGS = (
    "tests/system/test_siblings.py::test_nothing_in_another_name_reaches_anybody_and_what_is_its_own_reaches_all[nft]"
)
_GROUPS = "tests/system/test_siblings.py::test_groups_that_bridges_keep_to_themselves_are_no_way_round"
_MORE = "tests/system/test_siblings.py::test_what_others_let_a_port_send_is_named_and_goes_with_it"

_JOIN = "tests/system/test_join.py"

RULES = (
    Rule(
        "what stays on a bridge of others passes the guard",
        "engine/kit/forwarding.py",
        "    if every_bridge:\n",
        "    if False:\n",
        f"{_JOIN}::test_networks_of_nsctls_beside_it_do_not_cut_it_off",
    ),
    Rule(
        "a bridge that was joined is known by its index",
        "engine/model/effects/links.py",
        "if there is not None and there.index == index:",
        "if there is not None and there.name == master:",
        f"{_JOIN}::test_a_bridge_that_is_replaced_while_it_is_joined_is_not_joined",
    ),
    Rule(
        "a namesake of a bridge that was joined gets no port",
        "engine/executor/mending.py",
        "    return _master(ctx, effect) != effect.master\n",
        "    return False\n",
        f"{_JOIN}::test_a_bridge_that_is_gone_is_named_and_its_namesake_left_alone",
    ),
    Rule(
        "a saved plan joins no namesake",
        "engine/planning/planner.py",
        "if theirs is None or theirs.index != step.effect.master_index:",
        "if False:",
        f"{_JOIN}::test_a_saved_plan_does_not_join_a_namesake",
    ),
    Rule(
        "the hardware address of a bridge that is joined stays",
        "engine/kit/joining.py",
        "if facts.fixed_macs.get(link.name) is not True and",
        "if False and",
        f"{_JOIN}::test_a_bridge_whose_hardware_address_would_change_is_refused",
    ),
    Rule(
        "a port of somebody else's bridge has a high hardware address",
        "engine/model/names.py",
        'return f"fe{derived_mac(*words)[2:]}"',
        "return derived_mac(*words)",
        _CASE.format("join"),
    ),
    Rule(
        "of a way out by somebody else's bridge nothing is claimed",
        "engine/reach/promise.py",
        "or netns in joined:",
        "or False:",
        f"{_JOIN}::test_nothing_is_claimed_of_its_way_out",
    ),
    Rule(
        "who wants no way out gets none, and who wants one keeps it",
        "engine/kit/networks.py",
        "        if is_internal(bridge, facts) == internal:\n",
        "        if bridge:\n",
        f"{_NETWORKS}::test_internal_sandboxes_that_name_no_network_share_one_without_a_way_out",
    ),
    Rule(
        "an internal network stays one for whoever joins it",
        "engine/kit/choosing.py",
        "    return Network(bridge, gateway, mtu, internal, name)\n",
        "    return Network(bridge, gateway, mtu, asked.internal, name)\n",
        _CASE.format("network-joins-internal"),
    ),
    Rule(
        "a name is one network's only",
        "engine/kit/choosing.py",
        "if (there := network_named(name, facts)) is not None:",
        "if there := None:",
        _CASE.format("refused-bridge-called-like-a-network"),
    ),
    Rule(
        "a saved plan makes no second network of a name",
        "engine/planning/planner.py",
        "if network_named(name, facts) not in {None, bridge}:",
        "if False:",
        f"{_NETWORKS}::test_a_saved_plan_is_refused_if_its_network_is_on_another_bridge_by_now",
    ),
    Rule(
        "what comes from a bridge has a source of its own",
        "modes/bridge.py",
        "    yield kit.own_sources(bridge, gateway.network, internal=internal)\n",
        "",
        f"{_NETWORK}::test_nothing_with_a_source_of_another_network_leaves_a_bridge[10.0.4.2]",
    ),
    Rule(
        "what comes from an internal bridge is for its own network",
        "engine/kit/firewall.py",
        '        words = ("!", "-d", str(subnet), "-i", bridge, "-j", "DROP")',
        '        words = ("!", "-d", str(subnet), "-i", bridge, "-j", "RETURN")',
        f"{_NETWORK}::test_an_internal_network_with_a_default_route_of_its_own_reaches_nothing_of_the_hosts",
    ),
    Rule(
        "what goes to a bridge returns before what drops",
        "engine/kit/forwarding.py",
        '"-j", "RETURN", owner=bridge, why=why, head=True)',
        '"-j", "RETURN", owner=bridge, why=why, head=False)',
        f"{_NETWORK}::test_the_second_network_has_a_way_out_too_even_if_the_guard_comes_first",
    ),
    Rule(
        "a hardware address is one sandbox's only",
        "engine/kit/macs.py",
        "    if owner:\n",
        "    if False:\n",
        f"{_NETWORK}::test_a_hardware_address_is_one_sandboxes_only",
    ),
    Rule(
        "the hardware address of a cable's end on the host is nobody's inside",
        "modes/bridge.py",
        "    for mac in macs:\n",
        "    for mac in macs[:1]:\n",
        f"{_NETWORK}::{_NO_PORT}",
    ),
    Rule(
        "the hardware address of any port of the bridge is nobody's inside",
        "engine/kit/macs.py",
        "if port.mac == mac)",
        "if False)",
        f"{_NETWORK}::{_NO_PORT}",
    ),
    Rule(
        "a cable's end on the host does not get the hardware address of a sandbox",
        "engine/kit/macs.py",
        "if there := _owner_of(cable, bridge, name, facts):",
        "if there := None:",
        f"{_NETWORK}::{_NO_PORT}",
    ),
    Rule(
        "an address of a link that is down is in the way",
        "engine/kit/subnets.py",
        "if link not in facts.networks and subnet.overlaps(address.network):",
        "if False:",
        f"{_NETWORK}::test_an_address_of_a_link_that_is_down_is_in_the_way",
    ),
    Rule(
        "an address that changes hands is announced",
        "modes/bridge.py",
        "        yield kit.announce(ifname, mac,",
        "        (kit.announce)(ifname, mac,",
        f"{_NETWORK}::test_a_reused_address_is_reachable_at_once[options1]",
    ),
    Rule(
        "an announcement waits for the other end to forward",
        "engine/executor/announcing.py",
        "while names and time",
        "while not names and time",
        "tests/engine/executor/test_announcing.py::test_they_wait_until_the_kernel_has_dealt_with_the_carrier",
    ),
    Rule(
        "a hardware address goes with its address",
        "modes/bridge.py",
        'usual = kit.derived_mac("address", str(ip))',
        'usual = kit.derived_mac("address", name)',
        f"{_NETWORK}::test_the_hardware_address_goes_with_the_address",
    ),
    Rule(
        "links that come later forward, too",
        "engine/kit/forwarding.py",
        'why="and by links that are added later") if every else None',
        'why="and by links that are added later") if None else None',
        "tests/system/test_way_out.py::test_a_sandbox_keeps_its_way_out_whatever_becomes_of_the_uplinks"
        "[it moves to a link that comes late]",
    ),
    Rule(
        "the host's other links forward, too",
        "engine/kit/forwarding.py",
        "*(facts.outer if every else ())",
        "*()",
        "tests/system/test_way_out.py::test_a_sandbox_keeps_its_way_out_whatever_becomes_of_the_uplinks"
        "[it moves to another link]",
    ),
    Rule(
        "what goes from one link of the host's to another is dropped",
        "engine/kit/forwarding.py",
        "    if not others:",
        "    if False:",
        f"{_NETWORK}::test_the_host_forwards_between_other_links_neither_before_nor_meanwhile_nor_afterwards[udp]",
    ),
    Rule(
        "what comes from a link that forwarded before passes",
        "engine/kit/forwarding.py",
        "    for link in forwarding:",
        "    for link in ():",
        "tests/system/test_way_out.py::test_links_that_forwarded_before_go_on_and_others_do_not_begin",
    ),
    Rule(
        "links that came meanwhile no longer forward",
        "engine/kit/forwarding.py",
        'undo=(Command(("sh", "-c", LATER_LINKS, str(last))), *later.undo)',
        "undo=later.undo",
        "tests/system/test_way_out.py::test_links_that_came_meanwhile_no_longer_forward_when_all_is_down",
    ),
    Rule(
        "every network holds the way back",
        "engine/kit/forwarding.py",
        "        yield facts.way_back  # as it was made for the first one",
        "        pass",
        "tests/system/test_way_out.py::test_a_sandbox_keeps_its_way_out_whatever_becomes_of_the_uplinks[none]",
    ),
    Rule(
        "a setting of a link that is gone is missed by nobody",
        "engine/model/effects/base.py",
        "            return replace(observed, gone=True)",
        "            return observed",
        "tests/system/test_way_out.py::test_a_sandbox_keeps_its_way_out_whatever_becomes_of_the_uplinks"
        "[its link is gone, and comes back]",
    ),
    Rule(
        "a sandbox sends from its own addresses",
        "modes/bridge.py",
        "        yield kit.own_addresses(end, mac, ip,",
        "        (kit.own_addresses)(end, mac, ip,",
        _SIBLINGS,
    ),
    Rule(
        "from its own hardware address",
        "engine/kit/port_filter.py",
        "        iifname . ether saddr != @hardware drop\n",
        "",
        _SIBLINGS,
    ),
    Rule(
        "in IPv4 from its own address",
        "engine/kit/port_filter.py",
        "        iifname . ip saddr @addresses accept\n",
        "        meta protocol ip accept\n",
        _SIBLINGS,
    ),
    Rule(
        "in ARP from its own hardware address, too",
        "engine/kit/port_filter.py",
        "        iifname . arp saddr ether != @hardware drop\n",
        "",
        _SIBLINGS,
    ),
    Rule(
        "in ARP from its own address",
        "engine/kit/port_filter.py",
        "        iifname . arp saddr ip @addresses accept\n",
        "        accept\n",
        _SIBLINGS,
    ),
    Rule(
        "from no address only when it asks for one",
        "engine/kit/port_filter.py",
        "        arp operation request arp saddr ip 0.0.0.0 accept",
        "        arp saddr ip 0.0.0.0 accept",
        _SIBLINGS,
    ),
    Rule(
        "in ARP of Ethernet and IPv4",
        "engine/kit/port_filter.py",
        "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 goto senders",
        "ether type arp goto senders",
        _SIBLINGS,
    ),
    Rule(
        "and nothing else but IPv6",
        "engine/kit/port_filter.py",
        "        ether type ip6 accept\n        drop\n",
        "        ether type ip6 accept\n        ether type { vlan, 8021ad, rarp } accept\n        drop\n",
        _SIBLINGS,
    ),
    Rule(
        "nothing for the groups that bridges keep goes by input",
        "engine/kit/port_filter.py",
        "        iifname @ports ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop\n",
        "",
        _GROUPS,
    ),
    Rule(
        "the group of LLDP is judged",
        "modes/bridge.py",
        "        yield kit.keep_groups(bridge)\n",
        "        pass\n",
        _GROUPS,
    ),
    Rule(
        "what a port may send is said before it is there",
        "engine/kit/link.py",
        "*((link_key(master, None), port_key(name)) if master else ())",
        "*((link_key(master, None),) if master else ())",
        "tests/engine/kit/test_port_filter.py::test_what_a_port_may_send_is_said_before_it_is_there_and_taken_back_after_it_is_gone",
    ),
    Rule(
        "a table whose rules others changed is told from nsctl's",
        "engine/model/effects/port_filter.py",
        'changed = "" if made is None or table.rules == made else',
        'changed = "" if made is None or table.rules else',
        "tests/system/test_siblings.py::test_what_others_did_to_the_table_is_named_and_mended[a rule is inserted]",
    ),
    Rule(
        "whoever comes up makes such a table anew",
        "engine/executor/pending.py",
        "    pending.mend += [step for row in tables for step in mended(ctx.kernel, row.step, ctx.observed(row))]\n",
        "",
        "tests/system/test_siblings.py::test_whoever_comes_up_relies_on_a_table_as_it_was_made[a rule is inserted]",
    ),
    Rule(
        "a port that others let send more is named",
        "engine/model/effects/port_filter.py",
        "for address in sorted(has - wanted)]",
        "for address in ()]",
        _MORE,
    ),
    Rule(
        "all that the table has of a port goes with it",
        "engine/executor/undo.py",
        "        steps[n] = as_it_is(ctx.kernel, steps[n])\n",
        "",
        _MORE,
    ),
    Rule(
        "the table stays while another store needs it",
        "engine/model/effects/port_filter.py",
        '"""It judges the ports of all stores."""\n        return True',
        "return False",
        "tests/system/test_siblings.py::test_two_stores_share_the_table_and_the_last_one_deletes_it",
    ),
    Rule(
        "a host that can't filter on bridges says so",
        "engine/app/__init__.py",
        "        ctx.warn(line)\n",
        "        pass\n",
        "tests/system/test_siblings.py::test_where_the_host_cannot_filter_on_bridges_that_is_said_and_nothing_fails",
    ),
    Rule(
        "nobody is let send as a sandbox that is there",
        "modes/bridge.py",
        'if (holder := kit.claimed(f"address/{bridge}", facts).get(str(address), name)) != name:',
        "if (holder := name) != name:",
        "tests/modes/test_cases.py::test_a_case_plans_exactly_these_commands[bridge/refused-allow-address-taken]",
    ),
)
