"""What imported reports say of cycles: each cycle gets the readings that the lines come to, whatever order the files came in.

Of several reports that see the same money (the same type and provider) one is counted and the others are compared only: what a provider
says of itself before what is an estimate, and after what a person recorded under another name.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..domain import commands as c
from ..domain.errors import NotFound, RuleRefused
from ..domain.ids import source_id
from ..domain.money import EXACT, shown, usd
from ..domain.tie_out import Source
from ..importers.kinds import Look
from ..importers.kinds import Report as Said
from ..projections import follow, imports, ledger
from ..projections.ledger import AsOf
from ..store import positions
from ..store.connection import Connection
from .answers import to_json

if TYPE_CHECKING:
    from .writing import Hand

PLACES = 12
"""Decimal places of a reading; lines keep all that they have."""


class Told:
    """What cycles were told."""

    def __init__(self) -> None:
        self.readings = self.retracted = 0
        self.cycles: set[int] = set()
        self.remarks: list[str] = []
        self.report_usd: Decimal | None = None
        """What all lines of the report come to, inside and outside of cycles, to the last digit."""

    def add(self, other: "Told") -> None:
        """Count what else was told."""
        self.readings += other.readings
        self.retracted += other.retracted
        self.cycles |= other.cycles
        self.remarks += other.remarks
        self.report_usd = other.report_usd if self.report_usd is None else self.report_usd


class Evidence(NamedTuple):
    """The file that led to a reading, and whether something is missing of it."""

    sha256: str
    incomplete: bool


class Standing(NamedTuple):
    """A reading that stands."""

    number: int
    amount: Decimal | None
    measured_at: datetime


def tell_look(
    connection: Connection, hand: "Hand", report: Said, look: Look, at: datetime, cycle_id: int | None
) -> Told:
    """Record a figure that stands for a whole cycle, in the cycle that its moment falls in."""
    follow.catch_up(connection)
    cycle = _cycle_of(connection, at, cycle_id)
    standing = _sources(connection, cycle)
    known = standing.get(report.label)
    answer = hand(
        c.RecordSource(
            cycle_id=cycle.id,
            source=report.label,
            type=None if known else report.type,
            provider=None if known else report.money_of,
            counted=None if known else not _is_seen(standing.values(), report.type, report.money_of, {report.label}),
            amount=look.amount,
            balance=look.balance,
            credit=look.credit,
            payload=look.payload,
            measured_at=at,
        )
    )
    told = Told()
    told.readings += answer["recorded"]
    told.cycles.add(cycle.id)
    told.remarks += answer["warnings"]
    return told


def _cycle_of(connection: Connection, at: datetime, cycle_id: int | None) -> ledger.Cycle:
    cycles = ledger.cycles(connection, positions.head(connection).position)
    found = [cycle for cycle in cycles if _is_about(cycle, at, cycle_id)]
    if len(found) == 1:
        return found[0]
    if cycle_id is not None:
        raise NotFound(
            f"there is no cycle {cycle_id}: `mecris budget cycle list` shows those there are", code="cycle-not-found"
        )
    which = f"{at:%Y-%m-%d} falls in {'several cycles' if found else 'no cycle'}"
    raise RuleRefused(f"{which}: say which with --cycle", code="which-cycle")


def _is_about(cycle: ledger.Cycle, at: datetime, cycle_id: int | None) -> bool:
    return cycle.period.begins <= at <= cycle.period.ends if cycle_id is None else cycle.id == cycle_id


def tell_cycles(
    connection: Connection, hand: "Hand", name: str, cycle_id: int | None, evidence: Evidence, now: datetime
) -> Told:
    """Bring the readings of every cycle that a report touches to what its lines come to."""
    follow.catch_up(connection)
    told = Told()
    reports = imports.reports(connection)
    mine = next((report for report in reports if report.name == name), None)
    if mine is None:
        return told
    alike = [r for r in reports if (r.type, r.money_of) == (mine.type, mine.money_of)]
    alike.sort(key=lambda r: (r.estimate, r.name))
    buckets = {report.id: imports.buckets(connection, report.id) for report in alike}
    told.report_usd = _total(buckets[mine.id])
    position = positions.head(connection).position
    for cycle in ledger.cycles(connection, position):
        if cycle_id is not None and cycle.id != cycle_id:
            continue
        wanted = [(r, _figures(buckets[r.id], cycle, r, now, told if r == mine else Told())) for r in alike]
        standing = _sources(connection, cycle)
        wanted = [
            (r, figures) for r, figures in wanted if figures or _made(connection, cycle, r, standing.get(r.label))
        ]
        if not wanted:
            continue
        closed = ledger.closing(connection, cycle.id, position)
        if closed is not None:
            told.remarks.append(f"cycle {cycle.id} is closed and was not told: reopen it, and import again")
            continue
        _tell(connection, hand, cycle, wanted, evidence, told)
    return told


def _total(buckets: Iterable[imports.Bucket]) -> Decimal:
    sum = Decimal(0)
    for bucket in buckets:
        sum = EXACT.add(sum, bucket.usd)
    return sum.normalize(EXACT)


def _figures(
    buckets: Iterable[imports.Bucket], cycle: ledger.Cycle, report: imports.Report, now: datetime, told: Told
) -> dict[datetime, Decimal]:
    """What a report says a cycle has cost, at the end of each of its buckets."""
    latest = min(report.exported_at, now)
    figures: dict[datetime, Decimal] = {}
    sum, outside, last, negative = Decimal(0), 0, cycle.period.begins, False
    for bucket in buckets:
        begins = bucket.start or bucket.end.replace(hour=0, minute=0, second=0, microsecond=0)
        if begins < cycle.period.begins or bucket.end > cycle.period.ends:
            outside += 1
            continue
        sum = EXACT.add(sum, bucket.usd)
        negative |= sum < 0
        last = max(last, begins, min(bucket.end, latest))  # one after the other, however the buckets overlap
        figures[last] = usd(shown(max(sum, Decimal(0)), PLACES))
    if negative:
        told.remarks.append(
            f"credits exceed what was spent in cycle {cycle.id} for a while: taken for 0, a cycle costs no less"
        )
    if outside:
        told.remarks.append(
            f"{outside} {'bucket' if outside == 1 else 'buckets'} outside cycle {cycle.id}: left out of it"
        )
    return {at: amount for at, amount in figures.items() if at <= now}


def _tell(
    connection: Connection,
    hand: "Hand",
    cycle: ledger.Cycle,
    wanted: list[tuple[imports.Report, dict[datetime, Decimal]]],
    evidence: Evidence,
    told: Told,
) -> None:
    standing = _sources(connection, cycle)
    for report, _ in wanted:
        _require_ours(connection, cycle, report, standing.get(report.label))
    ours = {report.label for report, _ in wanted}
    first = wanted[0][0]
    counting = next((report for report, figures in wanted if figures), None)
    seen = _is_seen(standing.values(), first.type, first.money_of, ours)
    changed = False
    for report, figures in wanted:
        counted = report is counting and not seen
        known = standing.get(report.label)
        changed |= _bring(connection, hand, cycle, report, figures, known, counted, evidence, told)
    if changed:
        told.cycles.add(cycle.id)
        hand(c.Reconcile(cycle_id=cycle.id))


def _made(connection: Connection, cycle: ledger.Cycle, report: imports.Report, source: Source | None) -> bool:
    """Is a source made of this report?"""
    if source is None:
        return False
    payload = ledger.payload(connection, source_id(cycle.id, source.number))
    return payload is not None and payload.startswith(to_json({"report": report.name})[:-1])


def _require_ours(connection: Connection, cycle: ledger.Cycle, report: imports.Report, source: Source | None) -> None:
    """A source that a person, or another report, recorded is not this report's to retract."""
    if source is not None and not _made(connection, cycle, report, source):
        raise RuleRefused(
            f"cycle {cycle.id} has a source '{report.label}' that is not of this report: give the report's money another "
            "--provider with an account (like claude:work), or retract what that source says",
            code="source-taken",
        )


