"""Burn and forecast: spend between readings, pace, and what it comes to, also in words and as a chart."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st
from looks import burn, clock_of_september, expected, looked, metered, on, spent_on, ten_days_of_september  # noqa: F401  # fixtures too
from story import lasting

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.health import Limits

# -- spend between readings ----------------------------------------------------------------------------------------


def test_spend_grows_evenly_between_readings_from_nothing_at_the_beginning(books: Books) -> None:
    metered(books, "2", "03")
    metered(books, "6", "05")
    days = spent_on(books)
    assert days["01"] == 1
    assert days["02"] == 2
    assert days["03"] == 4
    assert days["04"] == 6
    assert days["05"] == 6, "after the last reading nothing more is known of its day"
    assert days["06"] is None


def test_what_a_look_found_was_not_spent_in_the_moment_of_the_look(books: Books) -> None:
    metered(books, "1", "10")
    looked(books, "5", "10")
    assert spent_on(books)["05"] == Decimal("2.777778"), "it is spread over the time since the look before"
    assert burn(books)["per_day_7d_usd"] == burn(books)["per_day_cycle_usd"] == Decimal("0.555556")


def test_after_a_look_the_meters_go_on(books: Books) -> None:
    looked(books, "5", "06")
    metered(books, "3", "06")
    metered(books, "7", "10")
    days = spent_on(books)
    assert (days["05"], days["07"], days["09"]) == (5, 7, 9)
    assert books.status(1)["tie_out"]["spent_usd"] == 9


def test_meters_go_on_after_the_oldest_of_several_looks(books: Books) -> None:
    looked(books, "4", "05", "console")
    looked(books, "6", "09", "bill")
    metered(books, "3", "05")
    metered(books, "7", "09")
    assert spent_on(books)["06"] == Decimal("10.5"), "4 and 4.50 of the looks, and 2 of the meter since the fifth"


def test_a_balance_is_a_point_of_the_curve_like_an_amount(books: Books) -> None:
    for balance, at in (("28", "03"), ("20", "05")):
        books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", balance=balance, measured_at=on(at)))
    days = spent_on(books)
    assert (days["01"], days["03"], days["04"]) == (1, 6, 10)


def test_a_back_dated_reading_bends_the_curve_and_a_retracted_one_leaves_it(books: Books) -> None:
    metered(books, "8", "09")
    metered(books, "1", "05")
    assert spent_on(books)["06"] == Decimal("4.5")
    books.handle(c.RetractReading(cycle_id=1, reading=2, reason="a slip"))
    assert spent_on(books)["06"] == 6


def test_compare_only_sources_and_plugs_are_no_spend(books: Books) -> None:
    metered(books, "4", "05")
    looked(books, "5", "05")
    books.handle(
        c.RecordSource(cycle_id=1, source="invoice", type="manual", amount=50, counted=False, measured_at=on("05"))
    )
    before = books.forecast(1)["forecast"]
    books.handle(c.ApplyPlug(cycle_id=1, square=True, reason="another workspace"))
    assert books.forecast(1)["forecast"] == before
    assert spent_on(books)["04"] == 5


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.booleans()), min_size=1, max_size=8),
    st.integers(0, 864),
)
def test_the_curve_ends_where_the_tie_out_stands_and_keeps_between_its_readings(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, int, bool]], thousandths: int
) -> None:
    path = tmp_path_factory.mktemp("curve") / "books.db"
    with Books.open(path, clock=Clock("2025-09-11T00:00:00Z"), limits=Limits()) as books:
        books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=30))
        for day, amount, by_meter in said:
            (metered if by_meter else looked)(books, str(amount), f"{day + 1:02d}")
        with books._asking() as ask:
            book = books._book(ask, 1, None, None)
            now = book.curve.spent(datetime.fromisoformat("2025-09-11T00:00:00Z"))
            assert now == book.figures.spent
            assert book.curve.spent(book.cycle.period.begins) >= 0
            moment = book.cycle.period.begins + timedelta(days=10) * thousandths / 1000
            highest = sum(max([a for _, a, m in said if m == kind], default=0) for kind in (True, False))
            assert 0 <= book.curve.spent(moment) <= highest


# -- pace and forecast ---------------------------------------------------------------------------------------------


def test_pace_over_a_week_and_over_the_cycle(books: Books) -> None:
    metered(books, "3", "04")
    metered(books, "17", "11")  # 14 in the last seven days, 17 in ten
    assert burn(books) == {
        "today_usd": 0,
        "per_day_7d_usd": 2,
        "per_day_cycle_usd": Decimal("1.7"),
    }


def test_the_forecast_lies_between_the_two_paces(books: Books) -> None:
    metered(books, "3", "04")
    metered(books, "17", "11")  # and twenty days to come
    told = expected(books)
    assert [round(told[f"spent{which}_usd"], 3) for which in ("_low", "", "_high")] == [51, 57, 57]
    assert [round(told[f"remaining{which}_usd"], 3) for which in ("_low", "", "_high")] == [-27, -27, -21]
    assert told["runs_out_on"] == "2025-09-17", "13 left at 2 a day"


def test_what_came_after_the_newest_reading_is_an_estimate_too(books: Books, clock: Clock) -> None:
    metered(books, "10", "11")
    before = expected(books)
    clock.set("2025-09-21T00:00:00Z")
    assert expected(books) == before
    assert before["runs_out_on"] is None or before["runs_out_on"] == "2025-09-30"
    assert burn(books)["today_usd"] is None, "nothing was measured today"


def test_a_provider_that_was_measured_long_ago_keeps_its_pace(books: Books) -> None:
    metered(books, "2", "03", "a meter", "a")
    metered(books, "10", "11", "b meter", "b")
    told = expected(books)
    assert round(told["spent_usd"], 3) == 60, "one a day each, thirty days"
    assert [(n["provider"], n["age_days"]) for n in books.forecast(1)["newest"]] == [
        ("a", Decimal(8)),
        ("b", Decimal(0)),
    ]


def test_spend_today(books: Books, clock: Clock) -> None:
    clock.set("2025-09-11T12:00:00Z")
    metered(books, "10", "11")
    metered(books, "12.5", "2025-09-11T12:00:00Z")
    assert burn(books)["today_usd"] == Decimal("2.5")


def test_a_first_hour_is_no_pace_of_a_day(books: Books) -> None:
    metered(books, "1", "2025-09-01T01:00:00Z")
    assert burn(books)["per_day_7d_usd"] == 1


def test_without_a_reading_nothing_is_expected(books: Books) -> None:
    told = books.forecast(1)
    assert set(told["burn"].values()) == set(told["forecast"].values()) == {None}
    assert told["newest"] == []


def test_an_ended_cycle_is_expected_up_to_its_end(books: Books, clock: Clock) -> None:
    metered(books, "10", "11")
    clock.set("2025-12-01T00:00:00Z")
    told = expected(books)
    assert round(told["spent_usd"], 3) == 30
    metered(books, "12", "2025-10-02T00:00:00Z")  # it speaks of the end
    assert expected(books)["spent_usd"] == 12
    assert expected(books)["runs_out_on"] is None


def test_forecasts_can_be_asked_as_of_and_measured_by(books: Books, clock: Clock) -> None:
    metered(books, "2", "03")
    first = books.position
    then = books.forecast(1)
    clock.set("2025-09-20T00:00:00Z")
    metered(books, "17", "11")
    now = books.forecast(1)
    assert books.forecast(1, as_of=first)["forecast"] == then["forecast"]
    assert books.forecast(1, as_of=first)["burn"]["per_day_7d_usd"] == 1
    by = books.forecast(1, measured_by="2025-09-05")
    assert (by["spent_usd"], by["burn"]["per_day_7d_usd"], by["cycle"]["days_left"]) == (2, 1, 25)
    assert by["newest"][0]["age_days"] == 3
    as_of_now = books.forecast(1, as_of=books.position)
    assert as_of_now["forecast"] == now["forecast"]


def test_as_of_the_last_position_the_outlook_is_that_of_now_but_for_the_clock(books: Books, clock: Clock) -> None:
    metered(books, "2", "03")
    looked(books, "9", "05")
    clock.set("2025-09-25T00:00:00Z")
    assert lasting(books.status(1)) == lasting(books.status(1, as_of=books.position))


def test_the_range_lies_between_the_pace_of_the_week_and_that_of_the_cycle(books: Books) -> None:
    metered(books, "20", "02")
    metered(books, "21", "11")
    told = expected(books)
    week, cycle = Decimal(7) / 9 / 7, Decimal("2.1")  # dollars a day: a dollar in nine days, 21 in ten
    assert abs(told["spent_low_usd"] - (21 + 20 * week)) < Decimal("0.00001")
    assert told["spent_usd"] == told["spent_low_usd"]
    assert abs(told["spent_high_usd"] - (21 + 20 * cycle)) < Decimal("0.00001")
    assert told["remaining_low_usd"] == 30 - told["spent_high_usd"]


def test_what_a_meter_took_back_is_no_pace(books: Books) -> None:
    metered(books, "10", "05")
    metered(books, "4", "11")
    assert burn(books)["per_day_7d_usd"] == 0
    assert expected(books)["spent_usd"] == 4


def test_today_is_that_of_the_providers_that_were_measured_today(books: Books, clock: Clock) -> None:
    clock.set("2025-09-11T12:00:00Z")
    metered(books, "11", "2025-09-11T12:00:00Z", "one", "one")
    metered(books, "20", "10", "other", "other")
    assert burn(books)["today_usd"] == Decimal("0.52381"), "half a day of eleven in ten and a half"


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def story(tmp_path: Path) -> str:
    """The founding story's first three orders, in a file."""
    path = str(tmp_path / "books.db")
    with Books.open(path, clock=Clock("2025-09-10T09:05:00Z")) as books:
        books.handle(c.OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96"))
        for kind, name, said in (("realtime", "log", {"amount": "0.11"}), ("manual", "console", {"balance": "19.54"})):
            order = c.RecordSource(cycle_id=1, source=name, type=kind, measured_at="2025-09-10T09:05:00Z", **said)
            books.handle(order)
    return path


def test_a_forecast_in_words(story: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--books", story, "budget", "forecast", "--cycle", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:7] == [
        "Cycle 1  2025-08-06 to 2025-09-30  ended",
        "",
        "  19.54 left of 24.96",
        "  health     WARNING: $5.31 are unexplained, 97.97 % apart",
        "             WARNING: the unnamed provider was last measured 20 days before the end: read it again",
        "  burn       0.15 a day",
        "  forecast   8.58 expected by its end, 16.38 left",
    ]


def test_what_ran_out_is_told_as_past(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    metered(books, "31", "11")
    looked(books, "31", "11")
    assert run(["--books", str(books.file.where), "budget", "forecast", "--cycle", "1"]) == 0
    assert ", ran out on 2025-09-1" in capsys.readouterr().out


def test_a_chart_shows_budget_spend_and_forecast(story: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--books", story, "budget", "chart", "--cycle", "1", "--width", "60", "--height", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Cycle 1  2025-08-06 to 2025-09-30"
    assert [line.strip() for line in lines[-3:]] == [
        "⠒⠒ budget: 24.96 on 2025-09-30",
        "⠒⠒ spent: 5.42 on 2025-09-10",
        ". forecast: 8.58 on 2025-09-30",
    ]
    assert max(len(line) for line in lines) <= 70
    assert any(("." in line and "⠤" in line) or "⣀" in line for line in lines)


def test_without_plotille_it_is_said_what_to_install(
    story: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotille", None)
    assert run(["--books", story, "budget", "chart", "--cycle", "1"]) == 6
    assert capsys.readouterr().err == (
        "could not be done: charts are drawn by plotille, which is not installed: pip install 'mecris[charts]'\n"
    )


def test_a_chart_by_an_earlier_moment_shows_no_later_budget_and_no_later_plugs(books: Books, clock: Clock) -> None:
    metered(books, "1", "05")
    looked(books, "2", "05")
    metered(books, "1", "09")
    looked(books, "4", "09")
    books.handle(c.ApplyPlug(cycle_id=1, square=True, yes=True, reason="playground"))
    books.handle(c.AdjustBudget(cycle_id=1, amount_usd=10, reason="top-up", at="2025-09-10"))
    last = books.chart(1, measured_by="2025-09-06")["points"][-1]
    assert (last["budget_usd"], last["plugged_usd"]) == (30, 0)
    last = books.chart(1)["points"][-1]
    assert (last["budget_usd"], last["plugged_usd"]) == (40, 3)


def test_a_chart_of_a_long_cycle_shows_a_hundred_days(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db", clock=Clock("2025-09-10T09:05:00Z")) as books:
        books.handle(c.OpenCycle(start_date="2020-01-01", end_date="2029-12-31", target_usd=1))
        points = books.chart(1)["points"]
    assert len(points) <= 102
    assert (points[0]["day"], points[-1]["day"]) == ("2020-01-01", "2029-12-31")
