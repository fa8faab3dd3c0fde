"""The system bus: what it says is read as the specification has it, and what it says wrong is an error."""

from __future__ import annotations

import struct
import sys
from ast import literal_eval
from struct import pack

import pytest

from nsctl.engine.host import dbus
from nsctl.engine.host.dbus import BusError, _split, _value
from tests.lab import FakeFirewalld, Lab, needs
from tests.lab.firewalld import text, zones


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("y", b"\x07", 7),
        ("b", pack("<I", 1), 1),
        ("n", pack("<h", -2), -2),
        ("u", pack("<I", 9), 9),
        ("t", pack("<Q", 1 << 40), 1 << 40),
        ("d", pack("<d", 0.5), 0.5),
        ("s", text("trusted", 0), "trusted"),
        ("o", text("/org", 0), "/org"),
        ("g", b"\x02as\0", "as"),
        ("v", b"\x01s\0\0" + text("x", 0), "x"),
        ("as", pack("<I", 14) + text("a", 0) + b"\0\0" + text("b", 0), ["a", "b"]),
        ("a{ss}", pack("<II", 14, 0) + text("a", 0) + b"\0\0" + text("b", 0), {"a": "b"}),
        ("(ys)", b"\x01\0\0\0" + text("b", 0), (1, "b")),
        ("ay", pack("<I", 2) + b"ab", [97, 98]),
    ],
)
def test_a_value_is_read_as_the_specification_has_it(kind: str, data: bytes, value: object) -> None:
    assert _value(kind, data, 0, "<") == (value, len(data))
    for end in range(len(data)):
        with pytest.raises((BusError, IndexError, struct.error)):
            _value(kind, data[:end], 0, "<")


def test_zones_are_read_whatever_their_names_are_long() -> None:
    for width in range(1, 17):
        there = {"z" * width: ["l" * n for n in range(1, width)], "trusted": ["nsbr0", "x" * width], "none": []}
        expected = {zone: {"interfaces": links} for zone, links in there.items()}
        assert _value("a{sa{sas}}", zones(there), 0, "<")[0] == expected


def test_a_signature_is_taken_apart_by_its_types() -> None:
    assert _split("sa{sa{sas}}(ii)uav") == ["s", "a{sa{sas}}", "(ii)", "u", "av"]
    for wrong in ("(ii", "a{s", "a("):
        with pytest.raises(BusError):
            _split(wrong)
    with pytest.raises(BusError):
        _value("z", b"\0" * 8, 0, "<")
    with pytest.raises(BusError):
        _value("v", b"\x01v\0" * 100, 0, "<")


def found(lab: Lab, within: float = 10.0) -> object:
    # In a process of the lab's: its PID is looked up in /proc.
    script = f"from nsctl.engine.host import zones as z; z._WITHIN = {within}; print(repr(z.Zones().of_links))"
    done = lab.run([sys.executable, "-I", "-c", script])
    return literal_eval(done.stdout) if done.returncode == 0 else done.stderr.splitlines()[-1]


@pytest.mark.system
@needs("tool:firewall-cmd")
def test_where_there_is_no_bus_or_nobody_at_its_end_no_firewalld_runs(lab: Lab) -> None:
    assert found(lab) is None
    service = FakeFirewalld(lab)
    assert found(lab) == {}
    lab.write("/run/zones", "trusted nsbr0\npublic eth0\ntrusted nsbr1\n")
    assert found(lab) == {"nsbr0": "trusted", "nsbr1": "trusted", "eth0": "public"}
    service.close()
    assert found(lab) is None


@pytest.mark.system
@needs("tool:firewall-cmd")
def test_one_that_says_nothing_is_waited_for_only_so_long(lab: Lab) -> None:
    service = FakeFirewalld(lab)
    service.silent = True
    assert found(lab, within=0.2) == (
        "nsctl.engine.model.errors.Refused: the system bus can't be asked whether firewalld runs: "
        "the system bus does not answer: timed out"
    )


@pytest.mark.system
@needs("tool:dbus-daemon")
def test_a_real_bus_is_asked_and_starts_nothing_by_that(lab: Lab) -> None:
    lab.run(["sh", "-ec", "mkdir /run/dbus; dbus-daemon --system --fork --nopidfile"], check=True)

    def ask() -> None:
        with dbus.Bus(5.0) as bus:
            assert bus.owner("org.freedesktop.DBus") is not None
            assert bus.owner("org.fedoraproject.FirewallD1") is None
            assert "org.freedesktop.DBus" in bus.call(*_LIST)[0]
            with pytest.raises(BusError):
                bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NoSuchMethod", "x")
            with pytest.raises(BusError):
                bus.call("org.example.Nobody", "/", "org.example.Nobody", "Hello")

    lab.call(ask)
    lab.run(["rm", "/run/dbus/system_bus_socket"], check=True)
    with pytest.raises(BusError):
        lab.call(dbus.Bus, 5.0)


_LIST = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames")
