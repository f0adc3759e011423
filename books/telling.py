"""What imported reports say of cycles: each cycle gets the readings that the files come to, whatever order they came in.

Of several reports that see the same money (the same type and provider) one is counted and the others are compared only. What a person
recorded under another name comes first, then figures that stand for a whole cycle, then sums of lines, those of somebody who is not the
provider after the provider's own, and estimates last.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain import commands as c
from ..domain.errors import NotFound, Refused, RuleRefused
from ..domain.figures import right_of
from ..domain.ids import source_id
from ..domain.money import EXACT, dollars
from ..domain.period import time_text
from ..domain.tie_out import Source
from ..importers.formats import SECOND_HAND
from ..projections import follow, imports, ledger
from ..projections.ledger import AsOf, Stood
from ..store import positions
from ..store.connection import Connection
from .answers import to_json
from .sums import Sums, left_by, sums_of, total

if TYPE_CHECKING:
    from .writing import Hand

OTHERWISE = "the report says otherwise by now"
"""How the reason begins of a retraction that follows from files; any other was a person's."""


class Told:
    """What cycles were told."""

    def __init__(self) -> None:
        self.readings = self.retracted = 0
        self.cycles: set[int] = set()
        self.remarks: list[str] = []
        self.refused: list[str] = []
        """Reports that could not be told, and why."""
        self.report_usd: Decimal | None = None
        """What all lines of the report come to, inside and outside of cycles, to the last digit."""

    def add(self, other: "Told") -> None:
        """And what cycles were told of another report."""
        self.readings += other.readings
        self.retracted += other.retracted
        self.cycles |= other.cycles
        self.remarks += other.remarks

    def shown(self) -> dict[str, Any]:
        """As an answer has it."""
        return {
            "report_usd": self.report_usd,
            "readings": self.readings,
            "retracted": self.retracted,
            "cycles": sorted(self.cycles),
            "remarks": list(dict.fromkeys(self.remarks)),
        }


class Wanted(NamedTuple):
    """A reading that should stand; `payload` is what a figure was read from, None for a sum of lines."""

    amount: Decimal | None
    balance: Decimal | None = None
    credit: Decimal | None = None
    payload: str | None = None


Readings = Mapping[datetime, Wanted]


class Saying(NamedTuple):
    """What a report says of one cycle, and the source of its readings that stands."""

    report: imports.Report
    file: imports.Kept
    """The newest file of the report."""
    readings: Readings
    is_whole: bool
    """Does it say figures that stand for the whole cycle?"""
    known: Source | None
    own: list[Stood]
    """The readings of the source that come from this report."""
    is_ours: bool
    """Does the source come from this report, and from nobody else?"""
    is_second_hand: bool
    """Does somebody between say it, and not the provider?"""

    @property
    def place(self) -> tuple[bool, bool, bool, str]:
        """Its place among those that see the same money: the first is counted."""
        return self.report.estimate, not self.is_whole, self.is_second_hand, self.report.name


class Desk(NamedTuple):
    """What telling needs at hand."""

    connection: Connection
    hand: "Hand"
    now: datetime
    told: Told
    name: str
    """The report whose cycles are told."""


def cycle_of(connection: Connection, at: datetime, cycle_id: int | None) -> int:
    """The cycle that a figure of a moment is about; refuses if that is not clear."""
    cycles = ledger.cycles(connection, positions.head(connection).position)
    found = [cycle for cycle in cycles if _is_about(cycle, at, cycle_id)]
    if len(found) == 1:
        return found[0].id
    if cycle_id is not None:
        raise NotFound(
            f"there is no cycle {cycle_id}: `mecris budget cycle list` shows those there are", code="cycle-not-found"
        )
    which = f"{at:%Y-%m-%d} falls in {'several cycles' if found else 'no cycle'}"
    raise RuleRefused(
        f"{which}: say which with --cycle, or with --exported-at when the file was saved, if it was another day",
        code="which-cycle",
    )


def _is_about(cycle: ledger.Cycle, at: datetime, cycle_id: int | None) -> bool:
    return cycle.period.begins <= at <= cycle.period.ends if cycle_id is None else cycle.id == cycle_id


