"""OpenAI's Admin API: costs (`/v1/organization/costs`). Amounts are dollars, as a number or as text; times are Unix seconds.

One page, several pages in an array, or one page a line. A bucket ends where the next begins, and may be empty.
"""

from collections.abc import Iterator

from ..domain.errors import PayloadRefused
from .kinds import Charge, Items, Remark, Report, each
from .pages import Result, first_results, read_pages, results_of, unfinished
from .reading import File, dollars, moment

NAME, VERSION = "openai-costs", 1
DIMENSIONS = ("line_item", "project_id", "api_key_id")
"""What tells one result of a bucket from another; null when it was not grouped by."""


def recognises(file: File) -> bool:
    """Buckets whose results call themselves results of costs."""
    return any(
        isinstance(result.fields, dict) and result.fields.get("object") == "organization.costs.result"
        for result in first_results(file)
    )


def report(file: File) -> Report:
    """What the API says was spent: it is the provider's meter, and not the bill."""
    return Report("openai", "openai costs")


def read(file: File) -> Items:
    """A charge for each result of each bucket."""
    pages, broken = read_pages(file)
    yield from broken
    yield from each(results_of(pages, DIMENSIONS), _charge)
    yield from unfinished(pages)
    yield Remark("a report of the same days with another group_by counts them again: keep to one")


def _charge(result: Result) -> Iterator[Charge]:
    start = moment(result.bucket.get("start_time"), "start_time")
    end = moment(result.bucket.get("end_time"), "end_time")
    amount = result.fields["amount"]
    if str(amount.get("currency", "usd")).upper() != "USD":
        raise PayloadRefused(f"the amount is in {amount['currency']}: only US dollars can be read")
    yield Charge(f"{start.isoformat()}|{result.key}", start, end, dollars(amount.get("value"), "amount.value"))
