"""How read models follow the log: start, apply, and the position of the last event seen, in one transaction.

Catching up and rebuilding are the same fold. No clock, no network, no reading of other views.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from ..domain.errors import EventDamaged, MecrisError, NewerBooks
from ..domain.old_shapes import today
from ..store.connection import Connection, stream
from ..store.faults import FAILED

BATCH = 2000
"""Events read and written at a time: the memory a rebuild takes does not grow with the log."""

Fields = dict[str, Any]
Handler = Callable[[int, str, Fields], None]
Progress = Callable[[int], None]


if (
    TYPE_CHECKING
):  # a protocol takes a quarter of a millisecond to make, which a question from the command line can spare
    from typing import Protocol

    class Fold(Protocol):
        """A fold at work: takes events one by one, writes what it has at each flush, and what only the end tells at the end."""

        @property
        def handlers(self) -> Mapping[str, Handler]:
            """What to do with each event it takes, by stored name."""

        def flush(self) -> None:
            """Write what was taken in."""

        def finish(self) -> None:
            """Write what was taken in, as it is in the end."""


class View:
    """A read model: the module of that name has its tables, its indexes, the events it ignores by name, and its fold.

    The module is imported when there is something to fold: a question about books that are up to date starts without.
    """

    def __init__(self, name: str, version: int) -> None:
        self.name, self.version = name, version

    @cached_property
    def _module(self) -> Any:
        return import_module(f".{self.name}", __package__)

    @property
    def tables(self) -> Mapping[str, str]:
        """The columns of each table, by name."""
        return cast("Mapping[str, str]", self._module.TABLES)

    @property
    def indexes(self) -> Sequence[str]:
        """Statements that make what comes when the tables are full."""
        return cast("Sequence[str]", self._module.INDEXES)

    @property
    def ignores(self) -> frozenset[str]:
        """The events it ignores, by stored name."""
        return cast("frozenset[str]", self._module.IGNORES)

    def begin(self, connection: Connection) -> "Fold":
        """A fold that goes on where the tables stand."""
        return cast("Fold", self._module.Fold(connection))


VIEWS = (
    View("budget", 2),
    View("records", 1),
    View("odometers", 1),
    View("alerts", 1),
    View("access", 1),
    View("imports", 9),
)
"""Every read model and its version: another version is made anew from the log."""


def positions(connection: Connection) -> dict[str, int]:
    """How far each view has seen the log; one of another version has seen nothing."""
    found = {
        name: (version, position) for name, version, position in connection.execute("SELECT * FROM view_positions")
    }
    newer = [view.name for view in VIEWS if found.get(view.name, (0, 0))[0] > view.version]
    if newer:
        raise NewerBooks(f"the read model '{newer[0]}' was written by a newer Mecris: upgrade mecris")
    return {v.name: found[v.name][1] if found.get(v.name, (0, 0))[0] == v.version else -1 for v in VIEWS}


def catch_up(connection: Connection, progress: Progress | None = None) -> None:
    """Bring every view to the end of the log, in the caller's transaction."""
    seen = positions(connection)
    for view in VIEWS:
        if seen[view.name] < 0:
            make(connection, view)
    if min(seen.values()) < 0:  # views that were, and are parts of others now
        connection.execute(f"DELETE FROM view_positions WHERE view NOT IN ({', '.join('?' * len(seen))})", tuple(seen))
    for start in sorted({max(0, position) for position in seen.values()}):
        views = [view for view in VIEWS if max(0, seen[view.name]) == start]
        fold(connection, views, start, progress)
    for view in VIEWS:
        if seen[view.name] < 0:
            index(connection, view)


def rebuild(connection: Connection, progress: Progress | None = None) -> None:
    """Throw every view away and make it again from the log, in the caller's transaction."""
    connection.execute("DELETE FROM view_positions")
    catch_up(connection, progress)


def make(connection: Connection, view: View) -> None:
    """Make the empty tables of a view; indexes come when they are full."""
    for table, columns in view.tables.items():
        connection.execute(f"DROP TABLE IF EXISTS main.{table}")
        connection.execute(f"CREATE TABLE main.{table} {columns}")


def index(connection: Connection, view: View) -> None:
    """Make the indexes of a view."""
    for statement in view.indexes:
        connection.execute(statement)


def events_after(connection: Connection, position: int) -> Iterable[tuple[int, str, str, bytes]]:
    """Position, aggregate, stored name and JSON of every event after a position."""
    sql = "SELECT position, originator_id, topic, state FROM stored_events WHERE position > ? ORDER BY position"
    return stream(connection, sql, (position,))


def fold(connection: Connection, views: Sequence[View], start: int, progress: Progress | None = None) -> None:
    """Take the events after a position into the tables of some views, and note how far they have seen."""
    from msgspec.json import Decoder  # for those alone who have something to fold: a question mostly has not

    read = Decoder(dict[str, Any]).decode
    folds = [view.begin(connection) for view in views]
    handlers = {topic: [f.handlers[topic] for f in folds if topic in f.handlers] for topic in _known(views, folds)}
    position, since = start, 0
    topic = ""
    try:
        for position, aggregate, topic, state in events_after(connection, start):
            fields = read(state)
            if topic not in handlers:
                topic, fields = today(topic, fields)  # noqa: PLW2901  # the same event, in today's shape
                if topic not in handlers:
                    raise NewerBooks(
                        f"event {position} is a '{topic}', which this Mecris does not know: upgrade mecris"
                    )
            for handler in handlers[topic]:
                handler(position, aggregate, fields)
            since += 1
            if since == BATCH:
                for each in folds:
                    each.flush()
                if progress:
                    progress(since)
                since = 0
        for each in folds:
            each.finish()
        if progress and since:
            progress(since)
    except (MecrisError, *FAILED):
        raise
    except Exception as error:  # whatever a changed event may lead to, it is told as that
        raise EventDamaged(
            f"the read models cannot take in event {position} ({topic}), or one before it: run `mecris audit verify`"
        ) from error
    rows = [(view.name, view.version, position) for view in views]
    connection.executemany(
        "INSERT INTO view_positions VALUES (?, ?, ?) "
        "ON CONFLICT (view) DO UPDATE SET version = excluded.version, position = excluded.position",
        rows,
    )


def _known(views: Sequence[View], folds: Sequence["Fold"]) -> set[str]:
    return {topic for view, f in zip(views, folds, strict=True) for topic in (*view.ignores, *f.handlers)}
