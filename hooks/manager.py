"""
Plugins: found by their entry points, loaded one by one, called one by one.

This is the only user of pluggy's manager.
A broken plugin is one warning and a row in `nsctl modes`, never a broken nsctl.
A plugin runs as root: one that another user could have written to is refused.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pluggy import HookImpl, PluginManager

from nsctl.engine.model.errors import NsctlError, Refused
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.names import check_name, display, said_by
from nsctl.engine.model.options import fields_of
from nsctl.engine.model.plan import NAMESPACES, Plan
from nsctl.hooks import spec

if TYPE_CHECKING:
    from nsctl.engine.model.events import Event

__all__ = ["Broken", "EntryPoint", "LoadedMode", "Plugins", "entry_points", "why_unsafe"]

GROUP = "nsctl"
REASON_MAX = 1000
"""Characters of the reason why a plugin is left out: it names a file, the end of whose path tells."""
MODES_MAX = 1000
"""Of one plugin: what it returns need not end."""
_METADATA = re.compile(r"(?P<name>.+?)(-(?P<version>[^-]+))?(-[^-]+)?\.(dist|egg)-info")


# Named tuples: making a frozen dataclass costs ten times as much, and every start would pay.
class EntryPoint(NamedTuple):
    """
    A line of some distribution's entry_points.txt.

    Args:
        name: The entry point's name; of a built-in mode, the mode's name.
        value: `module` or `module:attribute`.
        distribution: The distribution's name.
        version: The distribution's version.
        place: The folder that holds the distribution's metadata.
    """

    name: str
    value: str
    distribution: str
    version: str
    place: str

    @property
    def built_in(self) -> bool:
        """Whether it comes with nsctl."""
        return self.distribution == "nsctl"


class LoadedMode(NamedTuple):
    """A mode and where it came from."""

    mode: Mode
    distribution: str
    version: str


class Broken(NamedTuple):
    """A plugin that can't be used, and why."""

    name: str
    distribution: str
    version: str
    reason: str


