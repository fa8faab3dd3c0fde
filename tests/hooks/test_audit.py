from __future__ import annotations

import errno
import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nsctl.engine.model.commands import Command, Spawn
from nsctl.engine.model.effects import LinkIs
from nsctl.engine.model.errors import Refused
from nsctl.engine.model.events import Event, PlanFinished, PlanStarted, StepDone, StepFailed, StepStarted, StepUndone
from nsctl.engine.model.plan import Step
from nsctl.hooks import writer
from nsctl.hooks.audit import AuditTrail, files_of, verify
from nsctl.hooks.writer import TrailFile

BRIDGE = Step(
    "link/nsbr0",
    "the bridge",
    Command(("ip", "link", "add", "nsbr0", "type", "bridge")),
    (Command(("ip", "link", "del", "dev", "nsbr0")),),
    LinkIs("nsbr0", "02:00:00:00:00:01"),
)
FILE = Step("file/x", "a file", Command(("install", "/dev/stdin", "x"), stdin="secret"), no_undo="goes at reboot")
INIT = Step(
    "init/web",
    "the init",
    Spawn(("unshare", "--fork", "env", "-i", "TOKEN=s3cret", "PATH=/bin", "sleep", "A=b"), "p", "l", netns="web"),
)


def started(operation: str = "up", number: int = 1) -> PlanStarted:
    return PlanStarted(f"t{number}", "web", operation, "bridge", (BRIDGE, FILE))


def change(trail: AuditTrail, number: int = 1, operation: str = "up") -> None:
    events: list[Event] = [
        started(operation, number),
        StepStarted(f"t{number}", "web", BRIDGE, 1, 2),
        StepDone(f"t{number}", "web", BRIDGE, executable="/usr/sbin/ip", duration=0.0012),
        PlanFinished(f"t{number}", "web", operation, "done"),
    ]
    for event in events:
        trail.nsctl_event(event)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nsctl" / "audit.jsonl"


@pytest.fixture
def trail(path: Path) -> AuditTrail:
    return AuditTrail(str(path), lambda mode: f"{mode}-package 1.0")


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_record_says_who_did_what_where_and_what_came_of_it(trail: AuditTrail, path: Path) -> None:
    change(trail)
    begun, done, finished = records(path)
    for record in (begun, done, finished):
        assert record["schema"] == 1
        assert record["transaction"] == "t1"
        assert record["sandbox"] == "web"
        assert record["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert record["host"] == os.uname().nodename
        assert record["uid"] == os.getuid()
        assert {"loginuid", "sudo_user", "tty", "cwd", "version", "time"} <= set(record)
        assert record["parent"]["pid"] == os.getppid()
    assert [r["seq"] for r in (begun, done, finished)] == [1, 2, 3]
    assert begun["plugin"] == "bridge-package 1.0"
    assert begun["steps"][0] == {"step": "link/nsbr0", "argv": list(BRIDGE.argv)}
    assert (done["event"], done["step"], done["rc"], done["duration_ms"]) == ("step_done", "link/nsbr0", 0, 1.2)
    assert done["executable"] == "/usr/sbin/ip"
    assert (finished["event"], finished["outcome"], finished["left"]) == ("plan_finished", "done", [])


def test_the_plan_is_on_record_before_anything_else_happens(trail: AuditTrail, path: Path) -> None:
    trail.nsctl_event(started())
    assert [r["event"] for r in records(path)] == ["plan_started"]
    trail.nsctl_event(StepDone("t1", "web", BRIDGE))
    assert len(records(path)) == 1
    trail.flush()
    assert len(records(path)) == 2


def test_failures_and_undos_are_told_with_their_outcome(trail: AuditTrail, path: Path) -> None:
    for event in (
        StepFailed("t", "web", BRIDGE, 2, "File exists"),
        StepFailed("t", "web", BRIDGE, -9, "timed out"),
        StepUndone("t", "web", BRIDGE),
        StepUndone("t", "web", BRIDGE, error="Device busy"),
        StepUndone("t", "web", FILE, skipped="was gone already"),
    ):
        trail.nsctl_event(event)
    trail.flush()
    failed, killed, undone, stuck, gone = records(path)
    assert (failed["rc"], failed["stderr"]) == (2, "File exists")
    assert killed["signal"] == 9
    assert undone["undo"] == [{"argv": ["ip", "link", "del", "dev", "nsbr0"]}]
    assert stuck["error"] == "Device busy"
    assert gone["skipped"] == "was gone already"


def test_while_taking_down_what_is_on_record_is_the_undo(trail: AuditTrail, path: Path) -> None:
    trail.nsctl_event(started("down"))
    assert records(path)[0]["steps"][0]["undo"] == [{"argv": ["ip", "link", "del", "dev", "nsbr0"]}]


def test_neither_what_a_command_reads_nor_values_of_variables_get_into_the_trail(trail: AuditTrail, path: Path) -> None:
    trail.nsctl_event(PlanStarted("t", "web", "up", "bridge", (FILE, INIT)))
    text = path.read_text()
    assert "secret" not in text
    assert "s3cret" not in text
    argv = records(path)[0]["steps"][1]["argv"]
    assert argv == ["unshare", "--fork", "env", "-i", "TOKEN=...", "PATH=...", "sleep", "A=b"]


def test_long_output_is_cut_and_its_hash_is_of_the_whole(trail: AuditTrail, path: Path) -> None:
    trail.nsctl_event(StepDone("t", "web", BRIDGE, stdout="x" * 5000, stderr="\x1b[31m\udcff"))
    trail.flush()
    [record] = records(path)
    assert len(record["stdout"]) == 2000
    assert len(record["stdout_sha256"]) == 64
    assert b"\x1b" not in path.read_bytes()
    assert path.read_bytes().isascii()


def test_log_and_folder_are_roots_alone(trail: AuditTrail, path: Path) -> None:
    change(trail)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()} == {0o600}


