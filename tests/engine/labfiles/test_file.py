from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from nsctl import opt
from nsctl.engine.app.settings import of_lab_file
from nsctl.engine.labfiles import Lab, Wanted, read_lab
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.plan import NAMESPACES
from nsctl.modes import bridge, container, host, none


@dataclass(frozen=True)
class Tunnel:
    remote: str = opt(help="the other end")
    keys: tuple[int, ...] = opt((), "keys")


@dataclass(frozen=True)
class Peer:
    target: str = opt(help="the other one")


MODES = {m.name: m for m in (none.MODE, host.MODE, bridge.MODE, container.MODE)}
MODES["tunnel"] = Mode("tunnel", "a plugin's", Tunnel, lambda _request, _facts: [], isolate=("net", "uts"))
MODES["peer"] = Mode("peer", "a plugin's, too", Peer, lambda _request, _facts: [])
PLAIN: dict[str, Any] = {"cap_add": [], "cap_drop": [], "privileged": False, "env": {}}
EXAMPLE = """\
[network.lan]                      # optional: named defaults for its sandboxes
mode = "bridge"
subnet = "10.0.3.0/24"

[sandbox.web]
network = "lan"
ip = "10.0.3.10"
workdir = "/srv"
command = ["python3", "-m", "http.server", "80"]

[sandbox.client]
mode = "bridge"
subnet = "10.0.3.0/24"
isolate = ["net"]
count = 50                         # client-1 … client-50

[sandbox.probe]
mode = "container"
target = "web"
"""


def read(text: str) -> Lab:
    def settings(given: Mapping[str, Any]) -> dict[str, Any]:
        return of_lab_file(given)

    return read_lab("lab.toml", text, MODES.get, lambda: list(MODES), settings)


def names(lab: Lab) -> list[str]:
    return [w.request.name for w in lab.sandboxes]


def one(text: str) -> Wanted:
    [wanted] = read(text).sandboxes
    return wanted


def refused(text: str, line: int, says: str, hint: str = "") -> None:
    with pytest.raises(Invalid) as caught:
        read(text)
    assert caught.value.message.startswith(f"lab.toml, line {line}: "), caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_the_example_says_what_it_looks_like() -> None:
    lab = read(EXAMPLE)
    assert names(lab) == ["web", *(f"client-{n}" for n in range(1, 51)), "probe"]
    web, client, probe = lab.sandboxes[0], lab.sandboxes[1], lab.sandboxes[-1]
    assert (web.mode.name, web.options["subnet"], web.options["ip"]) == ("bridge", "10.0.3.0/24", "10.0.3.10")
    assert web.request.command == ("python3", "-m", "http.server", "80")
    assert web.request.isolate == NAMESPACES
    assert client.request.isolate == ("net",)
    assert (client.options["ip"], client.request.command, client.request.settings) == (None, (), PLAIN)
    assert (probe.mode.name, probe.options) == ("container", {"target": "web"})
    assert (web.table, client.table) == (("sandbox", "web"), ("sandbox", "client"))


def test_an_empty_file_wants_nothing() -> None:
    assert names(read("")) == []
    assert names(read("# nothing\n[sandbox]\n[network]\n")) == []


def test_a_sandbox_overrides_its_networks_defaults_however_they_are_spelt() -> None:
    text = '[network.n]\nmode = "bridge"\nmtu = 1400\nallow_overlap = true\nisolate = ["net"]\n'
    text += '[sandbox.a]\nnetwork = "n"\n'
    assert (one(text).options["mtu"], one(text).options["allow_overlap"]) == (1400, True)
    assert one(text).request.isolate == ("net",)
    other = one(text + 'mtu = 1300\nallow-overlap = false\nmode = "bridge"\nisolate = ["uts", "net"]\n')
    assert (other.options["mtu"], other.options["allow_overlap"]) == (1300, False)
    assert set(other.request.isolate) == {"net", "uts"}