def tell_cycles(connection: Connection, hand: "Hand", name: str, now: datetime, *, only: int | None = None) -> Told:
    """Bring the readings of every cycle that a report touches, and those of reports of the same money, to what the files come to."""
    follow.catch_up(connection)
    told = Told()
    reports = imports.reports(connection)
    desk = Desk(connection, hand, now, told, name)
    position = positions.head(connection).position
    for mine in (report for report in reports if report.name == name):
        alike = [
            _Report(connection, report)
            for report in reports
            if (report.type, report.money_of) == (mine.type, mine.money_of)
        ]
        own = total(next(report.buckets for report in alike if report.of == mine))
        told.report_usd = own if told.report_usd is None else EXACT.add(told.report_usd, own)
        cycles = ledger.cycles(connection, position)
        told.remarks += _left(next(report for report in alike if report.of == mine), cycles, now)
        for cycle in (cycle for cycle in cycles if only in (None, cycle.id)):
            _tell(desk, cycle, alike, is_closed=ledger.closing(connection, cycle.id, position) is not None)
    return told


def tell_cycle(connection: Connection, hand: "Hand", cycle: int, now: datetime) -> Told:
    """Tell one cycle what everything comes to that was ever imported; a report that cannot be told is named, and the others are."""
    follow.catch_up(connection)
    told = Told()
    for name in dict.fromkeys(report.name for report in imports.reports(connection)):
        try:
            told.add(tell_cycles(connection, hand, name, now, only=cycle))
        except Refused as refused:
            told.refused.append(f"of '{name}', which was imported before: {refused.message}")
    return told


class _Report:
    """All that was imported of a report."""

    def __init__(self, connection: Connection, report: imports.Report) -> None:
        self.of = report
        figures = imports.figures(connection, report.id)
        self.buckets = imports.buckets(connection, report)
        self.right = right_of(figures)
        self.cycles = imports.cycles_for(connection, report.name)
        self.file = imports.newest(connection, report.name)
        self.is_second_hand = not SECOND_HAND.isdisjoint(imports.formats(connection, report.name))
        self._ever = {(f.cycle, f.measured_at, *f.said[:3], sha256(f.payload.encode()).hexdigest()) for f in figures}

    def sums(self, cycle: ledger.Cycle, now: datetime) -> Sums:
        """What its lines come to in a cycle, if they may feed it."""
        return Sums({}, negative=False) if self.of.withdrawn else self._sums(cycle, now)

    def figures(self, cycle: int) -> dict[datetime, Wanted]:
        """Its right figures of a cycle."""
        return {} if self.of.withdrawn else self._figures(cycle)

    def speaks_of(self, cycle: ledger.Cycle, now: datetime) -> bool:
        """Does it say anything of a cycle, or did before it was withdrawn?"""
        return bool(self._sums(cycle, now).by_moment or self._figures(cycle.id))

    def _sums(self, cycle: ledger.Cycle, now: datetime) -> Sums:
        if not self.buckets or (self.cycles is not None and cycle.id not in self.cycles):
            return Sums({}, negative=False)
        return sums_of(self.buckets, cycle.period, min(self.of.exported_at, now))

    def _figures(self, cycle: int) -> dict[datetime, Wanted]:
        return {at: Wanted(*f.said) for (of, at), f in self.right.items() if of == cycle}

    def said(self, cycle: int, stood: Stood) -> bool:
        """Is a reading one of its figures, right or not any more?"""
        return (cycle, *stood[1:]) in self._ever


def _tell(desk: Desk, cycle: ledger.Cycle, alike: list[_Report], *, is_closed: bool) -> None:
    if is_closed:
        if any(report.speaks_of(cycle, desk.now) for report in alike):
            desk.told.remarks.append(f"cycle {cycle.id} is closed and was not told: reopen it, and it will be")
        return
    standing = {source.name: source for source in _sources(desk.connection, cycle)}
    said = (_saying(desk, cycle, report, standing.get(report.of.label)) for report in alike)
    sayings = sorted((saying for saying in said if saying), key=lambda saying: saying.place)
    if not sayings:
        return
    first = next((saying for saying in sayings if saying.readings), None)
    by_hand = _by_hand(standing.values(), sayings)
    counted = {s.report.label: s is first and not by_hand - {s.report.label} for s in sayings}
    desk.told.remarks += _only_compared(cycle, sayings, counted)
    last = sorted(sayings, key=lambda saying: counted[saying.report.label])  # until then another may be counted
    changed = [_bring(desk, cycle, saying, counted=counted[saying.report.label]) for saying in last]
    if any(changed):
        desk.told.cycles.add(cycle.id)
        desk.hand(c.Reconcile(cycle_id=cycle.id))


