"""The report: a table for the terminal and the page docs/benchmarks.md."""

import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- notes -->", "<!-- /notes -->"
HEADINGS = ("what", "at least / at most", "measured", "figures", "")


class Row(NamedTuple):
    """One line of the table; `met` is None where there is no target or nothing was measured."""

    what: str
    target: str
    measured: str
    figures: str
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as it is shown."""
        return (*self[:4], {True: "met", False: "**not met**", None: ""}[self.met])


def at_least(what: str, target: float, measured: float, figures: str, unit: str = "x") -> Row:
    """A row whose figure must reach its target."""
    return Row(what, f">= {target:g}{unit}", f"{measured:.2f}{unit}", figures, measured >= target)


def at_most(what: str, target: float, measured: float, figures: str, unit: str = "x") -> Row:
    """A row whose figure must not exceed its target."""
    return Row(what, f"<= {target:g}{unit}", f"{measured:.2f}{unit}", figures, measured <= target)


def for_scale(what: str, measured: str, figures: str) -> Row:
    """A row without a target."""
    return Row(what, "", measured, figures)


def missing(what: str, why: str) -> Row:
    """A row that could not be measured."""
    return Row(what, "", "not measured", why)


def rate(seconds: float, number: int) -> str:
    """How many a second."""
    return f"{number / seconds:,.0f}/s"


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{seconds * 1000:.2f} ms"


def machine() -> str:
    """What this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"eventsourcing {version('eventsourcing')}"
    )


def table(rows: Iterable[Row]) -> str:
    """The table for the page."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def for_terminal(rows: Sequence[Row]) -> str:
    """The table for the terminal: the same columns, lined up, figures beneath."""
    wide = max(len(row.what) for row in rows)
    lines = (
        f"{row.what:{wide}}  {row.measured:>14}  {row.target:>10}  {row.cells[4].strip('*')}\n{'':{wide}}  {row.figures}"
        for row in rows
    )
    return "\n".join(lines)


def write(path: Path, size: int, rows: Iterable[Row], how: Iterable[str]) -> None:
    """Write the page; what people wrote between the marks of the notes stays."""
    page = f"""# Benchmarks

Written by `make bench`: it builds its own data in a temporary folder, lets the contenders take turns in one run, and
compares them by the median of the rounds' ratios.

Measured {machine()}; {size:,} events.

{table(rows)}

## How it was measured

{chr(10).join(how)}

## Notes

{BEGIN}{_notes(path)}{END}
"""
    path.write_text(page)


def _notes(path: Path) -> str:
    old = path.read_text() if path.exists() else ""
    return old.partition(BEGIN)[2].partition(END)[0] or "\n"
