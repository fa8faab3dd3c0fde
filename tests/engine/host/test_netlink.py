from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterable
from typing import cast

import pytest

from nsctl.engine.host.netlink import DumpInterruptedError, Netlink, NoNamespaceError, attributes, in_netns, socket_in
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab

PORT = 4711
ERROR, DONE, LINK = 2, 3, 16
MULTI, INTERRUPTED, DUMP = 0x2, 0x10, 0x300


def message(kind: int, payload: bytes, sequence: int, *, flags: int = 0, port: int = PORT) -> bytes:
    padding = bytes(-len(payload) % 4)
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, port) + payload + padding


def part(payload: bytes, sequence: int, *, flags: int = 0) -> bytes:
    return message(LINK, payload, sequence, flags=MULTI | flags)


def done(sequence: int, *, status: int = 0, flags: int = 0) -> bytes:
    return message(DONE, struct.pack("=i", status), sequence, flags=MULTI | flags)


class Scripted:
    """A socket that answers what it was told to, whatever it is asked."""

    def __init__(self, answers: Iterable[tuple[bytes, int, int] | OSError]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int, int, int]] = []
        self.sizes: list[int] = []
        self.closed = False

    def bind(self, address: tuple[int, int]) -> None:
        assert address == (0, 0)

    def getsockname(self) -> tuple[int, int]:
        return PORT, 0

    def setsockopt(self, *words: int) -> None:
        raise OSError(errno.ENOPROTOOPT, f"an old kernel knows no option {words}")

    def send(self, data: bytes) -> None:
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
        assert length == len(data)
        self.asked.append((kind, flags, sequence, length))

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        self.sizes.append(size)
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        data, flags, sender = answer
        return data, [], flags, (sender, 0)

    def close(self) -> None:
        self.closed = True


def scripted(*answers: bytes | OSError) -> tuple[Netlink, Scripted]:
    sock = Scripted(a if isinstance(a, OSError) else (a, 0, 0) for a in answers)
    return Netlink(cast("socket.socket", sock)), sock


def test_a_dump_is_put_together_from_all_its_parts() -> None:
    netlink, sock = scripted(part(b"one", 1) + part(b"second", 1), part(b"three", 1), done(1))
    assert netlink.dump(18, b"") == [b"one", b"second", b"three"]
    assert sock.asked == [(18, 0x1 | DUMP, 1, 16)]


def test_a_single_answer_needs_no_end_mark() -> None:
    netlink, _ = scripted(message(LINK, b"link", 1))
    assert netlink.get(18, b"") == b"link"


def test_an_empty_dump_is_empty() -> None:
    netlink, _ = scripted(done(1))
    assert netlink.dump(18, b"") == []


def test_a_dump_that_was_interrupted_is_asked_for_again_with_a_new_sequence_number() -> None:
    netlink, sock = scripted(part(b"torn", 1, flags=INTERRUPTED), done(1), part(b"whole", 2) + done(2))
    assert netlink.dump(18, b"") == [b"whole"]
    assert [sequence for _, _, sequence, _ in sock.asked] == [1, 2]


def test_an_interruption_that_only_the_end_mark_tells_counts_too() -> None:
    netlink, _ = scripted(part(b"torn", 1) + done(1, flags=INTERRUPTED), part(b"whole", 2) + done(2))
    assert netlink.dump(18, b"") == [b"whole"]


def test_a_dump_that_never_holds_still_is_an_error_and_not_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    netlink, _ = scripted(*(part(b"torn", n, flags=INTERRUPTED) + done(n) for n in range(1, 100)))
    with pytest.raises(DumpInterruptedError, match="keeps changing"):
        netlink.dump(18, b"")
    assert 3 < sum(pauses) < 10


def test_answers_to_an_earlier_question_and_to_others_are_passed_over() -> None:
    netlink, _ = scripted(
        part(b"old", 0) + message(LINK, b"other's", 1, flags=MULTI, port=PORT + 1) + part(b"mine", 1), done(1)
    )
    assert netlink.dump(18, b"") == [b"mine"]


def test_what_did_not_come_from_the_kernel_is_passed_over() -> None:
    sock = Scripted([(part(b"forged", 1) + done(1), 0, 999), (part(b"true", 1) + done(1), 0, 0)])
    assert Netlink(cast("socket.socket", sock)).dump(18, b"") == [b"true"]


