"""
Lab files: many sandboxes in one TOML file, brought up as one plan.

`text` reads the file and knows its lines, `file` checks what it says, `difference` compares it with what is up,
`planning` says in which order, and `schema` is for editors.
All of it is pure.
"""

from __future__ import annotations

from nsctl.engine.labfiles.difference import STDIN, Difference, compare
from nsctl.engine.labfiles.file import Lab, Wanted, read_lab
from nsctl.engine.labfiles.planning import Reserved
from nsctl.engine.labfiles.schema import schema

__all__ = ["STDIN", "Difference", "Lab", "Reserved", "Wanted", "compare", "read_lab", "schema"]
