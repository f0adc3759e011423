"""Idempotency keys of what is no order: the first answer again, byte for byte, to the same request."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from threading import Lock
from weakref import WeakValueDictionary

from ..domain.errors import KeyReused
from ..store.connection import Connection, Store
from .answers import Answer, from_json, to_json


def fingerprint_of(*request: object) -> str:
    """What tells one request from another."""
    return sha256("\n".join(map(repr, request)).encode()).hexdigest()


def kept(connection: Connection, key: str | None, fingerprint: str) -> Answer | None:
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


def keep(connection: Connection, key: str | None, fingerprint: str, answer: Answer) -> None:
    """Keep an answer under its key; the first one stays."""
    if key is not None:
        row = (key, fingerprint, to_json(answer))
        connection.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)


class Keys:
    """Requests under keys that are under way in this process: of two that come at once, the second waits for the first.

    In two processes both may be done; what is asked for so (a look for alerts, a replay) then still says the same, and the
    answer that was kept first is given to both.
    """

    def __init__(self, file: Store) -> None:
        self.file = file
        self._under_way: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._turn = Lock()

    def once(self, key: str, request: Sequence[object], do: Callable[[], Answer]) -> Answer:
        """Do what is asked for, unless it was done under this key."""
        fingerprint = fingerprint_of(*request)
        with self._turn:
            mine = self._under_way.setdefault(key, Lock())
        with mine:
            with self.file.reading() as connection:
                first = kept(connection, key, fingerprint)
            return self._do(key, fingerprint, do) if first is None else first

    def _do(self, key: str, fingerprint: str, do: Callable[[], Answer]) -> Answer:
        answer = do()
        with self.file.pen() as connection:
            first = kept(connection, key, fingerprint)
            if first is None:
                keep(connection, key, fingerprint, answer)
        return answer if first is None else first