def test_a_trail_that_nobody_touched_is_whole(trail: AuditTrail, path: Path) -> None:
    change(trail)
    change(AuditTrail(str(path)), 2)
    verdict = verify(str(path))
    assert (verdict.records, verdict.problems, verdict.notes) == (6, [], [])


def edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"nsbr0", b"nsbr1"), *lines[2:]]


def edited_with_its_hash(lines: list[bytes]) -> list[bytes]:
    from nsctl.hooks.trail import seal

    body = lines[2].rsplit(b',"hash"', 1)[0].replace(b"plan_finished", b"plan_finishes") + b"}"
    return [*lines[:2], seal(body.decode())[0].encode() + b"\n", *lines[3:]]


@pytest.mark.parametrize(
    ("name", "tamper", "part"),
    [
        ("edit", edited, "line 2: not a whole record, or changed"),
        ("edit with its hash", edited_with_its_hash, "line 4: record 4 does not follow"),
        ("deletion", lambda lines: [*lines[:2], *lines[3:]], "line 3: record 3 is missing"),
        ("deletion of two", lambda lines: [lines[0], *lines[3:]], "line 2: records 2 to 3 are missing"),
        ("reordering", lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "out of order"),
        ("doubling", lambda lines: [*lines[:2], lines[1], *lines[2:]], "line 3: record 2 is out of order"),
        ("cut at the beginning", lambda lines: lines[1:], "line 1: the records before number 2 are missing"),
        ("cut at the end", lambda lines: lines[:-1], "the end is cut off: record 6 is missing"),
        ("cut in the last line", lambda lines: [*lines[:-1], lines[-1][:-9]], "end is cut off: record 6 is missing"),
        ("emptied", lambda lines: lines[:0], "the end is cut off: records 1 to 6 are missing"),
        ("insertion", lambda lines: [*lines[:2], b'{"event":"x"}\n', *lines[2:]], "line 3: not a whole record"),
        ("garbage", lambda lines: [*lines[:2], b"\xff\x00\n", *lines[2:]], "line 3: not a whole record"),
    ],
)
def test_whatever_is_done_to_a_trail_shows(
    trail: AuditTrail, path: Path, name: str, tamper: Callable[[list[bytes]], list[bytes]], part: str
) -> None:
    change(trail)
    change(trail, 2)
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    problems = verify(str(path)).problems
    assert any(part in p for p in problems), (name, problems)


def test_what_was_cut_off_still_shows_after_the_next_change(trail: AuditTrail, path: Path) -> None:
    change(trail)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    change(AuditTrail(str(path)), 2)
    assert any("record 3 is missing" in p for p in verify(str(path)).problems)


def test_a_missing_note_of_the_last_record_shows(trail: AuditTrail, path: Path) -> None:
    change(trail)
    (path.parent / "audit.jsonl.head").unlink()
    assert len(verify(str(path)).problems) == 1


