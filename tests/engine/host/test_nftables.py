"""The table of ports, read without nft: compared with what nft itself says."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import pytest

from nsctl.engine.host import nftables
from nsctl.engine.host.nftables import BridgeTable, Entry
from nsctl.engine.kit.port_filter import FILTERED_PORTS, own_addresses
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab, needs

pytestmark = [pytest.mark.system, needs("nft", "bridge")]

MAC = "02:00:00:00:00:01"
ENTRY = Entry(listed=True, macs=(MAC,), addresses=("10.0.3.2", "10.0.3.9"))


def nft(lab: Lab, *statements: str) -> None:
    lab.run(["nft", "-f", "-"], input="\n".join(statements) + "\n", check=True)


@pytest.fixture
def there(lab: Lab, inside: NamespaceThread) -> BridgeTable:
    for step in own_addresses("ns-web", MAC, IPv4Address("10.0.3.2"), IPv4Address("10.0.3.9")):
        lab.run(list(step.argv), input=getattr(step.do, "stdin", None) or "", check=True)
    table = inside.call(nftables.read)
    assert table is not None
    inside.call(lambda: table.ports)
    return table


def test_without_the_table_there_is_none_whatever_else_there_is(lab: Lab, inside: NamespaceThread) -> None:
    assert inside.call(nftables.read) is None
    nft(lab, "add table bridge other", "add table inet nsctl", "add table bridge nsctl2")
    assert inside.call(nftables.read) is None


def test_ports_are_read_with_all_that_they_may_send(lab: Lab, inside: NamespaceThread, there: BridgeTable) -> None:
    assert there.ports == {"ns-web": ENTRY}
    assert there.port("ns-db") == Entry(listed=False, macs=(), addresses=())
    lines = [f'add element bridge nsctl ports {{ "ns-{n}" }}' for n in range(2000)]
    nft(lab, *lines, f'add element bridge nsctl hardware {{ "ns-of-15-letters" . {MAC} }}'.replace("-letters", "-ls"))
    table = inside.call(nftables.read)
    assert table is not None
    ports = inside.call(lambda: table.ports)
    assert len(ports) == 2002
    assert ports["ns-of-15-ls"] == Entry(listed=False, macs=(MAC,), addresses=())
    assert table.rules == there.rules  # elements are none of them


@pytest.mark.parametrize(
    "change",
    [
        "add table bridge nsctl { flags dormant; }",
        "add rule bridge nsctl guarded accept",
        "insert rule bridge nsctl prerouting accept",
        "flush chain bridge nsctl senders",
        "add chain bridge nsctl prerouting { policy drop; }",
        "add chain bridge nsctl more { type filter hook forward priority 0; }",
        "add set bridge nsctl more { type ifname; }",
    ],
)
def test_any_change_of_its_rules_is_another_number(
    lab: Lab, inside: NamespaceThread, there: BridgeTable, change: str
) -> None:
    nft(lab, change)
    table = inside.call(nftables.read)
    assert table is not None
    assert table.rules != there.rules


def test_the_same_rules_made_again_are_the_same_number(lab: Lab, inside: NamespaceThread, there: BridgeTable) -> None:
    saved = lab.run(["nft", "list", "ruleset"], check=True).stdout
    nft(lab, "flush ruleset", "add table bridge before", saved)
    table = inside.call(nftables.read)
    assert table is not None
    assert (table.rules, inside.call(lambda: table.ports)) == (there.rules, there.ports)


def test_what_the_kernel_can_do_is_found_out_and_nothing_is_made(lab: Lab, inside: NamespaceThread) -> None:
    assert inside.call(nftables.why_lacking, FILTERED_PORTS) is None
    assert inside.call(nftables._would_be_made) is True
    assert lab.run(["nft", "list", "ruleset"], check=True).stdout == ""
    assert nftables.why_lacking("what nobody knows") is None


CONFIGS = {
    "CONFIG_NF_TABLES=y\nCONFIG_NF_TABLES_BRIDGE=y\n": True,
    "CONFIG_NF_TABLES=y\n# CONFIG_NF_TABLES_BRIDGE is not set\n": False,
    "": False,
}


@pytest.mark.parametrize("text", CONFIGS)
def test_a_kernel_says_what_it_was_built_with(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/boot/config-": f"#\n{text}".encode()}

    def opened(path: str, mode: str) -> object:
        import io

        assert mode == "rb"
        found = next((content for start, content in files.items() if path.startswith(start)), None)
        if found is None:
            raise FileNotFoundError(path)
        return io.BytesIO(found)

    monkeypatch.setattr(nftables, "open", opened, raising=False)
    assert nftables._is_built_in() is CONFIGS[text]
    monkeypatch.setattr(nftables, "_would_be_made", lambda: pytest.fail("not asked"))
    why = nftables.why_lacking(FILTERED_PORTS)
    assert (why is None) == CONFIGS[text]
    assert why is None or re.search("CONFIG_NF_TABLES_BRIDGE", why)
