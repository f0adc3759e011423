"""Stored names of events: promises for good. Classes move, `source-recorded.v1` does not.

To change the shape of an event, give the class a new name (`.v2`), and add the old name to `OLD` with a small
function that makes the new fields from the old ones. One stored event of every shape ever written lies in
`tests/golden/`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..domain.events import CYCLE_EVENTS, Event

EVENTS: Mapping[str, type[Event]] = {event.stored_as: event for event in CYCLE_EVENTS}
"""Every name an event is stored under today."""

OLD: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""Names that are only read: the name they are today, and how to read them."""
