"""Reading files that nobody vouches for: bounded in size, depth and length of a line, and exact in their digits."""

import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import IO, Any, NamedTuple

from ..domain.errors import PayloadRefused
from ..domain.money import EXACT, ZERO

HEAD = 64 << 10
"""Bytes by which a file is recognised."""
LARGEST_DOCUMENT = 64 << 20
"""Bytes of a file that must be read whole, as JSON and HTML must."""
LONGEST_LINE = 4 << 20
"""Bytes of one line; a longer one is not read."""
DEEPEST = 60
"""Brackets within brackets."""
LONGEST_WORD = 180
"""Characters of a name, which may become a part of a longer one."""
NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^"\[\]{}]+|"', re.DOTALL)
"""Texts, with the brackets in them, and all that is between brackets."""
FAR, SMALLEST = Decimal(10) ** 12, 60
"""An amount is less than `FAR` and has at most `SMALLEST` places: so sums of amounts stay exact."""


USUAL = SMALLEST // 2
"""Digits of an amount, and places before the first of them, that are not too many together: so most need not be counted."""


class Line(NamedTuple):
    """A line, counted from 1; `text` is None if it cannot be read, and `reason` says why."""

    number: int
    text: str | None
    reason: str = ""


class File:
    """A file, or a part of one: its name, and its bytes, which can be read more than once."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name, self._stream = name, stream

    @classmethod
    def of(cls, content: bytes, name: str = "") -> "File":
        """A file in memory."""
        return cls(name, io.BytesIO(content))

    @property
    def place(self) -> int:
        """How far it was read."""
        return self._stream.tell()

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._stream.seek(0, io.SEEK_END)

    @cached_property
    def head(self) -> bytes:
        """Its beginning."""
        self._stream.seek(0)
        return self._stream.read(HEAD)

    @cached_property
    def text(self) -> str:
        """The whole of it, if it is not too large; UTF-8, with or without a mark at its beginning, or UTF-16 with one."""
        self._stream.seek(0)
        content = self._stream.read(LARGEST_DOCUMENT + 1)
        if len(content) > LARGEST_DOCUMENT:
            raise PayloadRefused(
                f"the file is larger than {LARGEST_DOCUMENT >> 20} MiB, which is read at once: split it"
            )
        return decoded(content)

    @property
    def json(self) -> Any:
        """The whole of it as JSON, numbers with all their digits; a large file with one document a line is not read to its end."""
        value, refusal = self._json
        if refusal is not None:
            raise PayloadRefused(refusal)
        return value

    @cached_property
    def _json(self) -> tuple[Any, str | None]:
        """The value, or why there is none: that is asked often, and found out once."""
        if self._has_a_document_a_line:
            return None, "this is not JSON: there is more after the first line, which is a document by itself"
        try:
            return read_json(self.text), None
        except PayloadRefused as refused:
            return None, refused.message

    @cached_property
    def first_json(self) -> Any:
        """The whole of it as JSON, or its first line, or None if neither is JSON; for recognising it, never refuses."""
        for whole in (False, True):
            try:
                return self.json if whole else read_json(self._first_line)
            except PayloadRefused:
                continue
        return None

    @property
    def _has_a_document_a_line(self) -> bool:
        if not self.head.lstrip().partition(b"\n")[2].strip():
            return False
        try:
            return read_json(self._first_line) is not None
        except PayloadRefused:
            return False

    @property
    def _first_line(self) -> str:
        line, end, _ = self.head.lstrip().partition(b"\n")
        return decoded(line) if end else ""

    def lines(self) -> Iterator[Line]:
        """Line by line, in bounded memory. A last line without an end is given too."""
        for number, raw in self.raw_lines():
            if raw is None:
                yield Line(number, None, f"the line is longer than {LONGEST_LINE >> 20} MiB")
                continue
            try:
                yield Line(number, raw.decode())
            except UnicodeDecodeError as error:
                yield Line(number, None, f"the line is not valid UTF-8 (byte {error.start})")

    def raw_lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Line by line as bytes, counted from 1, without a mark at the beginning; None in place of one that is too long."""
        self._stream.seek(0)
        number = 0
        while raw := self._stream.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                self._skip_line()
                yield number, None
            else:
                yield number, raw.removeprefix(BOM_UTF8) if number == 1 else raw

    def _skip_line(self) -> None:
        while (rest := self._stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
            pass


def decoded(content: bytes) -> str:
    """Bytes as text; refuses what is neither UTF-8 nor marked as UTF-16."""
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise PayloadRefused(f"the file is not valid UTF-8 (byte {error.start}): save it as UTF-8") from None
    if "\0" in text:
        raise PayloadRefused("the file has NUL bytes: it is no text")
    return text


def read_json(text: str) -> Any:
    """Read JSON with all the digits of its numbers; refuses what is none, or nested too deep."""
    try:
        if too_deep(text):
            raise PayloadRefused("the JSON is nested too deep: nothing here is")
        return DECODER.decode(text)
    except (ValueError, RecursionError, InvalidOperation) as error:
        told = f"{error.msg} (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else str(error)  # fmt: skip
        raise PayloadRefused(f"this is not JSON: {told}") from None


def too_deep(text: str) -> bool:
    """Are there more brackets open at once than any format has?"""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for bracket in NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            return True
    return False


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
"""Reads JSON with all the digits of its numbers; made once, since that takes as long as a line does."""


def dollars(value: Any, what: str, *, cents: bool = False) -> Decimal:
    """An exact amount, from a number or a text of digits; refuses what is none, infinite, or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise PayloadRefused(f"{what} is no amount")
    try:
        read = Decimal(value)
    except (InvalidOperation, ValueError):
        raise PayloadRefused(f"{what} {str(value)[:40]!r} is no amount") from None
    if not read.is_finite() or abs(read) >= FAR or (read and read.adjusted() < -SMALLEST):
        raise PayloadRefused(f"{what} {str(value)[:40]} is out of range")
    if not read:
        return ZERO
    if len(str(read)) > USUAL or read.adjusted() < -USUAL:  # counting them takes a while
        _, digits, exponent = read.as_tuple()
        if -int(exponent) > SMALLEST:
            raise PayloadRefused(f"{what} has {len(digits)} digits: too many for an amount")
    return read.scaleb(-2, EXACT) if cents else read


def count(value: Any, what: str) -> int:
    """A number of tokens or calls; missing is 0."""
    if type(value) is int and 0 <= value < 2**63:
        return value
    if value is None:
        return 0
    if isinstance(value, Decimal) and value == value.to_integral_value() and value < 2**63:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise PayloadRefused(f"{what} {str(value)[:40]!r} is no number of tokens")
    return value


def moment(value: Any, what: str) -> datetime:
    """A moment: ISO 8601 text (without an offset: UTC), or seconds since 1970 as a number."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value.strip())
            if read.tzinfo is UTC:
                return read
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise PayloadRefused(f"{what} {str(value)[:40]!r} is no moment")


def word(value: Any, what: str, longest: int = LONGEST_WORD) -> str | None:
    """An identifier or a name; None if it is empty, or no text. Refuses what no ledger would keep."""
    if not isinstance(value, str) or not value:
        return None
    if len(value) > longest or not value.isprintable():
        raise PayloadRefused(f"{what} {value[:40]!a} is no name")
    return value


def day(value: Any, what: str) -> datetime:
    """The beginning of a day in UTC, from ISO 8601 text with or without a time."""
    if not isinstance(value, str):
        raise PayloadRefused(f"{what} {str(value)[:40]!r} is no day")
    return moment(value, what).replace(hour=0, minute=0, second=0, microsecond=0)
