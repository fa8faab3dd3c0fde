from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl.engine.app.parsers import capabilities, environment, namespaces, seconds
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.plan import NAMESPACES
from nsctl.engine.planning.enter import CAPABILITIES


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("60s", 60), ("60", 60), ("1.5m", 90), ("1h", 3600), ("168h", 604800)]
)
def test_a_span_of_time_is_read_in_its_unit(text: str, value: float) -> None:
    assert seconds(text, "--confirm") == value


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1e3", "inf", "nan", "1 h", "1d", "169h", "\u0661s", "60s\n"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--confirm"):
        seconds(text, "--confirm")


def test_namespaces_come_in_one_order_and_once() -> None:
    assert namespaces("net, pid,net") == ("pid", "net")
    assert namespaces(",".join(NAMESPACES)) == NAMESPACES


@pytest.mark.parametrize("text", ["", "net,", "all", "user", "NET"])
def test_what_is_no_list_of_namespaces_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--isolate"):
        namespaces(text)


def test_variables_come_with_a_value_or_from_here() -> None:
    assert environment(["A=1", "B", "C=", "A=1"], {"B": "here"}) == {"A": "1", "B": "here", "C": ""}


@pytest.mark.parametrize("word", ["", "=x", "1A=x", "A-B=x", "MISSING", "A=\x1b", "A=\n", "A=\0", "\udcff=1"])
def test_what_is_no_variable_is_refused_without_its_value(word: str) -> None:
    with pytest.raises(Invalid) as caught:
        environment([word], {})
    assert str(caught.value).isprintable()


def test_capabilities_are_written_as_setpriv_does() -> None:
    assert capabilities(["CAP_NET_ADMIN,sys_time", "net_admin"], "--cap-add") == ["net_admin", "sys_time"]
    assert capabilities(CAPABILITIES, "--cap-drop") == sorted(CAPABILITIES)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    readers: list[Any] = [
        lambda: seconds(text, "--x"),
        lambda: namespaces(text),
        lambda: environment([text], {}),
        lambda: capabilities([text], "--x"),
    ]
    for read in readers:
        try:
            read()
        except Invalid as e:
            refusal = e.message
        else:
            refusal = ""
        assert refusal.isprintable()
