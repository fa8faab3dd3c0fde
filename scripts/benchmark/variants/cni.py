"""The CNI plugins bridge and portmap, called as container engines call them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.cost import Work
from scripts.benchmark.host import BENCH
from scripts.benchmark.variant import BRIDGE, NETWORK, Variant, find_tool, netns

__all__ = ["Cni", "CniBridge"]

PLUGINS = "/usr/lib/cni:/opt/cni/bin:/usr/libexec/cni"
"""Where distributions and the project itself put them."""

_COMMON = {"cniVersion": "0.4.0", "name": "bench"}
_CONFIGURATION = {
    **_COMMON,
    "type": "bridge",
    "bridge": BRIDGE,
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "dataDir": f"{BENCH}/cni",
        "ranges": [[{"subnet": str(NETWORK)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}


class Cni(Variant):
    """One call of each plugin for each sandbox, and `ip netns`."""

    key = "cni"
    title = "CNI bridge + portmap"
    note = "portmap is called, as engines do, with no port to map"
    keeps = frozenset({BRIDGE})
    plugins: tuple[str, ...] = ("bridge", "portmap")

    def missing(self) -> str:
        """Whether the plugins are there."""
        missing = find_tool("host-local", *self.plugins, software=self.software, where=PLUGINS)
        return f"no CNI plugin {', '.join(missing)} (containernetworking-plugins)" if missing else ""

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """ADD."""
        for number in numbers:
            work.run("ip", "netns", "add", netns(number))
            result = ""
            for plugin in self.plugins:
                result = self._call(work, "ADD", number, plugin, result)

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """DEL, in the opposite order."""
        for number in reversed(numbers):
            for plugin in reversed(self.plugins):
                self._call(work, "DEL", number, plugin)
            work.run("ip", "netns", "del", netns(number))

    def sweep(self, work: Work) -> None:
        """The bridge stays: the next first sandbox would find it."""
        work.run("ip", "link", "del", "dev", BRIDGE)

    def _call(self, work: Work, command: str, number: int, plugin: str, previous: str = "") -> str:
        configuration = dict(_CONFIGURATION)
        if plugin == "portmap":
            configuration = {**_COMMON, "type": "portmap", "runtimeConfig": {"portMappings": []}}
        if previous:
            configuration["prevResult"] = json.loads(previous)
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": netns(number),
            "CNI_NETNS": f"/run/netns/{netns(number)}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": PLUGINS,
        }
        return work.run(self._path(plugin), stdin=json.dumps(configuration), env=environment)

    def _path(self, plugin: str) -> str:
        # As seen on the lab host, where `software` lies over /usr.
        for place in PLUGINS.split(":"):
            for root in (self.software or Path("/"), Path("/")):
                if (root / place.lstrip("/") / plugin).exists():
                    return f"{place}/{plugin}"
        return plugin


class CniBridge(Cni):
    """The one plugin that attaches."""

    key = "cni-bridge"
    title = "CNI bridge"
    note = "the plugin bridge alone, and ip netns"
    plugins = ("bridge",)
