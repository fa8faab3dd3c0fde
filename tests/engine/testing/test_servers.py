from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from tests.lab import (
    HOST_ADDRESS,
    INTERNET,
    INTERNET_ADDRESS,
    Lab,
    ask_tcp,
    ask_udp,
    socket_in,
    tcp_server,
    udp_server,
)


def test_the_lab_asks_the_internet_and_is_seen_by_its_address(lab: Lab) -> None:
    with tcp_server(lab, INTERNET, port=80, reply=b"the internet") as server:
        assert ask_tcp(lab, None, INTERNET_ADDRESS, 80) == b"the internet"
        assert server.peers == [HOST_ADDRESS]


def test_the_internet_asks_the_lab(lab: Lab) -> None:
    with tcp_server(lab, None) as server:
        assert ask_tcp(lab, INTERNET, HOST_ADDRESS, server.port) == b"hello"


def test_udp_comes_back(lab: Lab) -> None:
    with udp_server(lab, INTERNET, port=53) as server:
        assert ask_udp(lab, None, INTERNET_ADDRESS, 53, b"question") == b"question"
        assert (server.peers, server.received) == ([HOST_ADDRESS], [b"question"])


def test_a_named_namespace_and_a_process_are_places_too(lab: Lab) -> None:
    lab.run("ip netns add web".split(), check=True)
    lab.run("ip -n web link set dev lo up".split(), check=True)
    sleeper = lab.popen(["nsenter", "--net=/run/netns/web", "sleep", "1000"])
    deadline = time.monotonic() + 10
    while Path(f"/proc/{sleeper.pid}/comm").read_text(encoding="utf-8") != "sleep\n":  # until then it is elsewhere
        assert time.monotonic() < deadline
    with tcp_server(lab, "web", "127.0.0.1", 80) as server:
        assert ask_tcp(lab, "web", "127.0.0.1", server.port) == b"hello"
        assert ask_tcp(lab, sleeper.pid, "127.0.0.1", server.port) == b"hello"
        assert ask_tcp(lab, None, "127.0.0.1", server.port) is None


def test_ipv6_works_where_it_is_there(lab: Lab) -> None:
    with tcp_server(lab, None, "::1") as server:
        assert ask_tcp(lab, None, "::1", server.port) == b"hello"


def test_who_gets_no_answer_learns_it_in_time(lab: Lab) -> None:
    assert ask_tcp(lab, None, INTERNET_ADDRESS, 81) is None
    assert ask_tcp(lab, None, "198.51.100.1", 80, timeout=0.1) is None
    assert ask_udp(lab, None, INTERNET_ADDRESS, 81, timeout=0.1) is None


def test_a_port_that_is_taken_is_refused_by_the_kernel(lab: Lab) -> None:
    with tcp_server(lab, None, port=80), pytest.raises(OSError, match="in use") as caught, tcp_server(lab, port=80):
        pass
    assert caught.value.errno == errno.EADDRINUSE


def test_the_machine_has_no_part_in_it(lab: Lab) -> None:
    with socket_in(lab) as inside:
        inside.bind((HOST_ADDRESS, 0))
        assert inside.getsockname()[0] == HOST_ADDRESS
