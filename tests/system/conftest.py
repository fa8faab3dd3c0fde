from __future__ import annotations

import pytest

from tests.system.plugins import Environment


@pytest.fixture(scope="session")
def environment(_labs: None, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with nsctl from a wheel, for the tests of plugins."""
    return Environment(tmp_path_factory.mktemp("environment"))
