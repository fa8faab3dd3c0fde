from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl import opt
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.options import fields_of, from_plain, from_strings, nearest, to_plain


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Everything:
    target: str = opt(help="whom to join")
    mtu: int | None = opt(None, "bytes")
    rate: float = opt(1.5, "a number")
    internal: bool = opt(default=False, help="no way out")
    address: IPv4Address = opt(IPv4Address("10.0.0.1"), "an address")
    inside: IPv4Interface = opt(IPv4Interface("10.66.0.2/30"), "address inside")
    subnet: IPv4Network | None = opt(None, "a network")
    six: IPv6Address | None = None
    six_inside: IPv6Interface | None = None
    six_net: IPv6Network | None = None
    colour: Colour = Colour.RED
    level: Literal["low", "high"] = "low"
    dns: tuple[IPv4Address, ...] = ()


def test_each_field_of_the_dataclass_is_an_option_with_flag_default_and_help() -> None:
    fields = {f.name: f for f in fields_of(Everything)}
    assert list(fields) == list(Everything.__dataclass_fields__)
    assert fields["target"].required
    assert fields["six_inside"].flag == "--six-inside"
    assert fields["inside"].default == IPv4Interface("10.66.0.2/30")
    assert fields["inside"].help == "address inside"
    assert fields["colour"].choices == ("red", "blue")
    assert fields["level"].metavar == "low|high"
    assert fields["dns"].multiple
    assert fields["mtu"].nullable


def test_strings_of_a_command_line_become_values_of_the_right_types() -> None:
    options = from_strings(
        Everything,
        {
            "target": "web",
            "mtu": "1400",
            "rate": "2",
            "internal": True,
            "inside": "10.1.0.2/24",
            "subnet": "10.1.0.0/24",
            "six": "fd00::1",
            "six_net": "fd00::/64",
            "colour": "blue",
            "level": "high",
            "dns": ["1.1.1.1", "9.9.9.9"],
        },
    )
    assert options.mtu == 1400
    assert options.rate == 2.0
    assert options.subnet == IPv4Network("10.1.0.0/24")
    assert options.six == IPv6Address("fd00::1")
    assert options.colour is Colour.BLUE
    assert options.dns == (IPv4Address("1.1.1.1"), IPv4Address("9.9.9.9"))


def test_what_to_plain_writes_from_plain_reads_back_by_way_of_json() -> None:
    options = from_plain(Everything, {"target": "web", "dns": ["1.1.1.1"], "six-inside": "fd00::2/64", "mtu": 9000})
    assert from_plain(Everything, json.loads(json.dumps(to_plain(options)))) == options


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("mtu", "14oo", "--mtu: '14oo' is not a whole number"),
        ("mtu", "1_400", "not a whole number"),
        ("mtu", "\u0661", "not a whole number"),
        ("mtu", True, "not a whole number"),
        ("rate", "nan", "not a number"),
        ("address", "010.0.0.1", "not an IPv4 address"),
        ("address", "10.0.0.256", "not an IPv4 address"),
        ("address", 1, "not text"),
        ("inside", "10.0.0.1", "with a prefix length"),
        ("subnet", "10.0.3.7/24", "not an IPv4 network"),
        ("subnet", "10.0.3.0/33", "not an IPv4 network"),
        ("six", "fd00::g", "not an IPv6 address"),
        ("six", "fe80::1%eth0; rm", "not an IPv6 address"),
        ("colour", "rad", "not a choice"),
        ("level", "", "not a choice"),
        ("target", "web\x1b[2J", "not printable text"),
        ("target", "web\0", "not printable text"),
        ("target", "\udcff", "not printable text"),
        ("target", None, "needs a value"),
        ("internal", "yes", "not a switch"),
        ("dns", ["1.1.1.1", "x"], "--dns: 'x' is not an IPv4 address"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_option(name: str, value: Any, part: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_strings(Everything, {"target": "web", name: value})
    assert part in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.hint or name == "target"


def test_host_bits_in_a_network_get_the_network_as_a_hint() -> None:
    with pytest.raises(Invalid) as caught:
        from_strings(Everything, {"target": "web", "subnet": "10.0.3.7/24"})
    assert "did you mean 10.0.3.0/24?" in caught.value.hint


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(Invalid, match="there is no option 'subnt'") as caught:
        from_plain(Everything, {"target": "web", "subnt": "10.0.0.0/24"})
    assert caught.value.hint == "did you mean 'subnet'?"


def test_a_missing_option_is_named_with_its_help() -> None:
    with pytest.raises(Invalid, match="--target is missing") as caught:
        from_strings(Everything, {})
    assert "whom to join" in caught.value.hint


def test_a_key_given_twice_in_two_spellings_is_refused() -> None:
    with pytest.raises(Invalid, match="given twice"):
        from_plain(Everything, {"target": "a", "six-net": "fd00::/64", "six_net": "fd00::/64"})


def test_what_the_dataclass_itself_refuses_is_invalid_too() -> None:
    @dataclass(frozen=True)
    class Picky:
        mtu: int = 1500

        def __post_init__(self) -> None:
            if self.mtu < 68:
                raise ValueError("an MTU below 68 carries no IPv4")

    with pytest.raises(Invalid, match="carries no IPv4"):
        from_strings(Picky, {"mtu": "67"})


def test_a_type_that_cannot_be_read_is_found_when_the_mode_is_loaded() -> None:
    @dataclass(frozen=True)
    class Odd:
        table: dict[str, str] | None = None

    with pytest.raises(TypeError, match="table"):
        fields_of(Odd)
    with pytest.raises(TypeError, match="not a dataclass"):
        fields_of(str)


@given(name=st.sampled_from([f.name for f in fields_of(Everything)]), value=st.text(max_size=40))
def test_any_text_is_either_read_or_refused_in_one_printable_line(name: str, value: str) -> None:
    try:
        options = from_strings(Everything, {"target": "web", name: value})
    except Invalid as e:
        refusal, options = e, None
    else:
        refusal = Invalid("")
    assert refusal.message.isprintable()
    assert options is None or from_plain(Everything, to_plain(options)) == options


def test_the_nearest_word_is_close_or_nothing() -> None:
    assert nearest("brige", ["bridge", "host"]) == "bridge"
    assert nearest("xyz", ["bridge", "host"]) == ""
