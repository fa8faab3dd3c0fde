"""
Protective rules of nsctl's, each taken out: what `test_ablation` tries its tests on.

A patch is applied in one forked nsctl (see `zygote`), never in a process that goes on.
"""

from __future__ import annotations

from collections.abc import Callable

PATCHES: dict[str, Callable[[str], None]] = {}
"""Name → what to call with an argument."""
