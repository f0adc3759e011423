"""Data for the benchmarks: books of any size, written through the front door as a program would."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from pathlib import Path

from mecris.books import Books
from mecris.domain.commands import AdjustBudget, ApplyPlug, Command, OpenCycle, RecordSource

CYCLES = 20
BATCH = 4000
YEAR = timedelta(days=365)
METERS = (
    ("claude api", "claude", Decimal("0.0123")),
    ("claude session log", "claude", Decimal("0.0045")),
    ("groq api", "groq", Decimal("0.0021")),
)
CONSOLES = (("claude console", "claude", Decimal("0.0171")), ("groq console", "groq", Decimal("0.0022")))


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def mixed_books(path: Path, events: int) -> int:
    """Books of twenty teams over one year; returns how many events they hold."""
    clock = Clock(datetime(2025, 1, 1, tzinfo=UTC))
    with Books.open(path, recorded_by="bench", clock=clock) as books:
        books.handle_all(_open(date(2025, 1, 1), date(2025, 12, 31)) for _ in range(CYCLES))
        orders = _mix(clock, YEAR / events)
        while (missing := events - books.position) > 0:
            books.handle_all(islice(orders, min(BATCH, missing // 2 + 1)))
        books.status(1)  # brings the read models up to date
        return books.position


def _mix(clock: Clock, step: timedelta) -> Iterator[Command]:
    """Orders for all cycles in turn, forward in time; in one of fifty a person reads a dashboard."""
    for number in count():
        clock.now += step
        turn, cycle = divmod(number, CYCLES)
        yield _order(cycle + 1, turn)


def _order(cycle: int, turn: int) -> Command:
    if turn % 1000 == 998:
        return ApplyPlug(cycle_id=cycle, square=True, yes=True, provider="claude", reason="the other workspace")
    if turn % 1000 == 499:
        return AdjustBudget(cycle_id=cycle, amount_usd=Decimal(100), reason="top-up")
    if turn in (3, 4) or turn % 50 == 49:
        return _read_off(cycle, turn, *CONSOLES[turn // 50 % 2 if turn > 4 else turn - 3])
    name, provider, rate = METERS[turn % 3]
    return RecordSource(cycle_id=cycle, source=name, type="realtime", provider=provider, amount=rate * (turn + 1))


def _read_off(cycle: int, turn: int, name: str, provider: str, rate: Decimal) -> RecordSource:
    return RecordSource(cycle_id=cycle, source=name, type="manual", provider=provider, amount=rate * (turn + 1))


def _open(first: date, last: date) -> OpenCycle:
    return OpenCycle(start_date=first, end_date=last, target_usd=Decimal(1000))


def one_cycle(path: Path, readings: int) -> None:
    """Books of one cycle that lasts today, with so many readings of one meter and one console behind it."""
    today = datetime.now(UTC)
    clock = Clock(today - timedelta(days=30))
    step = timedelta(days=29) / readings
    with Books.open(path, recorded_by="bench", clock=clock) as books:
        books.handle_all([_open(today.date() - timedelta(days=40), today.date() + timedelta(days=40))])
        books.handle_all([console("0.5")])
        orders = _readings(clock, step)
        for begin in range(1, readings, BATCH):
            books.handle_all(islice(orders, min(BATCH, readings - begin)))
        books.status(1)


def _readings(clock: Clock, step: timedelta) -> Iterator[Command]:
    for number in count(1):
        clock.now += step
        yield meter(Decimal(number) / 10000)


def meter(amount: Decimal, measured_at: datetime | None = None) -> RecordSource:
    """A meter says how much was spent."""
    return RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount, measured_at=measured_at)


def console(amount: Decimal | str) -> RecordSource:
    """A person reads how much was spent."""
    return RecordSource(cycle_id=1, source="console", type="manual", amount=amount)
