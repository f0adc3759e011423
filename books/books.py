"""`Books`: one place for every command and every question."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..domain.period import When
from ..projections import follow
from ..store import positions
from ..store.file import File
from . import settings
from .answers import Answer
from .questions import Book, Questions

if TYPE_CHECKING:
    from ..domain.commands import Command
    from . import audit
    from .writing import Writer


def _now() -> datetime:
    return datetime.now(UTC)


class Books:
    """The books in one place. Safe to share between threads, and between processes.

    Orders (`mecris.domain.commands`) go to `handle`, which answers with a dict or raises a `Refused`.
    Questions may be asked as of a position or a time (`as_of`: what was known), and for what had been
    measured by a time (`measured_by`: what had happened, by all that is known). Amounts are exact `Decimal`s of
    US dollars, times and days are ISO 8601 text in UTC.
    """

    def __init__(
        self,
        file: File,
        *,
        recorded_by: str | None = None,
        via: str = "python",
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.file, self._clock, self._via, self._recorded_by = file, clock, via, recorded_by
        self._first_order = Lock()
        self.__writer: Writer | None = None

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str] | None = None,
        *,
        recorded_by: str | None = None,
        via: str = "python",
        clock: Callable[[], datetime] = _now,
    ) -> Self:
        """Open the books, or make them if there are none.

        `location` defaults to MECRIS_BOOKS, else to a file in the user's data directory; `recorded_by` to the
        operating-system user. Raises `Damaged` for a file that is not Mecris', `Unavailable` for one that cannot be reached.
        """
        return cls(File(settings.location(location)), recorded_by=recorded_by, via=via, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the books. What was answered is on disk in any case."""
        self.file.close()

    # -- orders -------------------------------------------------------------------------------------------------

    def handle(self, order: "Command", *, idempotency_key: str | None = None) -> Answer:
        """Do what an order says, durably, or raise a `Refused` and record nothing.

        With a key, the same order again is answered with the first answer, and `Answer.replayed` is true;
        another order under the same key is a `KeyReused`. Answers always have `recorded` and `position`.
        """
        return self._writer.handle(order, idempotency_key)

    def handle_all(self, orders: Iterable["Command"]) -> list[Answer]:
        """Do what all orders say in one durable transaction; if one is refused, nothing is recorded.

        Each order stays a write of its own, with its own moment: as of a position between two of them, the books
        answer as they stood between the two.
        """
        return self._writer.handle_all(orders)

    @cached_property
    def _writer(self) -> "Writer":
        from .writing import Writer  # brings pydantic and eventsourcing, which no question needs

        with self._first_order:
            if self.__writer is None:
                self.__writer = Writer(self.file, self._clock, self._recorded_by or settings.author(), self._via)
            return self.__writer

    # -- questions ----------------------------------------------------------------------------------------------

    def status(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> Answer:
        """How much is left of a cycle (none named: the one that today falls in), and why one should believe it."""
        with self._asking() as ask:
            return ask.status(self._book(ask, cycle_id, as_of, measured_by))

    def discrepancies(
        self, cycle_id: int, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> Answer:
        """Every pair of a realtime and a manual source, graded and put in words."""
        with self._asking() as ask:
            return ask.discrepancies(self._book(ask, cycle_id, as_of, measured_by))

    def sources(
        self, cycle_id: int, *, history: bool = False, as_of: When | int | None = None, measured_by: When | None = None
    ) -> list[dict[str, Any]]:
        """Every source with its current reading, or every reading."""
        with self._asking() as ask:
            book = self._book(ask, cycle_id, as_of, measured_by)
            return ask.history(book) if history else ask.sources(book)

    def cycles(self, *, as_of: When | int | None = None, measured_by: When | None = None) -> list[dict[str, Any]]:
        """Every cycle with what is left of it."""
        with self._asking() as ask:
            return ask.cycles(as_of, measured_by)

    @staticmethod
    def _book(ask: Questions, cycle_id: int | None, as_of: When | int | None, measured_by: When | None) -> Book:
        cycle = ask.current_cycle() if cycle_id is None else ask.cycle(cycle_id)
        return ask.book(cycle, ask.moment(cycle, as_of, measured_by))

    @contextmanager
    def _asking(self) -> Iterator[Questions]:
        """The read models, brought up to the end of the log, in one read transaction."""
        with self.file.reading() as connection:
            position, seen = _end(connection)
            if seen >= position:
                yield Questions(connection, seen, self._clock())
                return
        with self.file.pen() as connection:
            follow.catch_up(connection)
        with self.file.reading() as connection:
            yield Questions(connection, _end(connection)[1], self._clock())

    # -- the log ------------------------------------------------------------------------------------------------

    def log(self, cycle_id: int | None = None, *, since: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Every event in order after a position, as plain dicts: the event's own fields beside who recorded it, and when."""
        from . import audit

        return audit.log(self.file, cycle_id, since, limit)

    def verify(self, expected: str | None = None) -> "audit.Verdict":
        """Recompute the chain from the first event on; `expected` is a head that was kept elsewhere."""
        from . import audit

        return audit.verify(self.file, expected)

    def replay(self, progress: follow.Progress | None = None) -> "audit.Replay":
        """Rebuild every read model beside the live ones from the log alone, and compare row for row."""
        from . import audit

        with self._asking():
            pass
        return audit.replay(self.file, progress)

    def rebuild(self, progress: follow.Progress | None = None) -> int:
        """Throw the read models and snapshots away and make them again from the log; returns the position they have seen."""
        with self.file.pen() as connection:
            follow.rebuild(connection, progress)
            connection.execute("DELETE FROM stored_snapshots")  # they are derived too
            position = positions.head(connection).position
        self.file.tidy()
        return position

    @property
    def position(self) -> int:
        """The last position of the log."""
        with self.file.reading() as connection:
            return positions.head(connection).position


def _end(connection: sqlite3.Connection) -> tuple[int, int]:
    """Where the log ends, and how far the read models have seen it."""
    return positions.head(connection).position, min(follow.positions(connection).values())
