"""
What a journalled command may be: the journal is data, and root runs what it says.

A command is passed if it has the shape of one that nsctl itself plans: the tool, its verbs, paths below the directory
of sandboxes only, settings of the network only, chains and rules that bear nsctl's marks, and fixed scripts.
What the shape leaves open (the name of a link, a workload) is checked elsewhere: by effects, and by a sandbox's bounds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise

from nsctl.engine.kit.firewall import FORWARD
from nsctl.engine.kit.forwarding import LATER_LINKS
from nsctl.engine.kit.netns import ATTACH
from nsctl.engine.kit.port_filter import is_own_nft
from nsctl.engine.kit.zones import TRUSTED
from nsctl.engine.model.commands import (
    AddLink,
    Announce,
    AnyCommand,
    Chain,
    Command,
    DeleteLink,
    Ip,
    Kill,
    KillInNetns,
    KillJoined,
    MakeDir,
    Nft,
    RemoveDir,
    RemoveFiles,
    RenameLink,
    RestoreRules,
    Rule,
    Spawn,
    Sysctl,
    WriteFile,
)
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.model.effects import ProcessIs
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.init import SCRIPT, VARIABLES, fixed_lines
from nsctl.engine.planning.sandbox import insides
from nsctl.engine.planning.systemd import UNITS, WATCH, as_written, path_of

__all__ = ["BUILT_IN", "why_refused"]

BUILT_IN = frozenset({"bridge", "container", "host", "none"})
"""The modes whose steps are all of nsctl's own shapes; a plugin's may use any tool."""

_OWN_CHAIN = re.compile(rf"{FORWARD.partition('-')[0]}-[A-Z0-9-]+")
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_WORD = r"[A-Za-z0-9_.:@+=%~,!*-]+(?:/[0-9]{1,3})?"
_WORDS = re.compile(rf"{_WORD}(?:\0{_WORD})*")
"""Words of ip or iptables: no path, since both read files and load libraries by paths."""
_SETTING = re.compile(r"net(?:/(?!\.{1,2}/)[A-Za-z0-9_.@:+-]+)+=[A-Za-z0-9_.,: \t-]*")
_MODE = re.compile(r"0?[0-7]{3}")
_VERBS = {
    "link": {"add", "set", "del"},
    "addr": {"add", "del"},
    "route": {"add", "del"},
    "netns": {"add", "del", "attach"},
}
_CODE = {"xdp", "xdpgeneric", "xdpdrv", "xdpoffload", "object", "pinned"}
"""Words of `ip link set` that load a program into the kernel."""
_UNITS = frozenset(map(path_of, UNITS))
_TABLES = {"filter", "nat", "mangle", "raw"}
_FLAGS = {"--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private", "slave"}
_BINDING = re.compile(r"--(?:add|remove)-interface=[A-Za-z0-9_.-]{1,15}")
_NO_ALIAS = ("alias", "")
"""What takes an alias away: the one empty word."""
_SETPRIV = re.compile(
    r"(?:--no-new-privs\0--bounding-set=-all(?:,\+[a-z_]+)*\0"
    r"--inh-caps=-all(?P<kept>(?:,\+[a-z_]+)*)\0--ambient-caps=-all(?P=kept)\0)?"
    r"(?:--reuid=[0-9]+\0--regid=[0-9]+\0--(?:init|clear)-groups\0)?"
)
_PATH = r"(?:'(?:[^']|'\"'\"')*'|[A-Za-z0-9_@%+=:,./-]+)+"
_ESCAPED = re.compile(r"\\([0-7]{3})")
_LINES = (
    r"exec 3>PATH",
    rf"exec {VARIABLES}<PATH",
    r"echo [a-z][a-z0-9_-]* >/proc/sys/kernel/hostname",
    r"\[ ! -e /etc/(?P<name>[a-z.]+) \] \|\| echo PATH /etc/(?P=name) none bind",
    r"\[ ! -e /etc/(?P<name>[a-z.]+) \] \|\| printf \"%s /etc/(?P=name) none bind\\n\" TOLD",
    r"(?:\[ ! -d MASKED \] \|\| )?echo nsctl:[a-z][a-z0-9_-]*:\$id MASKED tmpfs ro,size=4k,mode=000",
    r"(?:\[ ! -d MASKED \] \|\| )?printf \"nsctl:[a-z][a-z0-9_-]*:\$id %s tmpfs ro,size=4k,mode=000\\n\" MASKED",
    r"\[ ! -d MASKED \] \|\| mount -t tmpfs -o ro,size=4k,mode=000 nsctl:[a-z][a-z0-9_-]* MASKED",
    r"\} >PATH",
    r"mount --all --fstab PATH",
    r"etc=/etc/netns/[a-z][a-z0-9_-]*",
    r"chown [0-9]+ PATH",
    r"export HOME=MASKED(?: USER=MASKED LOGNAME=MASKED)? LANG=C\.UTF-8",
)
"""Of the init's script, where PATH, TOLD and MASKED are paths."""