def _sources(connection: Connection, cycle: ledger.Cycle) -> dict[str, Source]:
    """The sources of a cycle that stand, by name."""
    at = AsOf(positions.head(connection).position)
    return {source.name: source for source in ledger.sources(connection, cycle, at)}


def _is_seen(sources: Iterable[Source], type: str, provider: str, ours: set[str]) -> bool:
    """Does another counted source, which no import made, see this money already?"""
    return any(s.counted and (s.type, s.provider) == (type, provider) and s.name not in ours for s in sources)


def _bring(
    connection: Connection,
    hand: "Hand",
    cycle: ledger.Cycle,
    report: imports.Report,
    figures: dict[datetime, Decimal],
    known: Source | None,
    counted: bool,
    evidence: Evidence,
    told: Told,
) -> bool:
    """Retract what the lines do not say any more, and record what they say and nobody recorded."""
    standing = list(_standing(connection, cycle, known)) if known else []
    if known and known.counted != counted:
        wrong = standing  # whether a source is counted stays with it: it begins again
    else:
        wrong = [s for s in standing if figures.get(s.measured_at) != s.amount]
    right = {(s.measured_at, s.amount) for s in standing if s not in wrong}
    for reading in wrong:
        reason = f"the report says otherwise by now (evidence {evidence.sha256[:12]})"
        hand(c.RetractReading(cycle_id=cycle.id, reading=reading.number, reason=reason, reconcile=False))
    missing = [(at, amount) for at, amount in figures.items() if (at, amount) not in right]
    marks = {"estimate": report.estimate, "incomplete": evidence.incomplete}
    payload = to_json(
        {"report": report.name, "evidence": evidence.sha256} | {mark: True for mark in marks if marks[mark]}
    )
    for at, amount in missing:
        hand(
            c.RecordSource(
                cycle_id=cycle.id,
                source=report.label,
                type=report.type,
                provider=report.money_of,
                counted=counted,
                amount=amount,
                payload=payload,
                measured_at=at,
                reconcile=False,
            )
        )
    told.retracted += len(wrong)
    told.readings += len(missing)
    return bool(wrong or missing)


def _standing(connection: Connection, cycle: ledger.Cycle, known: Source) -> Iterator[Standing]:
    readings = ledger.Readings(connection, cycle, AsOf(positions.head(connection).position))
    for id, reading, retracted in readings.all():
        if id == source_id(cycle.id, known.number) and not retracted:
            yield Standing(reading.number, reading.amount, reading.measured_at)
