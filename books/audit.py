"""The audit: the log as it is, the chain recomputed, and every read model rebuilt beside the live ones."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple

from ..domain.errors import Busy, Damaged, EventDamaged, NotFound
from ..domain.ids import alerts_key, cycle_in, cycle_key
from ..domain.period import from_text, time_text
from ..projections import follow
from ..store import chain, positions
from ..store.connection import Connection, Store, stream
from ..store.faults import BROKEN
from .answers import each_field

EXAMPLES = 30
"""Differences that are named one by one."""
EVERY = 2**62
"""A limit that limits nothing."""
MOST_FAULTS = 1000
"""Faults after which we stop looking for more."""
TRIES = 1000
"""How often a moment is looked for at which nobody has just written."""


class Verdict(NamedTuple):
    """What recomputing the chain found."""

    events: int
    head: str
    faults: list[chain.Fault]


class Difference(NamedTuple):
    """A row that stands on one side only: `live`, or `rebuilt` from the log."""

    table: str
    side: str
    row: dict[str, Any]


class Replay(NamedTuple):
    """What rebuilding found: how many rows differ, the first of them, and faults of the chain."""

    events: int
    differences: int
    examples: list[Difference]
    faults: list[chain.Fault]
    seconds: float

    @property
    def events_per_second(self) -> int:
        """The rate of the whole replay, chain and comparison included."""
        return round(self.events / self.seconds) if self.seconds else 0


def log(file: Store, cycle_id: int | None, since: int, limit: int | None) -> Iterator[dict[str, Any]]:
    """Events after a position, in order, of one cycle or of all."""
    with file.reading() as connection:
        if cycle_id is not None and not _holds(connection, cycle_id):
            raise NotFound(
                f"there is no cycle {cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            )
        mine = () if cycle_id is None else (cycle_key(cycle_id), alerts_key(cycle_id))
        rows = stream(
            connection,
            "SELECT e.position, e.originator_id, e.topic, e.state FROM stored_events e "
            f"WHERE e.position > ? {'AND e.originator_id IN (?, ?) ' if mine else ''}ORDER BY e.position LIMIT ?",
            (since, *mine, EVERY if limit is None else limit),
        )
        for position, aggregate, topic, state in rows:
            yield _shown(position, aggregate, topic, state)


def _holds(connection: Connection, cycle_id: int) -> bool:
    found = connection.execute("SELECT 1 FROM stored_events WHERE originator_id = ? LIMIT 1", (cycle_key(cycle_id),))
    return found.fetchone() is not None


def _shown(position: int, aggregate: str, topic: str, state: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(state)
    except ValueError:
        raise EventDamaged(f"event {position} ({topic}) cannot be read: run `mecris audit verify`") from None
    shown = each_field(fields, _as_shown)
    first = {name: shown.pop(name, None) for name in ("recorded_at", "recorded_by", "via")}
    return {"position": position, **first, "event": topic, "cycle_id": cycle_in(aggregate), **shown}


MONEY = (
    *("excellent", "good", "fair", "rate", "amount", "balance", "credit"),
    *("tolerance_percent", "threshold_percent", "discrepancy_percent"),
)
"""Fields that are numbers although their names do not end in `_usd`."""


TIMES = (
    "recorded_at",
    "measured_at",
    "at",
    "rests_on",
    "read_at",
    "retry_at",
    "until",
    "clock_at",
    "expires_at",
    "exported_at",
)
"""Fields that are moments: stored with six digits of fraction, shown with those there are."""


def _as_shown(name: str, value: Any) -> Any:
    """Amounts are stored as texts, so that no reader rounds them; here they are numbers again."""
    if isinstance(value, str) and (name.endswith("_usd") or name in MONEY):
        return Decimal(value)
    return time_text(from_text(value)) if isinstance(value, str) and name in TIMES else value


def verify(file: Store, expected: str | None = None) -> Verdict:
    """Recompute the chain; `expected` is a head that was kept elsewhere, as `verify` printed it."""
    with file.reading() as connection:
        found = list(islice(chain.faults(connection), MOST_FAULTS))
        end = positions.head(connection)
        if expected is not None and not chain.holds(connection, expected):
            found.append(chain.Fault(end.position, f"the head {expected} that was kept is not in this log"))
        return Verdict(_count(connection), str(end), found)


def _count(connection: Connection) -> int:
    """How many events are stored."""
    return int(connection.execute("SELECT count(*) FROM stored_events").fetchone()[0])


def replay(file: Store, catch_up: Callable[[], int], progress: follow.Progress | None) -> Replay:
    """Rebuild every read model in a private temporary database, and compare it with the live one row for row.

    Both are of one moment, at which the live ones have seen all of the log; others may write meanwhile.
    """
    begun = perf_counter()
    for _ in range(TRIES):
        catch_up()
        with file.beside() as connection:
            if _is_behind(connection):
                continue
            return _replayed(connection, progress, begun)
    raise Busy(f"so much is written in {file.where} that no moment of it could be had: try again")


def _is_behind(connection: Connection) -> bool:
    """Was something written since the live read models were brought to the end?"""
    seen = connection.execute("SELECT min(position) FROM live.view_positions").fetchone()[0]
    return seen is None or seen < positions.head(connection).position


def _replayed(connection: Connection, progress: follow.Progress | None, begun: float) -> Replay:
    connection.execute("CREATE TABLE main.view_positions (view TEXT PRIMARY KEY, version INTEGER, position INTEGER)")
    faults = list(islice(chain.faults(connection), MOST_FAULTS))
    differences, examples = _rebuilt_and_compared(connection, faults, progress)
    return Replay(_count(connection), differences, examples, faults, perf_counter() - begun)


def _rebuilt_and_compared(
    connection: Connection, faults: list[chain.Fault], progress: follow.Progress | None
) -> tuple[int, list[Difference]]:
    examples: list[Difference] = []
    differences = 0
    try:
        follow.catch_up(connection, progress)
    except (Damaged, *BROKEN):
        if not faults:
            raise
        return 0, []  # the faults say why nothing can be rebuilt from this log
    for table in ("view_positions", *(table for view in follow.VIEWS for table in view.tables)):
        for difference in _differences(connection, table):
            differences += 1
            if len(examples) < EXAMPLES:
                examples.append(difference)
    return differences, examples


def _differences(connection: Connection, table: str) -> Iterator[Difference]:
    for side, this, other in (("live", "live", "main"), ("rebuilt", "main", "live")):
        rows = connection.execute(f"SELECT * FROM {this}.{table} EXCEPT SELECT * FROM {other}.{table}")
        names = [column[0] for column in rows.description]
        for row in rows:
            yield Difference(table, side, dict(zip(names, row, strict=True)))
