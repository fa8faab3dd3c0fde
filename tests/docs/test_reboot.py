"""State lives exactly as long as the kernel's: what ARCHITECTURE.md and docs/safety.md say of a reboot."""

from __future__ import annotations

from tests.lab import Lab, assert_back, needs, reboot, snapshot


@needs("bridge", "iptables")
def test_after_a_reboot_nothing_is_undone_and_everything_can_be_made_again(lab: Lab) -> None:
    up = ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--ip", "10.0.3.7")
    lab.nsctl(*up, check=True)
    with reboot(lab) as rebooted:
        # What bears a name of nsctl's now is somebody else's.
        rebooted.run(["ip", "link", "add", "dev", "nsbr1", "type", "bridge"], check=True)
        assert rebooted.nsctl("recover").returncode == 0
        before = snapshot(rebooted)
        assert "web" not in rebooted.nsctl("ls", check=True).stdout
        rebooted.nsctl(*up, check=True)
        rebooted.nsctl("down", "web", check=True)
        assert_back(rebooted, before)
