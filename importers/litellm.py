"""LiteLLM's spend log, a row for each request: `/spend/logs`, pages of `/spend/logs/v2`, or the table as JSON lines or CSV.

`prompt_tokens` include what was read from and written to the provider's cache; how much that is stands in the metadata.
`cache_hit` tells of another cache, LiteLLM's own: such a request was answered for nothing, and counts with the spend it has.
"""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ..domain.errors import MecrisError, PayloadRefused
from .jsonl import Entry, entries
from .kinds import NO_SHAPE, WRONG_SHAPE, Call, Items, Remark, Report, Unreadable
from .reading import DECODER, File, count, dollars, moment, word
from .separated import header_of, is_table, table

NAME, VERSION = "litellm", 1
COLUMNS = ("request_id", "spend", "startTime")
"""What every row has, whichever way it came."""
LONGEST_ID = 1000
"""Characters of a `request_id`: into some LiteLLM packs a whole route."""
CACHED, EXCLUSIVE, NO_METADATA = (
    "requests that LiteLLM answered from its own cache, counted with the spend they have",
    "rows with fewer prompt tokens than cached ones, so taken as those beside the cached ones",
    "rows whose metadata cannot be read, so tokens that were cached count as uncached",
)


def recognises(file: File) -> bool:
    """A table by its header, rows and pages by the first of them; by the beginning what is too large or broken to tell."""
    if is_table(file):
        return set(COLUMNS) <= set(header_of(file))
    found = file.first_json
    if found is None:
        return all(f'"{name}"'.encode() in file.head for name in COLUMNS)
    first = found[0] if isinstance(found, list) else found
    if isinstance(first.get("data"), list):
        return "total_is_capped" in first or ("total_pages" in first and _is_row(first["data"][0]))
    return _is_row(first)


def _is_row(row: dict[str, Any]) -> bool:
    return all(name in row for name in COLUMNS)


def report(file: File) -> Report:
    """What the proxy noted of each request, to whatever provider."""
    return Report("litellm", "litellm spend log")


def read(file: File) -> Items:
    """A call for each row."""
    log = _Log()
    for entry in _entries(file):
        if entry.reason:
            yield Unreadable(entry.number, entry.reason)
        elif isinstance(entry.value, dict) and isinstance(entry.value.get("data"), list):
            yield from log.page(entry.value)
        else:
            yield log.row(entry.number, entry.value)
    yield from log.remarks()


def _entries(file: File) -> Iterator[Entry]:
    """Rows or pages; a document is read whole, lines and tables are not."""
    if is_table(file):
        yield from table(file)
    elif _is_lines(file):
        yield from entries(file)
    else:
        found = file.json
        yield from (Entry(n, b"", value) for n, value in enumerate(found if isinstance(found, list) else [found], 1))


def _is_lines(file: File) -> bool:
    first_line = file.head.removeprefix(BOM_UTF8).strip().partition(b"\n")[0].rstrip()
    if not first_line.startswith(b"{") or first_line.endswith((b"{", b"[", b",")):
        return False
    try:
        return not isinstance(file.first_json, dict) or "data" not in file.first_json or not file.json
    except PayloadRefused:
        return True


class _Log:
    """What was seen beside the calls: which pages there were, and what a person should know."""

    def __init__(self) -> None:
        self._pages: set[int] = set()
        self._total_pages = self._rows = 0
        self._is_capped = False
        self._seen: Counter[str] = Counter()

    def page(self, page: dict[str, Any]) -> Items:
        """The rows of a page; they are counted through all the pages."""
        self._is_capped |= bool(page.get("total_is_capped"))
        if isinstance(page.get("page"), int) and isinstance(page.get("total_pages"), int):
            self._pages.add(page["page"])
            self._total_pages = max(self._total_pages, page["total_pages"])
        for row in page["data"]:
            self._rows += 1
            yield self.row(self._rows, row)

    def row(self, number: int, row: dict[str, Any]) -> Call | Unreadable:
        """A row as a call, or why it is none."""
        try:
            return self._call(row)
        except MecrisError as refused:
            return Unreadable(number, refused.message)
        except WRONG_SHAPE:
            return Unreadable(number, NO_SHAPE)

    def _call(self, row: dict[str, Any]) -> Call:
        key, spend = word(row.get("request_id"), "request_id", LONGEST_ID), row.get("spend")
        if key is None:
            raise PayloadRefused("the row has no request_id")
        prompt = _tokens(row.get("prompt_tokens"), "prompt_tokens")
        read, written = self._cached(row.get("metadata"))
        if row.get("cache_hit") in ("True", "true", True):
            self._seen[CACHED] += 1
        if read + written > prompt:
            self._seen[EXCLUSIVE] += 1
        return Call(
            key,
            _run(row.get("team_id"), row.get("user")),
            moment(row.get("startTime"), "startTime"),
            _model(row.get("custom_llm_provider"), row.get("model"), row.get("model_group")),
            prompt if read + written > prompt else prompt - read - written,
            _tokens(row.get("completion_tokens"), "completion_tokens"),
            read,
            written,
            None if spend is None or spend == "" else dollars(spend, "spend"),
        )

    def _cached(self, metadata: Any) -> tuple[int, int]:
        """Tokens read from and written to the provider's cache."""
        if isinstance(metadata, str):
            try:
                metadata = DECODER.decode(metadata or "{}")
            except (ValueError, RecursionError):
                self._seen[NO_METADATA] += 1
                return 0, 0
        metadata = metadata or {}
        usage, more = metadata.get("usage_object") or {}, metadata.get("additional_usage_values") or {}
        details = usage.get("prompt_tokens_details") or more.get("prompt_tokens_details") or {}
        name, other = "cache_read_input_tokens", "cache_creation_input_tokens"
        return (
            count(usage.get(name) or more.get(name) or details.get("cached_tokens"), name),
            count(usage.get(other) or more.get(other) or details.get("cache_creation_tokens"), other),
        )

    def remarks(self) -> Items:
        """What is missing, then what was read in a way that should be known."""
        if self._is_capped:
            yield Remark("LiteLLM capped the number of rows: ask for a shorter time, page by page", incomplete=True)
        if self._pages and self._total_pages - min(self._pages) + 1 > len(self._pages):
            yield Remark(
                f"there are more pages, {self._total_pages} in all: fetch and import them too", incomplete=True
            )
        yield from (Remark(f"{what}: {number}") for what, number in self._seen.items())


def _tokens(value: Any, what: str) -> int:
    """A count, which is text in a table."""
    return count((int(value) if value.isdecimal() else value or None) if isinstance(value, str) else value, what)


@lru_cache(4096)
def _run(team: Any, user: Any) -> str:
    """Whose request it was: the team's, else the user's."""
    who = word(team, "team_id") or word(user, "user")
    return f"litellm {who}" if who else "litellm"


@lru_cache(4096)
def _model(provider: Any, name: Any, group: Any) -> str | None:
    model = word(name, "model") or word(group, "model_group")
    known = word(provider, "custom_llm_provider")
    return f"{known}/{model}" if model and known and not model.startswith(f"{known}/") else model
