"""Answers of Anthropic's Messages API, as a program kept them: each has a `usage`, and counts as one call.

One answer, an array of them, or one a line; or the events of streams, in the same ways or as they came over the wire
(`data: {...}`). The API dates none of them, so whoever keeps them adds a `created_at` or `timestamp`.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from ..domain.errors import PayloadRefused
from .entries import entries_of, value_of
from .kinds import Call, Item, Items, Remark, Report, each_of
from .reading import File, Line, count, moment
from .tokens import anthropic_terms, cache_written, kept_an_hour, model_of, require_any

NAME, VERSION = "anthropic-messages", 2
RUN = "anthropic messages"
FIRST = 100
"""Entries by which a file is recognised."""
CUT, WHOLE = "0", "1"
"""Ranks: what a stream says at its end is right, and what it says at its start a placeholder."""


class Streamed(NamedTuple):
    """The events of one answer that count: its start, and what followed."""

    start: dict[str, Any]
    deltas: list[dict[str, Any]]


def recognises(file: File) -> bool:
    """An answer with its usage, or the start of a streamed one, among the first entries."""
    return any(_is_answer(entry) for _, entry in islice(_entries(file), FIRST))


def _is_answer(entry: Any) -> bool:
    expected = {"message": "usage", "message_start": "message"}.get(_type_of(entry) or "")
    return expected is not None and isinstance(entry.get(expected), dict)


def _type_of(entry: Any) -> str | None:
    type = entry.get("type") if isinstance(entry, dict) else None
    return type if isinstance(type, str) else None


def report(file: File) -> Report:
    """What programs saw of their own calls; what they cost is an estimate."""
    return Report("claude", RUN, estimate=True)


def read(file: File) -> Items:
    """A call for each answer, with the tokens that it says."""
    return each_of(_put_together(_entries(file)), _read_one)


def _entries(file: File) -> Iterator[tuple[int, Any]]:
    return ((number, entry) for number, entry in entries_of(file, _value) if entry is not None)


def _value(line: Line) -> Any:
    """What stands in a line; None if it only frames the events of a stream."""
    text = (line.text or "").strip()
    if text.startswith((":", "event:", "id:", "retry:")):
        return None
    return value_of(line._replace(text=text.removeprefix("data:")))


def _put_together(entries: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Answers as they are, and streamed ones when their last event was seen: an event after the start does not say whose it is."""
    started: tuple[int, Streamed] | None = None
    for number, entry in entries:
        type = _type_of(entry)
        if type == "message_start":
            if started:
                yield started
            started = number, Streamed(entry, [])
        elif type == "message_delta" and started:
            started[1].deltas.append(entry)
        elif type in ("message", "message_delta", None) or not {"usage", "message"}.isdisjoint(entry):
            yield number, entry
    if started:
        yield started


def _read_one(entry: Any) -> Iterator[Item]:
    if isinstance(entry, Line):
        raise PayloadRefused(entry.reason or "the line is not JSON")
    if isinstance(entry, Streamed):
        yield from _streamed(entry)
    elif _type_of(entry) == "message":
        yield from _call(entry, WHOLE)
    else:
        raise PayloadRefused("this is no answer of the Messages API, or an event without the start of its stream")


def _streamed(streamed: Streamed) -> Iterator[Item]:
    is_whole = any((delta.get("usage") or {}).get("output_tokens") is not None for delta in streamed.deltas)
    message = _merged(streamed)
    yield from _call(message, WHOLE if is_whole else CUT)
    if not is_whole:
        told = "its stream ends before its tokens are told: the output is what was known at the start"
        yield Remark(f"message {message['id']}: {told}", incomplete=True)


def _merged(streamed: Streamed) -> dict[str, Any]:
    """The answer that a stream comes to. Counts are of the answer so far, so the last one is the right one."""
    message, usage = streamed.start["message"], dict(streamed.start["message"]["usage"])
    for delta in streamed.deltas:
        usage |= {name: n for name, n in (delta.get("usage") or {}).items() if n is not None}
    when = next((t for e in (message, streamed.start, *streamed.deltas) if (t := _when(e)) is not None), None)
    return {**message, "usage": usage, "created_at": when}


def _when(entry: dict[str, Any]) -> Any:
    created = entry.get("created_at")
    return created if created is not None else entry.get("timestamp")


def _call(message: dict[str, Any], rank: str) -> Iterator[Item]:
    key, usage = _id_of(message), message["usage"]
    require_any(usage, "input_tokens", "output_tokens")
    total = count(usage.get("cache_creation_input_tokens"), "cache_creation_input_tokens")
    parts = cache_written(usage.get("cache_creation"))
    yield Call(
        key=key,
        run=RUN,
        at=moment(_require_when(message), "created_at"),
        model=model_of(message),
        input_tokens=count(usage.get("input_tokens"), "input_tokens"),
        output_tokens=count(usage.get("output_tokens"), "output_tokens"),
        cache_read_tokens=count(usage.get("cache_read_input_tokens"), "cache_read_input_tokens"),
        cache_write_tokens=max(total, parts),
        rank=rank,
        terms=anthropic_terms(usage, kept_an_hour(usage.get("cache_creation"))),
    )
    if None not in (usage.get("cache_creation_input_tokens"), usage.get("cache_creation")) and total != parts:
        yield Remark(f"message {key}: {total} tokens written to caches, {parts} by lifetime: the larger figure counts")


def _id_of(message: dict[str, Any]) -> str:
    if not isinstance(message.get("id"), str) or not message["id"].strip():
        raise PayloadRefused("the answer has no `id`: it cannot be told from another")
    return str(message["id"].strip())


def _require_when(message: dict[str, Any]) -> Any:
    when = _when(message)
    if when is None:
        raise PayloadRefused("the answer has no time, and the API gives none: add a `created_at` when you keep it")
    return when
