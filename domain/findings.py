"""What a comparison finds, in words, and whether anything changed since the last record."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from .grading import UNVERIFIED
from .money import ZERO, dollars, exactly, plain, shown
from .tie_out import Pair, TieOut


@exactly
def analysis(pair: Pair) -> str:
    """One sentence about a pair, for people."""
    meter, manual, diff = pair.meter.name, pair.manual.name, pair.compared.diff
    if not diff:
        return f"realtime source '{meter}' and the manual entry '{manual}' agree"
    way = "higher" if pair.meter_amount > pair.manual_amount else "lower"
    percent = plain(shown(pair.compared.percent or ZERO, 2))
    return (
        f"realtime source '{meter}' is {dollars(diff)} ({percent} %) {way} than the manual entry '{manual}'; "
        "possible untracked usage or API-key leakage"
    )


class Standing(NamedTuple):
    """What makes a record stale when it changes: growth of a meter after the look does not."""

    observed: Decimal
    plugged: Decimal
    unexplained: Decimal
    grade: str


NOTHING = Standing(ZERO, ZERO, ZERO, UNVERIFIED)


def standings(figures: TieOut) -> dict[str, Standing]:
    """The standing of each provider now."""
    return {p.name: Standing(p.observed, p.plugged, p.unexplained, p.compared.grade) for p in figures.providers}


def is_stale(figures: TieOut, on_record: Mapping[str, Standing] | None) -> bool:
    """Does the last record no longer say what is the case, or is there something to compare and none?"""
    if on_record is None:
        return any(p.has_both for p in figures.providers)
    now = standings(figures)
    return any(now.get(name, NOTHING) != on_record.get(name, NOTHING) for name in _names(now, on_record))


def _names(*standings: Iterable[str]) -> set[str]:
    return {name for names in standings for name in names}
