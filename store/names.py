"""Stored names of events: promises for good. Classes move, `source-recorded.v1` does not."""

from collections.abc import Mapping

from ..domain.access_events import ACCESS_EVENTS
from ..domain.alert_events import ALERT_EVENTS
from ..domain.event import Event
from ..domain.events import CYCLE_EVENTS
from ..domain.import_events import IMPORT_EVENTS
from ..domain.odometer_events import ODOMETER_EVENTS
from ..domain.run_events import RUN_EVENTS

EVENTS: Mapping[str, type[Event]] = {
    event.stored_as: event
    for event in (*CYCLE_EVENTS, *RUN_EVENTS, *ODOMETER_EVENTS, *ALERT_EVENTS, *ACCESS_EVENTS, *IMPORT_EVENTS)
}
"""Every name an event is stored under today; older ones are read by `domain/old_shapes.py`."""
