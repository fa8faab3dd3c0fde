from __future__ import annotations

import pytest

from nsctl.engine.labfiles.text import Source
from nsctl.engine.model.errors import Invalid

TEXT = """\
# sandbox.web is below
[network.lan]
mode = "bridge"

[ sandbox . "web" ]   # spaced and quoted
network = "lan"
allow-overlap = true
'ip' = "10.0.3.10"
env.LANG = "C"

[sandbox.web-2]
ip = "10.0.3.11"
"""


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        (("network", "lan"), None, 2),
        (("network", "lan"), "mode", 3),
        (("sandbox", "web"), None, 5),
        (("sandbox", "web"), "network", 6),
        (("sandbox", "web"), "allow_overlap", 7),
        (("sandbox", "web"), "allow-overlap", 7),
        (("sandbox", "web"), "ip", 8),
        (("sandbox", "web"), "env", 9),
        (("sandbox", "web-2"), None, 11),
        (("sandbox", "web-2"), "ip", 12),
    ],
)
def test_a_table_and_a_key_have_the_line_they_stand_on(table: tuple[str, ...], key: str | None, line: int) -> None:
    assert Source("lab.toml", TEXT).line(table, key) == line


def test_a_key_that_is_not_in_its_table_has_the_line_of_the_header() -> None:
    assert Source("lab.toml", TEXT).line(("sandbox", "web"), "mtu") == 5


def test_a_key_at_the_top_is_found_without_a_header() -> None:
    source = Source("lab.toml", '\nname = "x"\n[a.b]\nname = "y"\n')
    assert (source.line((), "name"), source.line(("a", "b"), "name")) == (2, 4)


def test_what_stands_in_an_inline_table_has_the_first_line() -> None:
    assert Source("lab.toml", 'sandbox = { web = { mode = "none" } }').line(("sandbox", "web"), "mode") == 1


@pytest.mark.parametrize("separator", ["\f", "\v", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_newlines_count_as_ends_of_lines(separator: str) -> None:
    # str.splitlines knows eight more; in a comment, TOML allows some of them.
    text = f"# a{separator}b\n[sandbox.web]\n"
    try:
        source = Source("lab.toml", text)
    except Invalid as e:
        assert "line 1:" in e.message  # noqa: PT017  a control character: TOML refuses it, where it is
    else:
        assert source.line(("sandbox", "web")) == 2


def test_lines_that_end_as_on_windows_are_counted_alike() -> None:
    assert Source("lab.toml", TEXT.replace("\n", "\r\n")).line(("sandbox", "web"), "ip") == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[sandbox.web]\nmode = bridge\n", 2),
        ("[sandbox.web]\n[sandbox.web]\n", 2),
        ('[sandbox.web]\nmode = "a"\nmode = "b"\n', 3),
        ('{"plan": 1}', 1),
        ('[sandbox.web]\nmode = "bridge"\ncommand = ["sleep",\n', 3),
        ('[sandbox.web]\nmode = """never closed', 2),
        ("\0", 1),
        ("a = " + "[" * 100_000, 1),
        ("\ufeff[sandbox.web]", 1),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Invalid) as caught:
        Source("lab.toml", text)
    assert caught.value.message.startswith(f"lab.toml, line {line}: ")
    assert "(at " not in caught.value.message
    assert "TOML" in caught.value.hint


def test_a_complaint_carries_file_line_and_hint_and_the_files_name_is_safe_to_show() -> None:
    error = Source("la\x1b[31mb.toml", TEXT).wrong("no", ("sandbox", "web"), "ip", "yes")
    assert (error.message, error.hint) == ("la\\x1b[31mb.toml, line 8: no", "yes")
