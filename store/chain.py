r"""The chain: one SHA-256 over each stored event and the link before it, so that no change goes unseen.

    link = SHA-256( link before it, 32 bytes, all zero for the first
                    + b"position\nlast\nrecorded_at\noriginator_id\noriginator_version\ntopic\n" + state )

Numbers in decimal digits, texts in UTF-8, `state` as it is stored. `last` is the last position of the
same write, `recorded_at` the column of `event_chain`. Anybody can check it with SQLite and a hash.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from .connection import Connection, stream
from .positions import GENESIS


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


def holds(connection: Connection, kept: str) -> bool:
    """Is a head that was printed once, 'position:link', in this log?"""
    position, _, link = kept.partition(":")
    if not (position.isascii() and position.isdecimal()):
        return False
    found = connection.execute("SELECT link FROM event_chain WHERE position = ?", (int(position),)).fetchone()
    return found is not None and isinstance(found[0], bytes) and found[0].hex() == link.strip().lower()


def faults(connection: Connection) -> Iterator[Fault]:
    """Recompute the chain from the first event on; streams, whatever the size of the log."""
    before: object = GENESIS
    expected, previous_at, whole_until, versions = 1, "", 0, _Versions()
    for position, oid, version, topic, state, last, recorded_at, kept in stream(connection, _BOTH):
        for missing in range(expected, position):
            yield Fault(missing, f"event {missing} is missing, and its link with it")
            before = None  # what the next link rests on is lost
            versions.lose()
        expected = position + 1
        name = f"event {position} ({topic} of {oid})"
        wanted = versions.step(oid, version)
        if kept is None:
            yield Fault(position, f"{name} has no link: it was inserted, or its link was removed")
            before = None
            continue
        if topic is None:
            yield Fault(position, f"event {position} is missing: only its link is left")
            versions.lose()
        elif isinstance(before, bytes) and kept != link_of(
            before, position, last, recorded_at, oid, version, topic, _bytes(state)
        ):
            yield Fault(position, f"{name} is not what was written")
        elif wanted not in (None, version):
            yield Fault(position, f"{name} is number {version} of {oid}, where number {wanted} belongs")
        if recorded_at < previous_at:
            yield Fault(position, f"event {position} is recorded before the one in front of it")
        before, previous_at, whole_until = kept, recorded_at, last
    yield from _cut_off(connection, expected - 1, whole_until)


class _Versions:
    """The last version of each aggregate; what is lost takes with it what is known of them."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._before_the_first: int | None = 0

    def lose(self) -> None:
        """Forget: an event is missing, and nobody knows whose."""
        self._last.clear()
        self._before_the_first = None

    def step(self, oid: str, version: object) -> int | None:
        """Go on to a version; returns the one that belongs there, if that is known."""
        last = self._last.get(oid, self._before_the_first)
        if isinstance(version, int):
            self._last[oid] = version
        return None if last is None else last + 1


def _cut_off(connection: Connection, end: int, whole_until: object) -> Iterator[Fault]:
    """The end of the log may be missing; its last write, and the read models, may know of more."""
    seen = connection.execute("SELECT max(position) FROM view_positions").fetchone()[0]
    known = max(number for number in (whole_until, seen, 0) if isinstance(number, int))
    if known > end:
        yield Fault(end + 1, f"event {end + 1} is missing: the log ends at {end}, and once went on to {known} at least")


def _bytes(state: object) -> bytes:
    """What is stored, as bytes; a hand that wrote something else than a text changed it."""
    return state if isinstance(state, bytes) else str(state).encode()


_BOTH = """
SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, c.last, CAST(c.recorded_at AS TEXT), c.link
FROM stored_events e LEFT JOIN event_chain c USING (position)
UNION ALL
SELECT c.position, NULL, NULL, NULL, NULL, c.last, CAST(c.recorded_at AS TEXT), c.link
FROM event_chain c WHERE NOT EXISTS (SELECT 1 FROM stored_events e WHERE e.position = c.position)
ORDER BY 1"""
