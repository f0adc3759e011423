"""Burn, forecast and health: spend between readings, pace, what it comes to, and what is not as it should be."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st
from story import lasting

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.health import Limits


@pytest.fixture
def clock() -> Clock:
    return Clock("2025-09-11T00:00:00Z")


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    """September with a budget of 30; ten days of it are over."""
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock, limits=Limits()) as opened:
        opened.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=30))
        yield opened


def metered(books: Books, amount: str, at: str, name: str = "meter", provider: str = "") -> None:
    books.handle(
        c.RecordSource(cycle_id=1, source=name, type="realtime", amount=amount, measured_at=_on(at), provider=provider)
    )


def looked(books: Books, amount: str, at: str, name: str = "console", provider: str = "") -> None:
    books.handle(
        c.RecordSource(cycle_id=1, source=name, type="manual", amount=amount, measured_at=_on(at), provider=provider)
    )


def _on(at: str) -> str:
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


# -- spend between readings -----------------------------------------------------------------------------------------


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
        books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", balance=balance, measured_at=_on(at)))
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
        c.RecordSource(cycle_id=1, source="invoice", type="manual", amount=50, counted=False, measured_at=_on("05"))
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


# -- pace and forecast ----------------------------------------------------------------------------------------------


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


# -- health -----------------------------------------------------------------------------------------------------------


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


# -- bounds ---------------------------------------------------------------------------------------------------------


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


def test_a_reading_of_exactly_the_stale_age_is_not_stale(books: Books, clock: Clock) -> None:
    metered(books, "5", "11")
    looked(books, "5", "11")
    clock.set("2025-09-17T23:59:59Z")  # the next look is at midnight
    assert health(books) == ("GOOD", [])
    assert health(books) == ("WARNING", ["stale"])


# -- summaries ----------------------------------------------------------------------------------------------------------


def test_one_line_says_what_is_left_and_never_claims_what_was_not_verified(books: Books) -> None:
    metered(books, "5", "11")
    told = books.narrative(1)
    assert told["summary"] == (
        "WARNING: cycle 1, open: $25.00 of $30.00 left for 19 days after today; burning $0.50 a day; "
        "about $15.00 left at the end; UNVERIFIED, compared with nothing"
    )
    assert [r["command"] for r in told["recommendations"]] == [
        "mecris budget add-source --cycle 1 --name console --type manual --amount USD"
    ]
    looked(books, "6", "11")
    told = books.narrative(1)
    assert "POOR, 16.67 % apart; $1.00 unexplained" in told["summary"]
    assert [r["command"].split()[2] for r in told["recommendations"]] == ["discrepancies", "plug"]
    assert told["urgent_items"] == []
    assert told["facts"]["unexplained_usd"] == 1


def test_a_line_says_how_much_of_the_spend_is_a_plug(books: Books) -> None:
    metered(books, "0.11", "11")
    looked(books, "5.42", "11")
    assert "plug" not in books.narrative(1)["summary"]
    books.handle(c.ApplyPlug(cycle_id=1, square=True, yes=True, reason="another workspace"))
    told = books.narrative(1)
    assert told["summary"].endswith("EXCELLENT, 0 % apart; $5.31 of the spend is a plug")
    assert (told["facts"]["plugged_usd"], told["facts"]["coverage_percent"]) == (Decimal("5.31"), Decimal("2.0295"))


def test_what_is_urgent_and_what_to_do_about_it(books: Books, clock: Clock) -> None:
    metered(books, "31", "11")
    looked(books, "31", "11")
    told = books.narrative(1)
    assert told["summary"].startswith("CRITICAL: cycle 1, open: $1.00 over budget for 19 days after today")
    assert told["urgent_items"] == ["$1.00 over budget"]
    clock.set("2025-10-05T00:00:00Z")
    told = books.narrative(1)
    assert told["recommendations"][-1]["command"] == "mecris budget cycle close --cycle 1"
    books.handle(c.CloseCycle(cycle_id=1))
    assert books.narrative(1)["recommendations"] == []


def test_cycles_and_counters_together_count_nothing_twice(books: Books, clock: Clock) -> None:
    metered(books, "5", "11")
    books.handle(c.OpenCycle(start_date="2025-09-05", end_date="2025-10-04", target_usd=10))
    books.handle(
        c.RecordSource(cycle_id=2, source="other", type="manual", provider="claude", amount=1, measured_at=_on("11"))
    )
    books.handle(c.ReadOdometer(provider="groq", amount_usd="0.80"))
    books.handle(c.ReadOdometer(provider="xai", amount_usd="0.40"))
    books.handle(c.FeedCycle(provider="groq", cycle_id=2))
    told = books.unified()
    assert told["summary"] == {
        "budget_usd": 40,
        "spent_usd": Decimal("7.2"),  # 5 + 1 + 0.80 fed into cycle 2, + 0.40 of xai
        "cycles_spent_usd": Decimal("6.8"),
        "odometers_spent_usd": Decimal("0.4"),
        "remaining_usd": Decimal("33.2"),
        "unverified_usd": Decimal("7.2"),  # all of it
    }
    notes = "\n".join(told["notes"])
    assert "the cycles cover different days, so their sum is of no one period" in notes
    assert "the counter of 'groq' is in cycle 2 already and is not added again" in notes
    assert "the counter of 'xai' is of 2025-09, cycle 2 of 2025-09-05 to 2025-10-04" in notes
    assert "of 2025-09, cycle 1" not in notes, "their days are the same"
    clock.set("2026-01-01T00:00:00Z")
    told = books.unified()
    assert told["cycles"] == []
    assert "no cycle is current" in told["notes"][0]
    assert "the counter of 'groq' has no reading of 2026-01" in "\n".join(told["notes"])


def test_a_counter_of_a_provider_that_a_cycle_holds_is_not_added(books: Books) -> None:
    metered(books, "5", "11", "groq meter", "groq")
    books.handle(c.ReadOdometer(provider="groq", amount_usd="4.80"))
    told = books.unified()
    assert (told["summary"]["spent_usd"], told["summary"]["odometers_spent_usd"]) == (5, 0)
    assert told["notes"][0] == (
        "cycle 1 holds 'groq' by other sources, so its counter is not added again: "
        "`mecris odometer feed --provider groq --cycle 1` lets them be compared"
    )


def test_a_counter_that_a_fed_cycle_refused_is_added(books: Books) -> None:
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    books.handle(c.ReadOdometer(provider="groq", amount_usd="4.80"))
    told = books.unified()
    assert told["summary"]["spent_usd"] == Decimal("4.8")
    assert told["notes"][0] == (
        "cycle 1 is fed by the counter of 'groq' but was not told of it: see mecris odometer status"
    )


def test_what_a_counter_counts_after_the_cycle_it_feeds_was_closed_is_added_as_outside(books: Books) -> None:
    books.handle(c.ReadOdometer(provider="groq", amount_usd="0.50"))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    books.handle(c.ReadOdometer(provider="groq", amount_usd="5"))
    told = books.unified()
    assert (told["summary"]["spent_usd"], told["summary"]["odometers_spent_usd"]) == (5, Decimal("4.5"))
    assert told["notes"] == [
        "cycle 1 was told $0.50 by the counter of 'groq', which shows $5.00 by now: "
        "$4.50 are outside the cycles and added"
    ]


def test_what_a_meter_counted_since_is_not_outside_the_cycle_that_holds_it(books: Books) -> None:
    metered(books, "0.50", "09", "groq meter", "groq")
    books.handle(c.ReadOdometer(provider="groq", amount_usd="0.50", read_at=_on("09")))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    metered(books, "3", "10", "groq meter", "groq")
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    books.handle(c.ReadOdometer(provider="groq", amount_usd="5"))
    assert books.unified()["summary"]["spent_usd"] == 5


def test_what_a_closed_cycle_did_not_hear_of_a_counter_may_be_in_another_cycle(books: Books) -> None:
    books.handle(c.ReadOdometer(provider="groq", amount_usd="0.50"))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
    books.handle(c.FeedCycle(provider="groq", cycle_id=2))
    books.handle(c.ReadOdometer(provider="groq", amount_usd="5"))
    told = books.unified()
    assert told["summary"]["odometers_spent_usd"] == 0
    assert any("shows $5.00 by now: another cycle holds the rest" in note for note in told["notes"])


def test_a_fed_cycle_that_holds_a_provider_by_other_sources_alone_was_not_told_of_its_counter(books: Books) -> None:
    metered(books, "3", "10", "groq meter", "groq")
    books.handle(c.ReadOdometer(provider="groq", amount_usd="5"))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    (reading,) = [s["reading"] for s in books.sources(1) if s["name"] == "groq odometer"]
    books.handle(c.RetractReading(cycle_id=1, reading=reading, reason="slip"))
    told = books.unified()
    assert told["summary"]["spent_usd"] == 3
    assert told["notes"] == [
        "cycle 1 holds 'groq' by other sources and was not told of its counter, which is not added"
    ]


@pytest.mark.parametrize(("spent", "left"), [("5", 35), ("32", 8)])
def test_what_was_carried_from_one_current_cycle_to_another_is_counted_once(
    books: Books, spent: str, left: int
) -> None:
    metered(books, spent, "10")
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    books.handle(c.OpenCycle(start_date="2025-09-11", end_date="2025-10-10", target_usd=10, roll_over_from=1))
    total = books.unified()["summary"]
    assert (total["budget_usd"], total["remaining_usd"]) == (40, left)
    assert total["budget_usd"] - total["cycles_spent_usd"] == total["remaining_usd"]
    carried = f"{'$25.00' if left == 35 else '-$2.00'} of cycle 1 were carried over to cycle 2: the sum has them once"
    assert carried in books.unified()["notes"]


def test_nothing_at_all_is_summed_up_as_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--books", str(tmp_path / "new.db"), "budget", "unified"]) == 0
    assert capsys.readouterr().out == "nothing to sum up: no cycle is current, and there is no odometer\n"


def commands(books: Books) -> list[str]:
    return [r["command"] for r in books.narrative(1)["recommendations"]]


def test_what_is_recommended_names_the_source_that_is_meant(books: Books, clock: Clock) -> None:
    looked(books, "2", "10", "the bill", "acme corp")
    assert commands(books) == [
        "mecris budget add-source --cycle 1 --name 'the bill' --amount USD",
        "mecris budget add-source --cycle 1 --name 'acme corp meter' --type realtime --provider 'acme corp' --amount USD",
    ]
    metered(books, "2", "10", "log", "acme corp")
    assert not [name for name in commands(books) if "add-source" in name]
    clock.set("2025-09-20T00:00:00Z")
    assert commands(books)[0] == "mecris budget add-source --cycle 1 --name 'the bill' --amount USD"


def test_an_odometer_is_read_and_not_typed_into_the_cycle(books: Books, clock: Clock) -> None:
    books.handle(c.ReadOdometer(provider="groq", amount_usd=1))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    clock.set("2025-09-25T00:00:00Z")
    assert commands(books)[0] == "mecris odometer record --provider groq VALUE"


def test_too_many_plugs_are_to_be_reversed(books: Books) -> None:
    metered(books, "2", "10")
    looked(books, "5", "10")
    books.handle(c.ApplyPlug(cycle_id=1, square=True, reason="x"))
    metered(books, "4", "10")
    assert "mecris budget unplug --cycle 1 --plug N --reason T" in commands(books)
    assert not [name for name in commands(books) if "--square" in name]


def test_a_cycle_that_is_not_settled_is_closed_by_accepting(books: Books, clock: Clock) -> None:
    metered(books, "2", "10")
    clock.set("2025-10-05T00:00:00Z")
    assert commands(books)[-1] == "mecris budget cycle close --cycle 1 --accept --reason T"


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


def test_what_ran_out_is_told_as_past(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    metered(books, "31", "11")
    looked(books, "31", "11")
    assert run(["--books", str(books.file.where), "budget", "forecast", "--cycle", "1"]) == 0
    assert ", ran out on 2025-09-1" in capsys.readouterr().out


# -- the command line -----------------------------------------------------------------------------------------------


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
