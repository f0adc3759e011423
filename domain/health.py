"""Health of a budget: GOOD, WARNING or CRITICAL by what is the case now, each reason listed."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from .forecast import Forecast
from .grading import POOR, UNVERIFIED, Comparison
from .money import EXACT, dollars, exactly, plain, shown
from .period import Period, days
from .tie_out import TieOut

GOOD, WARNING, CRITICAL = "GOOD", "WARNING", "CRITICAL"
LEVELS = (GOOD, WARNING, CRITICAL)
"""From best to worst."""


class Limits(NamedTuple):
    """Where health changes. Settings; these are their defaults.

    `stale_days`: age of a provider's newest reading, in days. `warning_percent`: spent, of the budget. `critical_days`:
    days until the budget runs out. `critical_discrepancy_percent`: a discrepancy above it is CRITICAL when alerted.
    `cool_down_hours`: between two alerts of one kind, for WARNING and for CRITICAL ones.
    """

    stale_days: Decimal = Decimal(7)
    warning_percent: Decimal = Decimal(90)
    critical_days: Decimal = Decimal(2)
    critical_discrepancy_percent: Decimal = Decimal(50)
    warning_cool_down_hours: Decimal = Decimal(6)
    critical_cool_down_hours: Decimal = Decimal(2)


class Reason(NamedTuple):
    """One thing that is not as it should be; `code` is stable, `provider` is None where it concerns them all."""

    level: str
    code: str
    message: str
    provider: str | None = None


class Health(NamedTuple):
    """The worst level of all reasons; GOOD without any."""

    level: str
    reasons: tuple[Reason, ...]


@exactly
def health(figures: TieOut, expected: Forecast, period: Period, now: datetime, limits: Limits) -> Health:
    """Judge a budget. That a cycle has ended is a state and no reason."""
    reasons = tuple(_reasons(figures, expected, period, now, limits))
    level = max((r.level for r in reasons), key=LEVELS.index, default=GOOD)
    return Health(level, tuple(sorted(reasons, key=lambda r: -LEVELS.index(r.level))))


def _reasons(figures: TieOut, expected: Forecast, period: Period, now: datetime, limits: Limits) -> Iterable[Reason]:
    yield from _of_money(figures, expected, period, now, limits)
    yield from _of_evidence(figures, expected, period, now, limits)


def _of_money(figures: TieOut, expected: Forecast, period: Period, now: datetime, limits: Limits) -> Iterable[Reason]:
    if figures.remaining < 0:
        yield Reason(CRITICAL, "over-budget", f"{dollars(-figures.remaining)} over budget")
    elif not figures.remaining:
        yield Reason(CRITICAL, "nothing-left", "nothing is left of the budget")
    else:
        if now <= period.ends and expected.runs_out is not None:
            yield _runs_out(expected, period, now, limits)
        if EXACT.multiply(figures.spent, Decimal(100)) >= EXACT.multiply(limits.warning_percent, figures.budget):
            yield Reason(WARNING, "nearly-spent", f"{plain(limits.warning_percent)} % of the budget or more are spent")


def _runs_out(expected: Forecast, period: Period, now: datetime, limits: Limits) -> Reason:
    assert expected.runs_out is not None  # the caller asked
    left = (expected.runs_out - period.today(now)).days
    level = CRITICAL if left <= limits.critical_days and expected.runs_out < period.last_day else WARNING
    return Reason(level, "runs-out", f"at the pace of the last 7 days the budget runs out on {expected.runs_out}")


def _of_evidence(
    figures: TieOut, expected: Forecast, period: Period, now: datetime, limits: Limits
) -> Iterable[Reason]:
    if figures.compared.grade == UNVERIFIED:
        yield Reason(
            WARNING,
            "unverified",
            f"nothing could be compared: {_late(figures) or 'a meter and a look at the dashboard, of one provider, are needed'}",
        )
    yield from _poor(figures)
    for p in figures.providers:
        if p.compared.grade == UNVERIFIED and figures.compared.grade != UNVERIFIED and p.spent:
            why = "; its meter began after the dashboard was read: read it again" if p.has_both else ""
            told = f"the {dollars(p.spent)} of {_named(p.name)} were compared with nothing{why}"
            yield Reason(WARNING, "unverified", told, p.name)
    yield from _stale(figures, expected, period, now, limits)


def _late(figures: TieOut) -> str:
    """Who was looked at before anything was metered, if that is why nothing was compared."""
    late = [_named(p.name) for p in figures.providers if p.has_both]
    return f"the meter of {' and '.join(late)} began after the dashboard was read: read it again" if late else ""


def _poor(figures: TieOut) -> Iterable[Reason]:
    """What is far apart: the cycle, and providers whose part in it is too small to show there."""
    if figures.compared.grade == POOR:
        yield Reason(WARNING, "poor", f"{dollars(figures.compared.diff)} are unexplained, {_apart(figures.compared)}")
        return
    for p in figures.providers:
        if p.compared.grade == POOR:
            told = f"{dollars(p.compared.diff)} of {_named(p.name)} are unexplained, {_apart(p.compared)}"
            yield Reason(WARNING, "poor", told, p.name)


def _apart(compared: Comparison) -> str:
    return f"{plain(shown(compared.percent or Decimal(0), 2))} % apart"


def _stale(figures: TieOut, expected: Forecast, period: Period, now: datetime, limits: Limits) -> Iterable[Reason]:
    """Providers that nothing measured of late, and those whose meters run on while nobody looks."""
    since = "before the end" if now > period.ends else "ago"
    measured = {pace.provider: pace.measured_at for pace in expected.paces}
    for p in figures.providers:
        if p.name not in measured:
            continue
        age = days(min(now, period.ends) - measured[p.name])
        if age > limits.stale_days:
            told = f"{_named(p.name)} was last measured {int(age)} days {since}: read it again"
            yield Reason(WARNING, "stale", told, p.name)
        elif p.has_both:
            oldest = min(p.looks, key=lambda look: look.current.measured_at)
            age = days(min(now, period.ends) - oldest.current.measured_at)
            if age > limits.stale_days:
                told = f"'{oldest.name}' was last read {int(age)} days {since}: what meters counted since was compared with nothing"
                yield Reason(WARNING, "stale", told, p.name)


def _named(provider: str) -> str:
    return f"'{provider}'" if provider else "the unnamed provider"
