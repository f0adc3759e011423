"""Where books on PostgreSQL are: a URL as libpq takes it, and beside it the schema, when it is not `mecris`."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from ...domain.errors import Unavailable

SCHEMA = "mecris"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,54}")
SECRETS = ("password", "sslpassword")


class Address(NamedTuple):
    """A database and the schema of the books in it; `shown` has no password in it."""

    url: str
    schema: str
    shown: str

    @property
    def views(self) -> str:
        """The schema of the read models: it belongs to whoever serves the books, the log does not."""
        return f"{self.schema}_views"

    @property
    def channel(self) -> str:
        """Where the end of the log is told when it moves."""
        return self.schema


def address_of(url: str) -> Address:
    """Take a URL apart: `postgresql://user@host/database?schema=team`."""
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
    libpq = [(name, value) for name, value in asked if name != "schema"]
    public = [(name, value) for name, value in asked if name not in SECRETS]
    user, at, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{at}{hosts}"
    return Address(
        _url(parts.netloc, parts.path, urlencode(libpq)), schema, _url(netloc, parts.path, urlencode(public, safe="/"))
    )


def _url(netloc: str, path: str, query: str) -> str:
    """With its slashes also where a service says the rest, which `urlunsplit` leaves out."""
    return f"postgresql://{netloc}{path}{'?' if query else ''}{query}"