def entry_points(path: Iterable[str] | None = None) -> list[EntryPoint]:
    """
    The entry points of group `nsctl`, by reading the files themselves.

    importlib.metadata does the same, but its import alone costs 30 ms, a third of a whole `nsctl --version`.

    Args:
        path: Where to look: `sys.path`, if not given.
    """
    found: dict[str, list[EntryPoint]] = {}
    for folder in sys.path if path is None else path:
        try:
            names = sorted(n for n in os.listdir(folder or ".") if n.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue
        for entry in names:
            named = _METADATA.fullmatch(entry)
            if named is None:
                continue
            distribution = re.sub(r"[-_.]+", "-", named["name"]).lower()
            if distribution in found:
                continue  # as for imports, the first on the path counts
            found[distribution] = []
            try:
                with open(os.path.join(folder, entry, "entry_points.txt"), encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                continue
            lines = list(_group(text))
            version = (named["version"] or _version(os.path.join(folder, entry))) if lines else ""
            found[distribution] = [EntryPoint(n, v, distribution, version, os.path.abspath(folder)) for n, v in lines]
    return [point for points in found.values() for point in points]


def why_unsafe(module: str, trusted: Iterable[str] = ()) -> str:
    """
    Why root should not run this module, or nothing.

    Its file, and every folder above it, must belong to root and be writable to nobody else.
    What lies right beside nsctl is as trustworthy as nsctl itself: whoever could change it could change nsctl.

    Args:
        module: A module's name; its parent packages must have passed already, since finding it imports them.
        trusted: Folders whose content needs no look.
    """
    found = find_spec(module)
    if found is None:
        return f"there is no module named '{module}'"
    files = [found.origin] if found.has_location and found.origin else list(found.submodule_search_locations or ())
    for file in files:
        path = os.path.realpath(file)
        while path not in trusted:
            try:
                status = os.stat(path)
            except OSError as e:
                return f"{path} can't be examined: {e.strerror}"
            if status.st_uid != 0:
                return f"{path} belongs to user {status.st_uid}, not to root"
            if status.st_mode & 0o022:
                return f"{path} is writable to others than root"
            if path == "/":
                break
            path = os.path.dirname(path)
    return ""


class Plugins:
    """
    The plugins that were loaded, with a method for each hook.

    Args:
        reserved: Names of options that every mode has from nsctl, and can't have of its own.
        as_root: Whether to refuse what somebody else than root could have written to.
    """

    def __init__(self, *, reserved: Iterable[str] = (), as_root: bool | None = None) -> None:
        self._pm = PluginManager("nsctl")
        self._pm.add_hookspecs(spec)
        self._modes: dict[str, LoadedMode] = {}
        self._reserved = frozenset(reserved)
        self._as_root = os.geteuid() == 0 if as_root is None else as_root
        self._trusted = frozenset[str]()
        self._deaf: set[str] = set()
        self.broken: list[Broken] = []
        self.warnings: list[str] = []

    @classmethod
    def load(
        cls,
        wanted: str | None = None,
        *,
        reserved: Iterable[str] = (),
        path: Iterable[str] | None = None,
        as_root: bool | None = None,
    ) -> Plugins:
        """
        Load plugins.

        Args:
            wanted: The mode that is needed; built-in modes of other names are then left alone.
                Everybody else's plugins are always loaded: they may review plans and watch events.
            reserved: As for the class.
            path: Where to look for distributions: `sys.path`, if not given.
            as_root: As for the class.
        """
        plugins = cls(reserved=reserved, as_root=as_root)
        points = entry_points(path)
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        places = [p.place for p in points if p.built_in]
        roots = [os.path.dirname(os.path.abspath(f)) for f in importlib.import_module("nsctl").__path__]
        plugins._trusted = frozenset(os.path.realpath(p) for p in [here, *places, *roots])
        for point in sorted(points, key=lambda p: not p.built_in):
            if not point.built_in or wanted is None or point.name == wanted:
                plugins.add(point)
        return plugins

    def add(self, point: EntryPoint) -> None:
        """Load one plugin; what is wrong with it ends up in `broken` and `warnings`."""
        try:
            # What a plugin prints while it is loaded must not end up among the data on stdout.
            with redirect_stdout(sys.stderr):
                self._load(point)
        except SystemExit as e:
            self._fail(point, f"it called exit({said_by(e.code)})")
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # noqa: BLE001 - third-party code: anything may come
            self._fail(point, e)

    def modes(self) -> Mapping[str, LoadedMode]:
        """The modes that were loaded, by name."""
        return self._modes

    def watch(self, observer: object, name: str) -> None:
        """Register an observer of nsctl's own (the audit trail, the progress display), in place of an earlier one."""
        if self._pm.has_plugin(name):
            self._pm.unregister(name=name)
        self._pm.register(observer, name=name)

    def review(self, plan: Plan) -> None:
        """
        Let every plugin look at a plan.

        Raises:
            Refused: One of them says no, or fails to answer.
        """
        for impl in reversed(self._pm.hook.nsctl_review.get_hookimpls()):
            name = impl.plugin_name
            try:
                with redirect_stdout(sys.stderr):
                    reason = _call(impl, plan=plan)
                    refuses = bool(reason)
            except KeyboardInterrupt:
                raise
            except BaseException as e:  # no answer is no consent
                raise Refused(
                    f"the plugin {name} failed to review the plan: {_told(e)}", hint="mend or uninstall the plugin"
                ) from e
            if refuses:
                raise Refused(
                    f"the plugin {name} refuses the plan for '{plan.name}': {said_by(reason)}",
                    hint="change the options, or ask whoever installed the plugin",
                )

    def emit(self, event: Event, *, afterwards: bool = False) -> None:
        """
        Tell everybody, nsctl's own observers last: what a plugin stopped is not in the audit trail as started.

        Args:
            event: The event.
            afterwards: It is all over: there is nothing to stop any more.

        Raises:
            Refused: One of them raised on `PlanStarted`: nothing must be changed.
        """
        for impl in self._pm.hook.nsctl_event.get_hookimpls():
            name = impl.plugin_name
            if name in self._deaf:
                continue
            try:
                _call(impl, event=event)
            except BaseException as e:  # must not stop a rollback; a signal is held, and never comes this way
                from nsctl.engine.model.events import PlanStarted

                if isinstance(event, PlanStarted) and not afterwards:
                    if isinstance(e, NsctlError):
                        raise
                    raise Refused(
                        f"the plugin {name} stopped the change: {_told(e)}", hint="mend or uninstall the plugin"
                    ) from e
                self._deaf.add(str(name))
                self.warnings.append(f"the plugin {name} failed while watching, and hears no more: {_told(e)}")

    def _load(self, point: EntryPoint) -> None:
        module, _, attribute = point.value.partition(":")
        if self._as_root and not point.built_in:
            package = ""
            for part in module.split("."):
                package = f"{package}.{part}".lstrip(".")
                unsafe = why_unsafe(package, self._trusted)
                if unsafe:
                    raise PermissionError(unsafe)
        plugin: Any = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            plugin = getattr(plugin, part)
        name = point.name if point.built_in else f"{point.distribution}:{point.name}"
        self._pm.register(plugin, name=name)
        try:
            self._pm.check_pending()
            self._check_hooks(plugin)
            for impl in self._pm.hook.nsctl_modes.get_hookimpls():
                if impl.plugin is plugin:
                    self._take(point, list(islice(_call(impl), MODES_MAX + 1)))
        except BaseException:
            self._pm.unregister(plugin)
            raise

    def _check_hooks(self, plugin: object) -> None:
        # Each plugin is called by itself, so that one's failure is not the others': a wrapper would never be entered.
        for hook in (self._pm.hook.nsctl_modes, self._pm.hook.nsctl_review, self._pm.hook.nsctl_event):
            for impl in hook.get_hookimpls():
                if impl.plugin is plugin and (impl.wrapper or impl.hookwrapper):
                    raise ValueError(f"its {hook.name} is a wrapper, and nsctl calls each plugin by itself")

    def _take(self, point: EntryPoint, modes: list[Mode]) -> None:
        for mode in modes:
            self._check(mode)
        if len({mode.name for mode in modes}) < len(modes) or len(modes) > MODES_MAX:
            raise ValueError("it has two modes of one name, or does not stop returning modes")
        for mode in modes:
            self._modes[mode.name] = LoadedMode(mode, point.distribution, point.version)

    def _check(self, mode: Mode) -> None:
        if not isinstance(mode, Mode):
            raise TypeError(f"nsctl_modes() returned {type(mode).__name__}, which is not a Mode")
        check_name(mode.name, "the mode's name")
        if mode.name in self._modes:
            raise ValueError(f"mode '{mode.name}' is there already, from {self._modes[mode.name].distribution}")
        if not callable(mode.steps):
            raise TypeError(f"mode '{mode.name}': steps is not a function")
        if not set(mode.isolate) <= set(NAMESPACES):
            raise ValueError(f"mode '{mode.name}': isolate must be among {', '.join(NAMESPACES)}")
        options = fields_of(mode.options)
        # They stand in the help, and in lists.
        texts: list[Any] = [mode.summary, mode.example, *(t for f in options for t in (f.flag, f.text, f.metavar))]
        for text in texts:
            if not isinstance(text, str) or not text.isprintable():
                raise ValueError(f"mode '{mode.name}': {said_by(text)} is not text that can be shown")
        taken = self._reserved & {f.name for f in options}
        if taken:
            raise ValueError(f"mode '{mode.name}': the option '{min(taken)}' is nsctl's own")

    def _fail(self, point: EntryPoint, error: object) -> None:
        reason = _told(error) if isinstance(error, BaseException) else str(error)
        self.broken.append(Broken(point.name, point.distribution, point.version, reason))
        self.warnings.append(
            f"the plugin '{display(point.name)}' of {display(point.distribution)} is left out: {reason}"
        )


def _call(impl: HookImpl, **values: Any) -> Any:
    """One plugin's answer: each is called by itself, so that one's failure is not the others'."""
    function: Callable[..., Any] = impl.function
    return function(*(values[name] for name in impl.argnames))


def _told(error: BaseException) -> str:
    text = " ".join(said_by(error, REASON_MAX).split())
    kind = type(error).__name__
    return text if isinstance(error, (NsctlError, PermissionError)) else f"{kind}: {text}" if text else kind


def _group(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            # An entry point may be followed by extras in brackets, which nothing uses any more.
            yield name.strip(), value.partition("[")[0].strip()


def _version(metadata: str) -> str:
    for name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(metadata, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith("Version:"):
                        return line.partition(":")[2].strip()
        except OSError:
            continue
    return ""