def why_refused(step: Step, commands: Iterable[AnyCommand], state_dir: str) -> str:
    """
    Why root should not run what the journal has for a step, or nothing.

    Args:
        step: The step, as it was read.
        commands: Those of its commands that are about to run.
        state_dir: The state directory; files and processes of sandboxes are below it.
    """
    place = f"{state_dir}/sandboxes"
    effect = step.effect
    if isinstance(effect, ProcessIs) and not _below(effect.pidfile, place):
        return f"{display(effect.pidfile)} is no file of a sandbox"
    for command in commands:
        try:
            own = _is_own(command, place)
        except (ValueError, IndexError):  # quotes that nothing closes, words that are missing
            own = False
        if not own:
            return f"'{display(' '.join(command.argv)[:80])}' is no command of nsctl's own"
    return ""


def _below(path: str, place: str) -> bool:
    return path.startswith(f"{place}/") and not {"", ".", ".."} & set(path[1:].split("/"))


def _is_own(command: AnyCommand, place: str) -> bool:  # noqa: PLR0911 - one for each kind
    if command.netns is not None and not _NAME.fullmatch(command.netns):
        return False
    match typed(command):
        case Spawn() as spawn:
            return _spawns(spawn, place)
        case Chain() | Rule() | RestoreRules() as rules:
            return _of_firewall(rules)
        case Nft() as nft:
            return is_own_nft(nft)
        case Sysctl(key=key, value=value):
            return _SETTING.fullmatch(f"{key}={value}") is not None and not {".", ".."} & set(key.split("/"))
        case RenameLink(old=old, new=new):
            return _are_plain((old, new))
        case Kill() | KillInNetns() | KillJoined() as kill:
            # In the host's namespace it would end all that runs there.
            return kill.netns is not None if isinstance(kill, KillInNetns) else _below(kill.pidfile, place)
        case WriteFile() | MakeDir() | RemoveDir() | RemoveFiles() as change:
            return _of_files(change, place)
        case Command() as plain:
            return plain.stdin is None and (_script(plain) or _of_firewalld(plain) or _of_systemd(plain))
        case Ip() | AddLink() | DeleteLink() | Announce() as ip:
            return _of_links(ip)


def _of_links(command: Ip | AddLink | DeleteLink | Announce) -> bool:
    _, kind, verb, *words = command.argv
    if isinstance(command, Ip) and (kind, verb, command.words, command.settings) == ("link", "set", (), _NO_ALIAS):
        return command.dev is not None and _are_plain((command.dev,))
    return verb in _VERBS.get(kind, ()) and _are_plain(words) and not _CODE & set(words)


def _of_firewall(command: Chain | Rule | RestoreRules) -> bool:
    lines = command.lines if isinstance(command, RestoreRules) else (command.line,)
    return command.table in _TABLES and all(map(_is_own_line, lines))


