"""Asking: the status in process, now and as of any past moment, and as a whole process."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from mecris.books import Books

from .data import CYCLES, YEAR, mixed_books
from .report import Row, at_most, ms
from .sizes import Sizes
from .timing import percentile, take_turns

HOW = (
    "- **Status in process**: `Books.status`, of a cycle and as of a position or a time drawn at random over the whole "
    "log (fixed seed), question by question in turn on the large and on the small books; per round the 50th and 99th "
    "percentile, of which the median over the rounds is shown. Both books have the same cycles and sources.",
    '- **Status as a process**: `mecris --books FILE budget status --cycle 1` and `python -c "import click, sqlite3"` '
    "in turn; also with the books in the default place instead of `--books`.",
)
KINDS = {"status": "`status`", "position": "`status --as-of` a position", "time": "`status --as-of` a time"}


def rows(folder: Path, path: Path, sizes: Sizes) -> Iterator[Row]:
    """Everything about asking the books at a path, which is a default place below `folder`."""
    few = folder / "few.db"
    mixed_books(few, sizes.few)
    with Books.open(path) as large, Books.open(few) as small:
        for kind, what in KINDS.items():
            yield from _percentiles(kind, what, large, small, sizes)
    yield from _process(path, sizes)


def _percentiles(kind: str, what: str, large: Books, small: Books, sizes: Sizes) -> Iterator[Row]:
    n, few = large.position, small.position
    found = [_round(kind, large, small, sizes.questions, Random(seed)) for seed in range(sizes.rounds)]
    p50, p99 = ([percentile(one, p) for one, _ in found] for p in (50, 99))
    p50_few, p99_few = ([percentile(one, p) for _, one in found] for p in (50, 99))
    figures = f"p50 {ms(median(p50))}, p99 {ms(median(p99))}"
    yield at_most(f"{what}, {n:,} events, p99", 5, median(p99) * 1000, figures, " ms")
    yield at_most(
        f"the same against {few:,} events, p99",
        1.5,
        median(a / b for a, b in zip(p99, p99_few, strict=True)),
        f"{few:,} events: p50 {ms(median(p50_few))}, p99 {ms(median(p99_few))}; "
        f"p50 {median(a / b for a, b in zip(p50, p50_few, strict=True)):.2f}x",
    )


def _round(kind: str, large: Books, small: Books, questions: int, random: Random) -> tuple[list[float], list[float]]:
    """Seconds of each question, on the large and on the small books."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(questions):
        for which in (0, 1) if number % 2 else (1, 0):
            books = (large, small)[which]
            seconds[which].append(_asked(books, 1 + random.randrange(CYCLES), _moment(kind, books, random)))
    return seconds


def _moment(kind: str, books: Books, random: Random) -> int | datetime | None:
    if kind == "position":
        return random.randint(CYCLES, books.position)
    if kind == "time":
        return datetime(2025, 1, 1, tzinfo=UTC) + YEAR * random.random()
    return None


def _asked(books: Books, cycle: int, as_of: int | datetime | None) -> float:
    begun = perf_counter()
    books.status(cycle, as_of=as_of)
    return perf_counter() - begun


def _process(path: Path, sizes: Sizes) -> Iterator[Row]:
    asked = ["budget", "status", "--cycle", "1"]
    runs = {
        "bare": partial(_run, [sys.executable, "-c", "import click, sqlite3"], path),
        "named": partial(_run, [*_mecris(), "--books", str(path), *asked], path),
        "default": partial(_run, [*_mecris(), *asked], path),
    }
    take_turns(runs, 1)  # Python compiles what it has not run before
    timed = take_turns(runs, sizes.starts)
    bare = f"bare {_both(timed.seconds['bare'])}"
    yield at_most(
        '`mecris --books FILE budget status` as a process, against `python -c "import click, sqlite3"`',
        1.5,
        timed.ratio("named", "bare"),
        f"{_both(timed.seconds['named'])}, {bare}",
    )
    yield at_most(
        "the same with the books in the default place",
        1.5,
        timed.ratio("default", "bare"),
        _both(timed.seconds["default"]),
    )


def _run(command: list[str], path: Path) -> None:
    """Run a program as people do: with compiled modules kept, and the books' folder as the user's data."""
    environment = os.environ | {"XDG_DATA_HOME": str(path.parent.parent), "PYTHONDONTWRITEBYTECODE": ""}
    environment.pop("MECRIS_BOOKS", None)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def _both(seconds: Sequence[float]) -> str:
    return f"median {ms(median(seconds))}, fastest {ms(min(seconds))}"


def _mecris() -> list[str]:
    """The installed command; the module if it has no script."""
    script = Path(sys.executable).with_name("mecris")
    return [str(script)] if script.exists() else [sys.executable, "-m", "mecris.cli"]
