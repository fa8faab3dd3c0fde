"""The names of `nsctl.engine.model.effects`, under the module's former name."""

from __future__ import annotations

from nsctl.engine.model.effects import *  # noqa: F403
