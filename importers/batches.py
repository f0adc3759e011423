"""What a file says, batch by batch: its lines as the books keep them, and what is to be taken down beside them."""

from collections.abc import Iterator
from hashlib import sha256
from types import ModuleType
from typing import NamedTuple

from ..domain.errors import PayloadRefused
from ..domain.lines import Line
from ..domain.money import plain
from ..domain.period import MOMENT, as_text, end_of_quarter, text_of
from .kinds import WRONG_SHAPE, Call, Charge, Item, Items, Look, Remark, Unreadable
from .reading import File

AT_ONCE = 5_000
"""Items of a batch, and so the most lines that one event carries."""
LONGEST_ID, LONGEST_TEXT = 200, 400
MOST_TOKENS = 10**15
"""Tokens of one call beyond which a figure is a slip, and sums would not fit."""


NO_TEXT = "it holds characters that no text can have"


class Batch(NamedTuple):
    """Some of what a file says, and how many bytes of it are read by then."""

    lines: list[Line]
    looks: list[Look]
    unreadable: list[Unreadable]
    remarks: list[Remark]
    place: int = 0


def batches(importer: ModuleType, file: File, exported: str) -> Iterator[Batch]:
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
    if wrong := _wrong_with(item):
        batch.unreadable.append(Unreadable(number, wrong))
    elif isinstance(item, Call):
        batch.lines.append(_call(item, exported))
    elif isinstance(item, Charge):
        batch.lines.append(_charge(item, exported))
    elif isinstance(item, Look):
        batch.looks.append(item)
    elif isinstance(item, Unreadable):
        batch.unreadable.append(item._replace(reason=writable(item.reason[:LONGEST_TEXT])))
    elif isinstance(item, Remark):
        batch.remarks.append(item._replace(text=writable(item.text[:LONGEST_TEXT])))


def _wrong_with(item: Item) -> str | None:
    """Why an item cannot be kept, although its importer could read it."""
    try:
        if isinstance(item, Call):
            said = f"{item.key}{item.run}{item.model}"
            if not said.isprintable() and b"\0" in said.encode():
                return NO_TEXT
            if item.until is not None and item.until <= item.at:
                return "it ends before it begins"
            return "the tokens of one call are not that many" if max(item[4:8]) > MOST_TOKENS else None
        if isinstance(item, Charge):
            if b"\0" in item.key.encode():
                return NO_TEXT
            return "it ends before it begins" if item.end <= item.start else None
    except UnicodeEncodeError:
        return NO_TEXT
    return None


def _charge(charge: Charge, exported: str) -> Line:
    start, end = as_text(charge.start), as_text(charge.end - MOMENT)
    return Line(_named(charge.key, "line"), f"|{exported}", start, end, plain(charge.usd))


def _call(call: Call, exported: str) -> Line:
    start = text_of(call.at)
    return Line(
        _named(call.key, "call"),
        f"{call.rank}|{exported}",
        start,
        end_of_quarter(start) if call.until is None else as_text(call.until - MOMENT),
        None if call.usd is None else plain(call.usd),
        _named(call.run, "run"),
        call.model,
        *call[4:8],
        False,
        call.terms,
        call.provider,
    )


def _named(text: str, what: str) -> str:
    """A name as the books take them; one that is too long or not printable has its digest for a name."""
    if 0 < len(text) <= LONGEST_ID and text.isprintable() and text == text.strip():
        return text
    return f"{what} sha256:{sha256(text.encode()).hexdigest()}"


def writable(text: str) -> str:
    """A text with marks in place of what no text has."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
