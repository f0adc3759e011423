"""Questions: what the books say, now or as of a moment. Nothing here writes an event."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.errors import NotFound, RuleRefused, TimeRefused
from ..domain.findings import analysis, is_stale
from ..domain.ids import source_id
from ..domain.money import ZERO, exactly
from ..domain.period import LATE, When, as_text, from_text, time_text
from ..domain.tie_out import Ledger, Pair, Provider, Reading, Source, TieOut, tie_out
from ..projections import ledger, records
from ..projections.ledger import AsOf, Cycle
from ..store import positions
from .answers import Answer, percent


class Moment(NamedTuple):
    """When a question is asked about: the position that was known, the clock then, and what had happened."""

    position: int
    now: datetime
    as_of: str | None
    measured_by: datetime | None

    @property
    def at(self) -> AsOf:
        """Which events count."""
        return AsOf(self.position, self.measured_by)


class Book(NamedTuple):
    """One cycle at one moment: its ledger and what follows from it."""

    cycle: Cycle
    moment: Moment
    ledger: Ledger
    figures: TieOut


class Questions:
    """Answers from the read models on one connection, in one read transaction."""

    def __init__(self, connection: sqlite3.Connection, position: int, now: datetime) -> None:
        self.connection, self.position, self.now = connection, position, now

    # -- which cycle, and when ----------------------------------------------------------------------------------

    def cycle(self, id: int) -> Cycle:
        """A cycle, or a refusal that names those there are."""
        found = ledger.cycle(self.connection, id)
        if found is None:
            known = ", ".join(str(c.id) for c in ledger.cycles(self.connection, self.position)) or "none"
            raise NotFound(
                f"there is no cycle {id} (there are: {known}): `mecris budget cycle list` shows them",
                code="cycle-not-found",
            )
        return found

    def current_cycle(self) -> Cycle:
        """The one cycle that today falls in."""
        cycles = ledger.cycles(self.connection, self.position)
        current = [c for c in cycles if c.period.first_day <= c.period.today(self.now) <= c.period.last_day]
        if len(current) == 1:
            return current[0]
        if not cycles:
            raise NotFound(
                "the books hold no cycle yet: open one with `mecris budget cycle create`", code="cycle-not-found"
            )
        listed = "; ".join(f"{c.id} ({c.period.first_day} to {c.period.last_day})" for c in current or cycles)
        why = "today falls in several cycles" if current else "today falls in no cycle"
        raise RuleRefused(f"{why}: say which with --cycle, of {listed}", code="which-cycle")

    def moment(self, cycle: Cycle, as_of: When | int | None, measured_by: When | None) -> Moment:
        """The two times of a question; refuses what lies before the cycle or has not come yet."""
        known = self._known(cycle, as_of)
        happened = None if measured_by is None else cycle.period.end_of(measured_by, known.now)
        if happened is not None and happened < cycle.period.begins:
            raise TimeRefused(
                f"nothing is measured by {time_text(happened)}: cycle {cycle.id} begins at {time_text(cycle.period.begins)}; "
                "ask --as-of for what was known at that time",
                code="before-cycle",
            )
        return known._replace(measured_by=happened)

    def _known(self, cycle: Cycle, as_of: When | int | None) -> Moment:
        if as_of is None:
            return Moment(self.position, self.now, None, None)
        if isinstance(as_of, str) and as_of.isascii() and as_of.strip().isdecimal():
            as_of = int(as_of.strip())
        position, now = (
            self._at_position(as_of) if isinstance(as_of, int) else self._at_time(cycle.period.end_of(as_of, self.now))
        )
        if position < cycle.position:
            raise TimeRefused(
                f"as of {as_of}, cycle {cycle.id} was not known yet: it was opened at {time_text(cycle.opened_at)} "
                f"(position {cycle.position}); ask --measured-by for what had happened by a time, by all we know now",
                code="before-cycle",
            )
        return Moment(position, now, str(as_of) if isinstance(as_of, int) else time_text(now), None)

    def _at_position(self, position: int) -> tuple[int, datetime]:
        if not 1 <= position <= self.position:
            raise TimeRefused(
                f"there is no position {position}: the log has 1 to {self.position}", code="position-not-found"
            )
        end = positions.end_of_write(self.connection, position)
        return end, positions.recorded_at(self.connection, end)

    def _at_time(self, moment: datetime) -> tuple[int, datetime]:
        if moment > self.now + LATE:
            raise TimeRefused(
                f"{time_text(moment)} has not come yet: what will be known then, nobody knows", code="future"
            )
        if moment >= self.now:
            return self.position, self.now
        return min(positions.last_by(self.connection, as_text(moment)), self.position), moment

    # -- the figures --------------------------------------------------------------------------------------------

    def book(self, cycle: Cycle, moment: Moment) -> Book:
        """A cycle worked out at a moment."""
        stated = ledger.ledger(self.connection, cycle, moment.at)
        return Book(cycle, moment, stated, tie_out(stated, ledger.Readings(self.connection, cycle, moment.at)))

    @exactly
    def status(self, book: Book) -> Answer:
        """How much is left, and why one should believe it."""
        figures, moment = book.figures, book.moment
        record = records.last_record(self.connection, book.cycle.id, moment.position)
        return Answer(
            cycle=self._described(book.cycle, figures.budget, moment.now),
            totals={"realtime_usd": figures.realtime, "manual_usd": figures.manual, "overall_usd": figures.spent},
            tie_out={
                "tracked_usd": figures.tracked,
                "plugged_usd": figures.plugged,
                "unexplained_usd": figures.unexplained,
                "spent_usd": figures.spent,
                "remaining_usd": figures.remaining,
                "coverage_percent": percent(figures.coverage_percent),
                "verified_percent": percent(figures.verified_percent),
            },
            grade=figures.compared.grade,
            diff_usd=figures.compared.diff,
            percent=percent(figures.compared.percent),
            stale=self._stale(book, record),
            last_reconciled_at=time_text(from_text(record.recorded_at)) if record else None,
            position=moment.position,
            as_of=moment.as_of,
            measured_by=_text(moment.measured_by),
            warnings=[*figures.warnings, *self._log_warnings(moment)],
            providers=[_provider(p) for p in figures.providers],
        )

    def _stale(self, book: Book, record: records.LastRecord | None) -> bool | None:
        if book.moment.measured_by is not None:
            return None
        return is_stale(book.figures, record.standings if record else None)

    def _log_warnings(self, moment: Moment) -> Iterable[str]:
        if moment.as_of is not None or not self.position:
            return
        if positions.head(self.connection).position < self.position:
            yield "the end of the log is missing, this is what was known of it: run `mecris audit verify`"
            return
        try:
            last = positions.recorded_at(self.connection, self.position)
        except ValueError:
            yield "when the last event was recorded cannot be read: run `mecris audit verify`"
            return
        if last - self.now > LATE:
            yield clock_is_behind(last, self.now)

    def _described(self, cycle: Cycle, budget_usd: Decimal, now: datetime) -> dict[str, Any]:
        period = cycle.period
        return {
            "id": cycle.id,
            "start_date": period.first_day.isoformat(),
            "end_date": period.last_day.isoformat(),
            "target_usd": cycle.target,
            "budget_usd": budget_usd,
            "state": period.state(now),
            "notes": cycle.notes,
            "timezone": period.timezone,
            "days_left": period.days_left(now),
        }

    @exactly
    def cycles(self, as_of: When | int | None, measured_by: When | None) -> list[dict[str, Any]]:
        """Every cycle that was known and had begun, with what is left of it."""
        rows = []
        for cycle in ledger.cycles(self.connection, self.position):
            try:
                moment = self.moment(cycle, as_of, measured_by)
            except TimeRefused as refused:
                if refused.code == "before-cycle":
                    continue
                raise
            figures = self.book(cycle, moment).figures
            rows.append(
                self._described(cycle, figures.budget, moment.now)
                | {"spent_usd": figures.spent, "remaining_usd": figures.remaining, "grade": figures.compared.grade}
            )
        return rows

    @exactly
    def discrepancies(self, book: Book) -> Answer:
        """Every pair of a realtime and a manual source, graded; computed live."""
        record = records.last_record(self.connection, book.cycle.id, book.moment.position)
        compared = book.figures.compared
        return Answer(
            cycle_id=book.cycle.id,
            grade=compared.grade,
            diff_usd=compared.diff,
            percent=percent(compared.percent),
            stale=self._stale(book, record),
            generated_at=time_text(self.now),
            details=[_pair(book.cycle, pair) for pair in book.figures.pairs],
        )

    @exactly
    def sources(self, book: Book) -> list[dict[str, Any]]:
        """Every source with its current reading."""
        return [_source(book, source, source.current) for source in book.ledger.sources]

    @exactly
    def history(self, book: Book) -> list[dict[str, Any]]:
        """Every reading in the order recorded, retracted ones too."""
        named = {s.id: s for s in ledger.names(self.connection, book.cycle.id)}
        readings = ledger.Readings(self.connection, book.cycle, book.moment.at)
        return [
            _row(book, named[id], reading) | {"stated": reading.stated, "retracted": retracted}
            for id, reading, retracted in readings.all()
        ]


def clock_is_behind(last: datetime, now: datetime) -> str:
    """The warning about a clock that shows less than the log."""
    return (
        f"the clock shows {time_text(now)}, {_minutes(last - now)} before the last event ({time_text(last)}): "
        "set the clock, or readings will be placed too early"
    )


def _minutes(span: timedelta) -> str:
    return f"{int(span.total_seconds() // 60)} minutes"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def _provider(p: Provider) -> dict[str, Any]:
    return {
        "provider": p.name,
        "observed_usd": p.observed,
        "observed_at": _text(p.moment),
        "tracked_then_usd": p.tracked_then,
        "tracked_usd": p.tracked,
        "plugged_usd": p.plugged,
        "unexplained_usd": p.unexplained,
        "spent_usd": p.spent,
        "grade": p.compared.grade,
        "diff_usd": p.compared.diff,
        "percent": percent(p.compared.percent),
    }


def _pair(cycle: Cycle, pair: Pair) -> dict[str, Any]:
    def side(source: Source, reading: Reading, amount: Decimal) -> dict[str, Any]:
        id = source_id(cycle.id, source.number)
        return {
            "id": id,
            "name": source.name,
            "type": source.type,
            "amount_usd": amount,
            "measured_at": time_text(reading.measured_at),
        }

    return {
        "source_a": side(pair.meter, pair.meter_reading, pair.meter_amount),
        "source_b": side(pair.manual, pair.manual.current, pair.manual_amount),
        "diff_usd": pair.compared.diff,
        "percent": percent(pair.compared.percent) or ZERO,
        "grade": pair.compared.grade,
        "analysis": analysis(pair),
    }


def _source(book: Book, source: Source, reading: Reading) -> dict[str, Any]:
    id = source_id(book.cycle.id, source.number)
    return _row(book, ledger.Name(id, source.name, source.type, source.provider, source.counted), reading)


def _row(book: Book, named: ledger.Name, reading: Reading) -> dict[str, Any]:
    return {
        **named._asdict(),
        "amount_usd": book.ledger.amount_of(reading, named.provider),
        "measured_at": time_text(reading.measured_at),
        "reading": reading.number,
    }
