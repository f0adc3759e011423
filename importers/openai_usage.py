"""OpenAI's Admin API: usage (`/v1/organization/usage/completions`, and others that count tokens). Times are Unix seconds.

`input_tokens` include what was read from caches and written to them. One page, several in an array, or one page a line.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..domain.errors import PayloadRefused
from ..domain.terms import Terms
from .kinds import Call, Item, Items, Remark, Report, each
from .pages import Result, first_results, read_pages, results_of, unfinished
from .reading import File, count, moment
from .tokens import model_of, require_any, unusual

NAME, VERSION = "openai-usage", 2
RUN = "openai usage"
DIMENSIONS = ("object", "project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
"""What tells one result of a bucket from another; null when it was not grouped by. `object` says what was used."""
HALF_PRICED = ("batch", "flex")
"""Tiers at half the price."""


def recognises(file: File) -> bool:
    """Buckets whose results call themselves results of usage, and count tokens."""
    return any(
        isinstance(result.fields, dict)
        and str(result.fields.get("object")).startswith("organization.usage.")
        and "input_tokens" in result.fields
        for result in first_results(file)
    )


def report(file: File) -> Report:
    """What the API says was used; what that cost is an estimate."""
    return Report("openai", RUN, estimate=True)


def read(file: File) -> Items:
    """The tokens of each result of each bucket."""
    pages, broken = read_pages(file)
    yield from broken
    yield from each(results_of(pages, DIMENSIONS), _call)
    yield from unfinished(pages)
    if any(
        isinstance(r.fields, dict) and None in (r.fields.get("batch"), r.fields.get("service_tier"))
        for r in results_of(pages, ())
    ):
        yield Remark(
            "results that name no batch and service_tier are priced as standard ones: group by both, as some cost half"
        )
    yield Remark("a report of the same days with another group_by or bucket_width counts them again: keep to one")


def _call(result: Result) -> Iterator[Item]:
    start, fields = moment(result.bucket.get("start_time"), "start_time"), result.fields
    require_any(fields, "input_tokens", "output_tokens")
    cached, written = (count(fields.get(name), name) for name in ("input_cached_tokens", "input_cache_write_tokens"))
    uncached, key = _uncached(fields, cached + written), f"{start.isoformat()}|{result.key}"
    output = count(fields.get("output_tokens"), "output_tokens")
    ends = result.bucket.get("end_time")
    until = None if ends is None else moment(ends, "end_time")
    yield Call(key, RUN, start, model_of(fields), uncached, output, cached, written, until=until, terms=_terms(fields))
    if uncached + cached + written != count(fields.get("input_tokens"), "input_tokens"):
        yield Remark(f"{key}: the parts of input_tokens do not add up to {fields.get('input_tokens')}: the parts count")


def _terms(fields: Mapping[str, Any]) -> str:
    """What the price depends on. Sound and pictures cost more than text, whose prices are those known here."""
    tier = fields.get("service_tier")
    other = (
        *unusual(tier, "tier", "auto", "default", "standard", *HALF_PRICED),
        *(kind for kind in ("audio", "image") if _has(fields, kind)),
    )
    is_half = fields.get("batch") is True or tier in HALF_PRICED
    return str(Terms(batch=is_half, summed=True, other=", ".join(other) or None))


def _has(fields: Mapping[str, Any], kind: str) -> bool:
    names = (f"input_{kind}_tokens", f"input_cached_{kind}_tokens", f"output_{kind}_tokens")
    return any(count(fields.get(name), name) for name in names)


def _uncached(fields: Mapping[str, Any], cached: int) -> int:
    if fields.get("input_uncached_tokens") is not None:
        return count(fields["input_uncached_tokens"], "input_uncached_tokens")
    given = count(fields.get("input_tokens"), "input_tokens")
    if cached > given:
        raise PayloadRefused(f"{cached} tokens of caches are more than the {given} of input_tokens, which include them")
    return given - cached
