"""Anthropic's Admin API: the cost report (`/v1/organizations/cost_report`). Amounts are decimal text in cents.

One page, several pages in an array, or one page a line. A bucket ends where the next begins, and may be empty.
"""

from collections.abc import Iterator
from typing import Any

from ..domain.errors import PayloadRefused
from .kinds import Charge, Items, Remark, Report, each, text_of
from .pages import pages_of, unfinished
from .reading import File, dollars, moment

NAME, VERSION = "anthropic-cost", 1
DIMENSIONS = (
    "workspace_id", "description", "model", "service_tier", "context_window", "inference_geo", "token_type", "cost_type", "speed",
)  # fmt: skip
"""What tells one line of a bucket from another; null when it was not grouped by, or truly null."""


def recognises(file: File) -> bool:
    """Buckets whose results have an amount and a currency."""
    return any(
        isinstance(result, dict) and "amount" in result and "currency" in result and "object" not in result
        for page in pages_of(file)
        for bucket in page["data"]
        if isinstance(bucket, dict) and "starting_at" in bucket
        for result in bucket.get("results") or ()
    )


def report(file: File) -> Report:
    """What the API says was used: it is the provider's meter, and not the bill."""
    return Report("claude", "anthropic cost report")


def read(file: File) -> Items:
    """A charge for each line of each bucket."""
    pages = pages_of(file)
    lines = ((b, r) for page in pages for b in page["data"] for r in b.get("results") or ())
    yield from each(lines, _charge)
    yield from unfinished(pages)
    yield Remark("Priority Tier is not in this report")


def _charge(line: tuple[Any, Any]) -> Iterator[Charge]:
    bucket, result = line
    if str(result.get("currency", "USD")).upper() != "USD":
        raise PayloadRefused(f"the amount is in {result['currency']}: only US dollars can be read")
    start, end = moment(bucket.get("starting_at"), "starting_at"), moment(bucket.get("ending_at"), "ending_at")
    key = "|".join([start.isoformat(), *(text_of(result.get(name)) for name in DIMENSIONS)])
    yield Charge(key, start, end, dollars(result.get("amount"), "amount", cents=True))
