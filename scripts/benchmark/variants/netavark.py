"""netavark, called as podman calls it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from scripts.benchmark.cost import Work
from scripts.benchmark.host import BENCH
from scripts.benchmark.variant import BRIDGE, GATEWAY, NETWORK, Variant, address, find_tool, netns

__all__ = ["Netavark"]

PLACES = ("/usr/lib/podman", "/usr/libexec/podman")


class Netavark(Variant):
    """One call for each sandbox, and `ip netns`."""

    key = "netavark"
    title = "netavark"
    note = "podman's network tool alone"

    def missing(self) -> str:
        """Whether it is there."""
        return "" if self._place() else "no netavark (netavark)"

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """Set up."""
        for number in numbers:
            work.run("ip", "netns", "add", netns(number))
            self._call(work, "setup", number)

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """Tear down."""
        for number in reversed(numbers):
            self._call(work, "teardown", number)
            work.run("ip", "netns", "del", netns(number))

    def _place(self) -> str:
        return next((p for p in PLACES if not find_tool("netavark", software=self.software, where=p)), "")

    def _call(self, work: Work, verb: str, number: int) -> None:
        request = {
            "container_id": netns(number),
            "container_name": netns(number),
            "networks": {"bench": {"static_ips": [str(address(number))], "interface_name": "eth0"}},
            "network_info": {
                "bench": {
                    "name": "bench",
                    "id": "b" * 64,
                    "driver": "bridge",
                    "network_interface": BRIDGE,
                    "subnets": [{"subnet": str(NETWORK), "gateway": str(GATEWAY)}],
                    "ipv6_enabled": False,
                    "internal": False,
                    "dns_enabled": False,
                    "ipam_options": {"driver": "host-local"},
                }
            },
        }
        place = f"/run/netns/{netns(number)}"
        tool = f"{self._place()}/netavark"
        work.run(tool, "--config", f"{BENCH}/netavark", verb, place, stdin=json.dumps(request))
