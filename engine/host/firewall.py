"""The firewall: what `iptables-save` prints, and which back end a host's `iptables` drives."""

from __future__ import annotations

import os
import re
from struct import Struct

from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.facts import Firewall

__all__ = ["TOOL_PATH", "Rules", "backend", "save_tool", "words"]

TOOL_PATH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where tools are looked for: directories that only root writes to."""

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")

_LEGACY_TABLES = "/proc/net/ip_tables_names"
_TABLE_INFO = 64  # IPT_SO_GET_INFO
_INFO = Struct("=32sI20x20xII")  # struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size


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
        backend: `nft` or `legacy`.
    """

    def __init__(self, text: str, backend: str = "") -> None:
        self.backend = backend
        self._policies: dict[tuple[str, str], str] = {}
        self._chains: dict[tuple[str, str], list[str]] = {}
        self._parsed: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                name, policy, *_ = [*line[1:].split(" ", 2), ""]
                self._chains.setdefault((table, name), [])
                self._policies[(table, name)] = policy
            elif line.startswith("["):  # counters
                self._rule(table, line.partition("] ")[2])
            else:
                self._rule(table, line)

    def _rule(self, table: str, line: str) -> None:
        if line.startswith("-A "):
            chain, _, spec = line[3:].partition(" ")
            self._chains.setdefault((table, chain), []).append(spec)

    def chain(self, table: str, chain: str) -> list[tuple[str, ...]] | None:
        """The rules of a chain, in order, each as the words after `-A CHAIN`; None where there is no such chain."""
        key = (table, chain)
        if key not in self._chains:
            return None
        if key not in self._parsed:
            self._parsed[key] = [words(spec) for spec in self._chains[key]]
        return self._parsed[key]

    def chains(self) -> list[tuple[str, str]]:
        """The chains there are, each with its table first."""
        return list(self._chains)

    def policy(self, table: str, chain: str) -> str:
        """The policy of a built-in chain, `-` for any other."""
        return self._policies.get((table, chain), "-")


def save_tool(family: int, wanted: str = "") -> str:
    """
    The tool that prints the rules of a back end.

    Args:
        family: 4 or 6.
        wanted: `nft` or `legacy`; the back end that `iptables` drives, if empty.

    Raises:
        NsctlError: `iptables` drives another one by now, and the tool of this one is missing.
    """
    plain = "iptables" if family == 4 else "ip6tables"  # noqa: PLR2004 - of IP
    if wanted in {"", backend_in_use()}:
        return f"{plain}-save"
    tool = f"{plain}-{wanted}-save"
    if not any(os.access(f"{directory}/{tool}", os.X_OK) for directory in TOOL_PATH):
        raise NsctlError(
            f"rules were made with the {wanted} back end of iptables, and {tool} is missing",
            hint="install it again, or set iptables to that back end: update-alternatives --config iptables",
        )
    return tool


def backend_in_use() -> str:
    """`nft` or `legacy`, by what the symbolic links of `iptables` lead to; empty where it is missing."""
    for directory in TOOL_PATH:
        path = f"{directory}/iptables"
        if os.access(path, os.X_OK):
            target = os.path.basename(os.path.realpath(path))
            return "nft" if "nft" in target or "compat" in target else "legacy"
    return ""


def backend() -> Firewall:
    """Which back end the host's `iptables` drives, found by its symbolic links; no process is started."""
    found = backend_in_use()
    return Firewall(found, "legacy" if found == "nft" and _legacy_has_rules() else "")


def _legacy_has_rules() -> bool:
    # A table that somebody only looked at is listed too, so the entries are counted.
    try:
        with open(_LEGACY_TABLES) as f:
            tables = f.read().split()
    except OSError:  # no legacy iptables in this kernel, or not root
        return False
    return any(_legacy_rules(table) for table in tables)


def _legacy_rules(table: str) -> int:
    """
    The number of rules in a legacy IPv4 table of the calling thread's network namespace.

    The layout is that of linux/netfilter_ipv4/ip_tables.h.
    """
    import ctypes
    import socket

    info = ctypes.create_string_buffer(_INFO.pack(table.encode(), 0, 0, 0), _INFO.size)
    size = ctypes.c_uint32(_INFO.size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        # Python's getsockopt can't hand the table's name in.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.getsockopt(s.fileno(), socket.IPPROTO_IP, _TABLE_INFO, info, ctypes.byref(size)) != 0:
            return 0
    _, hooks, entries, _ = _INFO.unpack(info.raw)
    # Every built-in chain ends in its policy, and the table in an entry of its own. A chain of the user's adds two.
    return int(entries) - int(hooks).bit_count() - 1
