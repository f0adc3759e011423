"""Answers that come in pages: one page, an array of pages, or one page a line. A page has buckets, and a bucket results."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple

from ..domain.errors import PayloadRefused
from .entries import entries_of
from .kinds import Item, Remark, Unreadable, text_of
from .reading import File

FIRST = 1_000
"""Results by which a file is recognised."""


class Result(NamedTuple):
    """A result, the bucket it is of, and what tells it from the others of that bucket."""

    bucket: dict[str, Any]
    fields: dict[str, Any]
    key: str


def first_pages(file: File) -> Iterator[dict[str, Any]]:
    """The pages of a file, objects with a list `data`, until something else comes: by them it is recognised."""
    return takewhile(_is_page, (page for _, page in entries_of(file)))


def first_results(file: File) -> Iterator["Result"]:
    """Results by which a file is recognised."""
    return islice(results_of(first_pages(file), ()), FIRST)


def read_pages(file: File) -> tuple[list[dict[str, Any]], list[Item]]:
    """Every page of a file, and what of it is none; refuses a file without any page, or that is no whole JSON."""
    pages: list[dict[str, Any]] = []
    broken: list[Item] = []
    for number, entry in entries_of(file):
        if _is_page(entry):
            pages.append(entry)
        else:
            broken.append(Unreadable(number, "this is no page of results, or not the whole of it"))
    if not pages:
        raise PayloadRefused(
            f"these are no pages of results: {type(file.json).__name__} in place of an object with `data`"
        )
    if broken:
        broken.append(Remark("a page could not be read: fetch it again and import it too", incomplete=True))
    return pages, broken


def _is_page(page: Any) -> bool:
    return isinstance(page, dict) and isinstance(page.get("data"), list)


def results_of(pages: Iterable[dict[str, Any]], dimensions: Sequence[str]) -> Iterator[Result]:
    """Every result of every bucket; a bucket or result that is not of that shape is given too, so that it can be told.

    Results of one bucket that agree in all dimensions differ in one that is not known here: the second is not the first.
    """
    for page in pages:
        for bucket in page["data"]:
            seen = Counter[str]()
            for result in _results(bucket):
                key = _key(result, dimensions)
                seen[key] += 1
                yield Result(bucket, result, key if seen[key] == 1 else f"{key}|{seen[key]}")


def _results(bucket: Any) -> list[Any]:
    results = bucket.get("results") if isinstance(bucket, dict) else None
    return results if isinstance(results, list) else [None]


def _key(result: Any, dimensions: Sequence[str]) -> str:
    return "|".join(text_of(result.get(name)) for name in dimensions) if isinstance(result, dict) else ""


def unfinished(pages: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    """Say that there is more: the last page of a file should have no next one."""
    if pages and pages[-1].get("has_more"):
        yield Remark("there are more pages: fetch the next one (`next_page`) and import it too", incomplete=True)
