"""Replaying: every read model made again from the log, the chain recomputed, and the memory that takes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mecris.books import Books

from .accounting import beancount, hledger
from .data import mixed_books
from .report import Row, at_least, at_most, for_scale, missing, rate
from .sizes import Sizes
from .stock import Stock
from .timing import Rounds, take_turns

HOW = (
    "- **Rebuild**: `Books.rebuild()`, which throws every read model away and makes it again in one durable write, "
    "against `repository.get` of every aggregate of a stock `Application` with a stock `Aggregate` of the same fields "
    "on `eventsourcing.sqlite` (its bare replay keeps one figure a source in memory and writes nothing), against "
    "`hledger balance`, and against beancount loading a file; these two are whole processes. beancount is found as "
    "`bean-check`, or in the Python that `BEANCOUNT_PYTHON` names, and its cache is off.",
    "- **The books**: 20 cycles over one year, in each three meters and two consoles of two providers; one order in "
    "fifty is a manual reading with its record, one in five hundred a plug or a top-up.",
    "- **Memory**: how much the peak resident memory of a fresh process grows during a rebuild, after it has opened the "
    "books and asked one question. SQLite's page cache fills up to its limit; beyond that nothing may grow.",
)

CHILD = """
import resource, sys
from mecris.books import Books

def peak():
    try:  # ru_maxrss of a fresh process begins with the size of the one that started it
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)

with Books.open(sys.argv[1]) as books:
    books.status(1)
    before = peak()
    books.rebuild()
    print(peak() - before)
"""


def rows(folder: Path, path: Path, sizes: Sizes) -> Iterator[Row]:
    """Everything about replaying the books at a path, which hold the events that `sizes` names."""
    yield from _rebuild(folder, path, sizes)
    yield from _audit(path, sizes)
    yield _memory(folder, path, sizes)


def _rebuild(folder: Path, path: Path, sizes: Sizes) -> Iterator[Row]:
    stock = Stock(folder / "stock.db", sizes.events)
    with Books.open(path) as books:
        n = books.position
        contenders: dict[str, Callable[[], object] | None] = {
            "rebuild": books.rebuild,
            "stock": stock.replay,
            "decode": stock.decode,
            "hledger": hledger(folder, n),
            "beancount": beancount(folder, n),
        }
        there = {name: run for name, run in contenders.items() if run}
        timed = take_turns(there, sizes.replays)
    ours = f"{rate(timed.median('rebuild'), n)} ({timed.median('rebuild'):.2f} s)"
    yield at_least(
        f"rebuild of all read models, {n:,} events, against stock eventsourcing's bare replay",
        3,
        timed.ratio("stock", "rebuild"),
        f"{ours}, stock {rate(timed.median('stock'), stock.events)}; rounds {timed.spread('stock', 'rebuild')}",
    )
    yield for_scale(
        "the same against stock's decoding of its notification log",
        f"{timed.ratio('decode', 'rebuild'):.2f}x",
        f"stock {rate(timed.median('decode'), stock.events)}",
    )
    yield _accounting(timed, "hledger", "the same against `hledger balance` of as many transactions", 5, n)
    yield _accounting(timed, "beancount", "the same against beancount loading as many transactions", None, n)


def _accounting(timed: Rounds, name: str, what: str, target: float | None, n: int) -> Row:
    if name not in timed.seconds:
        return missing(what, f"{name} is not installed")
    ratio, figures = timed.ratio(name, "rebuild"), f"{rate(timed.median(name), n)}"
    return for_scale(what, f"{ratio:.2f}x", figures) if target is None else at_least(what, target, ratio, figures)


def _audit(path: Path, sizes: Sizes) -> Iterator[Row]:
    with Books.open(path) as books:
        n = books.position
        timed = take_turns({"verify": books.verify, "replay": books.replay}, sizes.replays)
    for name, what in (
        ("verify", "`audit verify`: the chain recomputed"),
        ("replay", "`audit replay`: chain, rebuild and comparison"),
    ):
        yield for_scale(what, rate(timed.median(name), n), f"{timed.median(name):.2f} s for {n:,} events")


def _memory(folder: Path, path: Path, sizes: Sizes) -> Row:
    quarter = folder / "quarter.db"
    mixed_books(quarter, sizes.events // 4)
    small, large = _growth(quarter), _growth(path)
    return at_most(
        "memory of a rebuild, against that of a quarter of the events",
        1.5,  # streamed; what still grows is SQLite's page cache, up to its limit
        large / small if small else 1.0,
        f"peak grows by {large / 1024:.0f} MiB and by {small / 1024:.0f} MiB",
    )


def _growth(path: Path) -> int:
    """KiB by which the peak of a process grows while it rebuilds."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], check=True, capture_output=True, text=True)
    return int(done.stdout)