def test_the_name_of_a_network_in_the_file_is_the_networks_name() -> None:
    text = '[network.n]\nmode = "bridge"\n[sandbox.a]\nnetwork = "n"\n'
    assert one(text).options["network"] == "n"
    assert one(text.replace('"bridge"\n', '"bridge"\nbridge = "br7"\n')).options["network"] is None
    assert "network" not in one(text.replace('"bridge"', '"none"')).options


def test_in_a_file_without_networks_the_key_is_the_option() -> None:
    assert one('[sandbox.a]\nmode = "bridge"\nnetwork = "lan"\n').options["network"] == "lan"
    refused('[sandbox.a]\nmode = "none"\nnetwork = "lan"\n', 3, "mode 'none' has no networks", "leave 'network' out")
    refused('[sandbox.a]\nnetwork = "lan"\n', 2, "there is no network 'lan'")
    refused('[network.n]\nmode = "bridge"\n[sandbox.a]\nmode = "bridge"\nnetwork = "m"\n', 5, "there is no network 'm'")


@pytest.mark.parametrize(("count", "made"), [(0, []), (1, ["a-1"]), (3, ["a-1", "a-2", "a-3"])])
def test_count_makes_numbered_sandboxes(count: int, made: list[str]) -> None:
    assert names(read(f'[sandbox.a]\nmode = "none"\ncount = {count}\n')) == made


def test_settings_are_those_of_the_command_line() -> None:
    wanted = one(
        '[sandbox.a]\nmode = "none"\ncap-add = ["CAP_SYS_PTRACE", "mknod"]\ncap_drop = ["kill"]\n'
        'privileged = false\nenv = { LANG = "C" }\n'
    )
    assert wanted.request.settings == {
        "cap_add": ["mknod", "sys_ptrace"],
        "cap_drop": ["kill"],
        "privileged": False,
        "env": {"LANG": "C"},
    }
    assert one('[sandbox.a]\nmode = "none"\nprivileged = true\n').request.settings["privileged"] is True


def test_namespaces_are_in_nsctls_order_and_named_once() -> None:
    wanted = one('[sandbox.a]\nmode = "none"\nisolate = ["net", "mount", "net"]\n')
    assert wanted.request.isolate == tuple(k for k in NAMESPACES if k in {"net", "mount"})
    assert one('[sandbox.a]\nmode = "none"\nisolate = []\n').request.isolate == ()


def test_a_plugins_mode_has_its_own_options_and_its_own_namespaces() -> None:
    wanted = one('[sandbox.a]\nmode = "tunnel"\nremote = "there"\nkeys = [1, 2]\n')
    assert (wanted.options, wanted.request.isolate) == ({"remote": "there", "keys": [1, 2]}, ("net", "uts"))


def test_the_order_is_the_files_but_sharers_come_after_their_targets() -> None:
    lab = read(
        '[sandbox.x]\nmode = "container"\ntarget = "y"\n'
        '[sandbox.y]\nmode = "container"\ntarget = "z-1"\n'
        '[sandbox.z]\nmode = "bridge"\ncount = 2\n'
        '[sandbox.chosen]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\nip = "10.0.3.2"\n'
    )
    assert names(lab) == ["z-1", "y", "x", "z-2", "chosen"]


def test_a_long_chain_of_sharers_is_no_trouble() -> None:
    text = "".join(f'[sandbox.s{n}]\nmode = "container"\ntarget = "s{n + 1}"\n' for n in range(2000))
    assert names(read(text + '[sandbox.s2000]\nmode = "none"\n'))[:2] == ["s2000", "s1999"]


def test_a_plugins_targets_may_be_each_others_and_who_shares_still_comes_after_its_own() -> None:
    assert names(read(peers(a="b", b="a"))) == ["a", "b"]
    assert names(read(peers(a="a"))) == ["a"]
    mixed = '[sandbox.c]\nmode = "container"\ntarget = "a"\n'
    assert names(read(mixed + peers(a="b", b="c"))) == ["a", "c", "b"]
    assert names(read(peers(b="c") + mixed + peers(a="b"))) == ["b", "a", "c"]


