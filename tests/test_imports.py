"""
Who may import whom: the architecture as a test over the syntax tree.

    modes   -> nsctl (the façade), nsctl.engine.kit, the standard library's pure part
    hooks   -> nsctl.engine
    engine  -> engine, and only layers below its own (`LAYERS`): cli calls app, and only app calls the executor; only
               these two import hooks

What touches the system is imported only where `SHELL` says so, with the reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "nsctl"

# The engine's packages, each with those it may import besides itself. No circle: each stands below those that use it.
LAYERS: dict[str, frozenset[str]] = {
    "model": frozenset(),
    "kit": frozenset({"model"}),
    "planning": frozenset({"model", "kit"}),
    "labfiles": frozenset({"model", "planning"}),
    "reach": frozenset({"model", "kit", "planning"}),
    "lazy_imports": frozenset(),
    "host": frozenset({"model", "kit", "planning", "reach"}),
    "runner": frozenset({"model", "host", "lazy_imports"}),
    "store": frozenset({"model", "host"}),
    "doctor": frozenset({"model", "kit", "planning", "reach", "runner"}),
    "executor": frozenset({"model", "kit", "planning", "reach", "host", "runner", "store"}),
    "resident": frozenset({"host"}),
    "app": frozenset(
        "lazy_imports model kit planning labfiles reach host runner store doctor executor resident hooks".split()
    ),
    "cli": frozenset("model planning labfiles reach lazy_imports host resident app hooks".split()),
    "testing": frozenset({"model", "kit", "planning", "host", "executor"}),
}

# What is called by more than a terminal: it takes requests, and gives back results.
TERMINAL_FREE = frozenset({"nsctl.engine.app"})
TERMINALS = frozenset({"click", "rich", "typer"})

# The pure part of the engine, and what is pure among the rest.
PURE = frozenset({"model", "kit", "planning", "labfiles", "reach"})
PURE_MODULES = frozenset({"nsctl.engine.executor.decide"}) | frozenset(
    f"nsctl.engine.runner.{name}"
    for name in "batch batches ip_batch iptables_restore lines nft_file result schedule".split()
)

# What touches the system, or loads code that does.
SYSTEM = frozenset(
    "asyncio ctypes fcntl glob http importlib io multiprocessing os pathlib plumbum pty pwd resource select shutil "
    "signal socket _socket sqlite3 _sqlite3 subprocess tempfile termios threading tty urllib.request".split()
)
# The exceptions: they only work on strings.
HARMLESS = frozenset({"pathlib.PurePath", "pathlib.PurePosixPath"})
# What answers differently each time: a plan made with it could not be reproduced.
CHANCE = frozenset("datetime getpass locale platform random secrets time uuid".split())
# Builtins that reach files or load code.
REACHING = frozenset({"__import__", "compile", "eval", "exec", "input", "open", "print"})

# The shell: which files, what of SYSTEM each may import, and why.
SHELL: dict[str, tuple[frozenset[str], str]] = {
    "nsctl": (frozenset({"importlib"}), "the façade loads what it offers when it is asked for"),
    "nsctl.__main__": (frozenset({"os", "threading"}), "ends the process without taking every module apart"),
    "nsctl.engine.app*": (
        frozenset({"os", "pathlib", "pwd", "signal"}),
        "the operations: privilege, places, users, files that root would run, a trial of settings",
    ),
    "nsctl.engine.cli*": (SYSTEM, "the command line, the terminal"),
    "nsctl.engine.doctor*": (frozenset({"os"}), "looks at the host before anything is made: /proc, /run, limits"),
    "nsctl.engine.executor*": (
        frozenset({"os", "pathlib", "signal", "threading"}),
        "holds signals while steps run; two workers",
    ),
    "nsctl.engine.lazy_imports": (
        frozenset({"importlib", "os", "pathlib", "plumbum"}),
        "imports libraries without their heavy parts",
    ),
    "nsctl.engine.host.setns": (
        frozenset({"_socket", "ctypes", "os"}),
        "setns(2), before Python 3.12 through libc; a namespace's cookie, by a socket in it",
    ),
    "nsctl.engine.host.threads": (frozenset({"signal"}), "a thread that ends blocks all signals"),
    "nsctl.engine.host*": (
        frozenset({"ctypes", "fcntl", "os", "pathlib", "plumbum", "socket", "threading"}),
        "reads the host: /proc, netlink from a thread in the namespace, the firewall's rules; setns(2)",
    ),
    "nsctl.engine.resident*": (
        frozenset("_socket ctypes fcntl io os resource select signal socket".split()),
        "a fork for who asks on a socket: descriptors, signals, limits and priorities as the caller has them",
    ),
    "nsctl.engine.runner*": (
        frozenset(
            {"ctypes", "fcntl", "os", "pathlib", "plumbum", "select", "signal", "socket", "subprocess", "threading"}
        ),
        "the one funnel: runs the commands, with a deadline, in a namespace; a plain write may be an ioctl",
    ),
    "nsctl.engine.store*": (
        frozenset({"_sqlite3", "fcntl", "os", "pathlib", "sqlite3"}),
        "the database, its directory and its lock",
    ),
    "nsctl.engine.testing*": (SYSTEM, "runs a mode in a lab of its own; nsctl itself never imports it"),
    "nsctl.hooks.apart": (frozenset({"os"}), "the head of the audit log, and its copy"),
    "nsctl.hooks.audit": (frozenset({"os"}), "reads the head of the audit log"),
    "nsctl.hooks.writer": (frozenset({"fcntl", "os"}), "appends to the audit log, and names the host in it"),
    "nsctl.hooks.logs": (frozenset({"os"}), "reads the audit log, and the rotated ones"),
    "nsctl.hooks.manager": (frozenset({"importlib", "os", "pathlib"}), "finds plugins by their entry points"),
    "nsctl.hooks.progress": (frozenset({"os"}), "asks whether there is a terminal"),
}


def imports(module: str, tree: ast.AST, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Everything *tree* imports, wherever in it, with its line: `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                above = module.split(".")
                above = above[: len(above) - level + is_package] if level else []
                start = ".".join([*above, *([base] if base else [])])
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in names)
            case ast.Call(func=ast.Name(id="import_without"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name
            case _:
                pass


def is_of(name: str, modules: frozenset[str]) -> bool:
    """Is *name* one of *modules*, or something in one?"""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def allowance(module: str) -> frozenset[str] | None:
    """What of `SYSTEM` a shell file may import; None for a file that is not of the shell."""
    if is_of(module, PURE_MODULES):
        return None
    return next((allowed for pattern, (allowed, _) in SHELL.items() if fnmatchcase(module, pattern)), None)


def import_rules(module: str, name: str) -> Iterator[str]:
    """The rules that *module* breaks by importing *name*."""
    _, part, unit, *_ = [*module.split("."), "", ""]
    allowed = allowance(module)
    if is_of(name, SYSTEM - (allowed or frozenset())) and name not in HARMLESS:
        yield f"may not import {name}: see SHELL"
    if name == "pluggy.PluginManager" and module != "nsctl.hooks.manager":
        yield "only hooks/manager.py touches the plugin manager"

    if part == "engine":
        if allowed is None and name.startswith("nsctl.engine.") and allowance(name) is not None:
            yield f"a pure file may not import the shell, {name}"
        other = name.removeprefix("nsctl.engine.").partition(".")[0] if name.startswith("nsctl.engine.") else unit
        if unit in LAYERS and other != unit and other in LAYERS and other not in LAYERS[unit]:
            yield f"{unit} may not import {other}: see LAYERS"
        if is_of(name, frozenset({"nsctl.modes"})):
            yield "the engine never imports a mode: `down` must work without it"
        if is_of(name, frozenset({"nsctl.hooks"})) and unit not in {"app", "cli"}:
            yield "only app and cli import hooks"
    elif part == "hooks" and is_of(name, frozenset({"nsctl.modes"})):
        yield "hooks find modes as plugins, they do not import them"
    elif part == "modes":
        inner = is_of(name, frozenset({"nsctl.engine", "nsctl.hooks", "nsctl.modes"}))
        if inner and not is_of(name, frozenset({"nsctl.engine.kit"})):
            yield f"a mode imports nsctl and nsctl.engine.kit, not {name}"
        if name.partition(".")[0] not in sys.stdlib_module_names | {"nsctl"}:
            yield f"a mode needs nsctl and the standard library, not {name}"

    if (part == "modes" or (part == "engine" and unit in PURE)) and is_of(name, CHANCE):
        yield f"a plan is reproducible, {name} is not"


def terminal_rules(module: str, tree: ast.AST) -> Iterator[str]:
    """Each place where a module that is to know of no terminal and no command line does."""
    for line, name in imports(module, tree, is_package=False):
        if is_of(name, TERMINALS):
            yield f"{module}:{line}: the service layer has no terminal, so no {name}"
    for node in ast.walk(tree):
        match node:
            case (
                ast.Attribute(value=ast.Name(id="sys"), attr="argv" | "stdin" | "stdout")
                | ast.Attribute(attr="isatty")
                | ast.Call(func=ast.Name(id="print" | "input"))
            ):
                yield f"{module}:{node.lineno}: the service layer has no terminal and no command line"
            case _:
                pass


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Each rule that *source*, taken as *module*, breaks, with its line."""
    tree = ast.parse(source)
    part, _, unit = module.removeprefix("nsctl.").partition(".")
    pure = part in {"engine", "modes"} and allowance(module) is None
    found = [
        f"{module}:{line}: {rule}"
        for line, name in imports(module, tree, is_package=is_package)
        for rule in import_rules(module, name)
    ]
    if part == "engine" and unit and unit.partition(".")[0] not in LAYERS:
        found.append(f"{module}:1: not in LAYERS")
    if is_of(module, TERMINAL_FREE):
        found += terminal_rules(module, tree)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="PluginManager") if module != "nsctl.hooks.manager":
                found.append(f"{module}:{node.lineno}: only hooks/manager.py touches the plugin manager")
            case ast.Call(func=ast.Name(id=name)) if pure and name in REACHING:
                found.append(f"{module}:{node.lineno}: a pure file may not call {name}")
            case _:
                pass
    return found