def test_a_rotated_trail_goes_on_where_it_ended(trail: AuditTrail, path: Path) -> None:
    change(trail)
    path.rename(path.with_name("audit.jsonl.2"))
    change(AuditTrail(str(path)), 2)
    rotated = path.rename(path.with_name("audit.jsonl.1"))
    change(AuditTrail(str(path)), 3)
    rotated.with_name("audit.jsonl.1.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    rotated.unlink()
    assert [os.path.basename(f) for f in files_of(str(path))] == ["audit.jsonl.2", "audit.jsonl.1.gz", "audit.jsonl"]
    verdict = verify(str(path))
    assert (verdict.records, verdict.problems) == (11, [])
    path.with_name("audit.jsonl.2").unlink()
    # Whether a rotation took them or somebody did can't be told.
    assert verify(str(path)).problems == ["audit.jsonl.1.gz, line 1: the records before number 4 are missing"]
    path.with_name("audit.jsonl.1.gz").rename(path.with_name("elsewhere"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert verify(str(path)).problems


def test_a_log_that_is_emptied_by_rotation_goes_on(trail: AuditTrail, path: Path) -> None:
    change(trail)
    path.with_name("audit.jsonl.1").write_bytes(path.read_bytes())
    path.write_bytes(b"")
    change(AuditTrail(str(path)), 2)
    assert verify(str(path)).problems == []


COPY = "trail.head"


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))


def head_of(path: Path) -> Path:
    return path.with_name("audit.jsonl.head")


def forged(path: Path) -> None:
    # The last two records are cut off, and the head tells the same.
    cut(path)
    last = json.loads(path.read_bytes().splitlines()[-1])
    head_of(path).write_text(f"{last['seq']:020d} {last['hash']}\n")


def cut_without_head(path: Path) -> None:
    cut(path)
    removed(head_of(path))


def copy_of(path: Path) -> Path:
    return path.parent.with_name(COPY)


def forged_without_copy(path: Path) -> None:
    forged(path)
    removed(copy_of(path))


def forged_with_copy_emptied(path: Path) -> None:
    forged(path)
    emptied(copy_of(path))


def all_of_it(path: Path) -> None:
    removed(path)
    removed(head_of(path))


def rotation_deleted(path: Path) -> None:
    path.rename(path.with_name("audit.jsonl.1"))
    path.with_name("audit.jsonl.1").unlink()


TAMPERED: dict[str, Callable[[Path], None]] = {
    "head emptied": lambda path: emptied(head_of(path)),
    "head removed": lambda path: removed(head_of(path)),
    "head removed and tail cut": cut_without_head,
    "head forged and tail cut": forged,
    "head forged, tail cut and copy removed": forged_without_copy,
    "head forged, tail cut and copy emptied": forged_with_copy_emptied,
    "copy removed": lambda path: removed(copy_of(path)),
    "tail cut": cut,
    "log removed": removed,
    "log emptied": emptied,
    "all of it removed": all_of_it,
    "rotated, and deleted": rotation_deleted,
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_done_to_a_trail_shows_for_good_until_it_is_acknowledged(path: Path, tmp_path: Path, how: str) -> None:
    def trail() -> AuditTrail:
        return AuditTrail(str(path), copy=str(tmp_path / COPY))

    def problems() -> list[str]:
        return verify(str(path), str(tmp_path / COPY)).problems

    change(trail())
    change(trail(), 2)
    assert problems() == []
    TAMPERED[how](path)
    assert problems()
    for number in (3, 4):
        change(trail(), number)
        assert problems(), number
    trail().note("trail_acknowledged", "", problems=problems())
    assert problems() == []
    assert any("acknowledged" in note for note in verify(str(path), str(tmp_path / COPY)).notes)
    change(trail(), 5)
    assert problems() == []
    cut(path)
    assert problems()


def test_a_rotation_is_no_gap(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trail() -> AuditTrail:
        return AuditTrail(str(path), copy=str(tmp_path / COPY))

    change(trail())
    path.rename(path.with_name("audit.jsonl.1"))
    change(trail(), 2)
    path.with_name("audit.jsonl.2").write_bytes(path.read_bytes())
    emptied(path)  # copytruncate
    change(trail(), 3)
    (tmp_path / COPY).unlink()
    monkeypatch.setattr(writer, "_boot_id", lambda: "a reboot")
    change(trail(), 4)
    assert verify(str(path), str(tmp_path / COPY)).problems == []


def test_a_copy_that_is_missing_after_a_rotation_is_a_gap(path: Path, tmp_path: Path) -> None:
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)))
    path.rename(path.with_name("audit.jsonl.1"))
    removed(tmp_path / COPY)
    assert verify(str(path), str(tmp_path / COPY)).problems
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)), 2)
    assert verify(str(path), str(tmp_path / COPY)).problems


