"""Commands of authors: where one says what one of the known kinds says, it is that."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from nsctl.engine.model.commands import (
    AddLink,
    Announce,
    AnyCommand,
    Chain,
    Command,
    DeleteLink,
    Ip,
    Kill,
    MakeDir,
    Nft,
    Peer,
    RemoveDir,
    RemoveFiles,
    RestoreRules,
    Rule,
    Sysctl,
    UndoCommand,
    WriteFile,
)
from nsctl.engine.model.commands.rules import Family

__all__ = ["ending", "made_link", "typed"]

_FAMILY: dict[str, Family] = {"iptables": 4, "ip6tables": 6, "iptables-restore": 4, "ip6tables-restore": 6}

_MAKERS = (AddLink, Ip, Command)
"""The kinds of commands by which a link may be made."""


def typed(command: AnyCommand) -> AnyCommand:
    """The command of a known kind that does the same, word for word; the command itself where there is none."""
    return ending(command) if isinstance(command, Command) else command


def ending(command: UndoCommand) -> UndoCommand:
    """As `typed`, for what is no detached process."""
    if not isinstance(command, Command):
        return command
    found = _found(command)
    same = found is not None and (found.argv, found.stdin, found.netns, found.ok) == (
        command.argv,
        command.stdin,
        command.netns,
        command.ok,
    )
    return found if found is not None and same else command


def _found(command: Command) -> UndoCommand | None:  # noqa: PLR0911 - one for each kind
    netns, stdin = command.netns, command.stdin
    match command.argv:
        case ("ip", "link", "set", "dev", link, "address", mac):
            return Announce(link, mac, netns)
        case ("ip", "link", "del", "dev", link):
            return DeleteLink(link, netns)
        case ("ip", "link", "add", "dev", name, *words):
            return _link(name, words, netns) or _ip(("link", "add", "dev", name, *words), netns)
        case ("ip", *words):
            return _ip(words, netns)
        case ("iptables" | "ip6tables" as tool, "-w", "-t", table, *words):
            return _rule(_FAMILY[tool], table, words, netns)
        case ("iptables-restore" | "ip6tables-restore" as tool, *_) if stdin is not None:
            return _restored(_FAMILY[tool], stdin, netns)
        case ("nft", "-f", "-"):
            return Nft(stdin or "")
        case ("nft", text):
            return Nft(text)
        case ("pkill", "-KILL", "-F", path):
            return Kill(path)
        case _:
            return _write(command)


def _write(command: Command) -> UndoCommand | None:
    match command.argv:
        case ("sysctl", "-qw", setting):
            key, _, value = setting.partition("=")
            return Sysctl(key, value, command.netns)
        case ("install", "-m", mode, "/dev/stdin", path):
            return WriteFile(path, command.stdin or "", mode)
        case ("mkdir", "-m", mode, path):
            return MakeDir(path, mode)
        case ("rmdir", path):
            return RemoveDir(path)
        case ("rm", "-f", *paths):
            return RemoveFiles(tuple(paths))
        case _:
            return None


def _ip(words: Sequence[str], netns: str | None) -> Ip | None:
    match words:
        case (thing, verb, *rest) if not thing.startswith("-"):
            at = rest.index("dev") if "dev" in rest[:-1] else None
            if at is None:
                return Ip(thing, verb, tuple(rest), netns=netns)
            return Ip(thing, verb, tuple(rest[:at]), rest[at + 1], tuple(rest[at + 2 :]), netns)
        case _:
            return None


def _link(name: str, words: Sequence[str], netns: str | None) -> AddLink | None:
    # In pairs: names of links may be words of ip's, too.
    said = list(zip(words[::2], words[1::2], strict=False))
    cut = next((n for n, (word, _) in enumerate(said) if word == "type"), len(said))
    if cut == len(said):
        return None
    own, peer, rest = dict(said[:cut]), None, words[2 * cut + 2 :]
    match rest:
        case ("peer", "name", inner, *more):
            other = dict(zip(more[::2], more[1::2], strict=False))
            peer = Peer(inner, other.get("netns"), other.get("address"), _number(other.get("mtu")))
        case _:
            pass
    return AddLink(name, said[cut][1], own.get("address"), _number(own.get("mtu")), own.get("master"), peer, netns)


def _number(word: str | None) -> int | None:
    return int(word) if word is not None and word.isascii() and word.isdecimal() else None


def _rule(family: Family, table: str, words: Sequence[str], netns: str | None) -> Chain | Rule | None:
    match words:
        case ("-N" | "-F" | "-X" as verb, chain):
            return Chain(verb, table, chain, family, netns)
        case ("-I", chain, number, *spec) if _number(number) is not None:
            return Rule("-I", table, chain, tuple(spec), _number(number), family, netns)
        case ("-A" | "-I" | "-D" as verb, chain, *spec):
            return Rule(verb, table, chain, tuple(spec), None, family, netns)
        case _:
            return None


def _restored(family: Family, text: str, netns: str | None) -> RestoreRules | None:
    lines = text.split("\n")
    if not lines[0].startswith("*"):
        return None
    try:
        words = tuple(tuple(shlex.split(line)) for line in lines[1:-2])
    except ValueError:  # quotes that nothing closes
        return None
    return RestoreRules(lines[0][1:], words, family, netns)


def made_link(command: AnyCommand | None) -> AddLink | None:
    """What a command says of the link that it makes, in whatever order; None where it makes none."""
    if not isinstance(command, _MAKERS):  # nearly all are asked for nothing
        return None
    match typed(command):
        case AddLink() as known:
            return known
        case Ip(object="link", verb="add", words=(), dev=str(name), settings=words, netns=netns):
            return _link(name, words, netns)
        case _:
            return None
