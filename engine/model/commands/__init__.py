"""
The commands that change the host, each of a kind that knows what it does.

`argv`, what the dry run prints and `--no-batch` runs, is made of the fields; nobody reads it to find out what it means.
`Command` is any other command, as authors of modes write it.
"""

from __future__ import annotations

from nsctl.engine.model.commands.base import EXECUTE, NOT_EXECUTED, Command, Known, Spawn
from nsctl.engine.model.commands.files import MakeDir, RemoveDir, RemoveFiles, Sysctl, WriteFile
from nsctl.engine.model.commands.kills import Kill, Killing, KillInNetns, KillJoined
from nsctl.engine.model.commands.links import AddLink, Announce, DeleteLink, Ip, Peer, RenameLink
from nsctl.engine.model.commands.rules import Chain, Nft, RestoreRules, Rule, is_quotable, quoted_line

__all__ = [
    "EXECUTE",
    "NOT_EXECUTED",
    "AddLink",
    "Announce",
    "AnyCommand",
    "Chain",
    "Command",
    "DeleteLink",
    "Ip",
    "Kill",
    "KillInNetns",
    "KillJoined",
    "Killing",
    "Known",
    "MakeDir",
    "Nft",
    "Peer",
    "RemoveDir",
    "RemoveFiles",
    "RenameLink",
    "RestoreRules",
    "Rule",
    "Spawn",
    "Sysctl",
    "UndoCommand",
    "WriteFile",
    "argv_of",
    "is_quotable",
    "quoted_line",
]

UndoCommand = (
    Command
    | Ip
    | AddLink
    | DeleteLink
    | RenameLink
    | Announce
    | Sysctl
    | WriteFile
    | MakeDir
    | RemoveDir
    | RemoveFiles
    | Chain
    | Rule
    | RestoreRules
    | Nft
    | Kill
    | KillInNetns
    | KillJoined
)
"""A command that ends by itself."""
AnyCommand = UndoCommand | Spawn


def argv_of(command: AnyCommand) -> tuple[str, ...]:
    """The argument vector that runs, namespace and all: what the dry run prints."""
    argv = command.argv
    if command.netns is not None:
        if command.tool == "ip":
            argv = ("ip", "-n", command.netns, *argv[1:])
        else:
            argv = ("nsenter", f"--net=/run/netns/{command.netns}", "--", *argv)
    if isinstance(command, Spawn):
        # 9 is the lock: a process that outlives nsctl must not keep it.
        argv = ("setsid", "sh", "-c", 'echo $$ >"$0" && exec "$@" 9>&-', command.pidfile, *argv)
    return argv
