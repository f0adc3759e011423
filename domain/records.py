"""The record: what was observed and booked when somebody looked, as it is kept in an event."""

from . import events as e
from .findings import analysis
from .tie_out import TieOut


def record_of(figures: TieOut) -> e.Record:
    """The record of a tie-out."""
    return e.Record(
        budget_usd=figures.budget,
        tracked_usd=figures.tracked,
        plugged_usd=figures.plugged,
        unexplained_usd=figures.unexplained,
        remaining_usd=figures.remaining,
        grade=figures.compared.grade,
        diff_usd=figures.compared.diff,
        base_usd=figures.compared.base,
        providers=tuple(
            e.ProviderFigures(
                provider=p.name,
                observed_usd=p.observed,
                tracked_then_usd=p.tracked_then,
                tracked_usd=p.tracked,
                plugged_usd=p.plugged,
                unexplained_usd=p.unexplained,
                grade=p.compared.grade,
                diff_usd=p.compared.diff,
                base_usd=p.compared.base,
            )
            for p in figures.providers
        ),
        pairs=tuple(
            e.PairFigures(
                source_a=p.meter.number,
                source_b=p.manual.number,
                amount_a_usd=p.meter_amount,
                amount_b_usd=p.manual_amount,
                diff_usd=p.compared.diff,
                base_usd=p.compared.base,
                grade=p.compared.grade,
                analysis=analysis(p),
            )
            for p in figures.pairs
        ),
    )
