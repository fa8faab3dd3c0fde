"""A user namespace of one's own gives all capabilities, over what belongs to it: that must not be the sandbox."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable

from tests.faults.escapes.attempt import ALL, NEWNS, OWN_NETWORK, Unable, attempt, checked, failed, libc
from tests.faults.escapes.mounts import BIND, MASKS, REMOUNT, TARGET, mount, open_a_file_by_its_handle, umount
from tests.faults.escapes.network import CREATE, EXCL, IFNAME, KIND, LINKINFO, NEWLINK, REQUEST_AND_ACK, ask, attribute
from tests.faults.escapes.processes import NEW, join_any_namespace_of_the_init

NEWUSER = 0x10000000


def as_user(more: int = 0, *, nobody: bool = False) -> None:
    """Become root of a user namespace, and get other namespaces that belong to it."""
    if nobody:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        checked(libc.prctl(4, 1, 0, 0, 0))  # PR_SET_DUMPABLE: or its files in /proc would be root's
    user, group = os.getuid(), os.getgid()
    try:
        checked(libc.unshare(NEWUSER | more))
    except OSError as e:
        if e.errno in {errno.EINVAL, errno.ENOSPC, errno.EPERM, errno.EUSERS}:
            raise Unable(f"no user namespaces here: {e}") from e
        raise
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as e:  # not what was to be tried
            raise RuntimeError(name) from e


def unmasked(show: Callable[[], None], where: str) -> list[str]:
    show()
    return os.listdir(where) or failed("ENOENT")


@attempt(errors=("EINVAL",))
def as_a_user_unmount_the_mask_of_the_state() -> list[str]:
    as_user(NEWNS)
    return unmasked(lambda: umount(MASKS[0]), MASKS[0])


@attempt(errors=("EINVAL",))
def as_a_user_without_rights_unmount_the_mask_of_the_state() -> list[str]:
    as_user(NEWNS, nobody=True)
    return unmasked(lambda: umount(MASKS[0]), MASKS[0])


@attempt(errors=("EINVAL",))
def as_a_user_unmount_the_mask_of_the_trail() -> list[str]:
    as_user(NEWNS)
    return unmasked(lambda: umount(MASKS[2]), MASKS[2])


@attempt(errors=("EINVAL",))
def as_a_user_bind_run_to_see_what_is_under_the_masks() -> list[str]:
    as_user(NEWNS)
    return unmasked(lambda: mount("/run", TARGET, "", BIND), f"{TARGET}/nsctl")


@attempt(errors=("EINVAL",))
def as_a_user_unmount_proc() -> None:
    as_user(NEWNS)
    umount("/proc")


@attempt()
def as_a_user_remount_proc_sys_writable() -> None:
    as_user(NEWNS)
    mount("", "/proc/sys", "", REMOUNT | BIND)


@attempt()
def as_a_user_remount_sys_writable() -> None:
    as_user(NEWNS)
    mount("", "/sys", "", REMOUNT | BIND)


@attempt()
def as_a_user_mount_a_disk() -> None:
    as_user(NEWNS)
    mount("/dev/zero", TARGET, "ext4")


@attempt()
def as_a_user_mount_another_proc() -> None:
    as_user(NEWNS)
    mount("proc", TARGET, "proc")


@attempt()
def as_a_user_mount_another_sysfs() -> None:
    as_user(NEWNS)
    mount("none", TARGET, "sysfs")


@attempt(errors=("EPERM", "EACCES"))
def as_a_user_join_any_namespace_of_the_init() -> None:
    as_user()
    join_any_namespace_of_the_init()


@attempt()
def as_a_user_open_a_file_by_its_handle() -> None:
    as_user(NEWNS)
    open_a_file_by_its_handle()


@attempt()
def as_a_user_make_a_device() -> None:
    as_user(NEWNS)
    mount("none", TARGET, "tmpfs")
    os.mknod(f"{TARGET}/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))


@attempt()
def as_a_user_rename_the_sandbox() -> None:
    as_user()
    checked(libc.sethostname(b"other", 5))


@attempt()
def as_a_user_add_a_link_to_the_network() -> None:
    as_user()
    kind = attribute(LINKINFO, attribute(KIND, "veth"))
    ask(NEWLINK, REQUEST_AND_ACK | CREATE | EXCL, attribute(IFNAME, "escaped"), kind)


@attempt(modes=OWN_NETWORK)
def as_a_user_listen_to_the_wire() -> None:
    as_user()
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


@attempt(limit=ALL)
def as_a_user_write_to_the_cgroups() -> list[str]:
    as_user(NEWNS | NEW["cgroup"])
    try:
        mount("none", TARGET, "cgroup2")
    except OSError as e:
        raise Unable(f"no cgroup2: {e}") from e
    os.close(os.open(f"{TARGET}/cgroup.procs", os.O_WRONLY))
    return os.listdir(TARGET)
