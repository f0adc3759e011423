"""The arithmetic of Mecris: what is tracked, plugged, unexplained and left, derived from statements alone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from .grading import UNVERIFIED, Comparison, Thresholds, compare, grade_of
from .money import ZERO, dollars, exactly, percent_of
from .period import LATE, Period

REALTIME, MANUAL = "realtime", "manual"


class Reading(NamedTuple):
    """One statement of one source: an amount, or a balance and perhaps the credit it is left of (in USD)."""

    number: int
    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    measured_at: datetime
    stated: bool


class Statement(NamedTuple):
    """What one reading said, to tell whether the same is said again. `payload` is its SHA-256, if it had one."""

    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    payload: str | None


class Source(NamedTuple):
    """A place that says how much the cycle has cost so far, with its current and its first reading."""

    number: int
    name: str
    type: str
    provider: str
    counted: bool
    current: Reading
    first: Reading


class Adjustment(NamedTuple):
    """A top-up or correction of the budget, and the provider whose credit it is ('' for any)."""

    amount: Decimal
    at: datetime
    provider: str


if TYPE_CHECKING:  # it costs every start of the command line otherwise
    from typing import Protocol

    class History(Protocol):
        """All standing readings of one cycle at one version: what a back-dated moment needs."""

        def last_by(self, source: Source, moment: datetime) -> Reading | None:
            """The last reading of the source that counts for the moment (see `counts_for`), if any."""


class Ledger(NamedTuple):
    """What a tie-out is made from. `plugs` sums the plugs of each provider.

    `counted_by` leaves out of the budget what counts only later (None: nothing); a balance keeps its credit.
    """

    period: Period
    target: Decimal
    thresholds: Thresholds
    adjustments: tuple[Adjustment, ...]
    sources: tuple[Source, ...]
    plugs: Mapping[str, Decimal]
    counted_by: datetime | None = None

    @property
    def budget(self) -> Decimal:
        """The target and the adjustments that count."""
        by = self.counted_by
        return sum((a.amount for a in self.adjustments if by is None or a.at <= by), self.target)

    def amount_of(self, reading: Reading, provider: str) -> Decimal:
        """What a reading says was spent: its amount, or its credit less its balance."""
        if reading.amount is not None:
            return reading.amount
        assert reading.balance is not None  # a reading is one or the other
        credit = reading.credit if reading.credit is not None else self.credit_at(reading.measured_at, provider)
        return credit - reading.balance

    def credit_at(self, moment: datetime, provider: str) -> Decimal:
        """The budget in force at a moment, without adjustments that name another provider."""
        mine = (a.amount for a in self.adjustments if a.at <= moment and a.provider in ("", provider))
        return sum(mine, self.target)

    def said(self, source: Source) -> Decimal:
        """What a source says now."""
        return self.amount_of(source.current, source.provider)

    def moment_of(self, reading: Reading) -> datetime:
        """When a reading speaks of: readings after the last day all speak of its end."""
        return min(reading.measured_at, self.period.ends)


def counts_for(reading: Reading, moment: datetime, ends: datetime) -> bool:
    """Had this been measured by then? One without a stated time may have been typed in late."""
    return moment >= ends or (reading.measured_at if reading.stated else reading.measured_at - LATE) <= moment


class Seen(NamedTuple):
    """What one meter had seen at the moment of the look; `reading` is None if it began later, or if nobody looked."""

    meter: Source
    reading: Reading | None
    amount: Decimal


class Provider(NamedTuple):
    """The tie-out of one provider, in USD; `moment` is None when nothing is observed.

    `looks` are its counted manual sources, `seen` what its counted meters are counted from.
    """

    name: str
    observed: Decimal
    moment: datetime | None
    tracked_then: Decimal
    tracked: Decimal
    plugged: Decimal
    unexplained: Decimal
    has_both: bool
    has_meter: bool
    compared: Comparison
    looks: tuple[Source, ...]
    seen: tuple[Seen, ...]

    @property
    def spent(self) -> Decimal:
        """Tracked, plugged and unexplained together."""
        return self.tracked + self.plugged + self.unexplained


class Pair(NamedTuple):
    """A realtime and a manual source of one provider, side by side at the moment of the manual one."""

    meter: Source
    manual: Source
    meter_reading: Reading
    meter_amount: Decimal
    manual_amount: Decimal
    compared: Comparison


class TieOut(NamedTuple):
    """Does what is booked equal what was observed? budget = tracked + plugged + unexplained + remaining."""

    budget: Decimal
    realtime: Decimal
    manual: Decimal
    providers: tuple[Provider, ...]
    pairs: tuple[Pair, ...]
    compared: Comparison
    tracked: Decimal
    plugged: Decimal
    unexplained: Decimal
    warnings: tuple[str, ...]

    @property
    def spent(self) -> Decimal:
        """Tracked, plugged and unexplained together."""
        return self.tracked + self.plugged + self.unexplained

    @property
    def remaining(self) -> Decimal:
        """What is left of the budget; negative when it is overdrawn."""
        return self.budget - self.spent

    @property
    def coverage_percent(self) -> Decimal | None:
        """How much of all spend a meter saw; None when nothing is spent."""
        seen = sum((min(p.tracked, p.spent) for p in self.providers if p.has_meter), ZERO)
        return percent_of(seen, self.spent)

    @property
    def verified_percent(self) -> Decimal | None:
        """How much of all spend had been looked at when it was graded; None when nothing is spent."""
        graded = (p.observed for p in self.providers if p.compared.grade != UNVERIFIED)
        return percent_of(sum(graded, ZERO), self.spent)


@exactly
def tie_out(ledger: Ledger, history: "History") -> TieOut:
    """Work everything out from the statements. Source: the project's design, part 2."""
    books = [_Book(ledger, history, name) for name in _providers(ledger)]
    providers = tuple(book.figures() for book in books)
    return TieOut(
        budget=ledger.budget,
        realtime=_counted(ledger, REALTIME),
        manual=_counted(ledger, MANUAL),
        providers=providers,
        pairs=tuple(pair for book in books for pair in book.pairs()),
        compared=_together(providers, ledger.thresholds),
        tracked=sum((p.tracked for p in providers), ZERO),
        plugged=sum((p.plugged for p in providers), ZERO),
        unexplained=sum((p.unexplained for p in providers), ZERO),
        warnings=tuple(warning for book in books for warning in book.warnings()),
    )


