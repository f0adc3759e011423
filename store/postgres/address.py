"""Where books on PostgreSQL are: a URL as libpq takes it, and beside it what is ours: the schema, and how long to wait."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from ...domain.errors import Unavailable

SCHEMA = "mecris"
VIEWS = "_views"
PATIENCE = 30
"""Seconds to wait for another writer."""
HANGING = 60
"""Seconds after which a transaction in which nothing happens is cut off by the server."""
OURS = ("schema", "patience", "hanging")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,54}")
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")
SECRETS = ("password", "sslpassword")


class Address(NamedTuple):
    """A database and the schema of the books in it; `shown` has no password in it."""

    url: str
    schema: str
    shown: str
    patience: int
    hanging: int

    @property
    def log(self) -> str:
        """The schema as SQL has it: a name may be one of SQL's own words."""
        return f'"{self.schema}"'

    @property
    def views(self) -> str:
        """The schema of the read models: it belongs to whoever serves the books, the log does not."""
        return f"{self.schema}{VIEWS}"


def address_of(url: str) -> Address:
    """Take a URL apart: `postgresql://user@host/database?schema=team&patience=5`."""
    try:
        parts = urlsplit(url)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise Unavailable("the address of the books is no URL: write postgresql://user@host/database") from None
    if "@" in parts.path or "#" in url:  # then part of a password would be taken for a host or a name, and be shown
        raise Unavailable(
            "the address of the books is no URL: write / as %2F, @ as %40 and # as %23 in user and password, better "
            "keep the password in ~/.pgpass"
        )
    schema = next((value for name, value in asked if name == "schema"), SCHEMA)
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise Unavailable("the schema of the books is a name of up to 55 letters a-z, digits and _")
    if schema.endswith(VIEWS):
        raise Unavailable(f"no schema of books ends in {VIEWS}: the read models of other books lie in such a one")
    libpq = [(name, value) for name, value in asked if name not in OURS]
    public = [(name, value) for name, value in asked if name not in SECRETS]
    user, at, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{at}{hosts}"
    return Address(
        _url(parts.netloc, parts.path, urlencode(libpq)),
        schema,
        _url(netloc, parts.path, urlencode(public, safe="/")),
        _seconds(asked, "patience", PATIENCE),
        _seconds(asked, "hanging", HANGING),
    )


def _url(netloc: str, path: str, query: str) -> str:
    """With its slashes also where a service says the rest, which `urlunsplit` leaves out."""
    return f"postgresql://{netloc}{path}{'?' if query else ''}{query}"


def _seconds(asked: list[tuple[str, str]], name: str, otherwise: int) -> int:
    said = next((value for key, value in asked if key == name), str(otherwise))
    if not _SECONDS.fullmatch(said):
        raise Unavailable(f"{name} in the address of the books is a number of seconds from 1 to 9999")
    return int(said)