def project_files() -> list[tuple[str, Path]]:
    """Every module of nsctl by its name, the linked folders' too."""
    folders = [SOURCE, *(SOURCE / name for name in ("engine", "modes", "hooks"))]
    files = [*SOURCE.glob("*.py"), *(path for folder in folders[1:] for path in folder.rglob("*.py"))]
    named = []
    for path in sorted(files):
        parts = ("nsctl", *path.relative_to(SOURCE).with_suffix("").parts)
        named.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return named


@pytest.mark.parametrize(("module", "path"), project_files(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_only_what_the_architecture_allows(module: str, path: Path) -> None:
    assert violations(module, path.read_text(), is_package=path.stem == "__init__") == []


def test_all_three_linked_folders_are_looked_at() -> None:
    assert {"nsctl.engine", "nsctl.modes", "nsctl.hooks", "nsctl.__main__"} <= {module for module, _ in project_files()}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nsctl.modes.x", "import os"),
        ("nsctl.modes.x", "import os.path"),
        ("nsctl.modes.x", "from os import environ"),
        ("nsctl.modes.x", "def f():\n    import subprocess"),
        ("nsctl.modes.x", "from pathlib import Path"),
        ("nsctl.modes.x", "import random"),
        ("nsctl.modes.x", "from time import time"),
        ("nsctl.modes.x", "import yaml"),
        ("nsctl.modes.x", "from nsctl.engine.model.plan import Step"),
        ("nsctl.modes.x", "from nsctl.engine import plan"),
        ("nsctl.modes.x", "from nsctl import engine"),
        ("nsctl.modes.x", "from nsctl.modes import bridge"),
        ("nsctl.modes.x", "from nsctl.hooks import spec"),
        ("nsctl.modes.x", "from ..engine import plan"),
        ("nsctl.modes.x", "open('/etc/hosts')"),
        ("nsctl.modes.x", "__import__('os')"),
        ("nsctl.engine.model.plan", "import plumbum"),
        ("nsctl.engine.model.plan", "from nsctl.engine.lazy_imports import import_without\nimport_without('plumbum')"),
        ("nsctl.engine.model.plan", "from nsctl.engine import store"),
        ("nsctl.engine.model.plan", "from nsctl.engine.runner import run"),
        ("nsctl.engine.model.plan", "from nsctl.engine.host.links import read"),
        ("nsctl.engine.model.plan", "from .. import executor"),
        ("nsctl.engine.kit.link", "from nsctl.engine.runner.writes import perform"),
        ("nsctl.engine.kit.link", "import socket"),
        ("nsctl.engine.kit.link", "import uuid"),
        ("nsctl.engine.model.effects", "open('/proc/self/stat')"),
        ("nsctl.engine.unlisted", ""),
        ("nsctl.engine.store", "import plumbum"),
        ("nsctl.engine.store.rows", "import subprocess"),
        ("nsctl.engine.store", "from nsctl.modes import bridge"),
        ("nsctl.engine.store", "from nsctl.hooks import manager"),
        ("nsctl.engine.cli", "import nsctl.modes.bridge"),
        ("nsctl.engine.cli.up", "from nsctl.engine.executor import Session"),
        ("nsctl.engine.cli.up", "from nsctl.engine.store import SandboxRow"),
        ("nsctl.engine.app", "from nsctl.engine.cli import out"),
        ("nsctl.engine.app", "import typer"),
        ("nsctl.engine.app.labs", "import sys\nsys.stdout.write('')"),
        ("nsctl.engine.app.labs", "import sys\nsys.argv"),
        ("nsctl.engine.app.labs", "import os\nos.isatty(0)"),
        ("nsctl.engine.app.labs", "print()"),
        ("nsctl.hooks.spec", "import os"),
        ("nsctl.hooks.spec", "import nsctl.modes"),
        ("nsctl.hooks.spec", "from pluggy import PluginManager"),
        ("nsctl.hooks.spec", "import pluggy\npluggy.PluginManager('nsctl')"),
        ("nsctl.engine.cli.root", "import pluggy\npluggy.PluginManager('nsctl')"),
        ("nsctl.__main__", "import subprocess"),
    ],
)
def test_a_broken_rule_is_found(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nsctl.modes.x", "from ipaddress import IPv4Interface\nfrom dataclasses import dataclass"),
        ("nsctl.modes.x", "from nsctl import Mode, hookimpl, kit, opt"),
        ("nsctl.modes.x", "import nsctl"),
        ("nsctl.modes.x", "from nsctl.engine import kit\nfrom nsctl.engine.kit import bridge"),
        ("nsctl.modes.x", "from pathlib import PurePosixPath"),
        ("nsctl.engine.model.plan", "import json\nfrom nsctl.engine.model.effects import Effect"),
        ("nsctl.engine.kit", "from . import link"),
        ("nsctl.engine.store.rows", "import sqlite3\nfrom nsctl.engine.model.plan import Plan"),
        ("nsctl.engine.runner", "from nsctl.engine.lazy_imports import import_without\nimport_without('plumbum')"),
        ("nsctl.engine.cli.root", "import os\nfrom nsctl.hooks.manager import Plugins"),
        ("nsctl.hooks.manager", "from pluggy import PluginManager\nimport importlib.metadata"),
        ("nsctl.hooks.spec", "from pluggy import HookspecMarker\nfrom nsctl.engine.model.plan import Plan"),
    ],
)
def test_what_is_allowed_is_not_complained_about(module: str, source: str) -> None:
    assert violations(module, source, is_package=module == "nsctl.engine.kit") == []
