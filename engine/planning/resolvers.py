"""Name servers: which ones a resolv.conf names, and of what use they are in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["HINT", "name_servers", "no_resolver", "on_loopback", "only_loopback"]

HINT = "give it a server that is reached from there: --dns ADDRESS; or name one in /etc/resolv.conf"
"""The cure where no name server is reached."""


def name_servers(content: str) -> tuple[str, ...]:
    """The name servers that a resolv.conf names."""
    lines = (line.split() for line in content.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def on_loopback(server: str) -> bool:
    """Whether a name server is on the loopback of whoever asks."""
    return server.startswith("127.") or server == "::1"


def only_loopback(content: str) -> bool:
    """Whether a resolv.conf names servers, and all of them are on the loopback."""
    servers = name_servers(content)
    return bool(servers) and all(map(on_loopback, servers))


def no_resolver(servers: Sequence[str]) -> str:
    """Why name servers on the host's loopback are no use inside."""
    what = "is the host's only name server" if len(servers) == 1 else "are the host's only name servers"
    return f"{' and '.join(servers)} {what}, on the loopback of the host, which a network of its own does not reach"
