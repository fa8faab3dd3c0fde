"""
Imports without their heavy parts: all that nsctl does to start quickly where an `import` statement would not do.

A stand-in takes a heavy module's place in `sys.modules` while a library is imported, and is taken out again
afterwards, so that whoever really needs the module gets the real one: the library too, at the first use.
The standard library's `LazyLoader` would not do: before Python 3.12 the `import` statement itself loads its module.

Beside each function stands what it gains: CPU time of a process that has `re`, `typing` and `enum` already, minima of
25 (2026-11-30, Python 3.11, 2 shared cores).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OnDemand", "import_without", "load_msgspec", "load_pathlib", "load_plumbum", "load_structlog"]


class OnDemand(ModuleType):
    """
    Stands in for a module until something of it is used.

    Args:
        name: The module's name.
        taken: What is taken from it by `from … import …`, and used later or not at all.
    """

    def __init__(self, name: str, *taken: str) -> None:
        super().__init__(name)
        for one in taken:
            setattr(self, one, _Later(name, one))

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import system and inspect ask for these: no use
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


class _Later:
    """A function, class or object of a module that is loaded when it is called, or something of it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def get(self) -> Any:
        """The real one."""
        return getattr(import_module(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.get()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get(), name)


def import_without(name: str, *heavy: str | OnDemand, faces: tuple[str, ...] = ()) -> ModuleType:
    """
    Import `name` while the modules `heavy` are loaded only if they are really used.

    Args:
        name: The module.
        heavy: The others; `module:name,name` for one that names are taken from at once. A stand-in that is given is
            used even where the module is loaded already.
        faces: Modules that hand such names on, to others: from them, everybody gets the real ones.
    """
    if name in sys.modules:
        return import_module(name)  # waits, where another thread is still importing it
    found = [_stand_in(*one.partition(":")[::2]) for one in heavy if isinstance(one, str)]
    stand_ins = {one.__name__: one for one in found if one.__name__ not in sys.modules}
    stand_ins |= {one.__name__: one for one in heavy if isinstance(one, OnDemand)}
    before = {module: sys.modules[module] for module in stand_ins if module in sys.modules}
    sys.modules.update(stand_ins)
    try:
        made = import_module(name)
    finally:
        for module, stand_in in stand_ins.items():
            if sys.modules.get(module) is stand_in:
                del sys.modules[module]
        sys.modules.update(before)
    for face in faces:
        _hand_on(sys.modules[face])
    return made


def _stand_in(module: str, taken: str) -> OnDemand:
    return OnDemand(module, *filter(None, taken.split(",")))


def _hand_on(face: ModuleType) -> None:
    # PEP 562: what a module lacks, its function `__getattr__` is asked for.
    later = {name: value for name, value in vars(face).items() if isinstance(value, _Later)}
    for name in later:
        delattr(face, name)

    def get(name: str) -> Any:
        if name not in later:
            raise AttributeError(f"module {face.__name__!r} has no attribute {name!r}")
        setattr(face, name, later[name].get())
        return getattr(face, name)

    face.__getattr__ = get  # type: ignore[method-assign]


def load_pathlib() -> None:
    """Import pathlib without what it needs for URIs and Windows only: 1.3 ms in place of 3.3."""
    import_without("pathlib", "urllib.parse:quote_from_bytes", "ntpath")


def load_msgspec() -> None:
    """
    Import msgspec without its schemas and the backports of typing: 6 ms in place of 19.

    It does without typing_extensions where there is none, and None in `sys.modules` says just that.
    """
    blocked = "typing_extensions" not in sys.modules and "msgspec" not in sys.modules
    if blocked:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        heavy = ("msgspec.inspect", "msgspec._json_schema:schema,schema_components")
        import_without("msgspec", _platform(), *heavy)
    finally:
        if blocked:
            del sys.modules["typing_extensions"]


class _Logger:
    """A logger of plumbum's: as long as nobody has loaded logging, nobody hears of what it says."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, *args: Any) -> None:
        """Pass it on."""
        if "logging" in sys.modules:
            import_module("logging").getLogger(self._name).debug(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("logging").getLogger(self._name), name)


def load_plumbum() -> ModuleType:
    """
    Import plumbum's local machine without remote ones, colours, daemons, logging, paths as URIs: 17 ms in place of 58.

    platform.uname() would run `uname -p`, found by the user's own PATH, as root; plumbum takes the first item only.
    typer loads platform, so that it may be there already.
    """
    logging = OnDemand("logging")
    logging.getLogger, logging.DEBUG, logging.INFO = _Logger, 10, 20  # type: ignore[attr-defined]
    return import_without(
        "plumbum.machines.local",
        _platform(),
        *([logging] if "logging" not in sys.modules else []),
        *("glob", "shutil", "urllib.parse", "urllib.request"),
        "tempfile:mkdtemp,TemporaryFile",
        "plumbum.colorlib:ansicolors",
        "plumbum.commands.daemons:posix_daemonize,win32_daemonize",
        "plumbum.machines.remote:BaseRemoteMachine,RemoteCommand",
        "plumbum.machines.ssh_machine:PuttyMachine,SshMachine",
        "plumbum.machines.session:ShellSession",
        faces=("plumbum", "plumbum.machines"),
    )


def _platform() -> OnDemand:
    # What is asked of it while libraries are imported, by the kernel's word.
    found = OnDemand("platform")
    found.uname, found.system = os.uname, lambda: os.uname().sysname  # type: ignore[attr-defined]
    return found


_ABSENT = ("rich", "better_exceptions", "colorama", "twisted")


class _LaterClass(_Later):
    """A class whose objects are functions, and made when they are called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        def made(*called: Any) -> Any:
            return self.get()(*args, **kwargs)(*called)

        return made


def load_structlog() -> ModuleType:
    """
    Import structlog without its processors, its console (rich's tracebacks) and asyncio: 7 ms in place of 85.

    nsctl's processor is its own; structlog's are among its defaults, as its console is.
    structlog does without what it can't import, and None in `sys.modules` says just that.
    asyncio, which it touches only in its `a…` methods, is stood in for by a module that fetches the real one on demand,
    and so are its own.
    Afterwards `sys.modules` is as if nothing had been, so that whoever needs one of these later gets the real one.
    """
    if "structlog" in sys.modules:
        return sys.modules["structlog"]
    absent = [name for name in _ABSENT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None says that there is no such module
    # What structlog takes of these at once, for defaults that nsctl does not use.
    console = OnDemand("structlog.dev", "set_exc_info")
    console.ConsoleRenderer = _LaterClass("structlog.dev", "ConsoleRenderer")  # type: ignore[attr-defined]
    console._has_colors = False  # type: ignore[attr-defined]  # noqa: SLF001
    processors = OnDemand("structlog.processors", "add_log_level")
    for name in ("StackInfoRenderer", "TimeStamper"):
        setattr(processors, name, _LaterClass("structlog.processors", name))
    others = ("structlog.stdlib", "structlog.tracebacks", "asyncio", "datetime", "uuid", "pickle:PicklingError")
    try:
        return import_without("structlog", console, processors, *others)
    finally:
        for name in absent:
            sys.modules.pop(name, None)
        for module in (console, processors):
            for name in [name for name in vars(module) if not name.startswith("__")]:
                delattr(module, name)
