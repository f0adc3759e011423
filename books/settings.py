"""Settings and defaults: where the books are, and who writes in them."""

import os
import sys

from ..domain.errors import Unavailable

_SYSTEM: str = sys.platform
LOCATION = "MECRIS_BOOKS"
"""The environment variable that names the books."""


def location(named: str | os.PathLike[str] | None) -> str:
    """The file of the books: as named, else as the environment says, else in the user's data directory."""
    chosen = str(named) if named is not None else os.environ.get(LOCATION, "")
    if chosen.startswith(("postgresql://", "postgres://")):
        raise Unavailable("books on PostgreSQL are not in this version: name a file with --books")
    if named is not None and not chosen.strip():
        raise Unavailable("--books names nothing: give a file, like ./books.db")
    return os.path.abspath(os.path.expanduser(chosen)) if chosen else _default()


def _default() -> str:
    return os.path.join(_on_linux() or _elsewhere(), "books.db")


def _on_linux() -> str | None:
    """What platformdirs says too, without the 10 ms that importing it takes."""
    if _SYSTEM != "linux":
        return None
    home = os.environ.get("XDG_DATA_HOME", "").strip() or os.path.expanduser("~/.local/share")
    return os.path.join(home, "mecris")


def _elsewhere() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("mecris", appauthor=False)


def author() -> str:
    """The operating-system user."""
    from getpass import getuser

    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
