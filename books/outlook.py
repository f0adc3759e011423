"""The outlook of a cycle as it is answered: health, burn and forecast. Estimates are rounded to six places."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.forecast import Curve, Forecast, Range, forecast
from ..domain.health import Health, Limits, health
from ..domain.money import shown
from ..domain.period import days, time_text
from ..domain.tie_out import TieOut
from .answers import estimate


class Outlook(NamedTuple):
    """What is to be expected of a cycle, and what is not as it should be, at a moment."""

    expected: Forecast
    health: Health
    clock: datetime

    def answer(self) -> dict[str, Any]:
        """The parts that `budget status` shows beside the tie-out."""
        expected = self.expected
        spent, remaining = expected.spent or _NONE, expected.remaining or _NONE
        return {
            "health": {"level": self.health.level, "reasons": [r._asdict() for r in self.health.reasons]},
            "burn": {
                "today_usd": estimate(expected.today),
                "per_day_7d_usd": estimate(expected.week),
                "per_day_cycle_usd": estimate(expected.cycle),
            },
            "forecast": {
                "spent_usd": estimate(spent.likely),
                "spent_low_usd": estimate(spent.low),
                "spent_high_usd": estimate(spent.high),
                "remaining_usd": estimate(remaining.likely),
                "remaining_low_usd": estimate(remaining.low),
                "remaining_high_usd": estimate(remaining.high),
                "runs_out_on": expected.runs_out.isoformat() if expected.runs_out else None,
            },
            "newest": [
                {
                    "provider": pace.provider,
                    "measured_at": time_text(pace.read_at),
                    "age_days": shown(max(days(self.clock - pace.read_at), Decimal(0)), 2),
                }
                for pace in expected.paces
            ],
        }


class _Missing(NamedTuple):
    """A range of nothing."""

    low: None = None
    likely: None = None
    high: None = None


_NONE: Range | _Missing = _Missing()


def outlook(curve: Curve, figures: TieOut, clock: datetime, limits: Limits, *, closed: bool) -> Outlook:
    """Work out what is to be expected at a moment."""
    expected = forecast(curve, figures, clock, closed=closed)
    return Outlook(expected, health(figures, expected, curve.ledger.period, clock, limits), clock)
