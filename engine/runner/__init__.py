"""
The one funnel: every command that changes the host goes through here.

`tools` finds the binaries, `process` runs one command under a deadline, `writes` does plain writes without a process,
`netns` enters a namespace. `batches` sorts commands into batches (`ip_batch`, `iptables_restore`, `nft_file`, …),
`perform` carries out one, and `workers` all of them, side by side.
"""

from __future__ import annotations

from nsctl.engine.runner.process import Runner
from nsctl.engine.runner.result import Result
from nsctl.engine.runner.tools import TOOL_PATH, find_tool, iptables_backend, missing_tool

__all__ = ["TOOL_PATH", "Result", "Runner", "find_tool", "iptables_backend", "missing_tool"]
