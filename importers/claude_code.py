"""Claude Code's session logs (`~/.claude/projects/**/*.jsonl`): what the client wrote down of each answer, for itself.

An answer has a line for each of its blocks, with counts that grow, and resumed sessions and side questions copy lines. Copies
are known by `message.id` alone: the API gives each answer its own, so a `requestId` adds nothing, is missing from some versions,
and differs where a side question replays an answer. Answers of other servers may break that, which is told.
"""

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any

from msgspec import Struct, field

from ..domain.errors import MecrisError
from .jsonl import Entry, Shape, entries, first_objects
from .kinds import NO_SHAPE, WRONG_SHAPE, Call, Items, Remark, Report, Unreadable
from .reading import File, count, dollars, moment, word
from .tokens import anthropic_terms

NAME, VERSION = "claude-code", 2
SYNTHETIC = "<synthetic>"
OTHER_TYPES = ("file-history-snapshot", "queue-operation")
"""Types of lines that say nothing of their session."""
OF_THE_API = ("message", "message_start", "message_delta")
"""Types of entries of the API itself, as a program kept them: a file that begins with one is no session's."""
USUAL = (None, "", "standard", "not_available", "global")
"""Tiers and regions that cost what calls cost."""
HELD = 10_000
"""Answers that are held until all their copies are seen; copies farther apart are given one by one."""


