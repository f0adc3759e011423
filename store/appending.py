"""Appending: events and the links of their chain, written in one transaction at the end of the log."""

from collections.abc import Sequence

from eventsourcing.persistence import IntegrityError, StoredEvent

from . import chain, positions
from .connection import Connection


class Stale(IntegrityError):
    """What was decided on is not the end of the log any more: ask again."""


def append(connection: Connection, stored_events: Sequence[StoredEvent], recorded_at: str) -> int:
    """Write events and their links; returns the last position, or raises `Stale` if others have written since."""
    position, before, link = positions.head(connection)
    if recorded_at < before:
        raise Stale("the log has moved on")
    last = position + len(stored_events)
    events, links = [], []
    for at, s in enumerate(stored_events, position + 1):
        oid, version, topic, state = str(s.originator_id), s.originator_version, s.topic, s.state
        link = chain.link_of(link, at, last, recorded_at, oid, version, topic, state)
        events.append((at, oid, version, topic, state))
        links.append((at, last, recorded_at, link))
    written = connection.executemany("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", events)
    if written.rowcount != len(events):
        raise Stale("another writer was first")
    connection.executemany("INSERT INTO event_chain VALUES (?, ?, ?, ?)", links)
    return last