def _only_compared(cycle: ledger.Cycle, sayings: list[Saying], counted: Mapping[str, bool]) -> Iterator[str]:
    """Name the reports that were counted in a cycle, and what counts in their place."""
    instead = next(
        (f"'{label}' counts" for label, counts in counted.items() if counts), "a source of somebody's own counts"
    )
    for saying in sayings:
        label, known = saying.report.label, saying.known
        if known and known.counted and saying.is_ours and saying.readings and not counted[label]:
            yield f"'{label}' is only compared in cycle {cycle.id} from now on: {instead}"


def _saying(desk: Desk, cycle: ledger.Cycle, report: _Report, known: Source | None) -> Saying | None:
    """What a report says of a cycle, or did; None if it never said anything."""
    sums, figures = report.sums(cycle, desk.now), report.figures(cycle.id)
    if report.of.name == desk.name and sums.negative:
        desk.told.remarks.append(
            f"credits exceed what was spent in cycle {cycle.id} for a while: taken for 0, a cycle costs no less"
        )
    readings = {at: Wanted(amount) for at, amount in sums.by_moment.items() if at <= desk.now} | figures
    stood = ledger.stood(desk.connection, source_id(cycle.id, known.number)) if known else []
    own = [one for one in stood if report.said(cycle.id, one)]
    is_ours = bool(stood) and (len(own) == len(stood) or _is_sum(desk.connection, cycle, report.of, known))
    if not readings and not own and not is_ours:
        return None
    back = ledger.taken_back(desk.connection, cycle.id, report.of.label, report.of.money_of, OTHERWISE)
    right = {at: wanted for at, wanted in readings.items() if (at, *wanted[:3]) not in back}
    if report.of.name == desk.name and (held := len(readings) - len(right)):
        desk.told.remarks.append(
            f"{_readings(held)} of '{report.of.label}' in cycle {cycle.id} {'was' if held == 1 else 'were'} taken back "
            "and not recorded again: record by hand what is right of it"
        )
    readings = right
    if known and not is_ours and any(wanted.payload is None for wanted in readings.values()):
        raise _taken(cycle, report.of)
    return Saying(
        report.of,
        report.file,
        readings,
        bool(figures),
        known,
        stood if is_ours else own,
        is_ours,
        report.is_second_hand,
    )


def _left(report: _Report, cycles: Iterable[ledger.Cycle], now: datetime) -> Iterator[str]:
    """Say what no cycle has of a report."""
    if report.of.withdrawn:
        return
    mine = [cycle for cycle in cycles if report.cycles is None or cycle.id in report.cycles]
    left = left_by(report.buckets, [cycle.period for cycle in mine])
    if left.outside:
        days = [bucket.begins.date() for bucket in left.outside]
        told = f"{_days(len(set(days)))} with {dollars(total(left.outside))}"
        if report.cycles is None:
            last = max(bucket.end.date() for bucket in left.outside)
            yield f"{told} in no cycle ({min(days)} to {last}): a cycle that is opened for them counts them"
        else:
            yield f"{told} outside cycle {', '.join(str(cycle.id) for cycle in mine)}: left out of it"
    if to_come := [bucket for bucket in report.buckets if bucket.begins > now]:
        yield f"{dollars(total(to_come))} of days that have not come yet: import the file again when they have"
    for bucket in left.across:
        yield (
            f"{dollars(bucket.usd)} of {time_text(bucket.begins)} to {time_text(bucket.end)} in no cycle: that lies across "
            "the edge of one, whose days may be those of another time zone"
        )


