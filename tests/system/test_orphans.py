"""
What outlives its init, or the name of its namespace: "is down" and "everything was undone" are said when it is gone.
"""

from __future__ import annotations

import pytest

from tests.lab import Lab, needs
from tests.system.support import down, eventually, init_of, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

NET = ("--subnet", "10.0.3.0/24")
LEAVES = "setsid sleep 1000{} >/dev/null 2>&1 <&- & exit 0"
"""A workload that starts something and ends."""
FUSED = pytest.mark.parametrize("fuse", [(), ("--no-batch",)], ids=["fused", "one by one"])


def lives(lab: Lab, number: int) -> bool:
    return lab.run(["pgrep", "-xf", f"sleep 1000{number}"]).returncode == 0


def orphaned(lab: Lab, number: int, *words: str) -> None:
    # Up with a workload that ends after a moment, so that it counts as started.
    script = f"setsid sleep 1000{number} >/dev/null 2>&1 <&- & sleep 0.5"
    up(lab, *words, "--", "sh", "-c", script)
    name = words[words.index("--name") + 1]
    assert eventually(lambda: f"{name}  " not in lab.nsctl("ls").stdout or "dead" in lab.nsctl("ls").stdout)
    assert lives(lab, number)


@FUSED
@pytest.mark.parametrize("isolate", ["mount", "mount,uts", "uts", "ipc"])
def test_what_a_dead_init_has_left_goes_with_down(lab: Lab, isolate: str, fuse: tuple[str, ...]) -> None:
    orphaned(lab, 201, "host", "--name", "h", "--isolate", isolate)
    assert lab.nsctl("down", "h", *fuse).stdout == "h is down\n"
    assert not lives(lab, 201)


def test_it_goes_with_recover_and_before_the_sandbox_is_made_anew(lab: Lab) -> None:
    orphaned(lab, 202, "host", "--name", "h", "--isolate", "mount")
    assert "h" in lab.nsctl("recover", check=True).stdout
    assert not lives(lab, 202)
    orphaned(lab, 203, "host", "--name", "h", "--isolate", "mount")
    lab.nsctl("up", "host", "--name", "h", "--isolate", "mount", check=True)
    assert not lives(lab, 203)
    down(lab, "h")


@FUSED
def test_it_goes_with_a_rollback(lab: Lab, fuse: tuple[str, ...]) -> None:
    first = LEAVES.format(204)
    lines = [
        f'[sandbox.a]\nmode = "host"\nisolate = ["mount"]\ncommand = ["sh", "-c", "{first}"]',
        '[sandbox.b]\nmode = "host"\nisolate = ["mount"]\ncommand = ["/nonexist"]\n',
    ]
    lab.write("/run/lab.toml", "\n".join(lines), 0o600)
    done = lab.nsctl("apply", "/run/lab.toml", *fuse)
    assert done.returncode == 1, done
    assert "everything was undone" in done.stderr
    assert not lives(lab, 204)


def test_another_sandbox_that_has_the_number_by_now_is_left_alone(lab: Lab) -> None:
    up(lab, "host", "--name", "h", "--isolate", "mount", "--", "sleep", "1000205")
    lab.run(["pkill", "-KILL", "-xf", "sleep 1000205"], check=True)
    assert eventually(lambda: not lives(lab, 205))
    for number in range(5):  # one of them is likely to get it
        up(lab, "host", "--name", f"h{number}", "--isolate", "mount", "--", "sleep", "1000206")
    down(lab, "h")
    assert lab.run(["pgrep", "-cxf", "sleep 1000206"]).stdout == "5\n"
    down(lab, "--all")


@FUSED
@pytest.mark.parametrize("taken", ["ip netns add web", "echo hi >/run/netns/web", "true"])
def test_who_lives_in_a_namespace_whose_name_others_took_is_ended(lab: Lab, taken: str, fuse: tuple[str, ...]) -> None:
    up(lab, "bridge", "--name", "web", *NET)
    lab.popen(["nsenter", "--net=/run/netns/web", "sleep", "1000207"])
    assert eventually(lambda: lives(lab, 207))
    init = init_of(lab, "web")
    lab.run(["sh", "-ec", f"ip netns del web; {taken}"], check=True)
    assert lab.nsctl("down", "web", *fuse).returncode == 0
    assert not lives(lab, 207)
    assert not lab.exists(f"/proc/{init}")
    # What is theirs stays.
    assert lab.exists("/run/netns/web") == (taken != "true")
