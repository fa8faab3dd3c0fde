from __future__ import annotations

import pytest

from tests.lab import missing, needs


@needs("bridge", "tool:sh")
def test_needs_lets_a_test_run_where_the_kernel_can() -> None:
    assert missing("bridge") == ""


@pytest.mark.usefixtures("lab")
def test_needs_names_what_is_missing() -> None:
    assert missing("nosuchlink").startswith("no nosuchlink here: ")
    assert missing("tool:no-such-tool") == "no-such-tool is not installed"