def test_an_answer_that_was_cut_is_asked_for_again_with_more_room() -> None:
    sock = Scripted([(part(b"cut", 1), socket.MSG_TRUNC, 0), (part(b"whole", 2) + done(2), 0, 0)])
    assert Netlink(cast("socket.socket", sock)).dump(18, b"") == [b"whole"]
    assert sock.sizes[1] > sock.sizes[0] >= 65536


def test_a_receive_buffer_that_ran_over_means_asking_again() -> None:
    netlink, _ = scripted(OSError(errno.ENOBUFS, "full"), part(b"whole", 2) + done(2))
    assert netlink.dump(18, b"") == [b"whole"]


def test_other_errors_of_the_socket_are_passed_on() -> None:
    netlink, _ = scripted(OSError(errno.EBADF, "closed"))
    with pytest.raises(OSError, match="closed"):
        netlink.dump(18, b"")


@pytest.mark.parametrize("answer", [message(ERROR, struct.pack("=i", -errno.ENODEV), 1), done(1, status=-errno.ENODEV)])
def test_the_kernels_refusal_is_an_oserror_with_its_number(answer: bytes) -> None:
    netlink, _ = scripted(answer)
    with pytest.raises(OSError) as e:  # noqa: PT011 - the number is what counts
        netlink.dump(18, b"")
    assert e.value.errno == errno.ENODEV


def test_the_socket_is_closed_at_the_end() -> None:
    netlink, sock = scripted()
    with netlink:
        assert not sock.closed
    assert sock.closed


def test_attributes_are_aligned_to_four_bytes_and_their_flags_are_masked() -> None:
    data = struct.pack("=HH3sxHHI", 7, 0x8001, b"abc", 8, 2, 77)
    assert attributes(data) == {1: b"abc", 2: struct.pack("=I", 77)}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\0\0\0\0", struct.pack("=HH", 3, 1), struct.pack("=HH", 200, 1)])
def test_attributes_of_damaged_data_end_without_a_fault(data: bytes) -> None:
    assert set(attributes(data).values()) <= {b""}


@pytest.mark.system
def test_a_function_called_in_a_namespace_sees_it_and_the_caller_stays_outside(
    lab: Lab, inside: NamespaceThread
) -> None:
    lab.run(["ip", "netns", "add", "web"], check=True)

    def look() -> tuple[list[str], list[str], list[str]]:
        def names() -> list[str]:
            return sorted(name for _, name in socket.if_nameindex())

        before = names()
        within = in_netns("web", names)
        return before, within, names()

    before, within, after = inside.call(look)
    assert within == ["lo"]
    assert before == after == ["eth0", "lo"]


@pytest.mark.system
@pytest.mark.parametrize("name", ["missing", "plain"])
def test_what_is_no_namespace_can_not_be_entered(lab: Lab, inside: NamespaceThread, name: str) -> None:
    lab.write("/run/netns/plain", "")
    with pytest.raises(NoNamespaceError, match=name):
        inside.call(in_netns, name, os.getpid)


@pytest.mark.system
def test_errors_inside_a_namespace_reach_the_caller_and_no_thread_is_left(lab: Lab, inside: NamespaceThread) -> None:
    lab.run(["ip", "netns", "add", "web"], check=True)

    def fail() -> None:
        raise LookupError("inside")

    threads = inside.call(threading.active_count)
    with pytest.raises(LookupError, match="inside"):
        inside.call(in_netns, "web", fail)
    assert inside.call(threading.active_count) == threads


@pytest.mark.system
def test_a_thousand_links_are_read_while_others_come_and_go(lab: Lab) -> None:
    # Enough for a dump in many parts, which changes interrupt.
    from nsctl.engine.host.rtnl import links

    batch = "".join(f"link add name d{n} type veth peer name e{n}\n" for n in range(100))
    lab.run(["ip", "-batch", "-"], input=batch, check=True)
    stir = lab.popen(
        ["sh", "-c", "while :; do ip link add name s0 type veth peer name s1 || :; ip link del dev s0 || :; done"]
    )

    def dump() -> list[str]:
        with Netlink(socket_in()) as netlink:
            return [row.name for row in links(netlink)]

    expected = {"lo", "eth0", *(f"{end}{n}" for n in range(100) for end in "de")}
    try:
        for _ in range(30):
            names = lab.call(dump)
            assert expected <= set(names)
            assert len(names) == len(set(names))
    finally:
        stir.kill()
