"""Runs: many dispatches recorded in batches, and one run of as many asked."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

from mecris.books import Books
from mecris.domain.commands import Dispatch, ReconcileTokens, RecordDispatches

from .plain import Plain
from .report import Row, at_most, for_scale, ms, rate
from .sizes import Sizes
from .timing import percentile, take_turns

HOW = (
    "- **Dispatches**: `Books.handle(RecordDispatches)` of one run, a thousand dispatches to an order, the orders made "
    "beforehand, and the run asked at the end, so that the read models are brought up to date too; against `executemany` "
    "of as many rows of the size of a reading into plain SQLite, a transaction to each thousand. Each round has a run of its own.",
    "- **A run of many dispatches**: `Books.run` in process, as `mecris cost show` asks it, now and as of a position "
    "half-way, and a run whose dispatches were running before they ended and were billed one by one; question by question; the 99th percentile of each round, of which the median is shown.",
)
BATCH = 1000


def rows(folder: Path, books: Path, sizes: Sizes) -> Iterator[Row]:
    """Everything about runs; `books` give the row of the floor."""
    floor = Plain(folder / "plain-runs.db", books, 0)
    with Books.open(folder / "runs.db", recorded_by="bench") as runs:
        yield _recording(runs, floor, sizes)
        yield from _asking(runs, sizes)


def _recording(books: Books, floor: Plain, sizes: Sizes) -> Row:
    n, size, names = sizes.dispatches, min(BATCH, sizes.dispatches), count(1)
    orders = iter([_orders(f"run {next(names)}", n, size) for _ in range(sizes.few_rounds)])

    def record() -> None:
        for order in next(orders):
            books.handle(order)
        books.run(order.run_id)

    def plain() -> None:
        for _ in range(0, n, size):
            floor.batch(size)

    timed = take_turns({"plain": plain, "books": record}, sizes.few_rounds)
    return for_scale(
        f"{n:,} dispatches recorded, {size:,} to an order, against plain SQLite",
        f"{timed.ratio('plain', 'books'):.2f}x",
        f"{rate(timed.median('books'), n)}, plain {rate(timed.median('plain'), n)}",
    )


def _orders(run: str, dispatches: int, size: int) -> list[RecordDispatches]:
    return [
        RecordDispatches(run_id=run, dispatches=tuple(_dispatch(n) for n in range(begin, begin + size)))
        for begin in range(0, dispatches, size)
    ]


def _dispatch(n: int) -> Dispatch:
    return Dispatch(
        dispatch_id=f"msg_{n:012d}",
        input_tokens=1000 + n % 700,
        output_tokens=50 + n % 90,
        cache_read_tokens=n % 5000,
        cache_write_tokens=n % 300,
        model="claude-opus-4-6",
    )


def _asking(books: Books, sizes: Sizes) -> Iterator[Row]:
    n = sizes.dispatches
    books.handle(ReconcileTokens(run_id="run 1", billed_in=1, billed_out=1))
    _finish(books, n, min(BATCH, n))
    for what, run, as_of in (
        ("`cost show` of a run with {:,} dispatches", "run 1", None),
        ("`cost show --as-of` half-way of a run with {:,} dispatches", "run 1", n // BATCH // 2),
        ("`cost show` of a run whose {:,} dispatches ran, ended and were billed one by one", "finished", None),
    ):
        rounds = [_seconds(books, run, as_of, sizes.questions) for _ in range(sizes.few_rounds)]
        p50, p99 = (median(percentile(seconds, p) for seconds in rounds) for p in (50, 99))
        yield at_most(f"{what.format(n)}, p99", 10, p99 * 1000, f"p50 {ms(p50)}, p99 {ms(p99)}", " ms")


def _finish(books: Books, dispatches: int, size: int) -> None:
    """A run whose dispatches are running first, then over (all but one), and billed."""
    for order in _orders("finished", dispatches, size):
        running = tuple(d.model_copy(update={"running": True}) for d in order.dispatches)
        books.handle(RecordDispatches(run_id="finished", dispatches=running))
    for order in _orders("finished", dispatches, size):
        books.handle(RecordDispatches(run_id="finished", dispatches=order.dispatches))
        bills = (
            ReconcileTokens(
                run_id="finished", dispatch_id=d.dispatch_id, billed_in=d.input_tokens, billed_out=d.output_tokens
            )
            for d in order.dispatches
        )
        books.handle_all(bills)
    books.handle(RecordDispatches(run_id="finished", dispatches=(_dispatch(0).model_copy(update={"running": True}),)))


def _seconds(books: Books, run: str, as_of: int | None, questions: int) -> list[float]:
    seconds = []
    for _ in range(questions):
        begun = perf_counter()
        books.run(run, as_of=as_of)
        seconds.append(perf_counter() - begun)
    return seconds
