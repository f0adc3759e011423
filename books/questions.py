"""Questions: what the books say, now or as of a moment. Nothing here writes an event."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.errors import NotFound, RuleRefused, TimeRefused
from ..domain.findings import analysis, is_stale
from ..domain.forecast import Curve
from ..domain.health import Limits
from ..domain.ids import source_id
from ..domain.money import ZERO, dollars, exactly
from ..domain.period import When, from_text, time_text
from ..domain.tie_out import Ledger, Pair, Provider, Reading, Source, TieOut, tie_out
from ..projections import alerts, ledger, records
from ..projections.ledger import Cycle, Readings
from ..store.connection import Connection
from .answers import Answer, percent
from .moments import Asked, Moment, Since
from .outlook import Outlook, outlook


class Book(NamedTuple):
    """One cycle at one moment: its ledger, what follows from it, and the history it rests on."""

    cycle: Cycle
    moment: Moment
    ledger: Ledger
    figures: TieOut
    readings: Readings

    @property
    def curve(self) -> Curve:
        """What it had cost at any moment."""
        return Curve(self.ledger, self.figures.providers, self.readings)


class Questions(Asked):
    """Answers about cycles from the read models."""

    def __init__(self, connection: Connection, position: int, now: datetime, limits: Limits) -> None:
        super().__init__(connection, position, now)
        self.limits = limits

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
        current = self.current(None, None)
        if len(current) == 1:
            return current[0]
        if not cycles:
            raise NotFound(
                "the books hold no cycle yet: open one with `mecris budget cycle create`", code="cycle-not-found"
            )
        listed = "; ".join(f"{c.id} ({c.period.first_day} to {c.period.last_day})" for c in current or cycles)
        why = "today falls in several cycles" if current else "today falls in no cycle"
        raise RuleRefused(f"{why}: say which with --cycle, of {listed}", code="which-cycle")

    def current(self, as_of: When | int | None, measured_by: When | None) -> list[Cycle]:
        """The cycles that the day falls in, of those that were known."""
        found = []
        for cycle, moment in self._known_cycles(as_of, measured_by):
            if cycle.period.first_day <= cycle.period.today(moment.clock) <= cycle.period.last_day:
                found.append(cycle)
        return found

    def _known_cycles(self, as_of: When | int | None, measured_by: When | None) -> Iterable[tuple[Cycle, Moment]]:
        """Every cycle that was known and had begun."""
        for cycle in ledger.cycles(self.connection, self.position):
            try:
                yield cycle, self.moment(cycle, as_of, measured_by)
            except TimeRefused as refused:
                if refused.code != "before-cycle":
                    raise

    def moment(self, cycle: Cycle, as_of: When | int | None, measured_by: When | None) -> Moment:
        """The two times of a question; refuses what lies before the cycle or has not come yet."""
        instead = "; ask --measured-by for what had happened by a time, by all we know now"
        since = Since(cycle.position, cycle.opened_at, "it was opened", "before-cycle", instead)
        known = self.known(f"cycle {cycle.id}", since, as_of, cycle.period.timezone)
        happened = None if measured_by is None else cycle.period.end_of(measured_by, known.now)
        if happened is not None and happened < cycle.period.begins:
            raise TimeRefused(
                f"nothing is measured by {time_text(happened)}: cycle {cycle.id} begins at {time_text(cycle.period.begins)}; "
                "ask --as-of for what was known at that time",
                code="before-cycle",
            )
        return known._replace(measured_by=happened)

    # -- the figures --------------------------------------------------------------------------------------------

    def book(self, cycle: Cycle, moment: Moment) -> Book:
        """A cycle worked out at a moment."""
        stated = ledger.ledger(self.connection, cycle, moment.at)
        readings = Readings(self.connection, cycle, moment.at)
        return Book(cycle, moment, stated, tie_out(stated, readings), readings)

    @exactly
    def status(self, book: Book) -> Answer:
        """How much is left, and why one should believe it."""
        figures, moment = book.figures, book.moment
        record = records.last_record(self.connection, book.cycle.id, moment.position)
        return Answer(
            cycle=self._described(book.cycle, figures.budget, moment),
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
            warnings=[*figures.warnings, *self._carried(book), *self.log_warnings(moment)],
            providers=[_provider(p) for p in figures.providers],
            **self.outlook(book).answer(),
        )

    def is_closed(self, book: Book) -> bool:
        """Was the cycle closed then?"""
        return ledger.closing(self.connection, book.cycle.id, book.moment.position) is not None

    def outlook(self, book: Book) -> Outlook:
        """Health, burn and forecast."""
        return outlook(book.curve, book.figures, book.moment.clock, self.limits, closed=self.is_closed(book))

    def _carried(self, book: Book) -> Iterable[str]:
        """What this cycle took over from others, where that is not what they were closed with any more."""
        for origin, carried in ledger.rolled_over(self.connection, book.cycle.id, book.moment.position).items():
            closed = ledger.closing(self.connection, origin, book.moment.position)
            if closed is None:
                yield f"cycle {origin} was reopened: the {dollars(carried)} carried over from it may change"
            elif closed.remaining != carried:
                first = "reopen this one, then " if self.is_closed(book) else ""
                yield (
                    f"cycle {origin} was closed with {dollars(closed.remaining)} left, {dollars(carried)} were carried over: {first}take "
                    f"the difference over with `mecris budget cycle adjust --cycle {book.cycle.id} --from-roll-over {origin}`"
                )

    @exactly
    def adjustments(self, book: Book) -> list[dict[str, Any]]:
        """Every adjustment of the budget, in the order recorded."""
        return [
            {
                "adjustment": a.number,
                "amount_usd": a.amount,
                "counts_from": time_text(a.counts_from),
                "provider": a.provider,
                "reason": a.reason,
                "rolled_over_from": a.rolled_over_from,
                "recorded_at": time_text(a.recorded_at),
                "recorded_by": a.recorded_by,
            }
            for a in ledger.adjustments(self.connection, book.cycle.id, book.moment.at)
        ]

    @exactly
    def plugs(self, book: Book) -> list[dict[str, Any]]:
        """Every plug, in the order recorded."""
        return [
            {
                "plug": p.number,
                "amount_usd": p.amount,
                "provider": p.provider,
                "reason": p.reason,
                "evidence": p.evidence,
                "rests_on": time_text(p.rests_on),
                "reversed": p.reversed,
                "recorded_at": time_text(p.recorded_at),
                "recorded_by": p.recorded_by,
            }
            for p in ledger.all_plugs(self.connection, book.cycle, book.moment.at)
        ]

    def alerts(self, book: Book) -> list[dict[str, Any]]:
        """Every alert of a cycle, the newest first."""
        return alerts.of_cycle(self.connection, book.cycle.id, book.moment.position)

    def _stale(self, book: Book, record: records.LastRecord | None) -> bool | None:
        if book.moment.measured_by is not None:
            return None
        return is_stale(book.figures, record.standings if record else None)

    def _described(self, cycle: Cycle, budget_usd: Decimal, moment: Moment) -> dict[str, Any]:
        period = cycle.period
        closed = ledger.closing(self.connection, cycle.id, moment.position)
        return {
            "id": cycle.id,
            "start_date": period.first_day.isoformat(),
            "end_date": period.last_day.isoformat(),
            "target_usd": cycle.target,
            "budget_usd": budget_usd,
            "state": "closed" if closed else period.state(moment.clock),
            "closed": _closed(closed),
            "rolled_over_to": ledger.heir(self.connection, cycle.id, moment.position),
            "notes": cycle.notes,
            "timezone": period.timezone,
            "days_left": period.days_left(moment.clock),
        }

    @exactly
    def cycles(self, as_of: When | int | None, measured_by: When | None) -> list[dict[str, Any]]:
        """Every cycle that was known and had begun, with what is left of it."""
        rows = []
        for cycle, moment in self._known_cycles(as_of, measured_by):
            figures = self.book(cycle, moment).figures
            rows.append(
                self._described(cycle, figures.budget, moment)
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
        return [
            _row(book, named[id], reading) | {"stated": reading.stated, "retracted": retracted}
            for id, reading, retracted in book.readings.all()
        ]


def _closed(closing: ledger.Closing | None) -> dict[str, Any] | None:
    if closing is None:
        return None
    return {"at": time_text(closing.at), "by": closing.by, "accepted": closing.accepted, "reason": closing.reason}


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
