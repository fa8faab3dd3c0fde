"""The settings that options of `up` and `run` ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nsctl.engine.app.parsers import capabilities, check_capabilities, environment
from nsctl.engine.app.settings import network_settings

if TYPE_CHECKING:
    from nsctl.engine.cli.common_options import Common

__all__ = ["of_command_line"]


def of_command_line(common: Common, here: Mapping[str, str]) -> dict[str, Any]:
    """
    The settings that the options of `up` and `run` ask for.

    Args:
        common: The options.
        here: The environment, from which variables without a value are taken.

    Raises:
        Invalid: One is wrong.
    """
    settings: dict[str, Any] = {
        "cap_add": capabilities(common.cap_add, "--cap-add"),
        "cap_drop": capabilities(common.cap_drop, "--cap-drop"),
        "privileged": common.privileged,
        "env": environment(common.env, here),
    }
    check_capabilities(settings, lambda key: f"--{key.replace('_', '-')}")
    return settings | network_settings(
        lambda key: f"--{key.replace('_', '-')}",
        user=common.user,
        workdir=common.workdir,
        dns=common.dns,
        dns_search=common.dns_search,
        add_host=common.add_host,
        sysctl=(word.partition("=") for word in common.sysctl),
    )