def _providers(ledger: Ledger) -> list[str]:
    return sorted({s.provider for s in ledger.sources} | {name for name, plugged in ledger.plugs.items() if plugged})


def _counted(ledger: Ledger, kind: str) -> Decimal:
    return sum((ledger.said(s) for s in ledger.sources if s.counted and s.type == kind), ZERO)


def _together(providers: Iterable[Provider], thresholds: Thresholds) -> Comparison:
    """Grade the cycle: both parts are summed, so that errors of two providers never cancel out."""
    graded = [p.compared for p in providers if p.compared.grade != UNVERIFIED]
    diff, base = sum((c.diff for c in graded), ZERO), sum((c.base for c in graded), ZERO)
    return Comparison(diff, base, grade_of(diff, base, thresholds) if graded else UNVERIFIED)


def added_up(kind: str, names: Sequence[str]) -> str:
    """The warning about several counted sources of one type and provider."""
    quoted = " and ".join(f"'{name}'" for name in names)
    return f"{quoted} are added up as {kind} sources of one provider: if they see the same money, one must be --compare-only"


class _Book:
    """The sources of one provider, on the way to their figures."""

    def __init__(self, ledger: Ledger, history: "History", provider: str) -> None:
        self.ledger, self.history, self.provider = ledger, history, provider
        mine = [s for s in ledger.sources if s.provider == provider]
        self.all_meters = [s for s in mine if s.type == REALTIME]
        self.all_manual = [s for s in mine if s.type == MANUAL]
        self.meters = [s for s in self.all_meters if s.counted]
        self.manual = [s for s in self.all_manual if s.counted]
        self.observed = sum((ledger.said(s) for s in self.manual), ZERO)
        self.plugged = ledger.plugs.get(provider, ZERO)

    @cached_property
    def oldest(self) -> Source:
        """The manual source that was looked at the longest ago: its moment is the provider's."""
        return min(self.manual, key=lambda s: s.current.measured_at)

    def counterpart(self, meter: Source, moment: datetime) -> Reading | None:
        """The last reading of a meter that counts for a moment; None if it began later."""
        if counts_for(meter.current, moment, self.ledger.period.ends):
            return meter.current
        return self.history.last_by(meter, moment)

    @cached_property
    def seen(self) -> list[Seen]:
        """What each counted meter had seen when the oldest look was taken."""
        moment = self.ledger.moment_of(self.oldest.current)
        found = [(meter, self.counterpart(meter, moment)) for meter in self.meters]
        began = [Seen(m, r, self.ledger.amount_of(r, self.provider)) for m, r in found if r is not None]
        later = sorted((m for m, r in found if r is None), key=lambda m: (m.first.measured_at, m.number))
        left = self.observed - sum((s.amount for s in began), ZERO)
        for meter in later:  # each is taken to have seen what the others leave, at most its first reading
            share = max(ZERO, min(left, self.ledger.amount_of(meter.first, self.provider)))
            began.append(Seen(meter, None, share))
            left -= share
        return began

    @property
    def compared_at_all(self) -> bool:
        """Is there something observed and something metered?"""
        return bool(self.meters and self.manual)

    def figures(self) -> Provider:
        """The provider's part of the tie-out."""
        metered = sum((self.ledger.said(m) for m in self.meters), ZERO)
        if not self.compared_at_all:
            tracked_then = tracked = metered if self.meters else self.observed
            unexplained = -self.plugged
        else:
            tracked_then = sum((s.amount for s in self.seen), ZERO)
            tracked = tracked_then + sum((max(ZERO, self.ledger.said(s.meter) - s.amount) for s in self.seen), ZERO)
            unexplained = self.observed - tracked_then - self.plugged
        return Provider(
            name=self.provider,
            observed=self.observed,
            moment=self.oldest.current.measured_at if self.manual else None,
            tracked_then=tracked_then,
            tracked=tracked,
            plugged=self.plugged,
            unexplained=unexplained,
            has_both=self.compared_at_all,
            has_meter=bool(self.meters),
            compared=self._compared(unexplained),
            looks=tuple(self.manual),
            seen=tuple(self.seen) if self.compared_at_all else tuple(Seen(m, None, ZERO) for m in self.meters),
        )

    def _compared(self, unexplained: Decimal) -> Comparison:
        if not self.compared_at_all or all(s.reading is None for s in self.seen):
            return Comparison(abs(unexplained), ZERO, UNVERIFIED)
        return compare(self.observed, self.observed - unexplained, self.ledger.thresholds)

    def pairs(self) -> Iterable[Pair]:
        """Every meter with every manual source, compare-only ones included."""
        for meter in self.all_meters:
            for manual in self.all_manual:
                reading = self.counterpart(meter, self.ledger.moment_of(manual.current)) or meter.first
                a, b = self.ledger.amount_of(reading, self.provider), self.ledger.said(manual)
                yield Pair(meter, manual, reading, a, b, compare(a, b, self.ledger.thresholds))

    def warnings(self) -> Iterable[str]:
        """What a person should know before trusting the figures."""
        yield from self._doubled()
        yield from self._balances_of_everything()
        if not self.manual:
            return
        newest = max(self.manual, key=lambda s: s.current.measured_at)
        apart = self.ledger.moment_of(newest.current) - self.ledger.moment_of(self.oldest.current)
        if apart > timedelta(days=1):
            yield f"'{self.oldest.name}' was read more than a day before '{newest.name}': read it again"
        for meter, reading, amount in self.seen if self.compared_at_all else ():
            if reading is None:
                yield (
                    f"'{meter.name}' began after '{self.oldest.name}' was read: of its {dollars(self.ledger.said(meter))}, "
                    f"{dollars(amount)} are taken to be in that look; read '{self.oldest.name}' again to be sure"
                )
            elif self.ledger.said(meter) < amount:
                yield f"'{meter.name}' fell from {dollars(amount)} to {dollars(self.ledger.said(meter))}: a meter of a cycle only rises"

    def _doubled(self) -> Iterable[str]:
        for kind, sources in (("realtime", self.meters), ("manual", self.manual)):
            if len(sources) > 1:
                yield added_up(kind, [s.name for s in sources])

    def _balances_of_everything(self) -> Iterable[str]:
        if all(s.provider == self.provider for s in self.ledger.sources):
            return
        for source in self.meters + self.manual:
            if source.current.balance is not None and source.current.credit is None:
                yield f"the balance of '{source.name}' is taken to be left of the whole budget, but other providers spend of it too: read it again with --of"