class _Usage(Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: dict[str, int] | None = None
    speed: str | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    server_tool_use: dict[str, int | None] | None = None


class _Message(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None


class _Line(Struct, rename="camel", gc=False):
    """What is read of a line."""

    message: _Message | None = None
    uuid: str | None = None
    timestamp: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    is_sidechain: bool | None = None
    is_api_error_message: bool | None = None
    cost_usd: Decimal | None = field(default=None, name="costUSD")


LINE = Shape(_Line)


def recognises(file: File) -> bool:
    """Lines of a session, or ones with a usage and a time; a first line may be too long to be read here."""
    if b"\n" not in file.head and b'"parentUuid":' in file.head and b'"sessionId":' in file.head:
        return True
    telling = (e for e in first_objects(file) if e.get("type") in OF_THE_API or _is_of_session(e))
    return next(telling, {"type": OF_THE_API[0]}).get("type") not in OF_THE_API


def _is_of_session(entry: dict[str, Any]) -> bool:
    message = entry.get("message")
    usage = message.get("usage") if isinstance(message, dict) else None
    return (
        ("timestamp" in entry and isinstance(usage, dict) and "input_tokens" in usage)
        or ("type" in entry and "sessionId" in entry and ("uuid" in entry or entry["type"] in OTHER_TYPES))
        or (entry.get("type") == "summary" and "leafUuid" in entry)
        or (entry.get("type") == "file-history-snapshot" and "snapshot" in entry)
    )


def report(file: File) -> Report:
    """Tokens that the client noted; what they cost is an estimate."""
    return Report("claude", "claude code", estimate=True)


def read(file: File) -> Items:
    """A call for each answer, in the best of its copies."""
    log = _Log()
    for entry in entries(file, LINE):
        if wrong := log.take(entry):
            yield wrong
        if len(log.held) >= HELD:
            yield from log.oldest()
    yield from log.held.values()
    yield from log.remarks()


class _Log:
    """The answers of a file, in the best copy so far, and what was passed over."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Call] = {}
        self._requests: dict[str, str] = {}
        self._unanswered = self._ambiguous = 0

    def oldest(self) -> Iterator[Call]:
        """Let go of the half that was met first: copies of an answer mostly stand together."""
        for held in list(islice(self.held, max(1, HELD // 2))):
            self._requests.pop(held[0], None)
            yield self.held.pop(held)

    def take(self, entry: Entry) -> Unreadable | None:
        """Keep what a line says, or tell why it cannot be read."""
        if entry.reason:
            return Unreadable(entry.number, entry.reason)
        try:
            self._keep(entry.value, entry.raw)
        except MecrisError as refused:
            return Unreadable(entry.number, refused.message)
        except WRONG_SHAPE:
            return Unreadable(entry.number, NO_SHAPE)
        return None

    def _keep(self, line: _Line, raw: bytes) -> None:
        message = line.message
        if not isinstance(message, _Message) or message.usage is None:
            return
        if message.model == SYNTHETIC or line.is_api_error_message:
            self._unanswered += 1
            return
        call = _call(line, message, message.usage, raw)
        held = call.key, call.run  # a call that stands in two sessions is told of both, as by two files
        known = self.held.get(held)
        self.held[held] = _merged(known, call) if known else call
        request = line.request_id
        if isinstance(request, str) and not line.is_sidechain:
            self._ambiguous += self._requests.setdefault(call.key, request) != request

    def remarks(self) -> Items:
        """What a person should know of these logs, and of this one."""
        yield Remark(
            "these logs are what the client noted itself: counts may be placeholders, and calls may be missing"
        )
        if self._unanswered:
            yield Remark(f"lines that no model answered (synthetic, or API errors), passed over: {self._unanswered}")
        if self._ambiguous:
            yield Remark(f"copies that name another request than the first one, counted as the same: {self._ambiguous}")


def _call(line: _Line, message: _Message, usage: _Usage, raw: bytes) -> Call:
    uncached, output = count(usage.input_tokens, "input_tokens"), count(usage.output_tokens, "output_tokens")
    read = count(usage.cache_read_input_tokens, "cache_read_input_tokens")
    written, hour = _cache_writes(usage)
    total = str(uncached + output + read + written).zfill(20)
    return Call(
        _key(line, message, raw),
        _run(line.session_id),
        moment(line.timestamp, "timestamp"),
        _model(message.model),
        uncached,
        output,
        read,
        written,
        None if line.cost_usd is None else dollars(line.cost_usd, "costUSD"),
        f"{0 if line.is_sidechain else 1}|{total}|{0 if usage.speed is None else 1}",
        None,
        _terms(usage, hour),
    )


@lru_cache(1024)
def _run(session: Any) -> str:
    return f"claude-code {name}" if (name := word(session, "sessionId")) else "claude-code"


@lru_cache(1024)
def _model(name: Any) -> str | None:
    return word(name, "model")


def _key(line: _Line, message: _Message, raw: bytes) -> str:
    if id := word(message.id, "message.id"):
        return id
    if uuid := word(line.uuid, "uuid"):
        return f"uuid|{uuid}"
    return f"line|{blake2b(raw.strip(), digest_size=16).hexdigest()}"


def _cache_writes(usage: _Usage) -> tuple[int, int]:
    """Tokens that were written to a cache, and those of them that are kept for an hour."""
    parts = usage.cache_creation
    if not parts:
        return count(usage.cache_creation_input_tokens, "cache_creation_input_tokens"), 0
    five, hour = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
    an_hour = count(parts.get(hour), hour)
    return count(parts.get(five), five) + an_hour, an_hour


def _terms(usage: _Usage, hour: int) -> str:
    tools = usage.server_tool_use
    searches = tools and tools.get("web_search_requests")
    if not (hour or searches or usage.speed) and usage.service_tier in USUAL and usage.inference_geo in USUAL:
        return ""  # as most are
    fields = {"service_tier": usage.service_tier, "inference_geo": usage.inference_geo, "speed": usage.speed}
    return anthropic_terms({**fields, "server_tool_use": tools}, hour)


def _merged(one: Call, other: Call) -> Call:
    """Take the better copy, with the time of the first; of equal ones the same in whatever order they come."""
    best = one if one.rank > other.rank else other
    if one.rank == other.rank:
        best = max(one, other, key=_order)
    first = min(one.at, other.at)
    return best if best.at == first else best._replace(at=first)


def _order(call: Call) -> tuple[Any, ...]:
    return (*call[4:8], Decimal(-1) if call.usd is None else call.usd, call.model or "")
