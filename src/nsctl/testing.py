"""For authors of modes: see `nsctl.engine.testing`."""

from __future__ import annotations

from nsctl.engine.testing import *  # noqa: F403 - its face is this one
from nsctl.engine.testing import __all__  # noqa: F401 - likewise
