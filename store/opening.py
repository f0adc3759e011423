"""Open the books where they are: a file, or a schema of a PostgreSQL database."""

from ..domain.errors import Unavailable
from .connection import Store
from .file import File

ON_POSTGRESQL = ("postgresql://", "postgres://")


def open_store(where: str, *, make: bool = True) -> Store:
    """The store behind a path or a URL; made if there is none, or `NotFound` where that was not wanted."""
    if not where.startswith(ON_POSTGRESQL):
        return File(where, make=make)
    try:
        from .postgres.database import Database
    except ImportError as error:
        raise Unavailable("books on PostgreSQL need psycopg: pip install 'mecris[postgres]'") from error
    return Database(where, make=make)
