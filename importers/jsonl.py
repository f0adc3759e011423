"""JSON, one entry a line: in bounded memory, and with all the digits of its numbers."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import msgspec

from ..domain.errors import PayloadRefused
from .reading import DECODER, LONGEST_LINE, File

CUT = "the file ends in the middle of this line"


class Entry(NamedTuple):
    """What stands in a line, counted from 1, and its bytes; a `reason` says why it cannot be read."""

    number: int
    raw: bytes
    value: Any
    reason: str = ""


class Shape:
    """What an importer looks at of an entry, as the fields of a struct; all else is passed over without making it.

    Values of other types than the struct says are in its fields as they are, for the importer to refuse. An entry that is no
    object is given as it is. All of the line must be JSON, but a number that nobody looks at may have more digits than Python reads.
    """

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self.kind = kind
        self._decode = msgspec.json.Decoder(kind).decode
        self._fields = {f.encode_name: (f.name, _shape_in(f.type)) for f in msgspec.structs.fields(kind)}

    def read(self, raw: bytes) -> Any:
        """Read a line."""
        try:
            return self._decode(raw.decode())
        except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
            return self.of(_read(raw))

    def of(self, value: Any) -> Any:
        """An entry that was read already."""
        if not isinstance(value, dict):
            return value
        found = ((*self._fields[name], each) for name, each in value.items() if name in self._fields)
        return self.kind(**{name: inner.of(each) if inner else each for name, inner, each in found})


def _shape_in(kind: Any) -> Shape | None:
    """The shape of the struct in a type, if there is one."""
    structs = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, msgspec.Struct)]
    return Shape(structs[0]) if structs else None


def entries(file: File, shape: Shape | None = None) -> Iterator[Entry]:
    """Every line that is not blank, in a shape if one is given."""
    read = shape.read if shape else _read
    for number, raw in file.raw_lines():
        if raw is None:
            yield Entry(number, b"", None, f"the line is longer than {LONGEST_LINE >> 20} MiB")
        elif not raw.isspace():
            try:
                yield Entry(number, raw, read(raw))
            except PayloadRefused as refused:
                is_cut = not raw.endswith(b"\n")
                reason = CUT if is_cut else refused.message
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
