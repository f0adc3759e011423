"""Stored names of events: promises for good. Classes move, `source-recorded.v1` does not."""

from collections.abc import Mapping

from ..domain.events import CYCLE_EVENTS, Event

EVENTS: Mapping[str, type[Event]] = {event.stored_as: event for event in CYCLE_EVENTS}
"""Every name an event is stored under today; older ones are read by `domain/old_shapes.py`."""
