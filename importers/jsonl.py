"""JSON, one entry a line: in bounded memory, and with all the digits of its numbers."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..domain.errors import PayloadRefused
from .reading import DECODER, LONGEST_LINE, File


class Entry(NamedTuple):
    """What stands in a line, counted from 1, and its bytes; a `reason` says why it cannot be read."""

    number: int
    raw: bytes
    value: Any
    reason: str = ""


def entries(file: File) -> Iterator[Entry]:
    """Every line that is not blank."""
    for number, raw in file.raw_lines():
        if raw is None:
            yield Entry(number, b"", None, f"the line is longer than {LONGEST_LINE >> 20} MiB")
        elif not raw.isspace():
            try:
                yield Entry(number, raw, _read(raw))
            except PayloadRefused as refused:
                is_cut = not raw.endswith(b"\n")
                reason = "the file ends in the middle of this line" if is_cut else refused.message
                yield Entry(number, raw, None, reason)


def _read(raw: bytes) -> Any:
    """Read a line, which may be nested as deep as Python's own reader goes: nothing here looks further than a few levels."""
    try:
        return DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise PayloadRefused(f"the line is not valid UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise PayloadRefused(f"this is not JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise PayloadRefused(f"this is not JSON: {error}") from None


def first_objects(file: File) -> Iterator[dict[str, Any]]:
    """The objects on the lines by which a file is recognised."""
    for raw in file.head.removeprefix(BOM_UTF8).split(b"\n"):
        try:
            value = _read(raw)
        except PayloadRefused:
            continue
        if isinstance(value, dict):
            yield value
