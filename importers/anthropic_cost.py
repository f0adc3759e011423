"""Anthropic's Admin API: the cost report (`/v1/organizations/cost_report`). Amounts are decimal text in cents.

One page, several pages in an array, or one page a line. A bucket ends where the next begins, and may be empty.
"""

from collections.abc import Iterator

from ..domain.errors import PayloadRefused
from .kinds import Charge, Items, Remark, Report, each
from .pages import Result, first_results, read_pages, results_of, unfinished
from .reading import File, dollars, moment

NAME, VERSION = "anthropic-cost", 1
DIMENSIONS = (
    "workspace_id", "description", "model", "service_tier", "context_window", "inference_geo", "token_type", "cost_type", "speed",
)  # fmt: skip
"""What tells one line of a bucket from another; null when it was not grouped by, or truly null."""


def recognises(file: File) -> bool:
    """Buckets whose results have an amount and a currency."""
    return any(
        isinstance(result.fields, dict)
        and {"amount", "currency"} <= result.fields.keys()
        and "object" not in result.fields
        and "starting_at" in result.bucket
        for result in first_results(file)
    )


def report(file: File) -> Report:
    """What the API says was used: it is the provider's meter, and not the bill."""
    return Report("claude", "anthropic cost report")


def read(file: File) -> Items:
    """A charge for each line of each bucket."""
    pages, broken = read_pages(file)
    yield from broken
    yield from each(results_of(pages, DIMENSIONS), _charge)
    yield from unfinished(pages)
    yield Remark("Priority Tier is not in this report")
    yield Remark("a report of the same days with another group_by counts them again: keep to one")


def _charge(result: Result) -> Iterator[Charge]:
    bucket, fields = result.bucket, result.fields
    if str(fields.get("currency", "USD")).upper() != "USD":
        raise PayloadRefused(f"the amount is in {fields['currency']}: only US dollars can be read")
    start, end = moment(bucket.get("starting_at"), "starting_at"), moment(bucket.get("ending_at"), "ending_at")
    yield Charge(f"{start.isoformat()}|{result.key}", start, end, dollars(fields.get("amount"), "amount", cents=True))
