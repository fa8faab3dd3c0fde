"""
Units of systemd's that nsctl brings along, and the steps that install them.

They lie in /etc, which outlives the journal in /run: nsctl's units are known by the first line of each, which has the
hash of all others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from nsctl.engine.model.commands import Command, RemoveFiles, UndoCommand, WriteFile
from nsctl.engine.model.effects import CommandSucceeds, FileIs
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.hashing import sha256
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step

__all__ = [
    "LAB",
    "LABS",
    "MANAGED",
    "RESIDENT",
    "UNITS",
    "WATCH",
    "as_written",
    "install_steps",
    "path_of",
    "uninstall_steps",
    "units",
]

_DIRECTORY = "/etc/systemd/system"
LABS = "/etc/nsctl/labs"
"""Where `nsctl-lab@NAME.service` finds NAME.toml."""
WATCH, LAB = "nsctl-watch.service", "nsctl-lab@.service"
RESIDENT, RESIDENT_SERVICE = "nsctl-resident.socket", "nsctl-resident.service"
UNITS = (WATCH, LAB, RESIDENT, RESIDENT_SERVICE)
MANAGED = {WATCH: "the watcher", RESIDENT: "the socket of the resident process"}
"""Units that are started, now and at each boot."""
_STAMP = re.compile(r"# Written by `nsctl systemd install`; sha256 of the other lines: ([0-9a-f]{64})\n")
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@-]*")
"""A path without anything that systemd.syntax(7) gives a meaning."""
_RELOAD = Command(("systemctl", "daemon-reload"))

_WATCH_UNIT = """\
[Unit]
Description=Puts back what was taken away from nsctl's sandboxes
# Firewalls that flush all rules when they start do so before this one looks for the first time.
After=network-pre.target nftables.service netfilter-persistent.service ufw.service firewalld.service

[Service]
Type=notify
ExecStart={nsctl} watch
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# As long as it has not put rules back, networks stand open: it does not wait for who has much to do.
Nice=-10
{environment}\
# nsctl refuses to work in a mount namespace other than the host's, since what is mounted there can't be seen from here.
# So there is nothing here that makes one: no ProtectSystem=, PrivateTmp=, ProtectKernelTunables=, ReadWritePaths=.
# It starts no process of a sandbox's: what these may do does not depend on what follows.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_SYS_PTRACE
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
RestrictRealtime=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
"""

_LAB_UNIT = """\
[Unit]
Description=nsctl's lab %i
AssertPathExists={labs}/%i.toml
# It needs no network: sandboxes find their way out whenever it comes. Where there is one, its MTU is taken over.
After=network-pre.target network.target nftables.service netfilter-persistent.service ufw.service firewalld.service
# The watcher is there before there is something to watch.
After={watch}

[Service]
Type=oneshot
# The sandboxes' processes are this unit's, so nothing is taken from it: what they may do is said in the lab file.
RemainAfterExit=yes
ExecStart={nsctl} apply {labs}/%i.toml
ExecReload={nsctl} apply {labs}/%i.toml
ExecStop={nsctl} down --file {labs}/%i.toml
{environment}\

[Install]
WantedBy=multi-user.target
"""

_RESIDENT_UNIT = """\
[Unit]
Description=Where nsctl asks the process that has its code loaded

[Socket]
ListenSequentialPacket=/run/nsctl/resident.sock
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"""

_RESIDENT_SERVICE_UNIT = """\
[Unit]
Description=Runs nsctl's commands for root
Requires={resident}

