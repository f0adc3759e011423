"""Health: what makes a cycle worse than good, and what never lets it be good."""

from decimal import Decimal
from pathlib import Path

import pytest
from clocks import Clock
from looks import clock_of_september, expected, health, looked, metered, ten_days_of_september  # noqa: F401  # fixtures too

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.health import Limits


def test_a_cycle_that_ties_out_and_lasts_is_good(books: Books) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    assert health(books) == ("GOOD", [])


@pytest.mark.parametrize(
    ("meter", "console", "level", "codes"),
    [
        ("31", "31", "CRITICAL", ["over-budget"]),
        ("30", "30", "CRITICAL", ["nothing-left"]),
        ("27", "27", "CRITICAL", ["runs-out", "nearly-spent"]),
        ("15", "15", "WARNING", ["runs-out"]),
        ("3", "5", "WARNING", ["poor"]),
    ],
)
def test_what_makes_it_worse(books: Books, meter: str, console: str, level: str, codes: list[str]) -> None:
    metered(books, meter, "11")
    looked(books, console, "11")
    assert health(books) == (level, codes)


def test_running_out_on_the_last_day_is_no_crisis(books: Books, clock: Clock) -> None:
    clock.set("2025-09-29T12:00:00Z")
    for say in (metered, looked):
        say(books, "28.8", "2025-09-29T12:00:00Z")
    assert expected(books)["runs_out_on"] == "2025-09-30"
    assert health(books) == ("WARNING", ["runs-out", "nearly-spent"])


def test_silence_and_stale_readings_are_never_good(books: Books, clock: Clock) -> None:
    assert health(books) == ("WARNING", ["unverified"])
    metered(books, "5", "11")
    assert health(books) == ("WARNING", ["unverified"])
    looked(books, "5", "11")
    clock.set("2025-09-17T23:59:00Z")
    assert health(books) == ("GOOD", [])
    clock.set("2025-09-18T00:01:00Z")
    assert health(books) == ("WARNING", ["stale"])


def test_a_provider_that_was_compared_with_nothing_is_never_good(books: Books) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    metered(books, "1", "11", "b meter", "b")
    assert health(books) == ("WARNING", ["unverified"])


def test_a_provider_that_is_far_apart_is_never_good_however_small_its_part(books: Books) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    metered(books, "0.02", "11", "b meter", "b")
    looked(books, "0.04", "11", "b console", "b")
    told = books.status(1)
    assert (told["grade"], told["health"]["level"]) == ("EXCELLENT", "WARNING")
    (reason,) = told["health"]["reasons"]
    assert (reason["code"], reason["provider"]) == ("poor", "b")
    assert reason["message"] == "$0.02 of 'b' are unexplained, 50 % apart"


def test_an_ended_cycle_is_a_state_and_no_bad_health(books: Books, clock: Clock) -> None:
    clock.set("2025-10-01T09:00:00Z")
    metered(books, "5", "2025-09-30T12:00:00Z")
    looked(books, "5", "2025-09-30T12:00:00Z")
    clock.set("2027-01-01T00:00:00Z")
    assert (books.status(1)["cycle"]["state"], health(books)) == ("ended", ("GOOD", []))


def test_an_ended_cycle_whose_last_days_nobody_saw_is_stale(books: Books, clock: Clock) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    clock.set("2025-10-01T09:00:00Z")
    told = books.status(1)["health"]
    assert [r["message"] for r in told["reasons"]] == [
        "the unnamed provider was last measured 19 days before the end: read it again"
    ]


def test_a_closed_cycle_expects_nothing_more(books: Books) -> None:
    metered(books, "5", "10")
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    told = expected(books)
    assert {told[f"spent{which}_usd"] for which in ("_low", "", "_high")} == {5}
    assert (told["remaining_usd"], told["runs_out_on"]) == (25, None)
    assert [p["forecast_usd"] for p in books.chart(1)["points"][-2:]] == [5, 5]
    books.handle(c.ReopenCycle(cycle_id=1, reason="late bill"))
    assert expected(books)["spent_usd"] > 5


def test_a_bill_read_after_the_end_is_as_old_as_it_really_is(books: Books, clock: Clock) -> None:
    clock.set("2025-10-11T00:00:00Z")
    looked(books, "5", "2025-10-10T00:00:00Z")
    assert books.forecast(1)["newest"] == [
        {"provider": "", "measured_at": "2025-10-10T00:00:00Z", "age_days": Decimal(1)}
    ]


@pytest.mark.parametrize("other", [False, True])
def test_a_meter_that_began_after_the_dashboard_was_read_is_named_as_the_cause(books: Books, other: bool) -> None:
    looked(books, "5", "08", "b console", "b")
    metered(books, "1", "10", "b meter", "b")
    for say in (looked, metered) if other else ():
        say(books, "5", "10", f"{say.__name__} a", "a")
    (reason,) = [r for r in books.status(1)["health"]["reasons"] if r["code"] == "unverified"]
    assert "began after the dashboard was read: read it again" in reason["message"]
    assert "are needed" not in reason["message"]


def test_limits_move_where_health_changes(tmp_path: Path, clock: Clock) -> None:
    strict = Limits(stale_days=Decimal(0), warning_percent=Decimal(10))
    with Books.open(tmp_path / "strict.db", clock=clock, limits=strict) as books:
        books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=30))
        metered(books, "3", "11")
        looked(books, "3", "11")
        clock.move(minutes=1)
        assert health(books) == ("WARNING", ["nearly-spent", "stale"])


def test_a_reading_of_exactly_the_stale_age_is_not_stale(books: Books, clock: Clock) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    clock.set("2025-09-17T23:59:59Z")  # the next look is at midnight
    assert health(books) == ("GOOD", [])
    assert health(books) == ("WARNING", ["stale"])


def test_a_meter_that_runs_does_not_hide_that_nobody_looks(books: Books, clock: Clock) -> None:
    looked(books, "2", "02")
    metered(books, "2", "02")
    clock.set("2025-09-12T00:00:00Z")
    metered(books, "3", "11")
    (reason,) = books.status(1)["health"]["reasons"]
    assert (reason["code"], reason["provider"]) == ("stale", "")
    assert (
        reason["message"] == "'console' was last read 10 days ago: what meters counted since was compared with nothing"
    )
