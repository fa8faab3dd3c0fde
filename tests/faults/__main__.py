"""The command line of scripts/faults: all faults, and one table of what came of them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.lab import missing_for_labs

__all__ = ["main", "report", "table"]

ROOT = Path(__file__).parents[2]
QUICK = 4
"""Cases of each sweep with `--quick`."""
HEAD = ("fault class", "tried", "survived", "left over", "seconds")


def main() -> int:
    """
    Try, and print what came of it.

    Returns:
        0 if everything was survived, 1 if not, 2 if nothing could be tried.
    """
    options = _options()
    if reason := missing_for_labs():
        sys.stderr.write(f"faults: {reason}: sudo scripts/faults\n")
        return 2
    with TemporaryDirectory() as directory:
        counts = Path(directory) / "counts"
        status = _pytest(options, counts)
        if not counts.exists():
            sys.stderr.write("faults: nothing was tried\n")
            return 1 if status == 1 else 2
        found = report(json.loads(counts.read_text(encoding="utf-8")), status)
    text = json.dumps(found, indent=2) + "\n"
    if options.json and options.json != "-":
        Path(options.json).write_text(text, encoding="utf-8")
    sys.stdout.write(text if options.json == "-" else table(found))
    return 0 if found["survived"] else 1


def _pytest(options: argparse.Namespace, counts: Path) -> int:
    environment = {"NSCTL_FAULTS_SEED": str(options.seed), "NSCTL_FAULTS_REPORT": str(counts)}
    if options.quick:
        environment["NSCTL_FAULTS_MOST"] = str(QUICK)
    words = ["-q", "--no-header", "-p", "no:cacheprovider", *(["-k", options.k] if options.k else []), "tests/faults"]
    argv = [sys.executable, "-E", "-s", "-m", "pytest", *words]
    # Results are the table alone.
    return subprocess.run(argv, check=False, cwd=ROOT, env=os.environ | environment, stdout=sys.stderr).returncode


def report(counts: Mapping[str, Any], status: int) -> dict[str, Any]:
    """
    What is told of the counts that `Tally.write` wrote.

    Args:
        counts: The counts.
        status: The exit status of pytest: a test may fail without a fault that was not survived.
    """
    classes = counts["classes"]
    total = {
        key: sum(count[key] for count in classes.values()) for key in ("tried", "survived", "left_over", "seconds")
    }
    return {**counts, "total": total, "survived": status == 0 and total["left_over"] == 0}


def table(found: Mapping[str, Any]) -> str:
    """The same, for people."""
    counts = [*sorted(found["classes"].items()), (f"all, with seed {found['seed']}", found["total"])]
    lines = [HEAD, *((name, c["tried"], c["survived"], c["left_over"], f"{c['seconds']:.0f}") for name, c in counts)]
    widths = [max(len(str(line[n])) for line in lines) for n in range(len(HEAD))]
    return "".join(_row(line, widths) for line in lines)


def _row(cells: Sequence[object], widths: Sequence[int]) -> str:
    first, *rest = (str(cell) for cell in cells)
    return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Try every fault that nsctl has to survive, in labs, and count.",
        epilog="What is tried, and where, is told in tests/faults/README.md.",
    )
    add = parser.add_argument
    add("--seed", type=int, default=1, metavar="N", help="what chooses where not everything can be tried (1)")
    add("--quick", action="store_true", help=f"of each sweep, only {QUICK} cases")
    add("-k", metavar="WORDS", help="only the tests whose names match, as for pytest")
    add("--json", nargs="?", const="-", metavar="FILE", help="write the counts to FILE, or in place of the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
