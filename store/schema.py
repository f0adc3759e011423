"""The shape of the file: its identity, its version, the tables of the log, and the way from one version to the next.

Read models have versions of their own (see `projections`); they can be thrown away, these tables cannot.
"""

import sqlite3
from collections.abc import Callable

from ..domain.errors import Damaged, NewerBooks, NotBooks

APPLICATION_ID = 0x4D656372
"""'Mecr' in the header of the file, so that `file` and we can tell what it is."""
VERSION = 3

LOG = (
    # The library's table, with positions of our own: dense, and never used twice.
    """CREATE TABLE stored_events (
        position INTEGER PRIMARY KEY,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    # `last` is the last position of the same write, `link` the SHA-256 described in `chain`.
    """CREATE TABLE event_chain (
        position INTEGER PRIMARY KEY,
        last INTEGER NOT NULL,
        recorded_at TEXT NOT NULL,
        link BLOB NOT NULL)""",
    """CREATE TABLE stored_snapshots (
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (originator_id, originator_version)) WITHOUT ROWID""",
    """CREATE TABLE idempotency_keys (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        answer TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE view_positions (
        view TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL) WITHOUT ROWID""",
)

# What servers keep beside the log: it is no statement about spend, and nothing is derived from it.
DESK = (
    "CREATE TABLE token_uses (name TEXT PRIMARY KEY, last_used_at TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        cycle_id INTEGER NOT NULL,
        status TEXT NOT NULL,
        requested_at TEXT NOT NULL,
        requested_by TEXT NOT NULL,
        via TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        outcome TEXT)""",
    "CREATE INDEX jobs_unfinished ON jobs (id) WHERE finished_at IS NULL",
)


# Files as they came, compressed; what they say is in the log, under the digest that names them.
EVIDENCE = (
    """CREATE TABLE evidence (
        sha256 TEXT NOT NULL,
        part INTEGER NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (sha256, part)) WITHOUT ROWID""",
)


def _add_evidence(connection: sqlite3.Connection) -> None:
    for statement in EVIDENCE:
        connection.execute(statement)


def _add_desk(connection: sqlite3.Connection) -> None:
    for statement in DESK:
        connection.execute(statement)


UPGRADES: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_desk, 2: _add_evidence}
"""From each older version, what makes it the next one; runs in one transaction with the new version number."""


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database the books."""
    for statement in (*LOG, *DESK, *EVIDENCE):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def version_of(connection: sqlite3.Connection, where: str) -> int:
    """The version of the books in a database; refuses what is not ours or too new."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise NotBooks(f"{where} is a database, but not of Mecris: name another file with --books")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version < 1:
        raise Damaged(f"{where} has no version: it is not what Mecris wrote, restore it from a backup")
    if version > VERSION:
        raise NewerBooks(
            f"{where} was written by a newer Mecris (format {version}, this one reads up to {VERSION}): upgrade mecris"
        )
    return version


def upgrade(connection: sqlite3.Connection, where: str) -> None:
    """Bring older books up to date; the caller's transaction makes it all or nothing."""
    for version in range(version_of(connection, where), VERSION):
        UPGRADES[version](connection)
        connection.execute("DELETE FROM stored_snapshots")
    connection.execute(f"PRAGMA user_version = {VERSION}")
