"""`Books`: one place for every command and every question."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..domain.health import Limits
from ..domain.period import When
from ..projections import follow
from ..store import positions
from ..store.connection import Connection, Store
from ..store.opening import open_store
from . import settings
from .answers import Answer
from .moments import ALWAYS
from .questions import Book, Questions

if TYPE_CHECKING:
    from ..domain.access import Token
    from ..domain.commands import Command
    from ..domain.errors import MecrisError
    from ..notifiers.delivery import Patience
    from . import audit
    from .access import Doorkeeper
    from .comparing import Stage
    from .costs import Costs
    from .counters import Counters
    from .importing import Progress
    from .jobs import Jobs
    from .keys import Keys
    from .writing import Given, Hand, Writer


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
        file: Store,
        *,
        recorded_by: str | None = None,
        via: str = "python",
        clock: Callable[[], datetime] = _now,
        limits: Limits | None = None,
    ) -> None:
        self.limits = settings.limits() if limits is None else limits
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
        limits: Limits | None = None,
        make: bool = True,
    ) -> Self:
        """Open the books, or make them if there are none, unless `make` is false.

        `location` defaults to MECRIS_BOOKS, else to a file in the user's data directory; `recorded_by` to the
        operating-system user, `limits` (where health changes) to what the environment says. Raises `Damaged` for a file
        that is not Mecris', `Unavailable` for one that cannot be reached, `NoBooks` where none are and none are to be made.
        """
        return cls(
            open_store(settings.location(location), make=make),
            recorded_by=recorded_by,
            via=via,
            clock=clock,
            limits=limits,
        )

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

    def handle(self, order: "Command", *, idempotency_key: str | None = None, recorded_by: str | None = None) -> Answer:
        """Do what an order says, durably, or raise a `Refused` and record nothing.

        With a key, the same order again is answered with the first answer, and `Answer.replayed` is true;
        another order under the same key is a `KeyReused`. Answers always have `recorded` and `position`.
        `recorded_by` is who gives this order, if it is not who opened the books.
        """
        from .writing import Given

        return self._writer.handle(Given(order, idempotency_key, recorded_by))

    def handle_each(self, given: "Sequence[Given]") -> "list[Answer | MecrisError]":
        """Do what each order says or refuse it, each for itself, all in one durable write.

        For servers: many orders that come at once share one wait for the disk. Returns answers and errors in the order given.
        """
        return self._writer.handle_each(given)

    def handle_all(self, orders: Iterable["Command"]) -> list[Answer]:
        """Do what all orders say in one durable transaction; if one is refused, nothing is recorded.

        Each order stays a write of its own, with its own moment: as of a position between two of them, the books
        answer as they stood between the two.
        """
        return self._writer.handle_all(orders)

    def rehearse(self, order: "Command", *, idempotency_key: str | None = None) -> Answer:
        """What an order would be answered with now, or the refusal it would meet; nothing is recorded."""
        from .writing import Given

        return self._writer.rehearse(Given(order, idempotency_key))

    @cached_property
    def _writer(self) -> "Writer":
        from .writing import Writer  # brings pydantic and eventsourcing, which no question needs

        with self._first_order:
            if self.__writer is None:
                self.__writer = Writer(self.file, self._clock, self._recorded_by or settings.author(), self._via)
            return self.__writer

    # -- files --------------------------------------------------------------------------------------------------

    def import_file(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        cycle_id: int | None = None,
        provider: str | None = None,
        exported_at: datetime | None = None,
        dry_run: bool = False,
        tell: bool = True,
        piped: bool = False,
        of: str | int | Decimal | None = None,
        recorded_by: str | None = None,
        progress: "Progress | None" = None,
    ) -> Answer:
        """Import a file: keep it as evidence, and record the readings and dispatches that it comes to, in one write.

        The format is recognised from the content, `exported_at` is the file's time unless said otherwise. The same file again
        records nothing; a dry run says what would be recorded (with `dry_run` in its answer), and records nothing. Whoever imports many files leaves the readings
        of lines to `tell_cycles`, with `tell=False`: each look at the cycles looks at all that was imported of the report. What was
        `piped` into a file has no time of its own. `of` is the credit, in US dollars, of a balance that does not say what it is left of.
        """
        from ..domain.money import usd
        from .importing import Asked, import_file

        credit = None if of is None else usd(of, "--of")
        asked = Asked(format, cycle_id, provider, exported_at, dry_run, tell, piped, credit)
        return import_file(self, os.fspath(path), asked, recorded_by, progress)

    def tell_cycles(self, report: str, *, recorded_by: str | None = None) -> Answer:
        """Bring the cycles that a report touches to what its files come to; nothing is recorded of what they know already.

        An import that was broken off leaves files whose cycles were not told. The next import of the report tells them too.
        """
        from .importing import tell

        return tell(self, report, recorded_by)

    def evidence(self, *, as_of: When | int | None = None) -> list[dict[str, Any]]:
        """Every file that is kept, with how much of it could not be read."""
        from .evidence import listed

        with self._asking() as ask:
            return listed(ask, ask.known("any file", ALWAYS, as_of))

    def quarantine(self) -> list[dict[str, Any]]:
        """Every line of a file that could not be read, and why."""
        from .evidence import quarantined

        with self._asking() as ask:
            return quarantined(ask)

    def retry_quarantine(self, *, recorded_by: str | None = None) -> list[Answer]:
        """Read the files with lines that could not be read again, from what is kept of them."""
        from .evidence import retried

        return retried(self, recorded_by)

    def settle_evidence(self, sha256: str, reason: str, *, recorded_by: str | None = None) -> Answer:
        """Say that nothing is missing any more of the unreadable lines of a file; the beginning of its digest is enough."""
        from .evidence import settled

        return settled(self, sha256, reason, recorded_by)

    def withdraw_report(self, which: str, reason: str, *, recorded_by: str | None = None) -> Answer:
        """Let a report count no more: by its name, or by the beginning of the digest of one of its files."""
        from .evidence import withdrawn

        return withdrawn(self, which, reason, recorded_by)

    def reprice_evidence(self, *, recorded_by: str | None = None) -> Answer:
        """Price the calls again of which no file says what they cost, with the list of prices that is installed."""
        from .repricing import reprice

        return reprice(self, recorded_by)

    def together(self, work: "Callable[[Connection, Hand], Answer]", by: str | None) -> Answer:
        """Do orders that follow from one another in one durable write, or nothing of it."""
        return self._writer.together(work, by)

    def now(self) -> datetime:
        """What the clock of these books shows."""
        return self._clock()

    def at(self, moment: datetime) -> Self:
        """The same books, asked at a moment that does not pass."""
        return type(self)(
            self.file, recorded_by=self._recorded_by, via=self._via, clock=lambda: moment, limits=self.limits
        )

    # -- questions ----------------------------------------------------------------------------------------------

    def status(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> Answer:
        """How much is left of a cycle (none named: the one that today falls in), and why one should believe it."""
        with self._asking() as ask:
            return ask.status(self._book(ask, cycle_id, as_of, measured_by))

    def forecast(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> Answer:
        """How fast money goes, what that comes to by the end, and how healthy the budget is."""
        status = self.status(cycle_id, as_of=as_of, measured_by=measured_by)
        names = ("cycle", "health", "burn", "forecast", "newest", "grade", "percent", "warnings")
        tied, at = status["tie_out"], ("position", "as_of", "measured_by")
        figures = {name: tied[name] for name in ("spent_usd", "remaining_usd", "unexplained_usd")}
        return Answer({name: status[name] for name in names} | figures | {name: status[name] for name in at})

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

    def adjustments(
        self, cycle_id: int, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> list[dict[str, Any]]:
        """Every adjustment of a cycle's budget."""
        with self._asking() as ask:
            return ask.adjustments(self._book(ask, cycle_id, as_of, measured_by))

    def plugs(
        self, cycle_id: int, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> list[dict[str, Any]]:
        """Every plug of a cycle, reversed ones too."""
        with self._asking() as ask:
            return ask.plugs(self._book(ask, cycle_id, as_of, measured_by))

    def chart(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> dict[str, Any]:
        """Budget, spend, plugs and forecast of a cycle, day by day."""
        from .chart import series

        with self._asking() as ask:
            return series(ask, self._book(ask, cycle_id, as_of, measured_by))

    def narrative(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> dict[str, Any]:
        """One line to act on, the facts behind it, and what to do next; nothing in it that was not verified is claimed."""
        return self.narrated(cycle_id, as_of=as_of, measured_by=measured_by)[0]

    def narrated(
        self, cycle_id: int | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> tuple[dict[str, Any], Answer]:
        """The narrative, and the status that it tells of."""
        from .summary import narrative

        with self._asking() as ask:
            book = self._book(ask, cycle_id, as_of, measured_by)
            status = ask.status(book)
            return narrative(status, ask.sources(book)), status

    def unified(self, *, as_of: When | int | None = None, measured_by: When | None = None) -> dict[str, Any]:
        """All current cycles and odometers together; where their periods differ is said."""
        from .unified import Current, unified

        with self._asking() as ask:
            books = [
                ask.book(cycle, ask.moment(cycle, as_of, measured_by)) for cycle in ask.current(as_of, measured_by)
            ]
            cycles = [Current(ask.status(book), ask.sources(book), ask.adjustments(book)) for book in books]
            counters = self._counters(ask)
            odometers = counters.status(None, counters.moment(as_of, measured_by))
            at = {name: odometers[name] for name in ("position", "as_of", "measured_by")}
            return unified(cycles, odometers["odometers"], at)

    # -- runs and odometers -------------------------------------------------------------------------------------

    def run(self, run_id: str, *, limit: int = 20, as_of: When | int | None = None) -> Answer:
        """What a run reported and what was billed for it, in tokens; `limit` dispatches are listed, by name."""
        with self._asking() as ask:
            costs = self._costs(ask)
            return costs.show(*costs.run(run_id, as_of), limit)

    def runs(self, *, limit: int = 100, as_of: When | int | None = None) -> list[dict[str, Any]]:
        """Runs, the newest first."""
        with self._asking() as ask:
            return self._costs(ask).runs(limit, as_of)

    def reconciliations(
        self, run_id: str, *, limit: int = 100, as_of: When | int | None = None
    ) -> list[dict[str, Any]]:
        """What was billed for a run beside what it reported, the newest comparison first."""
        with self._asking() as ask:
            costs = self._costs(ask)
            return costs.reconciliations(costs.run(run_id, as_of)[0], limit)

    def odometers(
        self, provider: str | None = None, *, as_of: When | int | None = None, measured_by: When | None = None
    ) -> Answer:
        """Every odometer, or one provider's, month by month, and what is to be done."""
        with self._asking() as ask:
            counters = self._counters(ask)
            return counters.status(provider, counters.moment(as_of, measured_by))

    @staticmethod
    def _costs(ask: Questions) -> "Costs":
        from .costs import Costs

        return Costs(ask.connection, ask.position, ask.now)

    @staticmethod
    def _counters(ask: Questions) -> "Counters":
        from .counters import Counters

        return Counters(ask.connection, ask.position, ask.now)

    # -- alerts -------------------------------------------------------------------------------------------------

    def alert(
        self,
        threshold: str | int | Decimal,
        cycle_id: int | None = None,
        *,
        notify: Sequence[str] = (),
        dry_run: bool = False,
        patience: "Patience | None" = None,
        recorded_by: str | None = None,
    ) -> Answer:
        """Look at the discrepancy and the health of a cycle, raise what is over its threshold, and deliver it.

        `threshold` is in percent; `notify` are URLs: http and https get a JSON POST, others go through Apprise.
        """
        from . import alerting

        bound = alerting.threshold_of(threshold)
        with self._asking() as ask:
            book = self._book(ask, cycle_id, None, None)
            outlook = ask.outlook(book)
            closed = ask.is_closed(book)
            told = alerting.told_of(book, outlook, bound, closed=closed, dry=dry_run)
            found = list(alerting.findings(book, outlook, closed, bound, self.limits))
        if dry_run:
            return alerting.dry_run(found, told, notify)
        return alerting.alert(self, book, found, told, notify, patience or settings.patience(), recorded_by)

    def alerts(self, cycle_id: int, *, as_of: When | int | None = None) -> list[dict[str, Any]]:
        """Every alert of a cycle, the newest first, with what came of telling whom."""
        with self._asking() as ask:
            return ask.alerts(self._book(ask, cycle_id, as_of, None))

    # -- who may come in, and work that is done later ---------------------------------------------------------------

    def create_token(
        self, name: str, scope: str, *, expires: When | None = None, recorded_by: str | None = None
    ) -> Answer:
        """Make an access token; its secret is in this answer alone (`token`), the books keep a digest."""
        from .access import create

        return create(self, name, scope, expires, recorded_by)

    def revoke_token(self, name: str, *, reason: str | None = None, recorded_by: str | None = None) -> Answer:
        """Let a token open nothing any more."""
        from ..domain.commands import RevokeToken

        return self.handle(RevokeToken(token_name=name, reason=reason), recorded_by=recorded_by)

    def tokens(self, *, as_of: When | int | None = None) -> list[dict[str, Any]]:
        """Every token with its scope, who made it, and its state; no secrets."""
        from .access import listed

        with self._asking() as ask:
            return listed(ask, ask.known("any token", ALWAYS, as_of))

    def admit(self, secret: str) -> "Token":
        """The token that somebody shows; refuses (`Unauthenticated`) one that is unknown, expired or revoked."""
        return self._doorkeeper.admit(secret)

    def still_admits(self, token: "Token") -> bool:
        """Does a token that was let in open the door still? For whoever stays."""
        return self._doorkeeper.still_admits(token)

    def note_token_uses(self) -> None:
        """Write down when tokens were used last; for servers, now and then."""
        self._doorkeeper.note_uses()

    @cached_property
    def _doorkeeper(self) -> "Doorkeeper":
        from .access import Doorkeeper

        return Doorkeeper(self.file, self._clock)

    def once(self, key: str | None, request: Sequence[object], do: Callable[[], Answer]) -> Answer:
        """Do something that is no order, unless it was done under this key: then the first answer is given again."""
        return do() if key is None else self._keys.once(key, request, do)

    @cached_property
    def _keys(self) -> "Keys":
        from .keys import Keys

        return Keys(self.file)

    @cached_property
    def jobs(self) -> "Jobs":
        """Work that was asked for and is done in the background."""
        from .jobs import Jobs

        return Jobs(self, self._clock, self._via)

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
                yield Questions(connection, seen, self._clock(), self.limits)
                return
        with self.file.pen(lasting=False) as connection:
            follow.catch_up(connection)
        with self.file.reading() as connection:
            yield Questions(connection, _end(connection)[1], self._clock(), self.limits)

    # -- the log ------------------------------------------------------------------------------------------------

    def log(self, cycle_id: int | None = None, *, since: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Every event in order after a position, as plain dicts: the event's own fields beside who recorded it, and when."""
        from . import audit

        return audit.log(self.file, cycle_id, since, limit)

    def events(
        self,
        cycle_id: int | None = None,
        *,
        since: int = 0,
        limit: int | None = None,
        as_of: When | int | None = None,
    ) -> list[dict[str, Any]]:
        """Events after a position, as they were known at a moment."""
        until = None if as_of is None else self.position_at(as_of)
        found = self.log(cycle_id, since=since, limit=limit)
        return [event for event in found if until is None or event["position"] <= until]

    def position_at(self, as_of: When | int | None) -> int:
        """The last position that was known at a time, or at the end of a write that a position is in."""
        with self._asking() as ask:
            return ask.known("the log", ALWAYS, as_of).position

    def verify(self, expected: str | None = None) -> "audit.Verdict":
        """Recompute the chain from the first event on; `expected` is a head that was kept elsewhere."""
        from . import audit

        return audit.verify(self.file, expected)

    def replay(self, progress: follow.Progress | None = None) -> "audit.Replay":
        """Rebuild every read model beside the live ones from the log alone, and compare row for row."""
        from . import audit

        return audit.replay(self.file, self.catch_up, progress)

    def catch_up(self) -> int:
        """Bring the read models to the end of the log, as a question does; returns that position."""
        with self._asking() as ask:
            return ask.position

    def rebuild(self, progress: follow.Progress | None = None) -> int:
        """Throw the read models and snapshots away and make them again from the log; returns the position they have seen."""
        with self.file.pen() as connection:
            follow.rebuild(connection, progress)
            connection.execute("DELETE FROM stored_snapshots")  # they are derived too
            position = positions.head(connection).position
        self.file.tidy()
        return position

    # -- moving ---------------------------------------------------------------------------------------------------

    def copy_to(
        self, location: str | os.PathLike[str], progress: follow.Progress | None = None, stage: "Stage | None" = None
    ) -> Answer:
        """Copy these books to another place, event by event, and compare every answer; goes on where it was interrupted.

        `progress` is told how many events were copied since it was told last, and `stage` what is compared next.
        """
        from .moving import copy

        with type(self).open(location, clock=self._clock, limits=self.limits) as target:
            return copy(self, target, progress, stage)

    def backup(
        self, path: str | os.PathLike[str], progress: follow.Progress | None = None, stage: "Stage | None" = None
    ) -> Answer:
        """Copy these books into a new file, as they are at this moment, while others write."""
        from .moving import backup

        return backup(self, Path(path), progress, stage)

    def restore(
        self, path: str | os.PathLike[str], progress: follow.Progress | None = None, stage: "Stage | None" = None
    ) -> Answer:
        """Take over what a backup holds; these books are new, or hold the beginning of it."""
        from .moving import restore

        return restore(self, Path(path), progress, stage)

    def wait(self, position: int, seconds: float) -> int:
        """Where the log ends, as soon as that is beyond a position, or after so many seconds; whoever wrote there."""
        return self.file.wait(position, seconds)

    def progress(self) -> tuple[int, dict[str, int]]:
        """Where the log ends, and how far each read model has seen it (-1: it is to be made anew); takes nothing in."""
        with self.file.reading() as connection:
            return positions.head(connection).position, follow.positions(connection)

    @property
    def position(self) -> int:
        """The last position of the log."""
        with self.file.reading() as connection:
            return positions.head(connection).position


def _end(connection: Connection) -> tuple[int, int]:
    """Where the log ends, and how far the read models have seen it."""
    return positions.head(connection).position, min(follow.positions(connection).values())
