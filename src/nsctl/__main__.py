"""
`python -m nsctl`, and the console script.
"""

from __future__ import annotations

import sys


def main() -> None:
    """
    Run the command line.
    """
    from nsctl.engine.cli import main as command_line

    sys.exit(command_line())


if __name__ == "__main__":
    main()