def _is_own_line(words: Sequence[str]) -> bool:
    match words:
        case ("-N" | "-F" | "-X", name):
            return _OWN_CHAIN.fullmatch(name) is not None
        case ("-A" | "-I" | "-D", _, *spec):
            # What iptables is told to run to load a module (--modprobe, and any beginning of that) is a command.
            safe = _are_plain(words) and not any(w.startswith(("--mo", "-M")) for w in words)
            return safe and any(a == "--comment" and b.startswith("nsctl:") for a, b in pairwise(spec))
        case _:
            return False


def _of_files(command: WriteFile | MakeDir | RemoveDir | RemoveFiles, place: str) -> bool:
    match command:
        case WriteFile(path=path, content=content, mode=mode):
            here = _below(path, place) or (path in _UNITS and as_written(content))
            fits = _MODE.fullmatch(mode) is not None and here
            return fits and (not path.endswith(f"/{SCRIPT}") or _is_init(content, place))
        case MakeDir(path=path, mode=mode):
            return _MODE.fullmatch(mode) is not None and (path == place or _below(path, place))
        case RemoveDir(path=path):
            return path == place or _below(path, place)
        case RemoveFiles(paths=paths):
            return all(_below(path, place) or path in _UNITS for path in paths)


def _of_systemd(command: Command) -> bool:
    match command.argv:
        case ("systemctl", "daemon-reload"):
            return True
        case ("systemctl", "enable" | "disable", "--quiet", unit):
            return unit == WATCH
        case ("systemctl", "restart" | "stop", unit):
            return unit == WATCH
        case _:
            return False


def _of_firewalld(command: Command) -> bool:
    match command.argv:
        case ("firewall-cmd", zone, binding):
            return zone == f"--zone={TRUSTED}" and _BINDING.fullmatch(binding) is not None
        case _:
            return False


def _script(command: Command) -> bool:
    match command.argv:
        case ("sh", "-c", script, word):
            attaches = script == ATTACH and _NAME.fullmatch(word) is not None
            return attaches or (script == LATER_LINKS and word.isdigit())
        case _:
            return False


def _are_plain(words: Sequence[str]) -> bool:
    return _WORDS.fullmatch("\0".join(words)) is not None


def _spawns(spawn: Spawn, place: str) -> bool:
    files = (spawn.pidfile, spawn.log, *(() if spawn.ready is None else (spawn.ready,)))
    if not all(_below(path, place) for path in files):
        return False
    argv = list(spawn.argv)
    if argv[:1] == ["unshare"]:
        del argv[0]
        while argv and argv[0] in _FLAGS:
            del argv[0]
    # What it runs has been looked at when it was written: nothing else writes to that name.
    if argv[:2] != ["sh", f"{spawn.pidfile.rpartition('/')[0]}/{SCRIPT}"]:
        return False
    del argv[:2]
    if argv[:1] == ["setpriv"]:
        cut = argv.index("--")
        if not _SETPRIV.fullmatch("".join(f"{word}\0" for word in argv[1:cut])):
            return False
        del argv[: cut + 1]
    begins = argv[3] if len(argv) > 3 and argv[3].startswith("/") else "/"  # noqa: PLR2004 - sh -c SCRIPT DIRECTORY
    known = (inside for told in (False, True) for inside in insides(begins, told=told))
    return any(tuple(argv[: len(inside)]) == inside for inside in known)


def _is_init(script: str, place: str) -> bool:
    return all(line in fixed_lines() or line.startswith("#") or _is_line(line, place) for line in script.split("\n"))


@cache
def _lines() -> list[re.Pattern[str]]:
    # Not at import: compiling takes a millisecond, and a sandbox without an init has no such line.
    own, told = f"(?P<own>{_PATH})", f"(?P<told>{_PATH})"
    return [re.compile(line.replace("PATH", own).replace("TOLD", told).replace("MASKED", _PATH)) for line in _LINES]


def _is_line(line: str, place: str) -> bool:
    for pattern in _lines():
        found = pattern.fullmatch(line)
        if found:
            words = found.groupdict()
            own = words.get("own") or words.get("told")
            if own is None:
                return True
            path = "".join(shlex.split(own))
            if words.get("told"):
                path = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), path)
            return _below(path, place)
    return False
