"""In every process of a test run on PostgreSQL: what names a file of books means a schema of the test server."""

import os
from hashlib import sha256

SERVER = os.environ.get("MECRIS_TEST_POSTGRESQL")


def address_for(path: str) -> str:
    """The books that stand for a file."""
    schema = "t" + sha256(os.path.realpath(path).encode()).hexdigest()[:20]
    return f"{SERVER}&schema={schema}"


def redirect() -> None:
    """Open books on the test server wherever a file is named."""
    from mecris.books import settings

    named = settings.location

    def location(given: "str | os.PathLike[str] | None") -> str:
        where = named(given)
        return where if where.startswith("postgresql://") else address_for(where)

    settings.location = location


if SERVER:
    redirect()
