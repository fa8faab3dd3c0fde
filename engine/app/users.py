"""Users and groups, as people write them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.settings import ID_MOST

if TYPE_CHECKING:
    from pwd import struct_passwd

__all__ = ["may_enter", "user_of"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")


def may_enter(path: str, user: Mapping[str, Any]) -> bool:
    """
    Whether a user may have a directory as the working one; needs root.

    Only the kernel knows: groups, access lists and what is above have a say. So it is tried, in a process of its own.
    """
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            if user["groups"]:
                os.initgroups(user["login"], user["gid"])
            else:
                os.setgroups([])
            os.setresgid(user["gid"], user["gid"], user["gid"])
            os.setresuid(user["uid"], user["uid"], user["uid"])
            os.chdir(path)
            status = 0
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def user_of(text: str, flag: str) -> dict[str, Any]:
    """
    A user as the host knows it by now, and its group: a plan is closed, so numbers stand in it.

    Without a group it is the user's own, and the others it is in come along (setpriv's `--init-groups`).

    Args:
        text: `USER` or `USER:GROUP`, each a name or a number.
        flag: What it was given with, for messages.

    Raises:
        Invalid: There is none of that name, or it is a number of nobody's, whose group is not known.
    """
    name, given, group = text.partition(":")
    entry = _entry_of(name, flag)
    if entry is None and not given:
        raise Invalid(
            f"{flag}: no user has the number {name}, so it has no group", hint=f"give one: --user {name}:{name}"
        )
    return {
        "name": text,
        "login": "" if entry is None else entry.pw_name,
        "uid": int(name) if entry is None else entry.pw_uid,
        "gid": _group(group, flag) if given else entry.pw_gid if entry is not None else 0,
        "groups": entry is not None and not given,
        "home": "/" if entry is None or not entry.pw_dir.startswith("/") else entry.pw_dir,
    }


def _entry_of(name: str, flag: str) -> struct_passwd | None:
    import pwd

    if _NUMBER.fullmatch(name) and int(name) <= ID_MOST:
        try:
            return pwd.getpwuid(int(name))
        except KeyError:
            return None
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError, UnicodeError):
        raise Invalid(f"{flag}: there is no user '{display(name)}'", hint="see the users: getent passwd") from None


def _group(name: str, flag: str) -> int:
    import grp

    if _NUMBER.fullmatch(name) and int(name) <= ID_MOST:
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError, UnicodeError):
        raise Invalid(f"{flag}: there is no group '{display(name)}'", hint="see the groups: getent group") from None
