"""What the resident process has to do with the rest: its directory, and the libraries that commands need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["load_libraries", "prepare"]


def prepare(context: AppContext) -> None:
    """
    See to the directory that its socket is in.

    Raises:
        Refused: The caller is not root, or it is not root's alone.
    """
    context.need_root()
    from nsctl.engine.store.files import HOST_DIR, ensure_private_dir

    ensure_private_dir(HOST_DIR)


def load_libraries() -> None:
    """Load what commands import when they first need it."""
    from nsctl.engine.lazy_imports import load_structlog
    from nsctl.engine.runner.process import load_plumbum

    load_structlog()  # it asks about colours, for a console that nsctl does not have
    load_plumbum()  # it copies all variables, and is made to forget them whenever it is used
