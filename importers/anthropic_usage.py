"""Anthropic's Admin API: the usage report of messages (`/v1/organizations/usage_report/messages`), in tokens.

One page, several pages in an array, or one page a line. A bucket ends where the next begins, and may be empty.
"""

from collections.abc import Iterator

from .kinds import Call, Items, Remark, Report, each
from .pages import Result, first_results, read_pages, results_of, unfinished
from .reading import File, count, moment
from .tokens import anthropic_terms, cache_written, kept_an_hour, model_of, require_any

NAME, VERSION = "anthropic-usage", 2
RUN = "anthropic usage report"
DIMENSIONS = (
    "account_id", "api_key_id", "workspace_id", "service_account_id", "model", "service_tier", "context_window",
    "inference_geo", "speed",
)  # fmt: skip
"""What tells one result of a bucket from another; null when it was not grouped by, or truly null."""


def recognises(file: File) -> bool:
    """Buckets whose results have uncached input tokens."""
    return any(
        isinstance(result.fields, dict) and "uncached_input_tokens" in result.fields and "starting_at" in result.bucket
        for result in first_results(file)
    )


def report(file: File) -> Report:
    """What the API says was used; what that cost is an estimate."""
    return Report("claude", RUN, estimate=True)


def read(file: File) -> Items:
    """The tokens of each result of each bucket."""
    pages, broken = read_pages(file)
    yield from broken
    yield from each(results_of(pages, DIMENSIONS), _call)
    yield from unfinished(pages)
    yield Remark("code execution is not in this report: the cost report has it")
    if any(isinstance(r.fields, dict) and r.fields.get("service_tier") is None for r in results_of(pages, ())):
        yield Remark("results that name no service_tier are priced as standard ones: group by it, as batches cost half")
    yield Remark("a report of the same days with another group_by or bucket_width counts them again: keep to one")


def _call(result: Result) -> Iterator[Call]:
    start, fields = moment(result.bucket.get("starting_at"), "starting_at"), result.fields
    ends = result.bucket.get("ending_at")
    require_any(fields, "uncached_input_tokens", "cache_read_input_tokens", "cache_creation", "output_tokens")
    yield Call(
        key=f"{start.isoformat()}|{result.key}",
        run=RUN,
        at=start,
        model=model_of(fields),
        input_tokens=count(fields.get("uncached_input_tokens"), "uncached_input_tokens"),
        output_tokens=count(fields.get("output_tokens"), "output_tokens"),
        cache_read_tokens=count(fields.get("cache_read_input_tokens"), "cache_read_input_tokens"),
        cache_write_tokens=cache_written(fields.get("cache_creation")),
        until=None if ends is None else moment(ends, "ending_at"),
        terms=anthropic_terms(fields, kept_an_hour(fields.get("cache_creation")), summed=True),
    )
