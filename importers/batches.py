"""What a file says, batch by batch: its lines as the books keep them, and what is to be taken down beside them."""

from collections.abc import Generator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from types import ModuleType
from typing import NamedTuple

import msgspec

from ..domain.errors import PayloadRefused
from ..domain.lines import Line
from ..domain.money import plain
from ..domain.period import MOMENT, as_text, end_of_quarter, text_of
from .kinds import WRONG_SHAPE, Call, Charge, Item, Items, Look, Remark, Unreadable
from .reading import File

_write = msgspec.json.Encoder().encode
AT_ONCE = 5_000
"""Items of a batch, and so the most lines that one event carries."""
LONGEST_ID, LONGEST_TEXT = 200, 400
MOST_TOKENS = 10**15
"""Tokens of one call beyond which a figure is a slip, and sums would not fit."""
NO_TEXT, ENDS_FIRST = "it holds characters that no text can have", "it ends before it begins"


class Batch(NamedTuple):
    """Some of what a file says, and how many bytes of it are read by then."""

    lines: list[Line]
    looks: list[Look]
    unreadable: list[Unreadable]
    remarks: list[Remark]
    place: int = 0


def batches(importer: ModuleType, file: File, exported: str) -> Generator[Batch]:
    """Everything that an importer reads; `exported` is the rank of this copy among equals."""
    batch = Batch([], [], [], [])
    for number, item in enumerate(_items(importer, file), 1):
        _sort(number, item, batch, exported)
        if not number % AT_ONCE:
            yield batch._replace(place=file.place)
            batch = Batch([], [], [], [])
    yield batch._replace(place=file.place)


def _items(importer: ModuleType, file: File) -> Items:
    """What an importer reads; a file that was said to be of its format and is of another shape is refused."""
    try:
        yield from importer.read(file)
    except WRONG_SHAPE as error:
        raise not_of(importer, file) from error


def not_of(importer: ModuleType, file: File) -> PayloadRefused:
    """The refusal of a file that is of another shape."""
    return PayloadRefused(f"{file.name} is not of the format {importer.NAME}: say another with --format")


def _sort(number: int, item: Item, batch: Batch, exported: str) -> None:
    try:
        if isinstance(item, Call):
            batch.lines.append(_call(item, exported))
        elif isinstance(item, Charge):
            batch.lines.append(_charge(item, exported))
        elif isinstance(item, Look):
            batch.looks.append(item)
        elif isinstance(item, Unreadable):
            batch.unreadable.append(item._replace(reason=writable(item.reason[:LONGEST_TEXT])))
        elif isinstance(item, Remark):
            batch.remarks.append(item._replace(text=writable(item.text[:LONGEST_TEXT])))
    except PayloadRefused as refused:  # it cannot be kept, although its importer could read it
        batch.unreadable.append(Unreadable(number, refused.message))


def _charge(charge: Charge, exported: str) -> Line:
    if charge.end <= charge.start:
        raise PayloadRefused(ENDS_FIRST)
    start, end = as_text(charge.start), as_text(charge.end - MOMENT)
    return Line(_named(charge.key, "line"), f"|{exported}", start, end, plain(charge.usd))


def _call(call: Call, exported: str) -> Line:
    key, run, at, model, input, output, read, written, usd, rank, until, terms, provider = call
    if until is not None and until <= at:
        raise PayloadRefused(ENDS_FIRST)
    if input > MOST_TOKENS or output > MOST_TOKENS or read > MOST_TOKENS or written > MOST_TOKENS:
        raise PayloadRefused("the tokens of one call are not that many")
    if model is not None and not model.isprintable():
        _require_text(model)
    start = stored(at)
    return Line(
        _named(key, "call"),
        f"{rank}|{exported}",
        start,
        end_of_quarter(start) if until is None else as_text(until - MOMENT),
        None if usd is None else plain(usd),
        _named_run(run),
        model,
        input,
        output,
        read,
        written,
        False,  # nobody estimated it yet
        terms,
        provider,
    )


def stored(moment: datetime) -> str:
    """What `text_of` gives, in a tenth of the time for a moment in UTC: every line of a file has one."""
    if moment.tzinfo is not UTC:
        return text_of(moment)
    written = _write(moment)
    return written[1:-1].decode() if b"." in written else f"{written[1:-2].decode()}.000000Z"


def _named(text: str, what: str) -> str:
    """A name as the books take them; one that is too long or not printable has its digest for a name."""
    if text.isprintable() and 0 < len(text) <= LONGEST_ID and text == text.strip():
        return text
    return f"{what} sha256:{sha256(_require_text(text)).hexdigest()}"


@lru_cache(4096)
def _named_run(text: str) -> str:
    return _named(text, "run")


def _require_text(text: str) -> bytes:
    """The bytes of a text; refuses what no text has."""
    try:
        found = text.encode()
    except UnicodeEncodeError:
        raise PayloadRefused(NO_TEXT) from None
    if b"\0" in found:
        raise PayloadRefused(NO_TEXT)
    return found


def writable(text: str) -> str:
    """A text with marks in place of what no text has."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
