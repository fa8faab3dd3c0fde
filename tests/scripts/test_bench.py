"""The benchmark works, and counts right. How long anything takes is asserted nowhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scripts.benchmark.bench import Bench, Reading
from scripts.benchmark.cost import Cost, Failed, Work
from scripts.benchmark.phases import everyday, watching
from scripts.benchmark.phases.imports import read
from scripts.benchmark.picture import draw
from scripts.benchmark.summary import Span, rows
from scripts.benchmark.table import tables
from scripts.benchmark.variants import VARIANTS
from tests.lab import needs

ROOT = Path(__file__).parents[2]


WATCH = [watching.idle_of(2), *(watching.open_after(flush, 2) for flush in watching.FLUSHES)]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-E", "-s", "-m", "scripts.benchmark", *words]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)


def reading(variant: str, turn: int, wall: float, *, count: int = 1, gone: float | None = None) -> Reading:
    return Reading("up", variant, turn, count, Cost(wall, wall / 2, gone))


READINGS = [
    reading("ours", 0, 0.010),
    reading("theirs", 0, 0.030),
    reading("ours", 1, 0.100),  # a slow moment: both take ten times as long
    reading("theirs", 1, 0.300),
    reading("ours", 2, 0.012),
    reading("theirs", 2, 0.036),
]


@pytest.mark.slow
@needs("bridge", "iptables")
def test_one_command_measures_in_labs_and_writes_table_json_and_picture(tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "b.json"), "--svg", str(tmp_path / "b.svg"))
    done = bench("--quick", "--rounds", "1", "--sizes", "2", "--only", "nsctl,script,netlink", *files)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert set(result["left out"]) <= {"netlink", "cni-bridge"}, result["left out"]  # what need not be installed
    singly = {"nsctl", "nsctl-full", "nsctl-no-batch", "script"}
    for metric in ("up, first", "up, n-th", "down, n-th", "down, last"):
        assert {row["variant"] for row in result["milliseconds"][metric]} >= singly
        assert metric in done.stdout
    together = {"nsctl-lab", "nsctl-lab-full", "nsctl-lab-no-batch", "script"}
    for metric in ("up of 2, each", "down of 2, each"):
        assert {row["variant"] for row in result["milliseconds"][metric]} >= together
    assert all(row["gone"] for row in result["milliseconds"]["down of 2, each"])
    for metric in everyday.METRICS:
        own = {row["variant"]: row["ratio"] for row in result["milliseconds"][metric]}
        assert {"python", "nsctl-command"} <= own.keys(), metric
        assert own["python"] is None, metric
        assert own["nsctl-command"], metric
    for metric in (everyday.LS, everyday.UP, everyday.DOWN):
        assert "nsctl-resident" in {row["variant"] for row in result["milliseconds"][metric]}
    for metric in (
        "check of 2",
        "repair of 2, nothing to do",
        "recover after a kill at 2",
        "one up beside 2",
        "ls of 3",
        *WATCH,
    ):
        assert result["milliseconds"][metric], metric
    assert all(size > 0 for size in result["MiB"].values())
    assert "nsctl" in result["imports"]["packages"]
    assert ET.parse(tmp_path / "b.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own


def test_a_name_that_is_not_known_is_refused() -> None:
    done = bench("--only", "nsctl,vagrant")
    assert done.returncode == 2
    assert "there is no vagrant" in done.stderr


def test_ratios_are_taken_round_by_round() -> None:
    ours, theirs = rows(READINGS, "up", ("ours", "theirs", "nobody"))
    assert ours.ratio is None
    assert astuple(ours.wall) == pytest.approx((12, 10, 100))
    assert theirs.ratio is not None
    assert astuple(theirs.ratio) == pytest.approx((3, 3, 3))


def test_the_cost_of_many_is_given_for_each() -> None:
    [row] = rows([reading("ours", 0, 2.0, count=100, gone=3.0)], "up", ("ours",))
    assert (row.wall.median, row.cpu.median) == (20, 10)
    assert row.gone == Span(30, 30, 30)


def test_a_round_that_one_of_two_missed_makes_no_ratio() -> None:
    _, theirs = rows([reading("ours", 0, 1), reading("theirs", 1, 1)], "up", ("ours", "theirs"))
    assert theirs.ratio is None


def test_the_table_has_a_line_for_each_variant_and_columns_that_line_up() -> None:
    [text] = tables([rows(READINGS, "up", ("ours", "theirs"))], {"ours": "nsctl", "theirs": "a script"})
    head, rule, ours, theirs = text.splitlines()
    assert head.startswith("up (3 rounds)")
    assert set(rule) == {"-"}
    assert ours.split()[:3] == ["nsctl", "12.0", "10.0-100"]
    assert theirs.split()[-3:] == ["x", "3.00", "3.00-3.00"]
    assert head.index("ms") + 2 == ours.index("12.0") + 4


def test_the_picture_is_well_formed_and_has_a_bar_for_each_variant() -> None:
    section = rows(READINGS, "up", ("ours", "theirs"))
    picture = ET.fromstring(draw([("up & away", section), ("nothing", [])], {"theirs": "<theirs>"}, "here"))  # noqa: S314 - our own
    tag = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.attrib["width"]) for bar in picture.iter(f"{tag}rect")]
    assert len(widths) == 2
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    assert [text.text for text in picture.iter(f"{tag}text")][:3] == ["up & away", "ours", "12.0 ms"]
    assert "prefers-color-scheme: dark" in "".join(picture.itertext())


def test_import_times_are_read_from_among_other_lines() -> None:
    imports = read(
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1000 |       1000 |     os\n"
        "web is up\n"
        "import time:      2000 |       2000 |       nsctl.engine\n"
        "import time:       500 |       2500 |     nsctl\n"
    )
    assert (imports.total, imports.modules) == (3.5, 3)
    assert imports.packages == {"nsctl": 2.5, "os": 1.0}
    assert next(iter(imports.largest.items())) == ("nsctl.engine", (2.0, 2.0))


def test_no_round_begins_that_the_time_is_too_short_for() -> None:
    assert list(Bench(rounds=5, sizes=(1,), everybody=1, limit=0.0).turns(1.0)) == [0]


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(Failed, match="exit status 3: no such thing"):
        Work().run("sh", "-c", "echo no such thing >&2; exit 3")


def test_cpu_time_of_children_counts() -> None:
    work = Work()
    assert work.run("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done") == "done\n"
    assert work.cpu > 0


def test_every_variant_says_what_it_is() -> None:
    keys = [variant.key for variant in VARIANTS]
    assert len(set(keys)) == len(keys)
    assert all(variant.title and variant.note for variant in VARIANTS)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_finds_nothing_in_the_script_that_nsctl_is_compared_with() -> None:
    script = ROOT / "scripts" / "benchmark" / "variants" / "attach.sh"
    found = subprocess.run(["shellcheck", script], check=False, capture_output=True, text=True)
    assert found.stdout == ""
