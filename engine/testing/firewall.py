"""
Firewall listings, made comparable.

Counters are dropped. So is what the tools leave behind by merely having been used: `iptables` on nftables makes a table
and its base chains the first time, and nothing removes them again. A base chain of such a table that accepts everything
and holds no rule therefore counts as absent, and so does such a table without chains. Everything else counts, including
an empty chain that somebody made, an empty table of another name, and the order of rules within a chain.
"""

from __future__ import annotations

import re

Listing = dict[str, list[str]]
"""Chain (or set, …) → its lines, in order."""

IPTABLES_TABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_COUNTERS = re.compile(r"\[\d+:\d+\]")
_NFT_COUNTERS = re.compile(r"counter packets \d+ bytes \d+")
_NFT_EXPIRY = re.compile(r" expires \w+")


def parse_save(text: str) -> Listing:
    """What `iptables-save` printed: `TABLE CHAIN` → policy and rules."""
    chains: Listing = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            chain, policy, *_ = line[1:].split()
            chains.setdefault(f"{table} {chain}", []).insert(0, f"policy {policy}")
        elif line.startswith(("-A ", "[")):
            rule = _COUNTERS.sub("", line).strip()
            chains.setdefault(f"{table} {rule.split()[1]}", []).append(rule)
    return {chain: lines for chain, lines in chains.items() if lines != ["policy ACCEPT"]}


def parse_nft(text: str) -> Listing:
    """What `nft list ruleset` printed: `FAMILY TABLE` and `FAMILY TABLE chain NAME` → lines."""
    blocks: Listing = {}
    table = block = ""
    for line in text.splitlines():
        stripped = _NFT_EXPIRY.sub("", _NFT_COUNTERS.sub("counter", line.strip()))
        depth = len(line) - len(line.lstrip("\t"))
        if depth == 0 and stripped.startswith("table "):
            table = block = stripped.removeprefix("table ").removesuffix(" {")
            blocks[table] = []
        elif depth == 1 and stripped.endswith("{"):
            block = f"{table} {stripped.removesuffix(' {')}"
            blocks[block] = []
        elif depth == 1 and stripped == "}":
            block = table
        elif stripped and depth > 0:
            blocks[block].append(stripped)
    used = {name: lines for name, lines in blocks.items() if not _is_untouched_chain(name, lines)}
    return {name: lines for name, lines in used.items() if not _is_untouched_table(name, used)}


def _is_iptables_table(words: list[str]) -> bool:
    return words[0] in {"ip", "ip6"} and words[1] in IPTABLES_TABLES


def _is_untouched_chain(name: str, lines: list[str]) -> bool:
    match name.split():
        case [family, table, "chain", chain] if _is_iptables_table([family, table]) and chain.isupper():
            return len(lines) == 1 and "hook" in lines[0] and lines[0].endswith("policy accept;")
        case _:
            return False


def _is_untouched_table(name: str, blocks: Listing) -> bool:
    match name.split():
        case [family, table] if _is_iptables_table([family, table]):
            return not blocks[name] and not any(other.startswith(f"{name} ") for other in blocks)
        case _:
            return False
