"""
What a sandbox's init does before it becomes what it is for: a small script, which the dry run shows.

It mounts what the sandbox sees of its own, hides what is not for it, and sets the environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from nsctl.engine.facts import Facts
from nsctl.engine.kit.process import sandbox_dir
from nsctl.engine.mode import Request

__all__ = ["PATH", "TABLE", "script"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TRAIL = "/var/log/nsctl"
"""Where the audit trail is, if nobody set another place."""
_READ_ONLY = "ro,nosuid,nodev,noexec"
_EMPTY = "ro,size=4k,mode=000"
"""The options of a tmpfs that hides what is below it."""
_SYSRQ = "/proc/sysrq-trigger"
TABLE = "init.mounts"
"""A table of mounts as fstab(5) has it, in the sandbox's directory."""


def script(request: Request, facts: Facts) -> str:
    """
    What the init does before it becomes what it is given as arguments.
    """
    isolate, place = request.isolate, sandbox_dir(facts, request.name)
    at = shlex.quote(place)
    lines = ["set -e", "umask 022", "cd /", f"exec 3>{at}/init.ready"]
    if request.command and request.settings.get("env"):
        lines.append(f"env=$(cat {at}/env)")
    if "uts" in isolate:
        lines.append(f"echo {request.name} >/proc/sys/kernel/hostname")
    if "mount" in isolate:
        lines += _mounts(request, facts)
    lines += ["export HOME=/root LANG=C.UTF-8", f"export PATH={PATH}", "unset LC_ALL OLDPWD"]
    if request.command and request.settings.get("env"):
        lines += ['eval "$env"', "unset env"]
    lines.append('exec "$@"')
    return "\n".join(lines)


def _mounts(request: Request, facts: Facts) -> Iterator[str]:
    place = sandbox_dir(facts, request.name)
    table = shlex.quote(f"{place}/{TABLE}")
    own = {"net", "pid"} & set(request.isolate)
    yield "# one table for one process; by a name of its own, none of it passes for mounted already"
    yield "read -r id </proc/sys/kernel/random/uuid"
    yield "{"
    if "pid" in own:
        yield "echo nsctl-$id /proc proc nosuid,nodev,noexec"
    if "net" in own:
        yield f"echo nsctl-$id /sys sysfs {_READ_ONLY}"
    for name in ("hosts", *(("resolv.conf",) if facts.resolv_conf is not None else ())):
        yield f"[ ! -e /etc/{name} ] || {_said('', f'{place}/{name}', f'/etc/{name} none bind')}"
    for path in ("/run/netns", _TRAIL):
        yield f"[ ! -d {path} ] || echo nsctl-$id {path} tmpfs {_EMPTY}"
    bounds = (
        [] if request.settings.get("privileged") else [("/proc/sys/net", "bind"), ("/proc/sys", f"rbind,{_READ_ONLY}")]
    )
    if bounds and "pid" in own:
        for path, how in bounds:
            yield f"echo {path} {path} none {how}"
        yield f"[ ! -e {_SYSRQ} ] || echo {_SYSRQ} {_SYSRQ} none bind,{_READ_ONLY}"
    # Last: it hides the table, too.
    yield _said("nsctl-$id ", facts.state_dir, f"tmpfs {_EMPTY}")
    yield f"}} >{table}"
    yield "# copies of mounts would keep other sandboxes' namespaces alive"
    yield "while umount -l /run/netns /run/netns 2>/dev/null; do :; done"
    yield f"mount --all --fstab {table}"
    yield "unset id"
    if "net" not in own:
        yield "# the host's network has one sysfs: bound, it is without what is mounted on it"
        yield f"mount --bind -o {_READ_ONLY} /sys /sys"
    if bounds and "pid" not in own:
        yield "# something may be mounted here already: then `mount --all` would do nothing"
        for path, how in bounds:
            yield f"mount -o {how} {path} {path}"
        yield f"[ ! -e {_SYSRQ} ] || mount -o bind,{_READ_ONLY} {_SYSRQ} {_SYSRQ}"


def _said(before: str, path: str, after: str) -> str:
    # Some shells' echo would undo what fstab(5) asks for where a path holds what separates words.
    if shlex.quote(path) == path:
        return f"echo {before}{path} {after}"
    told = "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in path)
    return f'printf "{before}%s {after}\\n" {shlex.quote(told)}'