[Service]
ExecStart={nsctl} resident start --foreground
# A command that it has begun is its caller's: it goes on when this process ends.
KillMode=process
# It works only for callers with the same rights and namespaces: whatever is taken from it here turns it off.
"""


def units(python: str, environment: Mapping[str, str], *, resident: bool = False) -> dict[str, str]:
    """
    The units by name, each with its stamp.

    Args:
        python: The interpreter that nsctl runs with; absolute.
        environment: Variables for nsctl: where its state and its trail are.
        resident: Whether those of the resident process are among them.

    Raises:
        Invalid: A path has characters that mean something to systemd.
    """
    for what, value in (("the interpreter", python), *environment.items()):
        if not _PLAIN.fullmatch(value):
            raise Invalid(f"{what} is '{display(value)}', and systemd takes some of these characters for its own")
    told = "".join(f"Environment={name}={value}\n" for name, value in sorted(environment.items()))
    values = {"nsctl": f"{python} -I -m nsctl", "environment": told, "labs": LABS, "watch": WATCH, "resident": RESIDENT}
    texts = {WATCH: _WATCH_UNIT, LAB: _LAB_UNIT}
    if resident:
        texts |= {RESIDENT: _RESIDENT_UNIT, RESIDENT_SERVICE: _RESIDENT_SERVICE_UNIT}
    return {name: _stamped(text.format(**values)) for name, text in texts.items()}


def _stamped(text: str) -> str:
    return (
        f"# Written by `nsctl systemd install`; sha256 of the other lines: {sha256(text.encode()).hexdigest()}\n{text}"
    )


def as_written(content: str) -> bool:
    """Whether a unit is unchanged since an nsctl wrote it."""
    found = _STAMP.match(content)
    return (
        found is not None and sha256(content[found.end() :].encode("utf-8", "surrogateescape")).hexdigest() == found[1]
    )


def path_of(unit: str) -> str:
    """Where a unit lies."""
    return f"{_DIRECTORY}/{unit}"


def install_steps(
    wanted: Mapping[str, str], there: Mapping[str, str], *, enabled: Collection[str], active: Collection[str]
) -> list[Step]:
    """
    The steps from what is there to units that are installed, and those of `MANAGED` that run, now and after each boot.

    Args:
        wanted: The units.
        there: The content of those whose files are there.
        enabled: Those that are started at boot already.
        active: Those that run.

    Raises:
        Conflict: A file is there that nsctl did not write, or that was changed since.
    """
    steps = []
    for name, content in wanted.items():
        old = there.get(name)
        if old is not None and not as_written(old):
            raise Conflict(
                f"{path_of(name)} is there, and not as nsctl wrote it",
                hint=f"move it away; what you changed goes on in a drop-in: systemctl edit {name}",
            )
        if old != content:
            steps.append(_file(name, content, old, restart=name in active))
    if steps:
        steps.append(
            Step(
                "systemd/reload", "have systemd read its units", _RELOAD, no_undo="done again by the undo of each file"
            )
        )
    own = [name for name in MANAGED if name in wanted]
    steps += [_enable(name) for name in own if name not in enabled]
    changed = [name for name in own if name not in active or there.get(name) != wanted[name]]
    return steps + [_start(name, running=name in active) for name in changed]


def uninstall_steps(there: Mapping[str, str], *, enabled: Collection[str], active: Collection[str]) -> list[Step]:
    """
    The steps, as `install` did them, whose undo takes the units away again.

    Args:
        there: The content of those that are there as nsctl wrote them.
        enabled: Those that are started at boot.
        active: Those that run.
    """
    steps = [_file(name, content, None, restart=False) for name, content in there.items()]
    own = [name for name in MANAGED if name in there]
    steps += [_enable(name) for name in own if name in enabled]
    return steps + [_start(name, running=False) for name in own if name in active]


def _file(name: str, content: str, old: str | None, *, restart: bool) -> Step:
    path = path_of(name)
    if old is None:
        undo: tuple[UndoCommand, ...] = (RemoveFiles((path,)), _RELOAD)
        return Step(f"file/{path}", f"write {path}", _write(path, content), undo, FileIs(path, content))
    undo = (_write(path, old), _RELOAD, *([Command(("systemctl", "restart", name))] if restart else []))
    return Step(f"file/{path}", f"replace {path}, which another nsctl wrote", _write(path, content), undo)


def _write(path: str, content: str) -> WriteFile:
    return WriteFile(path, content)


def _enable(unit: str) -> Step:
    return Step(
        f"systemd/enabled/{unit}",
        f"have {MANAGED[unit]} started at each boot",
        Command(("systemctl", "enable", "--quiet", unit)),
        (Command(("systemctl", "disable", "--quiet", unit)),),
        CommandSucceeds(("systemctl", "is-enabled", "--quiet", unit)),
    )


def _start(unit: str, *, running: bool) -> Step:
    # Who stops the socket alone leaves the process that listens on it.
    more = (RESIDENT_SERVICE,) if unit == RESIDENT else ()
    undo = () if running else (Command(("systemctl", "stop", unit, *more)),)
    return Step(
        f"systemd/active/{unit}",
        f"start {MANAGED[unit]}",
        Command(("systemctl", "restart", unit)),
        undo,
        CommandSucceeds(("systemctl", "is-active", "--quiet", unit)),
        no_undo="it ran before" if running else "",
    )
