from __future__ import annotations

import pytest

from tests.lab import Lab


@pytest.fixture
def host(lab: Lab) -> Lab:
    """A lab host on which the resident process waits."""
    lab.nsctl("resident", "start", check=True)
    return lab
