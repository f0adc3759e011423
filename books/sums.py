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
    """What a cycle has cost by each moment, and what is not in it."""

    by_moment: dict[datetime, Decimal]
    outside: int
    """Buckets, and days of calls, that are not of this cycle."""
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
    inside, outside = _divided(buckets, period)
    found: dict[datetime, Decimal] = {}
    sum, last, negative = Decimal(0), period.begins, False
    for at, bucket in inside:
        sum = EXACT.add(sum, bucket.usd)
        negative |= sum < 0
        last = max(last, bucket.begins, min(at, latest))  # one after the other, however the buckets overlap
        found[last] = usd(shown(max(sum, Decimal(0)), PLACES))
    return Sums(found, outside, negative)


def _divided(buckets: Iterable[Bucket], period: Period) -> tuple[list[tuple[datetime, Bucket]], int]:
    """The buckets of a cycle, each with the moment at which it is told, and how many are none of it."""
    inside: list[tuple[datetime, Bucket]] = []
    outside: set[object] = set()
    begins, ends = period.begins, period.ends
    for bucket in buckets:
        if bucket.begins < begins or bucket.end > ends:
            outside.add((bucket.start, bucket.end) if bucket.start else bucket.end.date())
        else:
            inside.append((bucket.end if bucket.start else _end_of_day(bucket.end, period.timezone), bucket))
    return sorted(inside, key=lambda told: (told[0], told[1].end)), len(outside)


def _end_of_day(moment: datetime, timezone: str) -> datetime:
    """Calls are told at the end of the cycle's own day."""
    return last_moment(moment.astimezone(zone(timezone)).date(), timezone)
