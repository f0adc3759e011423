"""Recording: single durable readings, with a long and a short past, and many in one write."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from pathlib import Path

from mecris.books import Books
from mecris.domain.commands import RecordSource

from .data import console, meter, one_cycle
from .plain import Plain
from .report import Row, at_least, for_scale, rate
from .sizes import Sizes
from .timing import take_turns

HOW = (
    "- **Single readings**: `Books.handle(order)` with the real clock, the orders made beforehand, against "
    "autocommitted `INSERT`s of a row with the same bytes (event and link) into one table. Both in WAL mode with "
    "`synchronous = FULL`, each beginning with as many rows; rounds of several hundred, so that checkpoints count. "
    "*Back-dated* readings state a time before the current one, *manual* ones reconcile and record what they found "
    "(two or three events).",
    "- **Many in one write**: `Books.handle_all` against `executemany` of as many rows in one transaction.",
)


def rows(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """Everything about recording."""
    yield from _against_the_floor(folder, sizes)
    yield _long_and_short(folder, sizes)
    yield _many(folder, sizes)


def _against_the_floor(folder: Path, sizes: Sizes) -> Iterator[Row]:
    n = sizes.writes
    meters, backdated, manual = (
        _books(folder / f"{name}.db", sizes.past) for name in ("meters", "backdated", "manual")
    )
    floor = Plain(folder / "plain.db", folder / "meters.db", sizes.past)
    long_ago = datetime.now(UTC) - timedelta(days=20)
    times = count(1)
    timed = take_turns(
        {
            "plain": lambda: floor.singles(n),
            "meters": _readings(meters, sizes, meter),
            "backdated": _readings(backdated, sizes, lambda a: meter(a, long_ago + timedelta(seconds=next(times)))),
            "manual": _readings(manual, sizes, console),
        },
        sizes.rounds,
    )
    plain = f"plain {rate(timed.median('plain'), n)}"
    for name, what in (
        ("meters", f"one durable reading, {sizes.past:,} before it, against plain SQLite"),
        ("backdated", "the same with a stated, earlier time"),
        ("manual", "the same of a manual source, reconciled"),
    ):
        ratio = timed.ratio("plain", name)
        figures = f"{rate(timed.median(name), n)}, {plain}; rounds {timed.spread('plain', name)}"
        yield at_least(what, 0.4, ratio, figures) if name == "meters" else for_scale(what, f"{ratio:.2f}x", figures)
    for books in (meters, backdated, manual):
        books.close()


def _long_and_short(folder: Path, sizes: Sizes) -> Row:
    long, short = _books(folder / "long.db", sizes.long_past), _books(folder / "short.db", 100)
    n = sizes.writes
    timed = take_turns({"long": _readings(long, sizes, meter), "short": _readings(short, sizes, meter)}, sizes.rounds)
    long.close()
    short.close()
    return at_least(
        f"the same, {sizes.long_past:,} readings before it against 100",
        0.9,
        timed.ratio("short", "long"),
        f"{rate(timed.median('long'), n)} and {rate(timed.median('short'), n)}; rounds {timed.spread('short', 'long')}",
    )


def _many(folder: Path, sizes: Sizes) -> Row:
    books = _books(folder / "many.db", sizes.past)
    floor = Plain(folder / "plain-many.db", folder / "many.db", sizes.past)
    n, amounts = sizes.batch, _amounts()
    timed = take_turns(
        {
            "plain": lambda: floor.batch(n),
            "books": lambda: books.handle_all(meter(next(amounts)) for _ in range(n)),
        },
        sizes.rounds,
    )
    books.close()
    return for_scale(
        f"{n:,} readings in one durable write against plain SQLite",
        f"{timed.ratio('plain', 'books'):.2f}x",
        f"{rate(timed.median('books'), n)}, plain {rate(timed.median('plain'), n)}",
    )


def _books(path: Path, readings: int) -> Books:
    one_cycle(path, readings)
    return Books.open(path, recorded_by="bench")


def _readings(books: Books, sizes: Sizes, order: Callable[[Decimal], RecordSource]) -> Callable[[], None]:
    """Record as many readings as a round has; the orders are made beforehand, as the floor's rows are."""
    orders = iter([order(amount) for amount in islice(_amounts(), sizes.writes * sizes.rounds)])

    def record() -> None:
        for said in islice(orders, sizes.writes):
            books.handle(said)

    return record


def _amounts() -> Iterator[Decimal]:
    return (Decimal(number) / 10000 for number in count(1_000_000))
