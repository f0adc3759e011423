"""A plain CSV of our own, for what has no other format; described in `docs/formats.md`.

A row is one line: so a quote that is never closed costs one row and not the rest of the file.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from ..domain.errors import PayloadRefused
from ..domain.text import name_of
from .kinds import MANUAL, REALTIME, Charge, Items, Once, Remark, Report, each, text_of
from .reading import File, Line, day, dollars, moment

NAME, VERSION = "csv", 1
DEFAULTS = {"provider": "", "account": "", "source": "csv", "type": MANUAL}
AMOUNT = re.compile(
    r"(?P<open>\()?(?P<sign>[-+\u2212]?)(?:US)?\$?\s?(?P<minus>[-\u2212]?)"
    r"(?P<digits>\d[\d.,]*|\.\d+)(?P<power>[eE][-+]?\d{1,2})?(?:\s?USD)?(?P<close>\))?"
)
PLAIN = re.compile(r"\d+(?:\.\d+)?|\.\d+|\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}")
"""Digits that can be read in one way. 1,234 is none: where a comma is decimal, it is little more than one."""

Row = dict[str, str]


def recognises(file: File) -> bool:
    """A header with `usd`, and with `date` or both `start` and `end`."""
    return _header(file) is not None


def report(file: File) -> Report:
    """What its rows say; they must agree, and an empty cell says nothing."""
    said = {name: _said(file, name) or default for name, default in DEFAULTS.items()}
    if said["type"].lower() not in (MANUAL, REALTIME):
        raise PayloadRefused(f"type {said['type'][:40]!r} is unknown: write manual or realtime")
    return Report(said["provider"], said["source"], said["type"].lower(), said["account"])


def read(file: File) -> Items:
    """A charge for each row."""
    header = _header(file)
    if header is None:
        raise PayloadRefused("the first line names no columns `usd` and `date`")
    seen: Counter[str] = Counter()
    yield from each(_lines(file), partial(_charges, header, seen, Once()))
    if alike := sum(count for count in seen.values() if count > 1):
        yield Remark(
            f"{alike:,} rows have neither an id nor a description of their own in their day: which is which is told by their order, "
            "so an export that is sorted otherwise, or cut, takes one for another"
        )


class Header:
    """The names of the columns, and what separates them."""

    def __init__(self, line: int, separator: str, names: list[str]) -> None:
        self.line, self.separator, self.names = line, separator, names

    def row(self, line: Line) -> Row | None:
        """A line by its columns; None for the header itself, what is above it, and empty lines."""
        if line.text is None:
            raise PayloadRefused(line.reason)
        cells = _cells(line.text, self.separator)
        if line.number <= self.line or not any(cells):
            return None
        if len(cells) < len(self.names):
            raise PayloadRefused(f"the row has {len(cells)} cells, the header has {len(self.names)}")
        if any(cells[len(self.names) :]):
            raise PayloadRefused("the row has more cells than the header: put a text with a separator in quotes")
        return dict(zip(self.names, cells, strict=False))


def _header(file: File) -> Header | None:
    first = next((line for line in _lines(file) if line.text is None or line.text.strip()), None)
    if first is None or first.text is None:
        return None
    for separator in ",;\t":
        try:
            names = [cell.lower() for cell in _cells(first.text, separator)]
        except PayloadRefused:
            continue
        if names.count("usd") == 1 and ("date" in names or {"start", "end"} <= set(names)):
            return Header(first.number, separator, names)
    return None


def _lines(file: File) -> Iterator[Line]:
    """Lines, also of a file in UTF-16, as a spreadsheet's "Unicode text" is."""
    if file.head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return file.lines()
    return (Line(number, text) for number, text in enumerate(file.text.split("\n"), 1))


def _cells(line: str, separator: str) -> list[str]:
    try:
        rows = list(csv.reader([line.rstrip("\r\n")], delimiter=separator, strict=True))
    except csv.Error as error:
        raise PayloadRefused(
            f"the row cannot be read ({error}): a row is one line, and a quote in it is closed"
        ) from None
    return [cell.strip() for cell in rows[0]] if rows else []


def _said(file: File, name: str) -> str:
    header = _header(file)
    if header is None or name not in header.names:
        return ""
    values: set[str] = set()
    for line in _lines(file):
        try:
            values.add((header.row(line) or {}).get(name, ""))
        except PayloadRefused:
            continue  # it is told when the rows are read
    values.discard("")
    if len(values) > 1:
        told = ", ".join(repr(value[:40]) for value in sorted(values)[:5])
        raise PayloadRefused(f"the file has more than one {name} ({told}): split it into one file for each")
    return name_of(values.pop(), f"the {name}") if values else ""


def _charges(header: Header, seen: Counter[str], ids: Once, line: Line) -> Iterator[Charge]:
    row = header.row(line)
    if row is None:
        return
    start, end = _stretch(row)
    key = row.get("id", "").replace("|", "/") or _key_of(row, start, end, seen)
    if row.get("currency", "").upper() not in ("", "USD"):
        raise PayloadRefused(f"the amount is in {row['currency'][:40]}: only US dollars can be read")
    usd = _usd(row["usd"])
    if row.get("id"):
        ids.require(key, start, end, usd)
    yield Charge(key, start, end, usd)


def _stretch(row: Row) -> tuple[datetime, datetime]:
    if row.get("date"):
        start = day(row["date"], "date")
        return start, start + timedelta(1)
    if not row.get("start") or not row.get("end"):
        raise PayloadRefused("the row has no date, and not both start and end")
    start, end = moment(row["start"], "start"), moment(row["end"], "end")
    if end <= start:
        raise PayloadRefused("end is not after start: it is the first moment or day that does not belong to the row")
    return start, end


def _key_of(row: Row, start: datetime, end: datetime, seen: Counter[str]) -> str:
    """Day and description, and which of the rows with both it is: the same file again has the same keys."""
    days = f"{start:%Y-%m-%d}" if row.get("date") else f"{start.isoformat()}/{end.isoformat()}"
    equal = f"{days}|{text_of(row.get('description', ''))}"
    seen[equal] += 1
    return f"{equal}|{seen[equal]}"


def _usd(written: str) -> Decimal:
    found = AMOUNT.fullmatch(written)
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise PayloadRefused(f"usd {written[:40]!r} is no amount: write it like 5.42")
    if not PLAIN.fullmatch(found["digits"]):
        raise PayloadRefused(
            f"usd {written[:40]!r} can be read in two ways: write it like 1234.56, with a decimal point"
        )
    signs = [found["open"], found["sign"].strip("+"), found["minus"]]
    if sum(map(bool, signs)) > 1:
        raise PayloadRefused(f"usd {written[:40]!r} is negative twice: write it like -5.42")
    return dollars(("-" if any(signs) else "") + found["digits"].replace(",", "") + (found["power"] or ""), "usd")
