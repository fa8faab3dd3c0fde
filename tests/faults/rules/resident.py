"""Whom the resident process works for, and that a command runs once."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_ACCEPTED = "tests/resident/test_acceptance.py"
_LIES = f"{_ACCEPTED}::test_who_lies_is_refused"
_ELSEWHERE = f"{_ACCEPTED}::test_who_is_elsewhere_or_may_less_is_refused"
_ONCE = "tests/resident/test_once.py::test_whatever_the_server_does_it_runs_once"
_SAME = "tests/resident/test_the_same.py"

RULES = (
    Rule(
        "a caller of the resident process could take it over anyhow",
        "engine/resident/caller.py",
        "    if not memory.is_writable_through(shown):\n",
        "    if False:\n",
        f"{_LIES}[its own memory-has not shown]",
    ),
    Rule(
        "a caller of the resident process can write to its memory, not only read it",
        "engine/resident/caller.py",
        "& os.O_ACCMODE == os.O_RDWR",
        "& os.O_ACCMODE >= 0",
        f"{_LIES}[memory that it can't write-has not shown]",
    ),
    Rule(
        "who sends to the resident process is who connected",
        "engine/resident/caller.py",
        "or request.sender != (pid, 0, 0)",
        "or False",
        f"{_LIES}[a connection of somebody else's-not who connected]",
    ),
    Rule(
        "a caller of the resident process has the same rights",
        "engine/resident/caller.py",
        "        if ours.get(field) != theirs.get(field):\n",
        "        if False:\n",
        f"{_ELSEWHERE}[setpriv --no-new-privs ---NoNewPrivs]",
    ),
    Rule(
        "a caller of the resident process is in the same namespaces",
        "engine/resident/caller.py",
        '        if os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"/proc/{pid}/ns/{kind}"):\n',
        "        if False:\n",
        f"{_ELSEWHERE}[unshare --uts-another namespace (uts)]",
    ),
    Rule(
        "a caller of the resident process has the same labels and personality",
        "engine/resident/caller.py",
        "        if _told(own, name) != _told(pid, name):\n",
        "        if False:\n",
        f"{_ELSEWHERE}[setarch -R-personality]",
    ),
    Rule(
        "what the resident process starts has what the caller has",
        "engine/resident/child.py",
        "    if (trait := differing(peer.pid)) is not None:\n",
        "    if (trait := None) is not None:\n",
        f"{_SAME}::test_what_it_starts_has_the_callers_limits_and_priorities[nice -n 7]",
    ),
    Rule(
        "the resident process runs no code that has changed",
        "engine/resident/child.py",
        "    if (place := server.stamps.changed()) is not None:\n",
        "    if (place := None) is not None:\n",
        "tests/resident/test_code.py::test_a_file_in_whose_place_is_another_one_is_not_run_from_memory",
    ),
    Rule(
        "whoever kills the caller kills what works for it",
        "engine/resident/child.py",
        "os.O_NONBLOCK | os.O_ASYNC)",
        "os.O_NONBLOCK)",
        f"{_SAME}::test_who_kills_the_caller_kills_what_works_for_it",
    ),
    Rule(
        "a command runs here only if its ticket could be taken back",
        "engine/resident/client.py",
        '            back = os.read(self._ticket, 1) == b"1"\n',
        "            back = True\n",
        f"{_ONCE}[begins and is gone--9-False]",
    ),
    Rule(
        "what a stopped server would hold is not sent to it",
        "engine/resident/client.py",
        "        self._argv, self._serving = argv, server\n",
        "        self._argv, self._serving = argv, server\n        self._ask(argv, server)\n",
        f"{_ONCE}[is silent-0-True]",
    ),
    Rule(
        "nobody is asked whose socket others could have made",
        "engine/resident/client.py",
        "    return (folder.st_uid, folder.st_mode & 0o170077, place.st_uid) == (0, 0o040000, 0)\n",
        "    return (folder, place) != ()\n",
        f"{_ACCEPTED}::test_a_socket_that_others_could_have_made_is_not_asked[directory]",
    ),
)