def peers(**targets: str) -> str:
    return "".join(f'[sandbox.{name}]\nmode = "peer"\ntarget = "{target}"\n' for name, target in targets.items())


def test_a_network_may_leave_to_its_sandboxes_what_must_be_given() -> None:
    assert one('[network.n]\nmode = "tunnel"\nkeys = [1]\n[sandbox.a]\nnetwork = "n"\nremote = "x"\n').options == {
        "remote": "x",
        "keys": [1],
    }


@pytest.mark.parametrize("value", [f"network = 0x{'f' * 5000}", "network" + ".x" * 5000 + " = 1"])
def test_a_network_that_is_nothing_to_print_is_refused(value: str) -> None:
    refused(f"[sandbox.a]\n{value}\n", 2, "there is no network '")


def test_a_target_that_the_file_does_not_name_may_be_up_already() -> None:
    assert names(read('[sandbox.x]\nmode = "container"\ntarget = "elsewhere"\n')) == ["x"]


HEAD = '[sandbox.a]\nmode = "bridge"\n'
NETWORK = '[network.lan]\nmode = "bridge"\n'


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ('\n[sandbx.a]\nmode = "none"\n', 2, "there is no 'sandbx' in a lab file", "did you mean 'sandbox'?"),
        ("\nversion = 1\n", 2, "there is no 'version'", "known: network, sandbox"),
        ("sandbox = 1\n", 1, "'sandbox' holds tables", "write [sandbox.NAME]"),
        ("[sandbox]\na = 1\n", 1, "'sandbox' holds tables", "write [sandbox.NAME]"),
        ('[[sandbox]]\nmode = "none"\n', 1, "'sandbox' holds tables", "write [sandbox.NAME]"),
        ('\n[sandbox.Web]\nmode = "none"\n', 2, "sandbox name 'Web' is not allowed", "use lower-case"),
        ('\n[sandbox."../x"]\nmode = "none"\n', 2, "is not allowed", "use lower-case"),
        ('\n[sandbox.""]\nmode = "none"\n', 2, "is not allowed", "use lower-case"),
        ('[network.LAN]\nmode = "bridge"\n', 1, "network name 'LAN' is not allowed", "use lower-case"),
        ("[sandbox.a]\nip = 1\n", 1, "'a' names neither a mode nor a network", 'mode = "bridge"'),
        ("[sandbox.a]\nmode = 5\n", 2, "names neither a mode nor a network", ""),
        ('[sandbox.a]\nmode = "brigde"\n', 2, "there is no mode 'brigde'", "did you mean 'bridge'?"),
        ('[sandbox.a]\nmode = "\\u001b[31m"\n', 2, "there is no mode '\\x1b[31m'", "known: none, host"),
        ('[sandbox.a]\nip = 1\nnetwrok = "lan"\n', 3, "there is no key 'netwrok'", "did you mean 'network'?"),
        ('[sandbox.a]\nmdoe = "bridge"\n', 2, "there is no key 'mdoe'", "did you mean 'mode'?"),
        ('[network.lan]\nmtu = 1400\nmdoe = "bridge"\n', 3, "there is no key 'mdoe'", "did you mean 'mode'?"),
        ('[network.lan]\nmode = "brigde"\n', 2, "there is no mode 'brigde'", "did you mean 'bridge'?"),
        (NETWORK + 'subnett = "x"\n', 3, "mode 'bridge' has no option 'subnett'", "did you mean 'subnet'?"),
        (NETWORK + 'cuont = "x"\n', 3, "mode 'bridge' has no option 'cuont'", "known: "),
        (NETWORK + 'mtu = "big"\n', 3, "'mtu': 'big' is not a whole number", "write it in decimal"),
        (NETWORK + 'isolate = ["nte"]\n', 3, "'nte' is not a kind of namespace", "did you mean 'net'?"),
        (NETWORK + 'command = "true"\n', 3, "'command' is a list of words", ""),
        (NETWORK + 'cap-add = ["kil"]\n', 3, "'kil' is not a capability", "did you mean 'kill'?"),
        ("[network.lan]\nmtu = 1400\n", 1, "network 'lan' names no mode", 'mode = "bridge"'),
        ("[network.lan]\n\nmode = 1\n", 3, "network 'lan' names no mode", ""),
        (NETWORK + "count = 3\n", 3, "'count' is for sandboxes", ""),
        (NETWORK + 'network = "lan"\n', 3, "'network' is for sandboxes", ""),
        (NETWORK + '[sandbox.a]\n\nnetwork = "lna"\n', 5, "there is no network 'lna'", "did you mean 'lan'?"),
        ('[sandbox.a]\nnetwork = "lan"\n', 2, "there is no network 'lan'", "known: none"),
        (NETWORK + '[sandbox.a]\nnetwork = ["lan"]\n', 4, "there is no network", ""),
        (NETWORK + "[sandbox.a]\nnetwork = {}\n", 4, "there is no network", ""),
        (NETWORK + '[sandbox.a]\nnetwork = "lan"\nmode = "none"\n', 5, "is of mode 'bridge'", "leave the mode out"),
        ('[network.lan]\nmode = "brigde"\n[sandbox.a]\nnetwork = "lan"\n', 2, "no mode 'brigde'", "mean 'bridge'?"),
        (HEAD + '\nsubnett = "10.0.3.0/24"\n', 4, "mode 'bridge' has no option 'subnett'", "did you mean 'subnet'?"),
        (HEAD + "cuont = 3\n", 3, "has no option 'cuont'", "did you mean 'count'?"),
        (HEAD + 'target = "b"\n', 3, "mode 'bridge' has no option 'target'", ""),
        (NETWORK + 'subnett = "x"\n[sandbox.a]\nnetwork = "lan"\n', 3, "has no option 'subnett'", "mean 'subnet'?"),
        (HEAD + 'mtu = "big"\n', 3, "'mtu': 'big' is not a whole number", "write it in decimal"),
        (HEAD + "mtu = 1400.5\n", 3, "'mtu'", "write it in decimal"),
        (HEAD + "mtu = true\n", 3, "'mtu'", "write it in decimal"),
        (HEAD + "mtu = inf\n", 3, "'mtu'", "write it in decimal"),
        (HEAD + "ip = 167772160\n", 3, "'ip'", "put it in quotes"),
        (HEAD + 'ip = ["10.0.3.2"]\n', 3, "'ip'", "put it in quotes"),
        (HEAD + "ip = 2020-01-01\n", 3, "'ip'", "put it in quotes"),
        (HEAD + 'mtu = 1400\nip = "010.0.3.2"\n', 4, "'ip': '010.0.3.2' is not an IPv4 address", "leading zeros"),
        (HEAD + 'subnet = "10.0.3.1/24"\n', 3, "'subnet'", "did you mean 10.0.3.0/24?"),
        (HEAD + 'internal = "yes"\n', 3, "'internal': 'yes' is not a switch", "true or false"),
        (HEAD + 'allow-overlap = "yes"\n', 3, "'allow_overlap'", "true or false"),
        (HEAD + "allow-overlap = true\nallow_overlap = true\n", 3, "'allow_overlap' is given twice", ""),
        (HEAD + 'cap-add = []\ncap_add = ["kill"]\n', 3, "'cap_add' is given twice", ""),
        (HEAD + 'bridge = "a\\u0000b"\n', 3, "'bridge'", "leave out control characters"),
        (NETWORK + 'mtu = "x"\n[sandbox.a]\nnetwork = "lan"\n', 3, "'mtu': 'x' is not a whole number", ""),
        ('[sandbox.a]\nmode = "tunnel"\n', 1, "'remote' is missing", "the other end"),
        ('[sandbox.a]\nmode = "tunnel"\nremote = "x"\nkeys = ["x"]\n', 4, "'keys': 'x' is not a whole number", ""),
        (HEAD + 'isolate = "net"\n', 3, "'isolate' is a list of words", 'isolate = ["net"]'),
        (HEAD + "isolate = [1]\n", 3, "'isolate' is a list of words", 'isolate = ["net"]'),
        (HEAD + 'isolate = ["nte"]\n', 3, "'nte' is not a kind of namespace", "did you mean 'net'?"),
        (HEAD + 'command = "sleep 60"\n', 3, "'command' is a list of words", 'command = ["sleep", "60"]'),
        (HEAD + 'command = ["sleep", 60]\n', 3, "'command' is a list of words", 'command = ["sleep", "60"]'),
        (HEAD + 'command = ["a\\u0000"]\n', 3, "'command' is a list of words", ""),
        (HEAD + 'env = ["A=1"]\n', 3, "'env' is a table of texts", "env = {"),
        (HEAD + "env = { A = 1 }\n", 3, "'env' is a table of texts", "env = {"),
        (HEAD + 'env = { "A B" = "1" }\n', 3, "'env': 'A B' is not a variable's name", 'like env = { LANG = "C" }'),
        (HEAD + 'env = { "A=B" = "x" }\n', 3, "'env': 'A=B' is not a variable's name", ""),
        (HEAD + 'env = { A = "\\u001b" }\n', 3, "'env': the value of 'A' holds characters", ""),
        (HEAD + 'cap_add = "kill"\n', 3, "'cap_add' is a list of words", ""),
        (HEAD + 'cap-drop = ["kil"]\n', 3, "'kil' is not a capability", "did you mean 'kill'?"),
        (HEAD + "privileged = 1\n", 3, "'privileged' is a switch", "true or false"),
        (HEAD + "count = -1\n", 3, "count is a number from 0 to 4096", ""),
        (HEAD + "count = 4097\n", 3, "count is a number from 0 to 4096", ""),
        (HEAD + 'count = "3"\n', 3, "count is a number from 0 to 4096", ""),
        (HEAD + "count = true\n", 3, "count is a number from 0 to 4096", ""),
        (HEAD + "count = 1.0\n", 3, "count is a number from 0 to 4096", ""),
        (HEAD + 'ip = "10.0.3.2"\ncount = 2\n', 3, "2 sandboxes can't have one address", "leave it out"),
        (HEAD + 'mac = "02:00:00:00:00:01"\ncount = 2\n', 3, "2 sandboxes can't have one address", "leave it out"),
        (
            NETWORK + 'ip = "10.0.3.2"\n[sandbox.a]\nnetwork = "lan"\ncount = 2\n',
            3,
            "2 sandboxes can't have one address",
            "",
        ),
        (f'[sandbox.{"a" * 62}]\nmode = "none"\ncount = 1\n', 1, "is not allowed", "at most 63"),
        ('[sandbox.a]\nmode = "none"\n[sandbox.a]\nmode = "none"\n', 3, "twice", "TOML"),
        ('[sandbox.a-1]\nmode = "none"\n[sandbox.a]\nmode = "none"\ncount = 1\n', 3, "two sandboxes 'a-1'", ""),
        ('[sandbox.a]\nmode = "container"\ntarget = "a"\n', 3, "shares, through others, its own network", ""),
        (
            "".join(f'[sandbox.{n}]\nmode = "container"\ntarget = "{t}"\n' for n, t in ("ab", "bc", "cb")),
            6,
            "sandbox 'b' shares, through others, its own network",
            "",
        ),
        ("[sandbox.a\n", 1, "Expected", "TOML"),
    ],
)
def test_what_is_wrong_is_refused_with_file_line_and_hint(text: str, line: int, says: str, hint: str) -> None:
    refused(text, line, says, hint)
