"""Where the log ends, which positions were written together, and what was its end at a moment."""

from datetime import datetime
from typing import NamedTuple

from ..domain.errors import EventDamaged
from ..domain.period import from_text
from .connection import Connection

GENESIS = bytes(32)
"""The link in front of the first event."""


class Head(NamedTuple):
    """The end of the log: its last position (0: empty), when that was recorded, and its link."""

    position: int
    recorded_at: str
    link: bytes

    def __str__(self) -> str:
        link = self.link.hex() if isinstance(self.link, bytes) else "damaged"
        return f"{self.position}:{link}"


def head(connection: Connection) -> Head:
    """Where the log ends."""
    found = connection.execute(
        "SELECT position, recorded_at, link FROM event_chain ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return Head(*found) if found else Head(0, "", GENESIS)


def end_of_write(connection: Connection, position: int) -> int:
    """The last position of the write that a position lies in."""
    found = connection.execute("SELECT last FROM event_chain WHERE position = ?", (position,)).fetchone()
    if found is None:
        raise EventDamaged(f"the link of event {position} is missing: run `mecris audit verify`")
    return int(found[0])


def recorded_at(connection: Connection, position: int) -> datetime:
    """When the event at a position was recorded."""
    found = connection.execute(
        "SELECT recorded_at FROM event_chain WHERE position <= ? ORDER BY position DESC LIMIT 1", (position,)
    )
    return from_text(found.fetchone()[0])


def last_by(connection: Connection, recorded_at: str) -> int:
    """The last position recorded by a moment (as stored text); recorded_at never goes backwards, so halving finds it."""
    low, high = 0, head(connection).position
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.execute(
            "SELECT position, recorded_at FROM event_chain WHERE position >= ? ORDER BY position LIMIT 1", (middle,)
        ).fetchone()
        if found[1] <= recorded_at:
            low = max(middle, found[0])
        else:
            high = middle - 1
    return low
