"""The read model of tokens: their names and scopes, who made them and when, and until when they open anything."""

from typing import Any, NamedTuple

from ..store.connection import Connection
from . import topics

TABLES = {
    "access_token": """(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, handle TEXT NOT NULL, expires_at TEXT,
        created_at TEXT NOT NULL, created_by TEXT NOT NULL, revoked INTEGER, revoked_at TEXT, revoked_by TEXT, reason TEXT)""",
}
INDEXES = ()
IGNORES = topics.CYCLES | topics.RUNS | topics.ODOMETERS | topics.ALERTS | topics.IMPORTS


class Fold:
    """Takes tokens into the table; the id of a token is its position in the log, `revoked` that of its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.handlers = {"token-created.v1": self.created, "token-revoked.v1": self.revoked}

    def flush(self) -> None:
        """Nothing waits: tokens are few."""

    finish = flush

    def created(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A token was made."""
        facts = (event["name"], event["scope"], event["handle"], event.get("expires_at"))
        self.connection.execute(
            "INSERT INTO access_token VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
            (position, *facts, event["recorded_at"], event["recorded_by"]),
        )

    def revoked(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A token opens nothing any more."""
        self.connection.execute(
            "UPDATE access_token SET revoked = ?, revoked_at = ?, revoked_by = ?, reason = ? WHERE name = ?",
            (position, event["recorded_at"], event["recorded_by"], event.get("reason"), event["name"]),
        )


class Listed(NamedTuple):
    """A token as it was known; times are as they are stored."""

    name: str
    scope: str
    expires_at: str | None
    created_at: str
    created_by: str
    revoked_at: str | None
    last_used_at: str | None


def tokens(connection: Connection, position: int) -> list[Listed]:
    """Every token made up to a position, in order; the last use is that of today."""
    rows = connection.execute(
        "SELECT name, scope, expires_at, created_at, created_by, CASE WHEN revoked <= ? THEN revoked_at END, last_used_at "
        "FROM access_token LEFT JOIN token_uses USING (name) WHERE id <= ? ORDER BY id",
        (position, position),
    )
    return [Listed(*row) for row in rows]
