"""
The firewall: what `iptables-save` prints, and which back end a host's `iptables` drives.
"""

from __future__ import annotations

import os
import re

from nsctl.engine.facts import Firewall

__all__ = ["TOOL_PATH", "Rules", "backend", "words"]

TOOL_PATH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where tools are looked for: directories that only root writes to."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")
_LEGACY_TABLES = "/proc/thread-self/net/ip_tables_names"


def words(line: str) -> tuple[str, ...]:
    r"""
    A line of `iptables-save` as words.

    Its quoting is its own: inside double quotes a backslash precedes `"`, `\` and `'`.
    A shell, and so `shlex`, would not undo the last.
    """
    found = []
    for match in _WORD.finditer(line):
        quoted, plain = match.groups()
        found.append(plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
    return tuple(found)


class Rules:
    """
    One output of `iptables-save`, parsed as far as is asked for.

    Args:
        text: What it printed.
    """

    def __init__(self, text: str) -> None:
        self._chains: dict[tuple[str, str], list[str]] = {}
        self._parsed: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                self._chains.setdefault((table, line[1:].split(" ", 1)[0]), [])
            elif line.startswith("["):  # counters
                self._rule(table, line.partition("] ")[2])
            else:
                self._rule(table, line)

    def _rule(self, table: str, line: str) -> None:
        if line.startswith("-A "):
            chain, _, spec = line[3:].partition(" ")
            self._chains.setdefault((table, chain), []).append(spec)

    def chain(self, table: str, chain: str) -> list[tuple[str, ...]] | None:
        """
        The rules of a chain, in order, each as the words that follow `-A CHAIN`; None where there is no such chain.
        """
        key = (table, chain)
        if key not in self._chains:
            return None
        if key not in self._parsed:
            self._parsed[key] = [words(spec) for spec in self._chains[key]]
        return self._parsed[key]


def backend() -> Firewall:
    """
    Which back end the host's `iptables` drives, found by its symbolic links; no process is started.
    """
    for directory in TOOL_PATH:
        path = f"{directory}/iptables"
        if os.access(path, os.X_OK):
            target = os.path.basename(os.path.realpath(path))
            nft = "nft" in target or "compat" in target
            return Firewall("nft", "legacy" if _legacy_has_rules() else "") if nft else Firewall("legacy")
    return Firewall("")


def _legacy_has_rules() -> bool:
    try:
        with open(_LEGACY_TABLES) as f:
            return bool(f.read().split())
    except OSError:
        return False
