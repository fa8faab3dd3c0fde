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


def test_what_a_face_hands_on_is_the_real_thing_for_others() -> None:
    body = (
        "from nsctl.engine.lazy_imports import load_plumbum\nload_plumbum()\nimport plumbum\n"
        "before = 'plumbum.machines.ssh_machine' in sys.modules\n"
        "from plumbum import SshMachine, colors\nimport plumbum.machines\n"
        "print(before, type(SshMachine).__name__, SshMachine is plumbum.machines.SshMachine, type(colors).__name__)\n"
    )
    assert python(body) == "False ABCMeta True StyleFactory"


def test_what_a_library_took_and_did_not_load_works_when_it_is_used() -> None:
    body = (
        "from nsctl.engine.lazy_imports import load_plumbum\nlocal = load_plumbum().local\n"
        "print('tempfile' in sys.modules)\nimport os\n"
        "with local.tempdir() as place: print(os.path.isdir(place))\n"
        "print(local['printf']['%s', 'x'](), local.path('/a b').as_uri(), local.which('sh').name)\n"
    )
    assert python(body) == "False\nTrue\nx file:///a%20b sh"


def test_msgspec_without_backports_decodes_encodes_and_has_its_schemas() -> None:
    body = (
        "from nsctl.engine.lazy_imports import load_msgspec\nload_msgspec()\nimport msgspec, typing, uuid, platform\n"
        "print([name for name in ('typing_extensions', 'msgspec.inspect', 'textwrap') if name in sys.modules])\n"
        "class Row(msgspec.Struct):\n  name: str\n  who: typing.Annotated[int, msgspec.Meta(ge=0)] = 0\n"
        "print(msgspec.json.decode(msgspec.json.encode(Row('a', 3)), type=Row))\n"
        "print(msgspec.json.schema(Row)['$defs']['Row']['required'], msgspec.inspect.type_info(Row).cls is Row)\n"
        "print(bool(platform.version()), msgspec.convert(str(uuid.UUID(int=7)), uuid.UUID) == uuid.UUID(int=7))\n"
        "import typing_extensions\nprint(typing_extensions.Self is typing.Self)\n"
    )
    assert python(body) == "[]\nRow(name='a', who=3)\n['name'] True\nTrue True\nTrue"


@pytest.mark.parametrize("before", ["", "import platform\n"], ids=["", "where platform is loaded"])  # typer loads it
def test_nothing_asks_the_callers_path_what_machine_this_is(before: str) -> None:
    body = (
        f"{before}import os, subprocess\nfrom nsctl.engine.lazy_imports import load_plumbum, load_msgspec\n"
        "def refuse(*args, **kwargs): raise AssertionError(args)\n"
        "subprocess.check_output = os.popen = refuse\nload_msgspec(); load_plumbum()\nprint('done')"
    )
    assert python(body) == "done"


def test_plumbum_logs_to_whoever_has_loaded_logging() -> None:
    body = (
        "from nsctl.engine.lazy_imports import load_plumbum\nlocal = load_plumbum().local\n"
        "local['true']()\nprint('logging' in sys.modules)\n"
        "import logging\nlogging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\nlocal['true']()\n"
        "from plumbum.machines.local import logger\nlogger.warning('real: %s', logger.isEnabledFor(10))\n"
    )
    loaded, *heard, last = python(body).splitlines()
    assert loaded == "False"
    assert [line.partition(" ")[0] for line in heard] == ["DEBUG:plumbum.local:Running"]
    assert last == "WARNING:plumbum.local:real: True"


def test_structlogs_parts_that_were_stood_in_for_are_real_for_others() -> None:
    body = (
        "from nsctl.engine.lazy_imports import load_structlog\nstructlog = load_structlog()\n"
        "print([one for one in ('logging', 'structlog.processors', 'structlog.stdlib') if one in sys.modules])\n"
        "print(structlog.processors.JSONRenderer()(None, '', {'a': 1}), structlog.stdlib.BoundLogger.__name__)\n"
        "import structlog.processors\nfrom structlog.processors import TimeStamper\n"
        "print(isinstance(structlog.processors.TimeStamper(), TimeStamper), type(structlog.processors).__name__)\n"
    )
    assert python(body) == '[]\n{"a": 1} BoundLogger\nTrue module'
