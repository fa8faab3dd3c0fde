"""The operations from a process that is no terminal: requests in, results, diagnostics and errors out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.app.conftest import Service
from tests.lab import Lab, assert_back, needs, snapshot

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

BRIDGE = {"mode": "bridge", "options": {"subnet": "10.0.3.0/24"}}
WEB = {**BRIDGE, "name": "web"}


def test_up_and_down_again_leave_the_host_as_it_was(service: Service, lab: Lab) -> None:
    before = snapshot(lab)
    made = service.ask("up", **WEB)
    assert (made.value["name"], made.value["state"], made.value["already"]) == ("web", "up", False)
    assert "netns/web" in made.value["steps"]
    assert made.value["diagnostics"] == []
    assert (made.events[0], made.events[-2:]) == ("PlanStarted", ["PlanFinished", "closed"])
    assert [one["name"] for one in service("ls")] == ["web"]
    assert service("plan_down", names=["web"])["steps"][-1:] != []
    assert service("down", names=["web"]) == ["web"]
    assert service("ls") == []
    assert_back(lab, before)


def test_a_process_that_lives_on_gets_its_signals_back(service: Service) -> None:
    assert not service.ask("up", mode="none", name="q").held
    assert not service.ask("down", names=["q"]).held


def test_up_again_is_already_and_changes_nothing(service: Service) -> None:
    first = service("up", **WEB)
    again = service.ask("up", **WEB)
    assert again.value == first | {"already": True, "steps": []}
    assert "PlanStarted" not in again.events


def test_without_a_name_the_first_free_one_is_taken(service: Service) -> None:
    assert [service("up", mode="none")["name"] for _ in range(2)] == ["none", "none-2"]


def test_up_again_with_other_options_is_a_conflict_that_says_which(service: Service) -> None:
    service("up", **WEB)
    other = service.ask("up", mode="bridge", name="web", options={"subnet": "10.0.3.0/24", "mtu": 1400})
    assert other.error == "Conflict"
    assert other.message == "'web' is up already, with other options: mtu is unset, not 1400"
    assert other.hint == "take it down first (nsctl down web), or use another --name"
    stays = service.ask("up", **WEB, confirm=60.0)
    assert (stays.error, "--confirm is for what is made now" in stays.message) == ("Conflict", True)


def test_up_of_one_that_was_changed_since_is_drift(service: Service, lab: Lab) -> None:
    service("up", **WEB)
    lab.run(["ip", "link", "del", "nsbr0"], check=True)
    again = service.ask("up", **WEB)
    assert (again.error, again.hint) == ("Drifted", "put it back: nsctl repair web")


def test_one_that_has_ended_is_made_anew_which_is_reported(service: Service, lab: Lab) -> None:
    service("up", **WEB, command=["sleep", "1000"])
    [row] = service("ls")
    lab.run(["kill", "-9", str(row["pid"])], check=True)
    lab.run(["sh", "-c", f"while kill -0 {row['pid']} 2>/dev/null; do sleep 0.05; done"], check=True)
    again = service.ask("up", **WEB, command=["sleep", "1000"])
    assert (again.value["already"], again.value["ended"]) == (False, False)
    notes = [d["message"] for d in again.diagnostics if d["level"] in {"note", "recovered"}]
    assert any("web" in note for note in notes), again


def test_a_sandbox_without_a_way_out_is_up_with_a_warning(service: Service, lab: Lab) -> None:
    lab.run(["iptables", "-A", "FORWARD", "-s", "10.0.0.0/8", "-j", "DROP"], check=True)
    [planned] = service("plan_up", **WEB)["diagnostics"]
    assert (planned["level"], "web would have no way out" in planned["message"]) == ("warning", True)
    [warned] = service("up", **WEB)["diagnostics"]
    assert (warned["level"], "web has no way out" in warned["message"]) == ("warning", True)
    assert warned["hint"] != ""
    assert service("check")["blocked"] == [["web"]]


def test_a_plan_is_what_apply_carries_out(service: Service, lab: Lab) -> None:
    before = snapshot(lab)
    planned = service("plan_up", **WEB)
    assert_back(lab, before)
    made = service("apply_plan", plan=planned["plan"])
    assert (made["name"], made["steps"]) == ("web", [step["key"] for step in planned["plan"]["steps"]])
    again = service.ask("apply_plan", plan=planned["plan"])
    assert (again.error, again.hint) == ("Conflict", "take it down first: nsctl down web")


def test_a_plan_says_what_is_in_place_already(service: Service) -> None:
    assert service("plan_up", **WEB)["present"] == []
    shared = {step for step in service("up", **WEB)["steps"] if step == "link/nsbr0"}
    planned = service("plan_up", **BRIDGE, name="db")
    assert shared <= set(planned["present"]) < {step["key"] for step in planned["plan"]["steps"]}
    assert shared == {"link/nsbr0"}


def test_down_of_nothing_named_takes_nothing_down(service: Service) -> None:
    service("up", mode="none", name="a")
    assert service("down") == []
    assert service("plan_down") == {"names": [], "steps": []}
    service("up", mode="none", name="b")
    assert service("down", every=True) == ["a", "b"]


def test_what_others_share_goes_only_by_force(service: Service) -> None:
    service("up", **WEB)
    service("up", mode="container", name="probe", options={"target": "web"})
    refused = service.ask("down", names=["web"])
    assert (refused.error, refused.message) == ("Conflict", "'web' is shared by probe")
    assert "nsctl down web probe" in refused.hint
    assert sorted(service("down", names=["web"], force=True)) == ["probe", "web"]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("down", {"names": ["wbe"]}),
        ("plan_down", {"names": ["wbe"]}),
        ("check", {"names": ["wbe"]}),
        ("repair", {"names": ["wbe"]}),
        ("plan_repair", {"names": ["wbe"]}),
        ("confirm", {"name": "wbe"}),
        ("inspect", {"name": "wbe"}),
    ],
)
def test_a_wrong_name_is_refused_with_the_one_that_was_meant(
    service: Service, call: str, arguments: dict[str, Any]
) -> None:
    service("up", mode="none", name="web")
    refused = service.ask(call, **arguments)
    assert (refused.error, refused.message) == ("Invalid", "there is no sandbox 'wbe'")
    assert refused.hint == "did you mean 'web'?"


def test_check_finds_what_repair_puts_back(service: Service, lab: Lab) -> None:
    assert service("check") == {"any_up": False, "drifts": [], "repairable": False, "blocked": [], "judged": []}
    service("up", **WEB)
    assert service("check")["drifts"] == []
    lab.run(["iptables", "-F", "NSCTL-FORWARD"], check=True)
    found = service("check")
    assert found["repairable"]
    assert all(key.startswith("rule/") for key in found["drifts"])
    assert set(service("plan_repair")) == set(found["drifts"])
    done = service("repair")
    assert (set(done["steps"]), done["left"]) == (set(found["drifts"]), [])
    assert service("check") == {"any_up": True, "drifts": [], "repairable": False, "blocked": [], "judged": ["web"]}


def test_recover_takes_down_what_lost_its_init(service: Service, lab: Lab) -> None:
    assert service("recover") == {"lines": [], "elsewhere": []}
    service("up", mode="none", name="q")
    [row] = service("ls")
    lab.run(["kill", "-9", str(row["pid"])], check=True)
    lab.run(["sh", "-c", f"while kill -0 {row['pid']} 2>/dev/null; do sleep 0.05; done"], check=True)
    [line] = service("recover")["lines"]
    assert "q" in line
    assert service("ls") == []


def test_confirm_keeps_what_was_waiting_for_it(service: Service) -> None:
    service("up", mode="none", name="q", confirm=300.0)
    assert "unconfirmed" in service("ls")[0]["state"]
    assert service("confirm", name="q") is True
    assert service("confirm", name="q") is False
    assert service("ls")[0]["state"] == "up"


def test_apply_of_a_lab_file_makes_changes_and_takes_away(service: Service, lab: Lab) -> None:
    text = '[sandbox.{}]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\n'
    lab.write("/run/lab.toml", text.format("a") + text.format("b"), 0o600)
    planned = service("plan_lab", path="/run/lab.toml")
    assert (planned["new"], planned["plans"]) == (["a", "b"], ["a", "b"])
    assert service("ls") == []
    assert service("apply", path="/run/lab.toml")["new"] == ["a", "b"]
    assert service("apply", path="/run/lab.toml")["same"] == ["a", "b"]
    lab.write("/run/lab.toml", text.format("a") + "mtu = 1400\n" + text.format("c"), 0o600)
    planned = service("plan_lab", path="/run/lab.toml")
    assert planned["undone"] > 0
    done = service("apply", path="/run/lab.toml")
    assert (done["new"], done["changed"], done["gone"], done["same"]) == (["c"], ["a"], ["b"], [])
    assert [one["name"] for one in service("ls")] == ["a", "c"]
    [network] = service("networks")
    assert network["sandboxes"] == ["a", "c"]
    assert service("down", source="/run/lab.toml") == ["a", "c"]


def test_a_lab_file_that_is_wrong_is_refused_before_anything_is_changed(service: Service, lab: Lab) -> None:
    lab.write("/run/lab.toml", '[sandbox.a]\nmode = "bridg"\n', 0o600)
    refused = service.ask("apply", path="/run/lab.toml")
    assert refused.error == "Invalid"
    assert "/run/lab.toml" in refused.message
    assert refused.hint != ""
    assert refused.events == []
