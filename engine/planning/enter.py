"""How a command gets into a sandbox, and what it may do there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.variables import PATH, home_of, taken

__all__ = ["BEGIN", "CAPABILITIES", "VARIABLES", "Enterable", "bounded", "enter", "environment"]

CAPABILITIES = (
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "net_bind_service",
    "net_admin",
    "net_raw",
    "sys_chroot",
    "setfcap",
    "audit_write",
)
"""The capabilities of a process in a sandbox: the ordinary ones, and those that network work needs."""

VARIABLES = 3
"""The descriptor that a command entering a sandbox reads its variables from; see `variables`."""
BEGIN = """\
cd -- "$0" 2>/dev/null || {
    printf '%s\\n' "$1" >&2
    if [ -n "$2" ]; then [ ! -e "$0" ] || exit 126; exit "$2"; fi
    cd /
}
unset PWD OLDPWD
nsctl_shown=$3
shift 3
nsctl_not() {
    case $1 in
    127) printf "nsctl: '%s' was not found\\n" "$nsctl_shown" >&2 ;;
    *) printf "nsctl: '%s' can't be executed\\n" "$nsctl_shown" >&2 ;;
    esac
    exit "$1"
}
nsctl_find() {
    IFS=: found=
    set -f
    for dir in $PATH; do
        [ -f "${dir:-.}/$1" ] || continue
        found=${dir:-.}/$1
        [ ! -x "$found" ] || break
    done
    printf '%s\\n' "$found"
}
case $1 in
*/*) nsctl_file=$1 ;;
*) nsctl_file=$(nsctl_find "$1") ;;
esac
[ -e "$nsctl_file" ] || nsctl_not 127
[ -x "$nsctl_file" ] && [ ! -d "$nsctl_file" ] || nsctl_not 126
trap 'nsctl_s=$?; trap - EXIT; nsctl_not "$nsctl_s"' EXIT
shopt -s execfail 2>/dev/null
exec "$@"
nsctl_s=$?
trap - EXIT
nsctl_not "$nsctl_s"
"""
"""
A shell's words that become a command, in a directory, or say why not.

$0 is the directory; $1 what to say where it can't be entered; $2 the exit status then, or nothing to go on in `/`;
$3 how the command is called on a terminal; the rest is the command. Shells say in words of their own what they can't
execute: so it is looked for first. Names are nsctl's: a variable of the command's would be handed on changed.
"""


class Enterable(Protocol):
    """The part of a sandbox that `enter` needs; a store row and a plan both have it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def isolate(self) -> tuple[str, ...]:
        """The kinds of namespaces of its own."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """`cap_add`, `cap_drop`, `privileged`, `env`, `user`, `workdir`; see `nsctl.engine.planning.settings`."""


def enter(
    sandbox: Enterable,
    pid: int | None,
    command: Sequence[str],
    masked: str | None = None,
    tool: Callable[[str], str] = str,
    *,
    here: str = "/",
    told: bool = False,
) -> tuple[str, ...]:
    """
    The words that run a command in a sandbox.

    Args:
        sandbox: The sandbox.
        pid: Its init's PID on the host; None where it has no init.
        command: The command.
        masked: The script that keeps the command within bounds (`init.masks`), where there is no init in whose mount
            namespace it would be.
        tool: Finds a tool's path: the PATH that a sandbox was given is its command's.
        here: The directory where it begins if there is such a one inside; what the sandbox's `workdir` says must be.
        told: It has its variables from the descriptor `VARIABLES`.

    Raises:
        Invalid: It has an init, which is gone.
    """
    kinds = sandbox.isolate
    if pid is not None:
        joined = ("mount", *kinds) if masked is None else kinds
        into = ("-t", str(pid), *(f"--{kind}" for kind in ("mount", "uts", "ipc", "pid", "net") if kind in joined))
    elif set(kinds) <= {"net"}:
        into = (f"--net=/run/netns/{sandbox.name}",) if kinds else ()
    else:
        raise Invalid(f"the init of '{display(sandbox.name)}' has ended", hint=f"nsctl down {sandbox.name}")
    variables = tuple(f"{key}={value}" for key, value in sandbox.settings.get("env", {}).items())
    chosen = sandbox.settings.get("workdir")
    said, status = (
        (f"nsctl: there is no directory '{display(chosen)}' for it inside, or it can't be entered", "127")
        if chosen
        else (f"note: inside, '{display(here)}' is not there, or can't be entered: it begins in /", "")
    )
    words = taken(VARIABLES) + BEGIN if told else BEGIN
    begin = (tool("sh"), "-c", words, chosen or here, said, status, display(command[0]))
    inside = (*(("env", *variables) if variables else ()), *begin, *command)
    if bounds := bounded(sandbox.settings):
        inside = (tool(bounds[0]), *bounds[1:], *inside)
    if masked is not None:
        apart = (tool("unshare"), "--mount", "--propagation", "slave", "--")
        inside = (*apart, tool("sh"), "-c", masked, "init", *inside)
    return (tool("nsenter"), *into, "--", *inside) if into else inside


def bounded(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The words in front of a command that bound what it may do."""
    user = settings.get("user")
    groups = ("--init-groups",) if user and user["groups"] else ("--clear-groups",)
    becoming = (f"--reuid={user['uid']}", f"--regid={user['gid']}", *groups) if user else ()
    if settings.get("privileged"):
        return ("setpriv", *becoming, "--") if becoming else ()
    dropped = settings.get("cap_drop", ())
    added = [c for c in settings.get("cap_add", ()) if c not in CAPABILITIES]
    kept = [c for c in (*CAPABILITIES, *added) if c not in dropped]
    bounding = ",".join(("-all", *(f"+{c}" for c in kept)))
    # Who is not root loses all of them; what was asked for by name is kept, which only ambient ones are.
    asked = [c for c in settings.get("cap_add", ()) if c not in dropped] if user and user["uid"] else []
    passed = ",".join(["-all", *(f"+{c}" for c in asked)])
    bounds = (f"--bounding-set={bounding}", f"--inh-caps={passed}", f"--ambient-caps={passed}")
    return ("setpriv", "--no-new-privs", *bounds, *becoming, "--")


def environment(settings: Mapping[str, Any], term: str = "") -> dict[str, str]:
    """The whole environment of a process in a sandbox: nothing is inherited but the terminal's type."""
    found = {"PATH": PATH, **home_of(settings), "LANG": "C.UTF-8"}
    if term:
        found["TERM"] = term
    return {**found, **settings.get("env", {})}
