"""What the lines of a report come to in a cycle: one cumulative figure at the end of each of its buckets."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ..domain.money import EXACT, shown, usd
from ..domain.period import Period, last_moment, zone
from ..projections.imports import Bucket

PLACES = 12
"""Decimal places of a reading; lines keep all that they have."""


class Sums(NamedTuple):
    """What a cycle has cost by each moment."""

    by_moment: dict[datetime, Decimal]
    negative: bool
    """Did credits exceed for a while what was spent?"""


def total(buckets: Iterable[Bucket]) -> Decimal:
    """What all buckets come to, to the last digit."""
    sum = Decimal(0)
    for bucket in buckets:
        sum = EXACT.add(sum, bucket.usd)
    return sum.normalize(EXACT)


def sums_of(buckets: Iterable[Bucket], period: Period, latest: datetime) -> Sums:
    """Add up the buckets of a cycle, in the order in which they are told; none is measured after `latest`."""
    found: dict[datetime, Decimal] = {}
    sum, last, negative = Decimal(0), period.begins, False
    for at, bucket in _inside(buckets, period):
        sum = EXACT.add(sum, bucket.usd)
        negative |= sum < 0
        last = max(last, bucket.begins, min(at, latest))  # one after the other, however the buckets overlap
        found[last] = usd(shown(max(sum, Decimal(0)), PLACES))
    return Sums(found, negative)


def _inside(buckets: Iterable[Bucket], period: Period) -> list[tuple[datetime, Bucket]]:
    """The buckets of a cycle, each with the moment at which it is told, in the order in which they are."""
    begins, ends = period.begins, period.ends
    inside = [
        (bucket.end if bucket.start else _end_of_day(bucket.end, period.timezone), bucket)
        for bucket in buckets
        if bucket.begins >= begins and bucket.end <= ends
    ]
    return sorted(inside, key=lambda told: (told[0], told[1].end))


class Left(NamedTuple):
    """Buckets that are in no cycle, in the order in which they end."""

    outside: list[Bucket]
    across: list[Bucket]
    """Those that begin on one side of the edge of a cycle and end on the other."""


def left_by(buckets: Iterable[Bucket], periods: Iterable[Period]) -> Left:
    """What none of these cycles has."""
    edges = [(period.begins, period.ends) for period in periods]
    left = Left([], [])
    begins = ends = None
    for bucket in buckets:
        first, last = bucket.begins, bucket.end
        if begins is not None and ends is not None and begins <= first and last <= ends:
            continue  # as the one before it
        if holding := next((edge for edge in edges if edge[0] <= first and last <= edge[1]), None):
            begins, ends = holding
        elif any(first <= edge[1] and last >= edge[0] for edge in edges):
            left.across.append(bucket)
        else:
            left.outside.append(bucket)
    return left


def _end_of_day(moment: datetime, timezone: str) -> datetime:
    """Calls are told at the end of the cycle's own day."""
    return last_moment(moment.astimezone(zone(timezone)).date(), timezone)
