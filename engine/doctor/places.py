"""/run, the store, the audit trail, the resident process."""

from __future__ import annotations

import os
import stat

from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding, Scene, exists

__all__ = ["names", "resident", "runtime", "settings", "store", "trail"]

_LITTLE = 16 << 20
"""Bytes: a thousand sandboxes take less."""


def runtime(scene: Scene) -> Finding:
    """The file system that state is on."""
    place = _there(scene.state_dir)
    try:
        found = os.statvfs(place)
    except OSError as e:
        return Finding(FAIL, f"{place}: {e.strerror}", f"see: df {place}")
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return Finding(FAIL, f"{place} is read-only", f"mount -o remount,rw {_mount_of(place)}")
    if free < _LITTLE or found.f_favail == 0 < found.f_files:
        return Finding(WARN, f"{place} has {free >> 20} MiB left", f"see what takes the room: du -sh {place}/*")
    return Finding(OK, f"{place} has {free >> 20} MiB left")


def settings(_: Scene) -> Finding:
    """/proc/sys, which many a container has read-only: no network comes up without settings."""
    path = "/proc/sys/net"
    try:
        found = os.statvfs(path)
    except OSError as e:
        return Finding(FAIL, f"{path}: {e.strerror}", "mount -t proc proc /proc")
    if found.f_flag & os.ST_RDONLY:
        what = f"{path} is read-only: no setting of a network can be written"
        return Finding(
            FAIL, what, f"mount -o remount,bind,rw {_mount_of(path)}; or start the container with --privileged"
        )
    return Finding(OK, f"{path} can be written to" if os.geteuid() == 0 else f"{path} is not read-only")


def store(scene: Scene) -> Finding:
    """The state directory: owned by root and closed to all others."""
    try:
        found = os.lstat(scene.state_dir)
    except FileNotFoundError:
        return Finding(OK, f"{scene.state_dir} is made with the first sandbox")
    except OSError as e:
        return Finding(WARN, f"{scene.state_dir}: {e.strerror}", "sudo nsctl doctor")
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o077:
        what = f"{scene.state_dir} is not a directory that root alone may use"
        return Finding(FAIL, what, f"move it away, if nothing is up: mv {scene.state_dir} {scene.state_dir}.old")
    return Finding(OK, f"{scene.state_dir}, {_number(len(scene.facts.sandboxes), 'sandbox')} up")


def names(_: Scene) -> Finding:
    """Where network namespaces have their names."""
    path = "/run/netns"
    if not exists(path):
        return Finding(OK, f"{path} is made with the first sandbox")
    if not os.path.isdir(path) or os.path.islink(path):
        return Finding(FAIL, f"{path} is no directory", f"move it away: mv {path} {path}.old")
    return Finding(OK, f"{_number(len(os.listdir(path)), 'name')} in {path}")


def trail(scene: Scene) -> Finding:
    """The audit trail: without it no change begins."""
    wrong = scene.trail()
    if wrong is not None:
        return Finding(FAIL, *wrong)
    folder = os.path.dirname(scene.audit_log)
    place = _there(folder)
    if not scene.root:
        return Finding(OK, f"{scene.audit_log}, which only root can write")
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return Finding(
            FAIL, f"{place} is read-only: no change begins that can't be recorded", "see: findmnt -T " + place
        )
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        return Finding(
            FAIL, f"{place} can't be written to: no change begins that can't be recorded", f"see: ls -ld {place}"
        )
    if free < _LITTLE:
        return Finding(
            WARN, f"{place} has {free >> 20} MiB left: no change begins that can't be recorded", f"see: df {place}"
        )
    return Finding(OK, f"{scene.audit_log}, {free >> 20} MiB left")


def resident(scene: Scene) -> Finding:
    """The resident process: commands run without it, too, but later."""
    return scene.resident()


def _there(path: str) -> str:
    while not os.path.isdir(path) and path != "/":
        if os.path.lexists(path) and not os.path.isdir(path):
            return path
        path = os.path.dirname(path)
    return path


def _mount_of(path: str) -> str:
    # By the list of mounts: a directory that is mounted on itself keeps device and inode, so os.path.ismount misses it.
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = {line.split()[4] for line in file}
    while path not in points and path != "/":
        path = os.path.dirname(path)
    return path


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}{'es' if what.endswith('x') else 's'}"
