"""The journal is data: what it says is run only if nsctl could have planned it."""

from __future__ import annotations

import json
import sys

import pytest

from tests.lab import Lab, assert_back, snapshot
from tests.system.support import down, said, up

FORGE = """
import json, sys
from pathlib import Path
from nsctl.engine.store import Journal
from nsctl.engine.store.seals import checksum, dumps, use_key
from nsctl.engine.store.files import secret
import sqlite3
key, changes = sys.argv[1], json.loads(sys.argv[2])
use_key(secret(Path("/run/nsctl"), make=False))
db = sqlite3.connect("/run/nsctl/state.db")
(data,) = db.execute("SELECT data FROM steps WHERE key = ?", [key]).fetchone()
data = dumps(json.loads(data) | changes)
db.execute("UPDATE steps SET data = ?, crc = ? WHERE key = ?", [data, checksum(key, data), key])
db.commit()
"""
TOUCH = {"kind": "run", "argv": ["touch", "/run/forged"]}


def forge(lab: Lab, key: str, **changes: object) -> None:
    """Write to the journal as somebody who has its key."""
    lab.run([sys.executable, "-I", "-c", FORGE, key, json.dumps(changes)], check=True)


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_down_does_not_run_what_nsctl_would_not_plan(lab: Lab, options: list[str]) -> None:
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    forge(lab, "link/nsbr0", undo=[TOUCH])
    done = lab.nsctl("down", "web", *options)
    assert done.returncode == 3
    assert (
        "left over: link/nsbr0: it was not run, since 'touch /run/forged' is no command of nsctl's own" in done.stderr
    )
    assert not lab.exists("/run/forged")
    assert lab.nsctl("recover").returncode == 3
    assert not lab.exists("/run/forged")
    assert lab.run(["ip", "netns", "list"]).stdout == ""  # the rest is undone
    forge(lab, "link/nsbr0", undo=[{"kind": "run", "argv": ["ip", "link", "del", "dev", "nsbr0"]}])
    lab.nsctl("recover", check=True)
    assert_back(lab, before)


def test_repair_does_not_either(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    lab.run(["ip", "addr", "flush", "dev", "nsbr0"], check=True)
    lab.run(["iptables", "-F", "NSCTL-FORWARD"], check=True)
    forge(lab, "addr/nsbr0/10.0.3.1/24", do=TOUCH)
    done = lab.nsctl("repair")
    assert done.returncode == 3
    assert "left over: addr/nsbr0/10.0.3.1/24: it was not run, since" in done.stderr
    assert "hint: nothing that nsctl plans is written like that" in done.stderr
    assert not lab.exists("/run/forged")
    assert lab.run(["iptables", "-S", "NSCTL-FORWARD"]).stdout.count("-A") > 1  # the rest is put back


def test_nor_does_bringing_a_sandbox_back(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    forge(lab, "netns/box", undo=[TOUCH])
    assert lab.nsctl("down", "box").returncode == 3
    assert not lab.exists("/run/forged")


def test_a_row_that_does_not_bear_the_seal_is_not_read_at_all(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    statement = "UPDATE steps SET data = replace(data, 'sleep', 'touch')"
    change = f"import sqlite3; d = sqlite3.connect('/run/nsctl/state.db'); d.execute({statement!r}); d.commit()"
    lab.run([sys.executable, "-I", "-c", change], check=True)
    assert "damaged" in lab.nsctl("down", "box").stderr


def test_what_a_plugins_mode_planned_is_undone_with_its_own_tools(lab: Lab) -> None:
    plan = json.loads(said(lab, "up", "none", "--name", "box", "--isolate", "net", "--dry-run", "--format", "json"))
    plan["mode"] = "their-own"
    plan["steps"].append(
        {
            "key": "theirs",
            "why": "a file of theirs",
            "do": {"kind": "run", "argv": ["touch", "/run/theirs"]},
            "undo": [{"kind": "run", "argv": ["rm", "-f", "/run/theirs"]}],
        }
    )
    before = snapshot(lab)
    lab.nsctl("apply", "-", input=json.dumps(plan), check=True)
    assert lab.exists("/run/theirs")
    down(lab, "box")
    assert_back(lab, before)


def test_a_saved_plan_of_a_built_in_mode_holds_nothing_else(lab: Lab) -> None:
    plan = json.loads(said(lab, "up", "none", "--name", "box", "--dry-run", "--format", "json"))
    before = snapshot(lab)
    plan["steps"].append({"key": "theirs", "why": "theirs", "do": TOUCH, "no_undo": "none"})
    for words in (("apply", "-"), ("apply", "-", "--dry-run")):
        done = lab.nsctl(*words, input=json.dumps(plan))
        assert (done.returncode, done.stdout) == (2, "")
        assert "theirs is nothing that mode 'none' plans: 'touch /run/forged' is no command of nsctl's" in done.stderr
    assert_back(lab, before)
