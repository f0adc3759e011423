"""Idempotency keys of what is no order: the first answer again, byte for byte, to the same request."""

import sqlite3
from hashlib import sha256

from ..domain.errors import KeyReused
from .answers import Answer, from_json, to_json


def fingerprint_of(*request: object) -> str:
    """What tells one request from another."""
    return sha256("\n".join(map(repr, request)).encode()).hexdigest()


def kept(connection: sqlite3.Connection, key: str | None, fingerprint: str) -> Answer | None:
    """The first answer to the same request; another request under the same key is a conflict."""
    if key is None:
        return None
    found = connection.execute("SELECT fingerprint, answer FROM idempotency_keys WHERE key = ?", (key,)).fetchone()
    if found is None:
        return None
    if found[0] != fingerprint:
        raise KeyReused(key)
    answer = Answer(from_json(found[1]))
    answer.replayed = True
    return answer


def keep(connection: sqlite3.Connection, key: str | None, fingerprint: str, answer: Answer) -> None:
    """Keep an answer under its key; the first one stays."""
    if key is not None:
        row = (key, fingerprint, to_json(answer))
        connection.execute("INSERT OR IGNORE INTO idempotency_keys VALUES (?, ?, ?)", row)