def test_a_copy_that_cannot_be_there_is_not_missed(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / COPY
    change(AuditTrail(str(path)))  # begun by an nsctl that kept no copy
    assert verify(str(path), str(copy)).problems == []
    change(AuditTrail(str(path), copy=str(copy)), 2)
    assert verify(str(path), str(copy)).problems == []
    there = path.parent.rename(tmp_path / "elsewhere") / path.name  # the copy of a trail there is called otherwise
    assert verify(str(there), str(tmp_path / "other.head")).problems == []
    change(AuditTrail(str(there), copy=str(tmp_path / "other.head")), 3)
    assert verify(str(there), str(tmp_path / "other.head")).problems == []
    removed(tmp_path / "other.head")
    assert verify(str(there), str(tmp_path / "other.head")).problems
    monkeypatch.setattr(writer, "_boot_id", lambda: "a reboot")
    assert verify(str(there), str(tmp_path / "other.head")).problems == []
    change(AuditTrail(str(there), copy=str(tmp_path / "other.head")), 4)
    assert verify(str(there), str(tmp_path / "other.head")).problems == []


def test_where_the_copy_cannot_be_looked_for_it_does_not_count_as_missing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = str(tmp_path / COPY)
    change(AuditTrail(str(path), copy=copy))
    open_as_root = os.open

    def as_nobody(name: str, *args: Any, **kwargs: Any) -> int:
        if name == copy:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_as_root(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", as_nobody)
    assert verify(str(path), copy).problems == []


def test_a_copy_that_there_is_no_room_for_is_not_missed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer, "remember_apart", full)
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)))
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)), 2)
    assert verify(str(path), str(tmp_path / COPY)).problems == []


def test_who_was_killed_right_after_it_had_begun_the_copy_leaves_no_gap(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as m:
        m.setattr(writer, "_append", killed)
        with pytest.raises(Refused):
            change(AuditTrail(str(path), copy=str(tmp_path / COPY)))
    assert (tmp_path / COPY).exists()
    assert verify(str(path), str(tmp_path / COPY)).problems == []
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)))
    assert verify(str(path), str(tmp_path / COPY)).problems == []


def test_who_was_killed_before_it_wrote_the_head_leaves_no_gap(path: Path, tmp_path: Path) -> None:
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)))
    old = head_of(path).read_bytes(), (tmp_path / COPY).read_bytes()
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)), 2)
    head_of(path).write_bytes(old[0])
    (tmp_path / COPY).write_bytes(old[1])
    change(AuditTrail(str(path), copy=str(tmp_path / COPY)), 3)
    assert verify(str(path), str(tmp_path / COPY)).problems == []


def test_a_line_that_a_killed_nsctl_left_half_is_kept_and_explained(trail: AuditTrail, path: Path) -> None:
    change(trail)
    with path.open("ab") as file:
        file.write(b'{"event":"step_d')
    change(AuditTrail(str(path)), 2)
    verdict = verify(str(path))
    assert verdict.problems == []
    assert "line 4" in verdict.notes[0]
    assert verdict.records == 6


def test_a_record_longer_than_the_look_back_is_still_found(trail: AuditTrail, path: Path) -> None:
    steps = tuple(Step(f"link/x{n}", "x", Command(("ip", "x" * 200))) for n in range(1000))
    trail.nsctl_event(PlanStarted("t", "", "apply", "", steps))
    change(AuditTrail(str(path)), 2)
    assert verify(str(path)).problems == []
    assert [r["seq"] for r in records(path)] == [1, 2, 3, 4]


