from __future__ import annotations

import subprocess
import sys

import pytest

_HEAD = "import sys\nfrom nsctl.engine.lazy_imports import import_without\n"


def python(body: str) -> str:
    done = subprocess.run([sys.executable, "-I", "-c", _HEAD + body], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_heavy_part_that_is_not_used_is_not_loaded() -> None:
    assert python(
        "import_without('plumbum.machines.local', 'urllib.request')\nprint('http.client' in sys.modules)"
    ) == ("False")


def test_without_it_the_heavy_part_is_loaded() -> None:
    # Otherwise the test above would say nothing, and this module would be of no use any more.
    assert python("import plumbum.machines.local\nprint('http.client' in sys.modules)") == "True"


def test_the_library_works_and_runs_commands() -> None:
    body = (
        "local = import_without('plumbum.machines.local', 'urllib.request').local\nprint(local['/bin/echo']('hello'))"
    )
    assert python(body) == "hello"


def test_the_library_gets_the_real_module_when_it_uses_it() -> None:
    body = (
        "local = import_without('plumbum.machines.local', 'urllib.request').local\n"
        "print(local.path('/a b').as_uri())\nprint('http.client' in sys.modules)"
    )
    assert python(body) == "file:///a%20b\nTrue"


def test_whoever_imports_the_heavy_part_later_gets_the_real_one() -> None:
    body = (
        "import_without('plumbum.machines.local', 'urllib.request')\n"
        "assert 'urllib.request' not in sys.modules\n"
        "import urllib.request\nprint(urllib.request.Request.__module__, type(urllib.request).__name__)"
    )
    assert python(body) == "urllib.request module"


def test_what_is_loaded_already_is_left_alone() -> None:
    body = (
        "import urllib.request\nreal = urllib.request\n"
        "import_without('plumbum.machines.local', 'urllib.request')\n"
        "print(sys.modules['urllib.request'] is real)"
    )
    assert python(body) == "True"


@pytest.mark.parametrize("name", ["no_such_module", "plumbum.no_such_module"])
def test_a_failing_import_leaves_no_stand_in(name: str) -> None:
    body = (
        f"try: import_without({name!r}, 'urllib.request')\nexcept ImportError: print('failed')\n"
        "import urllib.request\nprint(type(urllib.request).__name__)"
    )
    assert python(body) == "failed\nmodule"


def test_many_threads_may_import_at_once() -> None:
    body = (
        "import threading\nfound = []\n"
        "go = threading.Barrier(8)\n"
        "def work():\n  go.wait()\n"
        "  found.append(import_without('plumbum.machines.local', 'urllib.request').local)\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(found), len(set(map(id, found))), 'urllib.request' in sys.modules)"
    )
    assert python(body) == "8 1 False"
