"""Mounts, and what a mount namespace is good for."""

from __future__ import annotations

import contextlib
import ctypes
import os

from tests.faults.escapes.attempt import attempt, call, checked, failed, libc

RDONLY, REMOUNT, BIND, MOVE, SHARED = 0x1, 0x20, 0x1000, 0x2000, 0x100000
DETACH = 2
OPEN_TREE_CLONE = 1
MASKS = ("/run/nsctl", "/run/netns", "/var/log/nsctl")
TARGET = "/mnt"


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    words = [text.encode() or None for text in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), None))


def umount(target: str) -> None:
    checked(libc.umount2(target.encode(), DETACH))


@attempt(control="capabilities")
def mount_a_tmpfs() -> None:
    mount("none", TARGET, "tmpfs")


@attempt(control="capabilities")
def mount_proc() -> None:
    mount("proc", TARGET, "proc")


@attempt(control="capabilities")
def mount_the_cgroups_for_their_release_agent() -> None:
    mount("none", TARGET, "cgroup2")


@attempt(control="capabilities")
def bind_run_elsewhere_to_see_what_is_under_the_masks() -> list[str]:
    mount("/run", TARGET, "", BIND)
    return os.listdir(f"{TARGET}/nsctl") or failed("ENOENT")


@attempt(control="capabilities")
def remount_proc_sys_writable() -> None:
    mount("", "/proc/sys", "", REMOUNT | BIND)


@attempt(control="capabilities")
def remount_sys_writable() -> None:
    mount("", "/sys", "", REMOUNT | BIND)


@attempt(control="capabilities")
def remount_the_root_read_only() -> None:
    mount("", "/", "", REMOUNT | BIND | RDONLY)


@attempt(control="capabilities")
def make_the_root_shared() -> None:
    mount("", "/", "", SHARED)


@attempt(control="capabilities")
def unmount_proc() -> None:
    umount("/proc")


@attempt(control="capabilities")
def unmount_the_mask_of_the_state() -> list[str]:
    umount(MASKS[0])
    return os.listdir(MASKS[0]) or failed("ENOENT")


@attempt(control="capabilities")
def unmount_the_mask_of_the_namespaces() -> list[str]:
    umount(MASKS[1])
    return os.listdir(MASKS[1]) or failed("ENOENT")


@attempt(control="capabilities")
def unmount_the_mask_of_the_trail() -> list[str]:
    umount(MASKS[2])
    return os.listdir(MASKS[2]) or failed("ENOENT")


@attempt(control="capabilities")
def move_a_mask_away() -> None:
    mount(MASKS[0], TARGET, "", MOVE)


@attempt(control="capabilities")
def pivot_the_root() -> None:
    with contextlib.suppress(OSError):
        mount(TARGET, TARGET, "", BIND)
    os.chdir(TARGET)
    call(155, 41, b".", b".")


@attempt(control="capabilities")
def open_a_file_system_by_the_new_calls() -> None:
    call(430, 430, b"tmpfs", 0)


@attempt(control="capabilities")
def clone_a_tree_by_the_new_calls() -> None:
    call(428, 428, -100, b"/run", OPEN_TREE_CLONE)


@attempt(errors=("ENOENT",))
def leave_by_chroot() -> list[str]:
    # The old trick works: it leads to the root of the mount namespace, which is the sandbox's.
    outside = os.open("/", os.O_RDONLY)
    os.chroot("/usr")
    os.fchdir(outside)
    for _ in range(20):
        os.chdir("..")
    os.chroot(".")
    return os.listdir("/run/nsctl") or failed("ENOENT")


@attempt(control="capabilities")
def open_a_file_by_its_handle() -> None:
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little"), 136)
    where = ctypes.c_int()
    call(303, 264, -100, b"/etc/passwd", handle, ctypes.byref(where), 0)
    there = os.open("/etc", os.O_RDONLY)
    call(304, 265, there, handle, os.O_RDONLY)