def test_many_writers_make_one_chain(path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from nsctl.engine.model.events import PlanStarted, PlanFinished\n"
        "from nsctl.hooks.audit import AuditTrail\n"
        "for n in range(10):\n"
        "    t = AuditTrail(sys.argv[1]); t.nsctl_event(PlanStarted('t', 'x', 'up', '', ()))\n"
        "    t.nsctl_event(PlanFinished('t', 'x', 'up', 'done'))\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    crowd = [subprocess.Popen([sys.executable, "-I", "-c", code, str(path), source]) for _ in range(4)]
    assert [p.wait() for p in crowd] == [0, 0, 0, 0]
    verdict = verify(str(path))
    assert (verdict.records, verdict.problems) == (80, [])


def unwritable(path: Path, how: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    match how:
        case "a link":
            path.symlink_to(path.parent / "elsewhere")
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "writable to others":
            path.parent.chmod(0o777)
        case "somebody else's":
            path.touch()
            os.chown(path, 1234, 1234)
        case _:
            raise ValueError(how)


UNWRITABLE = ["a link", "a folder", "a pipe", "writable to others", "somebody else's"]


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users can be made by root only")
@pytest.mark.parametrize("how", UNWRITABLE)
def test_a_change_whose_record_cannot_be_written_does_not_start(trail: AuditTrail, path: Path, how: str) -> None:
    unwritable(path, how)
    with pytest.raises(Refused, match="nothing is changed") as caught:
        trail.nsctl_event(started())
    assert "NSCTL_AUDIT_LOG" in caught.value.hint


@pytest.mark.parametrize("operation", ["down", "recover"])
def test_taking_down_starts_even_so(trail: AuditTrail, path: Path, operation: str) -> None:
    unwritable(path, "a folder")
    change(trail, operation=operation)
    assert trail.failures


def test_a_failure_after_the_start_is_remembered_and_stops_nothing(trail: AuditTrail, path: Path) -> None:
    trail.nsctl_event(started())
    path.rename(path.with_name("kept"))
    path.mkdir()
    trail.nsctl_event(StepDone("t1", "web", BRIDGE))
    trail.nsctl_event(PlanFinished("t1", "web", "up", "done"))
    assert trail.failures
    path.rmdir()
    path.with_name("kept").rename(path)
    trail.flush()
    assert [r["event"] for r in records(path)] == ["plan_started", "step_done", "plan_finished"]


def test_half_a_record_is_taken_back_when_the_disk_is_full(trail: AuditTrail, path: Path) -> None:
    import resource
    import signal

    change(trail)
    before = path.read_bytes()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(Refused):
            trail.nsctl_event(started(number=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert verify(str(path)).problems == []


def test_without_a_trail_verify_says_so(path: Path) -> None:
    with pytest.raises(Refused, match="there is no audit trail"):
        verify(str(path))


def test_structlog_is_loaded_without_its_heavy_parts() -> None:
    heavy = (
        "asyncio",
        "rich",
        "logging",
        "structlog.dev",
        "structlog.processors",
        "pydantic",
        "urllib.request",
        "ssl",
        "concurrent.futures",
    )
    code = (
        "import sys\n"
        "from nsctl.engine.lazy_imports import load_structlog\n"
        "structlog = load_structlog()\n"
        f"print([m for m in {heavy} if m in sys.modules])\n"
        "structlog.get_logger().info('by its defaults', number=7)\n"
        "import asyncio, rich, rich.console\n"
        "print(asyncio.run.__name__, rich.__name__, structlog.dev.ConsoleRenderer.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded, message, last = done.stdout.splitlines()
    assert (loaded, last) == ("[]", "run rich ConsoleRenderer")
    assert "by its defaults" in message
    assert "number=7" in message


def test_structlogs_methods_that_need_asyncio_still_find_it() -> None:
    code = (
        "from nsctl.engine.lazy_imports import load_structlog\n"
        "structlog = load_structlog()\n"
        "import asyncio\n"
        "asyncio.run(structlog.get_logger().ainfo('hello'))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "hello" in done.stdout) == (0, True), done.stderr


def test_a_single_record_is_written_as_structlog_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for kind in (TrailFile, AuditTrail):
        monkeypatch.setattr("nsctl.hooks.writer.now", lambda: "2026-11-30T00:00:00.000000Z")
        log = tmp_path / kind.__name__ / "audit.jsonl"
        kind(str(log)).note("exec_started", "web", argv=("printf", "ü\n", "\udcff"), number=7, nothing=None)
        written.append(log.read_text())
    assert written[0] == written[1] != ""
