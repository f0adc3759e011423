r"""The chain: one SHA-256 over each stored event and the link before it, so that no change goes unseen.

    link = SHA-256( link before it, 32 bytes, all zero for the first
                    + b"position\nlast\nrecorded_at\noriginator_id\noriginator_version\ntopic\n" + state )

Numbers in decimal digits, texts in UTF-8, `state` as it is stored. `last` is the last position of the
same write, `recorded_at` the column of `event_chain`. Anybody can check it with SQLite and a hash.
"""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from ..domain.errors import EventDamaged
from ..domain.period import from_text

GENESIS = bytes(32)


class Head(NamedTuple):
    """The end of the log: its last position (0: empty), when that was recorded, and its link."""

    position: int
    recorded_at: str
    link: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.link.hex()}"


class Fault(NamedTuple):
    """Something that is not as it was written; `position` names the event."""

    position: int
    what: str


def link_of(
    before: bytes,
    position: int,
    last: int,
    recorded_at: str,
    originator_id: str,
    version: int,
    topic: str,
    state: bytes,
) -> bytes:
    """The link of one event."""
    told = f"{position}\n{last}\n{recorded_at}\n{originator_id}\n{version}\n{topic}\n".encode()
    return sha256(before + told + state).digest()


def head(connection: sqlite3.Connection) -> Head:
    """Where the log ends."""
    found = connection.execute(
        "SELECT position, recorded_at, link FROM event_chain ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return Head(*found) if found else Head(0, "", GENESIS)


def end_of_write(connection: sqlite3.Connection, position: int) -> int:
    """The last position of the write that a position lies in."""
    found = connection.execute("SELECT last FROM event_chain WHERE position = ?", (position,)).fetchone()
    if found is None:
        raise EventDamaged(f"the link of event {position} is missing: run `mecris audit verify`")
    return int(found[0])


def recorded_at(connection: sqlite3.Connection, position: int) -> datetime:
    """When the event at a position was recorded."""
    found = connection.execute(
        "SELECT recorded_at FROM event_chain WHERE position <= ? ORDER BY position DESC LIMIT 1", (position,)
    )
    return from_text(found.fetchone()[0])


def last_by(connection: sqlite3.Connection, recorded_at: str) -> int:
    """The last position recorded by a moment (as stored text); recorded_at never goes backwards, so halving finds it."""
    low, high = 0, head(connection).position
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.execute(
            "SELECT position, recorded_at FROM event_chain WHERE position >= ? LIMIT 1", (middle,)
        ).fetchone()
        if found[1] <= recorded_at:
            low = max(middle, found[0])
        else:
            high = middle - 1
    return low


def holds(connection: sqlite3.Connection, kept: str) -> bool:
    """Is a head that was printed once, 'position:link', in this log?"""
    position, _, link = kept.partition(":")
    if not position.isdecimal():
        return False
    found = connection.execute("SELECT link FROM event_chain WHERE position = ?", (int(position),)).fetchone()
    return found is not None and found[0].hex() == link.strip().lower()


def faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Recompute the chain from the first event on; streams, whatever the size of the log."""
    before: bytes | None = GENESIS
    expected, previous_at = 1, ""
    for position, oid, version, topic, state, last, recorded_at, kept in connection.execute(_BOTH):
        for missing in range(expected, position):
            yield Fault(missing, f"event {missing} is missing, and its link with it")
            before = None  # what the next link rests on is lost
        expected = position + 1
        name = f"event {position} ({topic} of {oid})"
        if kept is None:
            yield Fault(position, f"{name} was inserted: it has no link")
            continue
        if topic is None:
            yield Fault(position, f"event {position} is missing: only its link is left")
        elif (
            before is not None
            and link_of(before, position, last, recorded_at, oid, version, topic, _bytes(state)) != kept
        ):
            yield Fault(position, f"{name} is not what was written")
        if recorded_at < previous_at:
            yield Fault(position, f"event {position} is recorded before the one in front of it")
        before, previous_at = kept, recorded_at


def _bytes(state: bytes | str) -> bytes:
    return state.encode() if isinstance(state, str) else bytes(state)


_BOTH = """
SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, c.last, c.recorded_at, c.link
FROM stored_events e LEFT JOIN event_chain c USING (position)
UNION ALL
SELECT c.position, NULL, NULL, NULL, NULL, c.last, c.recorded_at, c.link
FROM event_chain c WHERE NOT EXISTS (SELECT 1 FROM stored_events e WHERE e.position = c.position)
ORDER BY 1"""
