"""Tables of separated values with a header: each row by the names of its columns, whichever character separates them."""

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator

from .jsonl import Entry
from .reading import LONGEST_LINE, File


def is_table(file: File) -> bool:
    """Is it neither empty, nor JSON, nor UTF-16?"""
    start = file.head.removeprefix(BOM_UTF8).lstrip()[:1]
    return start not in (b"", b"[", b"{", b"\xff", b"\xfe")


def header_of(file: File) -> list[str]:
    """Name the columns; none if the first line cannot be a header."""
    try:
        return next(csv.reader([_first_line(file)], delimiter=_separator(file)), [])
    except csv.Error:
        return []


def _first_line(file: File) -> str:
    return file.head.removeprefix(BOM_UTF8).partition(b"\n")[0].decode("utf-8", "replace")


def _separator(file: File) -> str:
    return max(",", ";", "\t", key=_first_line(file).count)


def table(file: File) -> Iterator[Entry]:
    """Row by row, with the number of its first line; one that cannot be read does not keep the others from it."""
    header, wrong = header_of(file), list[Entry]()
    # A field may be as long as a line, as prompts are, and the module has but one limit for the whole program.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    reader = csv.reader(_lines(file, wrong), delimiter=_separator(file), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            if (row := next(reader)) and start > 1:
                yield _entry(start, header, row)
        except StopIteration:
            break
        except csv.Error as error:
            yield Entry(start, b"", None, f"the row cannot be read: {error}")
        if wrong:
            yield from wrong
            wrong.clear()
    yield from wrong


def _lines(file: File, wrong: list[Entry]) -> Iterator[str]:
    """The text of each line; one that cannot be read is put aside, and a blank one stands for it."""
    for line in file.lines():
        if line.text is None:
            wrong.append(Entry(line.number, b"", None, line.reason))
        yield "\n" if line.text is None else line.text


def _entry(number: int, header: list[str], row: list[str]) -> Entry:
    if len(row) != len(header):
        return Entry(number, b"", None, f"the row has {len(row)} columns, and the header {len(header)}")
    return Entry(number, b"", dict(zip(header, row, strict=True)))
