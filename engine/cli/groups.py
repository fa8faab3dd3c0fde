"""
The help in groups: which command and which option stands under which heading.

Both are tables by name, so that an option stands under the same heading wherever it occurs. What is in no table gets a
heading of its own: that of its mode (a plugin's options), or `Other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typer.core import TyperCommand

__all__ = [
    "COMMAND_GROUPS",
    "OPTION_GROUPS",
    "OTHER_COMMANDS",
    "OTHER_OPTIONS",
    "GroupedCommand",
    "grouped",
    "write_sections",
]

COMMAND_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Make and take down": ("up", "run", "apply", "adopt", "confirm", "down"),
    "Look": ("ls", "networks", "inspect", "logs", "log"),
    "Work inside": ("exec", "shell"),
    "Check and mend": ("check", "repair", "recover"),
    "Host": ("doctor", "watch", "systemd", "resident"),
    "Reference": ("modes", "schema", "completion"),
}
"""Heading → commands, in the order of the help."""

OPTION_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Network": (
        "--target",
        "--network",
        "--bridge",
        "--join",
        "--subnet",
        "--gateway",
        "--internal",
        "--uplink",
        "--allow-overlap",
    ),
    "Interface": ("--ip", "--ifname", "--mac", "--mtu", "--allow-address", "--allow-spoofing"),
    "Names and settings": ("--dns", "--dns-search", "--add-host", "--sysctl"),
    "Sandbox": ("--name", "--confirm", "--all", "--file", "--force"),
    "Workload": ("--env", "--workdir", "--user"),
    "Isolation": ("--isolate", "--cap-add", "--cap-drop", "--privileged"),
    "Steps": ("--dry-run", "--format", "--step-timeout", "--no-batch", "--scan", "--yes"),
    "Output": (
        "--json",
        "--quiet",
        "--follow",
        "--lines",
        "--since",
        "--until",
        "--verbose",
        "--verify",
        "--acknowledge",
    ),
    "Host": ("--foreground", "--resident"),
}
"""Heading → options by their first long name, in the order of the help."""

OTHER_COMMANDS = "Other commands"
OTHER_OPTIONS = "Other"
FEW = 5
"""As many options, `--help` among them, need no headings."""
LONGEST = 30
"""Characters of a name that has its text on the same line."""


class GroupedCommand(TyperCommand):
    """
    A command whose options stand in groups in the help.

    Attributes:
        own_heading: Where options go that are in no group.
    """

    own_heading = OTHER_OPTIONS

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        arguments, options = [], {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                arguments.append(record)
            else:
                options[max(param.opts, key=len)] = record
        sections = {"Arguments": arguments} if arguments else {}
        if len(options) <= FEW:
            sections["Options"] = list(options.values())
        else:
            help_ = options.pop("--help")
            order = [] if self.own_heading == OTHER_OPTIONS else [self.own_heading]
            for heading, names in grouped(options, OPTION_GROUPS, self.own_heading, order).items():
                sections[heading] = [options[name] for name in names]
            sections[OTHER_OPTIONS] = [*sections.get(OTHER_OPTIONS, ()), help_]
        write_sections(formatter, sections)


def grouped(
    names: Iterable[str], groups: Mapping[str, tuple[str, ...]], other: str, order: Iterable[str] = ()
) -> dict[str, list[str]]:
    """
    Names under their headings.

    Args:
        names: What there is, in the order in which what is in no group is shown.
        groups: Heading → names.
        other: The heading of what is in no group.
        order: Headings that come before the groups', which come in their own order, and before the other one.
    """
    there = dict.fromkeys(names)
    known = {name for members in groups.values() for name in members}
    found = {heading: [name for name in members if name in there] for heading, members in groups.items()}
    found[other] = [*found.get(other, ()), *(name for name in there if name not in known)]
    return {heading: found[heading] for heading in dict.fromkeys([*order, *found]) if found[heading]}


def write_sections(formatter: Any, sections: Mapping[str, list[tuple[str, str]]]) -> None:
    """Write lists of names and texts, one column for all names of a help page."""
    width = max((len(name) for rows in sections.values() for name, _ in rows if len(name) <= LONGEST), default=0)
    for heading, rows in sections.items():
        with formatter.section(heading):
            # click measures each list by itself: padded names make it as wide as the others.
            formatter.write_dl([(name.ljust(width) if text else name, text) for name, text in rows], col_max=LONGEST)
