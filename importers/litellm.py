"""LiteLLM's spend log, a row for each request: `/spend/logs`, pages of `/spend/logs/v2`, or the table as JSON lines or CSV.

`prompt_tokens` include what was read from and written to the provider's cache; how much that is stands in the metadata.
`cache_hit` tells of another cache, LiteLLM's own: such a request was answered for nothing, and counts with the spend it has.
"""

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from msgspec import Struct, field

from ..domain.errors import MecrisError, PayloadRefused
from .jsonl import Entry, Shape, entries
from .kinds import NO_SHAPE, WRONG_SHAPE, Call, Items, Remark, Report, Unreadable
from .reading import DECODER, File, count, dollars, moment, word
from .separated import header_of, is_table, table

NAME, VERSION = "litellm", 2
SOURCE = "litellm spend log"
COLUMNS = ("request_id", "spend", "startTime")
"""What every row has, whichever way it came."""
LONGEST_ID = 1000
"""Characters of a `request_id`: into some LiteLLM packs a whole route."""
OURS = {"anthropic": "claude", "text-completion-openai": "openai"}
"""Our names of providers that LiteLLM names otherwise."""
PROVIDER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
CACHED, EXCLUSIVE, NO_METADATA = (
    "requests that LiteLLM answered from its own cache, counted with the spend they have",
    "rows with fewer prompt tokens than cached ones, so taken as those beside the cached ones",
    "rows whose metadata cannot be read, so tokens that were cached count as uncached",
)


class _Usage(Struct, gc=False):
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    prompt_tokens_details: dict[str, int | None] | None = None


class _Metadata(Struct, gc=False):
    usage_object: _Usage | None = None
    additional_usage_values: _Usage | None = None


class _Row(Struct, gc=False):
    """What is read of a row, or of a page of them."""

    request_id: str | None = None
    spend: Decimal | None = None
    start_time: str | None = field(default=None, name="startTime")
    prompt_tokens: int | str | None = None
    completion_tokens: int | str | None = None
    custom_llm_provider: str | None = None
    model: str | None = None
    model_group: str | None = None
    team_id: str | None = None
    user: str | None = None
    cache_hit: bool | str | None = None
    metadata: _Metadata | str | None = None
    data: None = None
    page: None = None
    total_pages: None = None
    total_is_capped: None = None


NOTHING_USED = _Usage()
ROW, METADATA = Shape(_Row), Shape(_Metadata)


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
    """What the proxy noted of each request; the money is that of the providers it went to."""
    return Report("litellm", SOURCE)


def read(file: File) -> Items:
    """A call for each row."""
    log = _Log()
    for entry in _entries(file):
        if entry.reason:
            yield Unreadable(entry.number, entry.reason)
        elif isinstance(getattr(entry.value, "data", None), list):
            yield from log.page(entry.value)
        else:
            yield log.row(entry.number, entry.value)
    yield from log.remarks()


def _entries(file: File) -> Iterator[Entry]:
    """Rows or pages; a document is read whole, lines and tables are not."""
    if is_table(file):
        yield from (entry._replace(value=ROW.of(entry.value)) for entry in table(file))
    elif _is_lines(file):
        yield from entries(file, ROW)
    else:
        found = file.json
        rows = found if isinstance(found, list) else [found]
        yield from (Entry(n, b"", ROW.of(row)) for n, row in enumerate(rows, 1))


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

    def page(self, page: Any) -> Items:
        """The rows of a page; they are counted through all the pages."""
        self._is_capped |= bool(page.total_is_capped)
        if isinstance(page.page, int) and isinstance(page.total_pages, int):
            self._pages.add(page.page)
            self._total_pages = max(self._total_pages, page.total_pages)
        for row in page.data:
            self._rows += 1
            yield self.row(self._rows, ROW.of(row))

    def row(self, number: int, row: _Row) -> Call | Unreadable:
        """A row as a call, or why it is none."""
        try:
            return self._call(row)
        except MecrisError as refused:
            return Unreadable(number, refused.message)
        except WRONG_SHAPE:
            return Unreadable(number, NO_SHAPE)

    def _call(self, row: _Row) -> Call:
        key, spend = word(row.request_id, "request_id", LONGEST_ID), row.spend
        if key is None:
            raise PayloadRefused("the row has no request_id")
        prompt = _tokens(row.prompt_tokens, "prompt_tokens")
        read, written = self._cached(row.metadata)
        if row.cache_hit in ("True", "true", True):
            self._seen[CACHED] += 1
        if read + written > prompt:
            self._seen[EXCLUSIVE] += 1
        return Call(
            key,
            _run(row.team_id, row.user),
            moment(row.start_time, "startTime"),
            _model(row.custom_llm_provider, row.model, row.model_group),
            prompt if read + written > prompt else prompt - read - written,
            _tokens(row.completion_tokens, "completion_tokens"),
            read,
            written,
            None if spend is None or spend == "" else dollars(spend, "spend"),
            provider=_provider(row.custom_llm_provider),
        )

    def _cached(self, metadata: Any) -> tuple[int, int]:
        """Tokens read from and written to the provider's cache."""
        if isinstance(metadata, str):
            try:
                metadata = METADATA.of(DECODER.decode(metadata or "{}"))
            except (ValueError, RecursionError):
                self._seen[NO_METADATA] += 1
                return 0, 0
        if not metadata:
            return 0, 0
        usage, more = metadata.usage_object or NOTHING_USED, metadata.additional_usage_values or NOTHING_USED
        details = usage.prompt_tokens_details or more.prompt_tokens_details or {}
        read = usage.cache_read_input_tokens or more.cache_read_input_tokens or details.get("cached_tokens")
        written = (
            usage.cache_creation_input_tokens
            or more.cache_creation_input_tokens
            or details.get("cache_creation_tokens")
        )
        return count(read, "cache_read_input_tokens"), count(written, "cache_creation_input_tokens")

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
    if isinstance(value, str):
        value = int(value) if value.isdecimal() else value or None
    return count(value, what)


@lru_cache(4096)
def _run(team: Any, user: Any) -> str:
    """Whose request it was: the team's, else the user's."""
    who = word(team, "team_id") or word(user, "user")
    return f"litellm {who}" if who else "litellm"


@lru_cache(1024)
def _provider(name: Any) -> str:
    """Whose money it is, by the name that these books have for them; empty where LiteLLM does not say."""
    known = name if isinstance(name, str) and PROVIDER.fullmatch(name) else ""
    return OURS.get(known, known)


@lru_cache(4096)
def _model(provider: Any, name: Any, group: Any) -> str | None:
    model = word(name, "model") or word(group, "model_group")
    known = word(provider, "custom_llm_provider")
    return f"{known}/{model}" if model and known and not model.startswith(f"{known}/") else model