def _readings(n: int) -> str:
    return f"{n:,} {'reading' if n == 1 else 'readings'}"


def _days(n: int) -> str:
    return f"{n:,} {'day' if n == 1 else 'days'}"


def _is_sum(connection: Connection, cycle: ledger.Cycle, report: imports.Report, source: Source | None) -> bool:
    """Is what a source says now a sum of the lines of this report?"""
    payload = ledger.payload(connection, source_id(cycle.id, source.number)) if source else None
    return payload is not None and payload.startswith(to_json({"report": report.name})[:-1])


def _taken(cycle: ledger.Cycle, report: imports.Report) -> RuleRefused:
    """A source that a person, or another report, recorded is not this report's to retract."""
    return RuleRefused(
        f"cycle {cycle.id} has a source '{report.label}' that is not of this report: name the source of a plain CSV in a column "
        "`source`, give the report's money another --provider with an account (like claude:work), withdraw the other report if it "
        "was imported for the wrong provider (`mecris evidence withdraw`), or retract what that source says",
        code="source-taken",
    )


def _sources(connection: Connection, cycle: ledger.Cycle) -> Iterable[Source]:
    """The sources of a cycle that stand."""
    return ledger.sources(connection, cycle, AsOf(positions.head(connection).position))


def _by_hand(sources: Iterable[Source], sayings: list[Saying]) -> set[str]:
    """The counted sources that see the same money and come from no import."""
    report = sayings[0].report
    ours = {saying.report.label for saying in sayings if saying.is_ours}
    same = (s for s in sources if s.counted and (s.type, s.provider) == (report.type, report.money_of))
    return {source.name for source in same if source.name not in ours}


def _bring(desk: Desk, cycle: ledger.Cycle, saying: Saying, *, counted: bool) -> bool:
    """Retract what the files do not say any more, and record what they say and nobody recorded."""
    readings, known = saying.readings, saying.known
    if known and saying.is_ours and known.counted != counted:
        wrong = saying.own  # whether a source is counted stays with it: it begins again
    else:
        wrong = [stood for stood in saying.own if not _is_wanted(stood, readings)]
    for stood in wrong:
        _retract(desk, cycle, saying, stood)
    right = {stood.measured_at for stood in saying.own if stood not in wrong}
    missing = [(at, wanted) for at, wanted in readings.items() if at not in right]
    joins = known is not None and not saying.is_ours
    for at, wanted in missing:
        _record(desk, cycle, saying, at, wanted, counted=None if joins else counted)
    return bool(wrong or missing)


def _is_wanted(stood: Stood, readings: Readings) -> bool:
    wanted = readings.get(stood.measured_at)
    return wanted is not None and wanted[:3] == (stood.amount, stood.balance, stood.credit)


def _retract(desk: Desk, cycle: ledger.Cycle, saying: Saying, stood: Stood) -> None:
    reason = f"{OTHERWISE} (evidence {saying.file.sha256[:12]})"
    desk.hand(c.RetractReading(cycle_id=cycle.id, reading=stood.number, reason=reason, reconcile=False))
    desk.told.retracted += 1


def _record(
    desk: Desk, cycle: ledger.Cycle, saying: Saying, at: datetime, wanted: Wanted, *, counted: bool | None
) -> None:
    report = saying.report
    answer = desk.hand(
        c.RecordSource(
            cycle_id=cycle.id,
            source=report.label,
            type=report.type,
            provider=report.money_of,
            counted=counted,
            amount=wanted.amount,
            balance=wanted.balance,
            credit=wanted.credit,
            payload=_payload(saying) if wanted.payload is None else wanted.payload,
            measured_at=at,
            reconcile=False,
        )
    )
    desk.told.readings += answer["recorded"]
    if wanted.payload is not None and report.name == desk.name:
        desk.told.remarks += answer["warnings"]


def _payload(saying: Saying) -> str:
    """What a sum of lines rests on: the report, and the newest file of it."""
    marks = {"estimate": saying.report.estimate, "incomplete": saying.file.incomplete}
    return to_json(
        {"report": saying.report.name, "evidence": saying.file.sha256} | {mark: True for mark in marks if marks[mark]}
    )
