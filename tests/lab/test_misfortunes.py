from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

import pytest

from tests.lab import Lab, assert_same, full, needs, reboot, set_boot_id, snapshot, strace

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@pytest.mark.parametrize("directory", ["/run", "/var/log"])
def test_a_full_disk_takes_no_byte_more(directory: str, lab: Lab) -> None:
    before = snapshot(lab)
    lab.write(f"{directory}/old", "content")
    with full(lab, directory):
        with pytest.raises(OSError, match="No space left") as caught:
            lab.write(f"{directory}/new", "content")
        assert caught.value.errno == errno.ENOSPC
        assert lab.read(f"{directory}/old") == "content"
    lab.write(f"{directory}/new", "content")
    lab.call(os.unlink, f"{directory}/new")
    lab.call(os.unlink, f"{directory}/old")
    assert_same(before, snapshot(lab))


def test_another_boot_id_is_seen_in_the_lab_only_and_not_by_snapshots(lab: Lab) -> None:
    before, real = snapshot(lab), Path(BOOT_ID).read_text(encoding="ascii")
    for boot_id in (str(uuid.uuid4()), str(uuid.uuid4())):
        set_boot_id(lab, boot_id)
        assert lab.run(["cat", BOOT_ID]).stdout == f"{boot_id}\n"
    assert Path(BOOT_ID).read_text(encoding="ascii") == real
    assert_same(before, snapshot(lab))


def test_after_a_reboot_there_are_only_the_old_files(lab: Lab) -> None:
    lab.run("ip netns add web".split(), check=True)
    lab.run("ip link add name nsbr0 type bridge".split(), check=True)
    lab.write("/run/nsctl/state.db", b"\0\xff", 0o600)
    lab.call(os.chmod, "/run/nsctl", 0o700)
    lab.call(os.symlink, "/nowhere", "/run/link")
    old = lab.read(BOOT_ID)
    with reboot(lab) as rebooted:
        assert rebooted.read(BOOT_ID) != old
        assert rebooted.call(Path("/run/nsctl/state.db").read_bytes) == b"\0\xff"
        assert rebooted.call(os.stat, "/run/nsctl").st_mode & 0o777 == 0o700
        assert rebooted.call(os.readlink, "/run/link") == "/nowhere"
        assert rebooted.run(["ip", "netns"]).stdout == ""
        assert "nsbr0" not in snapshot(rebooted).sections["links"]


@needs("strace")
def test_a_chosen_system_call_fails(lab: Lab) -> None:
    before = snapshot(lab)
    lab.write("/run/in", "content")
    seen = strace(lab, ["cp", "/run/in", "/run/out"], trace="openat", path="/run/in")
    assert len(seen.calls) == 1
    failed = strace(lab, ["cp", "/run/in", "/run/out"], inject="openat:error=EIO:when=1", path="/run/in")
    assert failed.process.returncode == 1
    assert "Input/output error" in failed.process.stderr
    assert len(failed.injected) == 1
    for name in ("in", "out"):
        lab.call(os.unlink, f"/run/{name}")
    assert_same(before, snapshot(lab))


@needs("strace")
def test_a_command_is_killed_at_a_chosen_system_call(lab: Lab) -> None:
    killed = strace(lab, ["sh", "-c", "echo x >/run/out"], inject="write:signal=SIGKILL:when=1")
    assert killed.process.returncode == -9


@needs("strace")
def test_strace_that_does_not_understand_is_an_error(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="strace failed"):
        strace(lab, ["true"], inject="nosuchcall:error=EIO")
