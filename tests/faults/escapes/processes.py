"""Processes, their namespaces, capabilities and descriptors."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import subprocess
import time

from tests.faults.escapes.attempt import NEWNS, attempt, checked, failed, given, libc
from tests.faults.escapes.mounts import umount

SYS_ADMIN = 21
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "uts")
NEW = {"cgroup": 0x02000000, "ipc": 0x08000000, "net": 0x40000000, "pid": 0x20000000, "time": 0x80, "uts": 0x04000000}
ALLOWED = {"PATH", "HOME", "LANG", "TERM", "PWD", "OLDPWD", "SHLVL", "_"}


def each(attempts: list[tuple[str, int, int]]) -> list[str]:
    """The names of the namespaces that let one in; if none does, the last error."""
    entered = []
    last: OSError | None = None
    for name, fd, kind in attempts:
        try:
            checked(libc.setns(fd, kind) if fd >= 0 else libc.unshare(kind))
            entered.append(name)
        except OSError as e:
            last = e
    if last is not None and not entered:
        raise last
    return entered


@attempt(control="capabilities")
def join_any_namespace_of_the_init() -> list[str]:
    return each([(kind, os.open(f"/proc/1/ns/{kind}", os.O_RDONLY), 0) for kind in KINDS])


@attempt(control="capabilities")
def join_the_init_by_a_descriptor_of_the_process() -> list[str]:
    return each([("all", os.pidfd_open(1), NEW["net"] | NEWNS)])


@attempt(control="capabilities")
def make_any_namespace() -> list[str]:
    return each([("mnt", -1, NEWNS), *((name, -1, kind) for name, kind in NEW.items())])


@attempt(control="capabilities")
def enter_by_the_tool_for_it() -> str:
    done = subprocess.run(
        ["nsenter", "-t", "1", "--mount", "--net", "echo", "in"], capture_output=True, text=True, check=False
    )
    return done.stdout or failed("EPERM" if "Operation not permitted" in done.stderr else "EIO", done.stderr)


@attempt(errors=("EPERM", "ESRCH"), control="capabilities")
def find_a_process_of_the_host() -> list[str]:
    try:
        umount("/proc")  # below it there is the host's
    except OSError as e:
        refused = e
    else:
        refused = OSError(3, "none to be seen")
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", encoding="utf-8") as file:
                words = file.read()
        except OSError:
            continue
        if words.replace("\0", " ").strip() == given["canary"]:
            found.append(words)
    if not found:
        raise refused
    return found


@attempt(errors=("ESRCH",))
def signal_a_process_that_proc_does_not_show() -> list[int]:
    return [n for n in range(1, 3000) if _answers(n) and not os.path.exists(f"/proc/{n}")] or failed("ESRCH")


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@attempt(errors=("EPERM",))
def kill_the_init() -> None:
    os.kill(1, signal.SIGKILL)
    time.sleep(0.05)
    os.kill(1, 0)
    failed("EPERM", "it still lives")


@attempt(control="capabilities")
def take_a_capability_back() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    checked(libc.capget(header, sets))
    sets[0] |= 1 << SYS_ADMIN
    sets[1] |= 1 << SYS_ADMIN
    checked(libc.capset(header, sets))


@attempt(errors=("EPERM", "EACCES"), control="capabilities")
def go_before_others() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, -5)


def _as_nobody(program: str, identity: bytes | None, *words: str) -> str:
    """What a copy of a program says to a user without rights: set-user-ID root, or with a capability of its file."""
    path = f"/run/copy-{os.getpid()}"
    shutil.copy(shutil.which(program) or program, path)
    try:
        os.chmod(path, 0o755 if identity else 0o4755)
        if identity:
            os.setxattr(path, "security.capability", identity)
        done = subprocess.run(
            [path, *words], user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=True
        )
    finally:
        os.unlink(path)
    return done.stdout


@attempt(control="privileged")
def become_root_by_a_program_that_is_set_user_id() -> None:
    if _as_nobody("id", None, "-u").strip() != "0":
        failed("EPERM")


@attempt(control="privileged")
def gain_a_capability_by_that_of_a_file() -> None:
    identity = struct.pack("<5I", 0x02000001, 1 << SYS_ADMIN, 0, 0, 0)
    status = dict(line.split(":", 1) for line in _as_nobody("cat", identity, "/proc/self/status").splitlines())
    if not int(status["CapEff"], 16) >> SYS_ADMIN & 1:
        failed("EPERM")


@attempt(errors=("ENOENT",))
def find_a_descriptor_that_was_left_open() -> dict[str, str]:
    more = {fd: to for fd, to in given["descriptors"].items() if fd not in {"0", "1", "2"}}
    return more or failed("ENOENT")


@attempt(errors=("ENOENT",))
def find_a_descriptor_that_the_init_left_open() -> list[str]:
    return [fd for fd in os.listdir("/proc/1/fd") if fd not in {"0", "1", "2"}] or failed("ENOENT")


@attempt(errors=("ENOENT",))
def find_a_variable_of_the_callers() -> list[str]:
    return sorted(os.environ.keys() - ALLOWED) or failed("ENOENT")
