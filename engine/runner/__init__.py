"""
The one funnel: every command that changes the host goes through here.

`tools` finds the binaries, `process` runs one command under a deadline, `writes` does plain writes without a process,
`netns` enters a namespace. `batches` sorts commands into batches (`ip_batch`, `iptables_restore`, `nft_file`, …),
`perform` carries out one, and `carry_out` all of them, side by side by `workers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsctl.engine.runner.process import Runner
    from nsctl.engine.runner.result import Result
    from nsctl.engine.runner.tools import TOOL_PATH, find_tool, iptables_backend, missing_tool

__all__ = ["TOOL_PATH", "Result", "Runner", "find_tool", "iptables_backend", "missing_tool"]


def __getattr__(name: str) -> Any:
    # Who only looks for a tool takes `tools`, and does not load what runs it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nsctl.engine.runner import process, result, tools

    module = next(module for module in (process, result, tools) if name in module.__all__)
    return getattr(module, name)
