"""
podman and docker: a container with a process that sleeps, on a bridge.

Images, layers and logs play no part: the root file system has two programs, and storage is plain directories on tmpfs.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from scripts.benchmark.cost import Failed, Work
from scripts.benchmark.host import BENCH, Host
from scripts.benchmark.variant import NETWORK, Variant, find_tool, netns
from tests.lab import INTERNET_ADDRESS

__all__ = ["Docker", "Podman"]

ROOT = f"{BENCH}/root"
CGROUP = "nsctl-bench"
"""Control groups have no namespace for what is written: docker's are made in this one, and removed again."""
_MAKE_ROOT = f"""\
set -eu
mkdir -p {ROOT}/bin && cd {ROOT} && mkdir -p proc dev sys etc tmp run
for program in sh sleep; do
    cp "$(command -v $program)" bin/
    for library in $(ldd bin/$program | grep -o '/[^ ]*'); do
        mkdir -p ".${{library%/*}}" && cp "$library" ".$library"
    done
done
[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""


class Podman(Variant):
    """`podman run -d` and `podman rm`."""

    key = "podman"
    title = "podman run"
    note = "podman run -d: a container that sleeps, without cgroups, its root file system there already"
    heavy = True

    def missing(self) -> str:
        """Whether podman is there, with what it starts."""
        return "no podman (podman)" if find_tool("podman", "conmon", software=self.software) else ""

    def prepare(self, host: Host) -> None:
        """A root file system."""
        host.measure(lambda work: work.run("sh", "-c", _MAKE_ROOT))

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        options = ("-d", "--cgroups=disabled", "--rootfs")
        for number in numbers:
            self._podman(work, "run", "--name", netns(number), *options, ROOT, "sleep", "1000000")

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        for number in reversed(numbers):
            self._podman(work, "rm", "-f", "-t", "0", netns(number))

    def check(self, work: Work, number: int) -> None:
        """Over its PID."""
        pid = self._podman(work, "inspect", "-f", "{{.State.Pid}}", netns(number)).strip()
        work.run("nsenter", "--net", "-t", pid, "ping", "-q", "-n", "-c", "1", "-W", "5", INTERNET_ADDRESS)

    def _podman(self, work: Work, *words: str) -> str:
        places = (f"--root={BENCH}/podman", f"--runroot={BENCH}/podman-run")
        return work.run("podman", "--cgroup-manager=cgroupfs", "--storage-driver=vfs", *places, *words)


class Docker(Variant):
    """`docker run -d` and `docker rm`, with a daemon of its own on the lab host."""

    key = "docker"
    title = "docker run"
    note = "docker run -d: a container that sleeps; the CPU time is the client's alone, its daemon's is not counted"
    heavy = True

    def missing(self) -> str:
        """Whether the daemon is there: the client alone does nothing."""
        missing = find_tool("docker", "dockerd", "containerd", software=self.software)
        return f"no {', '.join(missing)} (docker.io)" if missing else ""

    def prepare(self, host: Host) -> None:
        """
        Start the daemon, and make an image.

        Raises:
            Failed: The daemon does not come up.
        """
        host.measure(lambda work: work.run("sh", "-c", _MAKE_ROOT))
        places = [f"--data-root={BENCH}/docker", f"--exec-root={BENCH}/docker-run", f"--pidfile={BENCH}/docker.pid"]
        daemon = ["dockerd", "-H", f"unix://{BENCH}/docker.sock", "--storage-driver=vfs", *places]
        daemon += [f"--bip={NETWORK[1]}/{NETWORK.prefixlen}", "--exec-opt=native.cgroupdriver=cgroupfs"]
        daemon += [f"--cgroup-parent={CGROUP}"]
        child = host.lab.popen(daemon, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not host.lab.exists(f"{BENCH}/docker.sock"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise Failed("dockerd does not start in a lab")
            time.sleep(0.05)
        pack = f"tar -C {ROOT} -c . | docker -H unix://{BENCH}/docker.sock import - bench"
        host.measure(lambda work: work.run("sh", "-c", pack))

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        for number in numbers:
            self._docker(work, "run", "-d", "--name", netns(number), "bench", "/bin/sleep", "1000000")

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        for number in reversed(numbers):
            self._docker(work, "rm", "-f", netns(number))

    def check(self, work: Work, number: int) -> None:
        """Over its PID."""
        pid = self._docker(work, "inspect", "-f", "{{.State.Pid}}", netns(number)).strip()
        work.run("nsenter", "--net", "-t", pid, "ping", "-q", "-n", "-c", "1", "-W", "5", INTERNET_ADDRESS)

    def finish(self, work: Work) -> None:
        """Remove the control group, which would outlive the lab."""
        work.run("find", f"/sys/fs/cgroup/{CGROUP}", "-depth", "-type", "d", "-delete", ok=(0, 1))

    def _docker(self, work: Work, *words: str) -> str:
        return work.run("docker", "-H", f"unix://{BENCH}/docker.sock", *words)
