"""Answers that come in pages: one page, an array of pages, or one page a line."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..domain.errors import PayloadRefused
from .kinds import Remark
from .reading import File, read_json


def pages_of(file: File) -> list[dict[str, Any]]:
    """Every page of a file: objects with a list `data`; empty if it is something else, which its first line can show."""
    if not _paged(file.first_json):
        return []
    try:
        found = file.json
    except PayloadRefused:
        try:
            found = [read_json(line.text) for line in file.lines() if line.text and line.text.strip()]
        except PayloadRefused:
            return []
    return _paged(found)


def _paged(found: Any) -> list[dict[str, Any]]:
    pages = found if isinstance(found, list) else [found]
    return pages if all(isinstance(page, dict) and isinstance(page.get("data"), list) for page in pages) else []


def unfinished(pages: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    """Say that there is more: the last page of a file should have no next one."""
    if pages and pages[-1].get("has_more"):
        yield Remark("there are more pages: fetch the next one (`next_page`) and import it too", incomplete=True)
