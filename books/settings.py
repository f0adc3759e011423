"""Settings and defaults: where the books are, and who writes in them."""

import os

from ..domain.errors import Unavailable

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
    from platformdirs import user_data_dir  # takes 10 ms to import, and many name their books

    return os.path.join(user_data_dir("mecris", appauthor=False), "books.db")


def author() -> str:
    """The operating-system user."""
    from getpass import getuser

    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
