"""The command line of scripts/faults: all faults, and one table of what came of them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.lab import missing_for_labs

__all__ = ["main", "report", "table"]

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
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
        status = _pytest(options, directory)
        parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(directory).iterdir())]
        found = report(merged(options.seed, parts), status)
        if not found["classes"]:
            sys.stderr.write("faults: nothing was tried\n")
            return 1 if status == 1 else 2
    text = json.dumps(found, indent=2) + "\n"
    if options.json and options.json != "-":
        Path(options.json).write_text(text, encoding="utf-8")
    sys.stdout.write(text if options.json == "-" else table(found))
    return 0 if found["survived"] else 1


def merged(seed: int, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    The counts of all processes in one.

    Args:
        seed: What chose the cases.
        parts: What `Tally.write` wrote in each.
    """
    classes: dict[str, dict[str, float]] = {}
    for part in parts:
        for kind, count in part["classes"].items():
            sum_of = classes.setdefault(kind, dict.fromkeys(count, 0))
            for key, value in count.items():
                sum_of[key] += value
    return {"seed": seed, "classes": classes, "not_begun": sum(part["not_begun"] for part in parts)}


def _pytest(options: argparse.Namespace, counts: str) -> int:
    environment = {"NSCTL_FAULTS_SEED": str(options.seed), "NSCTL_FAULTS_REPORT": counts}
    if options.quick:
        environment["NSCTL_FAULTS_MOST"] = str(QUICK)
    if options.minutes is not None:
        environment["NSCTL_FAULTS_UNTIL"] = str(time.monotonic() + 60 * options.minutes)
    words = ["-q", "--no-header", "-p", "no:cacheprovider", *(["-k", options.k] if options.k else [])]
    processes = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
    others = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if "mark.nightly" in path.read_text("utf-8")]
    argv = [sys.executable, "-E", "-s", "-m", "pytest", *words, *processes, "tests/faults", *others]
    # Results are the table alone.
    return subprocess.run(argv, check=False, cwd=ROOT, env=os.environ | environment, stdout=sys.stderr).returncode


def report(counts: Mapping[str, Any], status: int) -> dict[str, Any]:
    """
    What is told of the counts.

    Args:
        counts: The counts, see `merged`.
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
    not_begun = f"not begun, for lack of time: {found['not_begun']} tests\n" if found["not_begun"] else ""
    return "".join(_row(line, widths) for line in lines) + not_begun


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
    add("--seed", type=int, metavar="N", help="what chooses where not everything can be tried (1; see --minutes)")
    add("--quick", action="store_true", help=f"of each sweep, only {QUICK} cases")
    add(
        "--minutes",
        type=float,
        metavar="N",
        help="begin nothing new after N minutes; the seed, by then the day's, orders it",
    )
    add("-k", metavar="WORDS", help="only the tests whose names match, as for pytest")
    add("--json", nargs="?", const="-", metavar="FILE", help="write the counts to FILE, or in place of the table")
    options = parser.parse_args()
    if options.seed is None:
        # Each day begins with something else, so that in some days all has its turn.
        options.seed = 1 if options.minutes is None else date.today().toordinal()  # noqa: DTZ011 - whatever day it is here
    return options


if __name__ == "__main__":
    sys.exit(main())
