"""From one's own network to the host's, and to other sandboxes'."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess

from tests.faults.escapes.attempt import OWN_NETWORK, Unable, attempt, failed, given

NEWLINK, DELLINK, SETLINK, GETLINK = 16, 17, 19, 18
REQUEST_AND_ACK, CREATE, EXCL, DUMP = 0x5, 0x400, 0x200, 0x300
IFNAME, LINK, NET_NS_PID, LINKINFO, NET_NS_FD, LINK_NETNSID, TARGET_NETNSID = 3, 5, 19, 18, 28, 37, 46
KIND, ERROR, DONE = 1, 2, 3
MISSING = {errno.EOPNOTSUPP, errno.ENODEV}


def attribute(kind: int, value: bytes | int | str) -> bytes:
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("i", value)
    return struct.pack("HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def ask(kind: int, flags: int, *attributes: bytes) -> bytes:
    """One message about links, and the answer to it."""
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + b"".join(attributes)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.settimeout(5)
        s.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = s.recv(1 << 16)
    number = -struct.unpack_from("i", answer, 16)[0] if struct.unpack_from("H", answer, 4)[0] in {ERROR, DONE} else 0
    if number:
        raise OSError(number, os.strerror(number))
    return answer


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def moved_out(*target: bytes) -> None:
    """Whether a link of one's own goes away when it is moved."""
    name = f"esc{os.getpid()}"
    ask(NEWLINK, REQUEST_AND_ACK | CREATE | EXCL, attribute(IFNAME, name), attribute(LINKINFO, attribute(KIND, "veth")))
    peer = (links() - {name}) & {f"veth{n}" for n in range(100)}
    try:
        ask(SETLINK, REQUEST_AND_ACK, attribute(IFNAME, name), *target)
        if name in links():
            failed("EPERM", "it is still here")
    finally:
        for left in {name, *peer} & links():
            with contextlib.suppress(OSError):
                ask(DELLINK, REQUEST_AND_ACK, attribute(IFNAME, left))


@attempt(errors=("ENOENT",), modes=OWN_NETWORK)
def see_a_link_of_the_host() -> set[str]:
    return {name for name in links() if name.startswith(("ns-", "nsbr"))} or failed("ENOENT")


@attempt(errors=("ENOENT",), modes=OWN_NETWORK)
def see_a_rule_of_the_host() -> str:
    done = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
    return "NSCTL" if "NSCTL" in done.stdout else failed("ENOENT")


@attempt(modes=OWN_NETWORK)
def move_a_link_to_the_host_by_a_process() -> None:
    moved_out(attribute(NET_NS_PID, 1))


@attempt(modes=OWN_NETWORK)
def move_a_link_to_the_host_by_a_descriptor() -> None:
    moved_out(attribute(NET_NS_FD, os.open("/proc/1/ns/net", os.O_RDONLY)))


# The kernel numbers the namespace at a veth's other end for whoever sees the veth, and NET_ADMIN counts there as well.
@attempt(errors=("EINVAL", "EPERM"), modes=OWN_NETWORK, limit=("bridge", "container"))
def list_the_links_of_the_host_by_its_number() -> None:
    ask(GETLINK, REQUEST_AND_ACK | DUMP, attribute(TARGET_NETNSID, 0))


@attempt(errors=("EINVAL", "EPERM"), modes=OWN_NETWORK, limit=("bridge", "container"))
def delete_a_link_of_the_host_by_its_number() -> None:
    try:
        ask(DELLINK, REQUEST_AND_ACK, attribute(TARGET_NETNSID, 0), attribute(IFNAME, "no-such-link"))
    except OSError as e:
        if e.errno != errno.ENODEV:
            raise


@attempt(errors=("EINVAL", "EPERM"), modes=OWN_NETWORK, limit=("bridge", "container"))
def sit_on_the_uplink_of_the_host_by_its_number() -> None:
    name = f"esc{os.getpid()}"
    words = [attribute(LINK_NETNSID, 0), attribute(LINK, given["uplink"]), attribute(IFNAME, name)]
    try:
        ask(NEWLINK, REQUEST_AND_ACK | CREATE | EXCL, *words, attribute(LINKINFO, attribute(KIND, "macvlan")))
    except OSError as e:
        if e.errno in MISSING:
            raise Unable("no macvlan") from e
        raise
    ask(DELLINK, REQUEST_AND_ACK, attribute(IFNAME, name))


@attempt(errors=("ECONNREFUSED",), limit=("host",))
def reach_an_abstract_socket_of_the_host() -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + given["abstract"])


@attempt(modes=("bridge", "container"), limit=("bridge", "container"))
def send_in_the_name_of_another() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("eth0", 0))
        s.send(bytes.fromhex("ffffffffffff0200000000ee88b5") + b"\0" * 46)
