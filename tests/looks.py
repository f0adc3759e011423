"""September with a budget of 30, ten days of it over: what meters and looks say, and what is expected."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.health import Limits


@pytest.fixture(name="clock")
def clock_of_september() -> Clock:
    """A clock that shows the first moment of the eleventh."""
    return Clock("2025-09-11T00:00:00Z")


@pytest.fixture(name="books")
def ten_days_of_september(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    """September with a budget of 30; ten days of it are over."""
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock, limits=Limits()) as opened:
        opened.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=30))
        yield opened


def metered(books: Books, amount: str, at: str, name: str = "meter", provider: str = "") -> None:
    books.handle(
        c.RecordSource(cycle_id=1, source=name, type="realtime", amount=amount, measured_at=on(at), provider=provider)
    )


def looked(books: Books, amount: str, at: str, name: str = "console", provider: str = "") -> None:
    books.handle(
        c.RecordSource(cycle_id=1, source=name, type="manual", amount=amount, measured_at=on(at), provider=provider)
    )


def on(at: str) -> str:
    """A moment of September: '05' is the first moment of the fifth."""
    return f"2025-09-{at}T00:00:00Z" if len(at) == 2 else at


def spent_on(books: Books, **at: Any) -> dict[str, Decimal | None]:
    """What the chart says was spent by the end of each day."""
    return {p["day"][-2:]: p["spent_usd"] for p in books.chart(1, **at)["points"]}


def burn(books: Books, **at: Any) -> dict[str, Any]:
    return dict(books.forecast(1, **at)["burn"])


def expected(books: Books, **at: Any) -> dict[str, Any]:
    return dict(books.forecast(1, **at)["forecast"])


def health(books: Books, **at: Any) -> tuple[str, list[str]]:
    found = books.status(1, **at)["health"]
    return found["level"], [r["code"] for r in found["reasons"]]
