"""
What belongs to the whole machine: the kernel's settings, devices, modules, the clock.

Calls that would do harm get arguments that no kernel accepts, or open and don't write; what counts is the error.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import time
from collections.abc import Iterator

from tests.faults.escapes.attempt import ALL, Unable, attempt, call, checked, failed, libc, open_for_writing
from tests.faults.escapes.mounts import umount

BPF_PROG_GET_NEXT_ID, USER_KEYRING = 11, -4


def below(directory: str, depth: int, leave: str = "") -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.path == leave:
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth:
                    yield from below(entry.path, depth - 1, leave)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path


def writable(paths: Iterator[str]) -> list[str]:
    """Those that can be opened for writing; none of them is written to."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            if os.stat(path).st_mode & stat.S_IWUSR:
                open_for_writing(path)
                found.append(path)
    return found or failed("EROFS")


@attempt(errors=("EROFS",), control="privileged")
def write_to_any_setting_of_the_kernel() -> list[str]:
    return writable(below("/proc/sys", 5, leave="/proc/sys/net"))


@attempt(errors=("EROFS",))
def choose_what_runs_when_a_program_crashes() -> None:
    open_for_writing("/proc/sys/kernel/core_pattern")


@attempt(errors=("EROFS", "EACCES"))
def pull_the_sysrq_trigger() -> None:
    if not os.path.exists("/proc/sysrq-trigger"):
        raise Unable("no SysRq")
    open_for_writing("/proc/sysrq-trigger")


@attempt(errors=("EROFS",), control="capabilities")
def write_to_sysfs() -> list[str]:
    with contextlib.suppress(OSError):
        umount("/sys")  # below it there is the host's
    return writable(below("/sys", 2))


@attempt(errors=("ENOENT",))
def find_a_cgroup_to_write_to() -> list[str]:
    return list(below("/sys/fs/cgroup", 2)) or failed("ENOENT")


@attempt(control="capabilities")
def make_a_device() -> None:
    path = f"/run/device-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.unlink(path)


@attempt(errors=("EPERM", "EACCES"))
def open_the_memory_of_the_machine() -> None:
    if not os.path.exists("/dev/mem"):
        raise Unable("no /dev/mem")
    os.close(os.open("/dev/mem", os.O_RDONLY))


@attempt()
def talk_to_ports_of_the_machine() -> None:
    call(173, -1, 0x80, 1, 1)


@attempt()
def load_a_module() -> None:
    call(175, 105, None, 0, b"")


@attempt()
def unload_a_module() -> None:
    call(176, 106, b"no_such_module", 0)


@attempt()
def reboot() -> None:
    call(169, 142, 0, 0, 0, None)  # not the magic numbers


@attempt()
def load_another_kernel() -> None:
    call(246, 104, 0, 0, None, -1)  # no such flags


@attempt()
def set_the_clock() -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())


@attempt()
def swap_to_a_file() -> None:
    checked(libc.swapon(b"/no/such/file", 0))


@attempt()
def hang_up_the_terminal_of_others() -> None:
    # With nothing to hang up it would do nothing; that comes after the question whether one may.
    os.setsid()
    call(153, 58)


@attempt()
def rename_the_host() -> None:
    name = os.uname().nodename.encode()
    checked(libc.sethostname(name, len(name)))


@attempt(control="capabilities")
def list_the_bpf_programs() -> None:
    question = (ctypes.c_uint32 * 30)()
    try:
        call(321, 280, BPF_PROG_GET_NEXT_ID, question, ctypes.sizeof(question))
    except FileNotFoundError:
        return  # allowed to ask, and there is none


@attempt(errors=("EACCES", "EPERM"), control="capabilities")
def watch_all_processes_by_perf() -> None:
    event = (ctypes.c_uint32 * 28)(1, 112)  # the processor's clock, by software
    os.close(call(298, 241, event, -1, 0, -1, 0))


@attempt(limit=ALL)
def reach_the_keyring_of_root() -> int:
    return call(250, 219, 0, USER_KEYRING, 0)
