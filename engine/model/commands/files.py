"""Commands that write: sysctls, files, directories."""

from __future__ import annotations

from nsctl.engine.model.commands.base import Known

__all__ = ["MakeDir", "RemoveDir", "RemoveFiles", "Sysctl", "WriteFile"]

_OCTAL = frozenset("01234567")
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,@%!")


class Sysctl(Known, frozen=True, tag="sysctl"):
    """
    Set a sysctl.

    Args:
        key: With slashes, as the path below /proc/sys.
        value: The value.
        netns: The namespace.
    """

    key: str
    value: str
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("sysctl", "-qw", f"{self.key}={self.value}")

    @property
    def is_plain(self) -> bool:
        """Whether a write below /proc/sys does the same: sysctl turns the dots of other spellings into slashes."""
        parts = self.key.split("/")
        return len(parts) > 1 and _KEY.issuperset(self.key) and not {"", ".", ".."} & set(parts)


class WriteFile(Known, frozen=True, tag="write_file"):
    """
    Write a file in place of what is there.

    Args:
        path: Absolute.
        content: All of it.
        mode: Its permissions, in octal.
    """

    path: str
    content: str
    mode: str = "0644"

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("install", "-m", self.mode, "/dev/stdin", self.path)

    @property
    def stdin(self) -> str | None:
        """The content."""
        return self.content

    @property
    def is_plain(self) -> bool:
        """Whether a write without a process does the same."""
        return self.path.startswith("/") and _is_octal(self.mode)


class MakeDir(Known, frozen=True, tag="make_dir"):
    """
    Make a directory.

    Args:
        path: Absolute.
        mode: Its permissions, in octal.
    """

    path: str
    mode: str = "0700"

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("mkdir", "-m", self.mode, self.path)

    @property
    def is_plain(self) -> bool:
        """Whether it can be made without a process."""
        return self.path.startswith("/") and _is_octal(self.mode)


class RemoveDir(Known, frozen=True, tag="remove_dir"):
    """Remove an empty directory."""

    path: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("rmdir", self.path)

    @property
    def is_plain(self) -> bool:
        """Whether it can be removed without a process."""
        return self.path.startswith("/")


class RemoveFiles(Known, frozen=True, tag="remove_files"):
    """Remove files, as far as they are there."""

    paths: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("rm", "-f", *self.paths)

    @property
    def is_plain(self) -> bool:
        """Whether they can be removed without a process."""
        return all(path.startswith("/") for path in self.paths)


def _is_octal(mode: str) -> bool:
    return bool(mode) and _OCTAL.issuperset(mode)
