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
from itertools import pairwise

from nsctl.engine.kit.firewall import FORWARD
from nsctl.engine.kit.forwarding import LATER_LINKS
from nsctl.engine.kit.netns import ATTACH, END_ALL
from nsctl.engine.kit.port_filter import is_own_nft
from nsctl.engine.kit.zones import TRUSTED
from nsctl.engine.model.effect import ProcessIs
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Command, Spawn, Step
from nsctl.engine.planning.init import SCRIPT, VARIABLES, fixed_lines
from nsctl.engine.planning.sandbox import END_JOINED, insides
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
_RENAME = re.compile(r"(?:link set dev \S+ (?:down|name \S+)\n)+")
_SETPRIV = re.compile(
    r"(?:--no-new-privs\0--bounding-set=-all(?:,\+[a-z_]+)*\0"
    r"--inh-caps=-all(?P<kept>(?:,\+[a-z_]+)*)\0--ambient-caps=-all(?P=kept)\0)?"
    r"(?:--reuid=[0-9]+\0--regid=[0-9]+\0--(?:init|clear)-groups\0)?"
)
_PATH = r"(?:'(?:[^']|'\"'\"')*'|[A-Za-z0-9_@%+=:,./-]+)+"
_ESCAPED = re.compile(r"\\([0-7]{3})")
_LINES = [
    re.compile(line.replace("PATH", f"(?P<own>{_PATH})").replace("TOLD", f"(?P<told>{_PATH})").replace("MASKED", _PATH))
    for line in (
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
]


def why_refused(step: Step, commands: Iterable[Command | Spawn], state_dir: str) -> str:
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
            own = _spawns(command, place) if isinstance(command, Spawn) else _commands(command, place)
        except (ValueError, IndexError):  # quotes that nothing closes, words that are missing
            own = False
        if not own:
            return f"'{display(' '.join(command.argv)[:80])}' is no command of nsctl's own"
    return ""


def _below(path: str, place: str) -> bool:
    return path.startswith(f"{place}/") and not {"", ".", ".."} & set(path[1:].split("/"))


def _commands(command: Command, place: str) -> bool:
    if command.netns is not None and not _NAME.fullmatch(command.netns):
        return False
    argv, stdin = command.argv, command.stdin
    match argv:
        case ("ip", "-batch", "-"):
            return stdin is not None and _RENAME.fullmatch(stdin) is not None
        case ("iptables-restore" | "ip6tables-restore", "-w", "--noflush"):
            return stdin is not None and _restores(stdin)
        case ("install", "-m", mode, "/dev/stdin", path):
            here = _below(path, place) or _is_unit(path, stdin)
            fits = stdin is not None and _MODE.fullmatch(mode) is not None and here
            return fits and (not path.endswith(f"/{SCRIPT}") or _is_init(stdin or "", place))
        case ("nft", *_):
            return command.netns is None and is_own_nft(argv, stdin)
        case _:
            known = (
                _of_network(argv)
                or _of_files(argv, place)
                or _scripts(argv, place, command.netns)
                or _of_firewalld(argv)
                or _of_systemd(argv)
            )
            return known and stdin is None


def _of_network(argv: Sequence[str]) -> bool:
    match argv:
        case ("ip", "link", "set", "dev", link, "alias", ""):  # which takes the alias away
            return _are_plain((link,))
        case ("ip", kind, verb, *words):
            return verb in _VERBS.get(kind, ()) and _are_plain(words) and not _CODE & set(words)
        case ("sysctl", "-qw", setting):
            parts = set(setting.partition("=")[0].split("/"))
            return _SETTING.fullmatch(setting) is not None and not {".", ".."} & parts
        case ("iptables" | "ip6tables", "-w", "-t", table, *words):
            return table in _TABLES and _rules(words)
        case _:
            return False


def _of_files(argv: Sequence[str], place: str) -> bool:
    match argv:
        case ("mkdir", "-m", mode, path):
            return _MODE.fullmatch(mode) is not None and (path == place or _below(path, place))
        case ("rmdir", path):
            return path == place or _below(path, place)
        case ("rm", "-f", *paths):
            return all(_below(path, place) or path in _UNITS for path in paths)
        case ("pkill", "-KILL", "-F", path):
            return _below(path, place)
        case _:
            return False


def _is_unit(path: str, content: str | None) -> bool:
    return path in _UNITS and content is not None and as_written(content)


def _of_systemd(argv: Sequence[str]) -> bool:
    match argv:
        case ("systemctl", "daemon-reload"):
            return True
        case ("systemctl", "enable" | "disable", "--quiet", unit):
            return unit == WATCH
        case ("systemctl", "restart" | "stop", unit):
            return unit == WATCH
        case _:
            return False


def _of_firewalld(argv: Sequence[str]) -> bool:
    match argv:
        case ("firewall-cmd", zone, binding):
            return zone == f"--zone={TRUSTED}" and _BINDING.fullmatch(binding) is not None
        case _:
            return False


def _scripts(argv: Sequence[str], place: str, netns: str | None) -> bool:
    match argv:
        case ("sh", "-c", script):
            return script == END_ALL and netns is not None  # in the host's it would end all that runs there
        case ("sh", "-c", script, word):
            attaches = script == ATTACH and _NAME.fullmatch(word) is not None
            later = script == LATER_LINKS and word.isdigit()
            return attaches or later or (script == END_JOINED and _below(word, place))
        case _:
            return False


def _are_plain(words: Sequence[str]) -> bool:
    return _WORDS.fullmatch("\0".join(words)) is not None


def _restores(text: str) -> bool:
    return all(
        line == "COMMIT" or (line[:1] == "*" and line[1:] in _TABLES) or _rules(shlex.split(line))
        for line in text.splitlines()
    )


def _rules(words: Sequence[str]) -> bool:
    match words:
        case ("-N" | "-F" | "-X", name):
            return _OWN_CHAIN.fullmatch(name) is not None
        case ("-A" | "-I" | "-D", _, *spec):
            # What iptables is told to run to load a module (--modprobe, and any beginning of that) is a command.
            safe = _are_plain(words) and not any(w.startswith(("--mo", "-M")) for w in words)
            return safe and any(a == "--comment" and b.startswith("nsctl:") for a, b in pairwise(spec))
        case _:
            return False


def _spawns(spawn: Spawn, place: str) -> bool:
    if spawn.netns is not None and not _NAME.fullmatch(spawn.netns):
        return False
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


def _is_line(line: str, place: str) -> bool:
    for pattern in _LINES:
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
