"""What the clock does to the books: it may step back, and every question can be asked at two times."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mecris.books import Books
from mecris.domain.commands import AdjustBudget, ApplyPlug, Command, OpenCycle, Reconcile, RecordSource, RetractReading
from mecris.domain.errors import NotFound, RuleRefused, TimeRefused


def at(text: str) -> datetime:
    """A moment in UTC; without a day, one of the tenth of September 2025."""
    return datetime.fromisoformat((text if "T" in text else f"2025-09-10T{text}") + "Z")


class Clock:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.now = at("09:00:00")

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that shows nine."""
    return Clock()


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    """Empty books that look at the clock."""
    with Books.open(tmp_path / "books.db", recorded_by="ann", clock=clock) as opened:
        yield opened


def opened(timezone: str = "UTC", target: Any = "24.96") -> OpenCycle:
    return OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd=target, timezone=timezone)


def metered(amount: str, measured_at: Any = None) -> RecordSource:
    return RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount, measured_at=measured_at)


def looked(amount: str, measured_at: Any = None) -> RecordSource:
    return RecordSource(cycle_id=1, source="console", type="manual", amount=amount, measured_at=measured_at)


def do(books: Books, clock: Clock, *orders: tuple[str, Command]) -> list[dict[str, Any]]:
    """Give orders, each when the clock shows its time."""
    answers: list[dict[str, Any]] = []
    for when, order in orders:
        clock.now = at(when)
        answers.append(books.handle(order))
    return answers


def realtime(books: Books, **times: Any) -> Decimal:
    """What the meters say, as of a moment."""
    return Decimal(books.status(1, **times)["totals"]["realtime_usd"])


def recorded_at(books: Books) -> list[str]:
    """When each event says it was recorded."""
    return [event["recorded_at"] for event in books.log()]


# -- the clock steps back -----------------------------------------------------------------------------------------


def test_recorded_at_never_goes_backwards_when_the_clock_does(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("09:30:00", metered("2")))
    do(books, clock, ("09:59:59", looked("3")), ("10:00:01", metered("4")))
    told = [at.removeprefix("2025-09-10T") for at in recorded_at(books)]
    assert told == ["09:00:00Z", "10:00:00Z", "10:00:00Z", "10:00:00Z", "10:00:00Z", "10:00:00Z", "10:00:01Z"]
    assert books.verify().faults == []


def test_recorded_at_never_goes_backwards_when_another_process_has_a_clock_behind(
    books: Books, clock: Clock, tmp_path: Path
) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")))
    late = Clock()
    with Books.open(tmp_path / "books.db", clock=late) as others:
        do(others, late, ("09:10:00", metered("2")))
        do(books, clock, ("10:05:00", metered("3")))
        do(others, late, ("09:20:00", metered("4")), ("09:30:00", opened()))
    told = [at.removeprefix("2025-09-10T") for at in recorded_at(books)]
    assert told == ["09:00:00Z", "10:00:00Z", "10:00:00Z", "10:05:00Z", "10:05:00Z", "10:05:00Z"]
    assert books.verify().faults == []


def test_a_reading_without_a_stated_time_was_measured_when_the_real_clock_says(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")))
    (answer,) = do(books, clock, ("09:30:00", metered("2")))
    assert answer["measured_at"] == "2025-09-10T09:30:00Z"
    assert realtime(books) == 1, "the reading of ten is the later one"
    (last,) = books.log(since=2)
    assert (last["measured_at"], last["recorded_at"]) == ("2025-09-10T09:30:00Z", "2025-09-10T10:00:00Z")


def test_the_books_know_which_statement_is_identical(books: Books, clock: Clock) -> None:
    do(books, clock, ("08:00:00", opened()), ("09:00:00", metered("1")))
    (stated,) = do(books, clock, ("09:01:00", metered("1", at("09:00:00"))))
    assert stated["recorded"], "what was said without a time is another statement"
    (again,) = do(books, clock, ("09:02:00", metered("1", at("09:00:00"))))
    assert not again["recorded"]
    do(books, clock, ("09:03:00", RetractReading(cycle_id=1, reading=2, reason="a slip")))
    (anew,) = do(books, clock, ("09:04:00", metered("1", at("09:00:00"))))
    assert anew["recorded"], "what was retracted may be said again"


def test_of_readings_at_one_time_the_later_recorded_is_the_first_in_the_books_too(books: Books, clock: Clock) -> None:
    do(books, clock, ("08:00:00", opened()), ("08:01:00", looked("5")))
    do(books, clock, ("10:00:00", metered("1", at("09:00:00"))), ("10:01:00", metered("2", at("09:00:00"))))
    (pair,) = books.discrepancies(1)["details"]
    assert pair["source_a"]["amount_usd"] == 2


def test_a_reading_without_a_stated_time_counts_for_a_look_up_to_five_minutes_before_it(
    books: Books, clock: Clock
) -> None:
    do(books, clock, ("08:00:00", opened()), ("08:01:00", metered("1")), ("09:00:00", looked("5")))
    do(books, clock, ("09:05:00", metered("2")), ("09:05:01", metered("3")))
    assert books.status(1)["tie_out"]["unexplained_usd"] == 3


def test_a_withdrawal_is_held_against_balances_from_its_moment_on(books: Books, clock: Clock) -> None:
    def balance(source: str, left: int, of: int | None = None) -> RecordSource:
        return RecordSource(cycle_id=1, source=source, type="manual", balance=left, credit=of)

    def withdrawn(when: str) -> AdjustBudget:
        return AdjustBudget(cycle_id=1, amount_usd=-6, reason="a refund", at=at(when))

    do(books, clock, ("08:00:00", opened(target=20)), ("09:00:00", balance("console", 15)))
    do(books, clock, ("09:30:00", balance("prepaid", 19, of=50)))
    with pytest.raises(RuleRefused, match="'console' said"):
        do(books, clock, ("10:00:00", withdrawn("09:00:00")))
    (answer,) = do(books, clock, ("10:00:00", withdrawn("09:00:01")))
    assert answer["budget_usd"] == 14, "a balance with a credit of its own is not asked"


def test_a_reading_is_in_the_future_by_the_real_clock_not_by_the_log(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")))
    with pytest.raises(TimeRefused, match="has not come yet"):
        do(books, clock, ("09:30:00", metered("2", "2025-09-10T09:36:00Z")))
    do(books, clock, ("09:30:00", metered("2", "2025-09-10T09:35:00Z")))


@pytest.mark.parametrize(("shows", "warned"), [("09:55:00", False), ("09:54:59", True), ("08:00:00", True)])
def test_a_clock_more_than_five_minutes_behind_the_log_is_warned_about(
    books: Books, clock: Clock, shows: str, warned: bool
) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")))
    answer, again = do(books, clock, (shows, metered("2")), (shows, Reconcile(cycle_id=1)))
    asked = books.status(1)
    for warnings in (answer["warnings"], again.get("warnings", []), asked["warnings"]):
        assert any("the clock shows" in warning for warning in warnings) == warned


def test_a_clock_behind_the_log_is_warned_about_when_nothing_is_recorded(
    books: Books, clock: Clock, tmp_path: Path
) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1", "2025-09-10T08:00:00Z")))
    late = Clock()
    with Books.open(tmp_path / "books.db", clock=late) as others:
        (answer,) = do(others, late, ("09:10:00", metered("1", "2025-09-10T08:00:00Z")))
    assert not answer["recorded"]
    assert any("the clock shows" in warning for warning in answer["warnings"])


def test_the_warning_says_how_far_behind(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("09:48:00", metered("2")))
    (warning,) = books.status(1)["warnings"]
    assert "the clock shows 2025-09-10T09:48:00Z, 12 minutes before the last event (2025-09-10T10:00:00Z)" in warning


def test_a_past_moment_is_not_blamed_on_the_clock(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("11:00:00", metered("2")))
    assert books.status(1, as_of=2)["warnings"] == []


def test_today_is_now_also_when_the_clock_is_behind_the_log(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1", "2025-09-10T08:00:00Z")))
    clock.now = at("09:30:00")
    assert realtime(books, as_of="2025-09-10") == realtime(books) == 1


# -- as of: what was known ----------------------------------------------------------------------------------------


def test_a_time_with_microseconds_falls_between_two_writes(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00.123456", metered("1")), ("10:00:00.123458", metered("2")))
    clock.now = at("11:00:00")
    assert realtime(books, as_of="2025-09-10T10:00:00.123455Z") == 0
    assert realtime(books, as_of="2025-09-10T10:00:00.123456Z") == 1
    assert realtime(books, as_of="2025-09-10T10:00:00.123457Z") == 1
    assert realtime(books, as_of="2025-09-10T10:00:00.123458Z") == 2
    assert books.status(1, as_of="2025-09-10T10:00:00.123457Z")["as_of"] == "2025-09-10T10:00:00.123457Z"


def test_several_writes_at_one_moment_are_all_known_at_it(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), *(("10:00:00", metered(str(i))) for i in range(1, 6)))
    clock.now = at("11:00:00")
    assert realtime(books, as_of="2025-09-10T10:00:00Z") == 5
    assert [realtime(books, as_of=position) for position in range(1, 7)] == [0, 1, 2, 3, 4, 5]


def test_a_position_inside_a_write_means_the_end_of_that_write(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("11:00:00", looked("2")))
    assert [event["event"] for event in books.log(since=2)] == [
        "source-recorded.v1",
        "cycle-reconciled.v1",
        "discrepancy-detected.v1",
    ]
    end = books.status(1, as_of=5)
    assert end["stale"] is False
    assert end["position"] == 5
    for inside in (3, "4"):
        assert books.status(1, as_of=inside) | {"as_of": "5"} == end


@pytest.mark.parametrize("position", [0, -1, 4, 10**9, "99", 10**30])
def test_a_position_that_the_log_does_not_have_is_refused(books: Books, clock: Clock, position: Any) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("11:00:00", metered("2")))
    with pytest.raises(TimeRefused, match=r"there is no position .* the log has 1 to 3"):
        books.status(1, as_of=position)


@pytest.mark.parametrize("when", ["2025-09-10T08:59:59Z", "2025-09-09", "1970-01-01", 1, at("08:59:59.999999")])
def test_before_the_cycle_was_known_one_is_sent_to_measured_by(books: Books, clock: Clock, when: Any) -> None:
    do(books, clock, ("08:00:00", opened()), ("09:00:00", opened()), ("10:00:00", metered("1")))
    with pytest.raises(
        TimeRefused, match=r"cycle 2 was not known yet: .*2025-09-10T09:00:00Z.*--measured-by"
    ) as refused:
        books.status(2, as_of=when)
    assert refused.value.code == "before-cycle"


@pytest.mark.parametrize(
    "when", ["2025-09-10T12:05:00.000001Z", "2025-09-11", "2099-01-01T00:00:00Z", date(2025, 9, 11)]
)
def test_what_will_be_known_nobody_knows(books: Books, clock: Clock, when: Any) -> None:
    do(books, clock, ("09:00:00", opened()), ("12:00:00", metered("1")))
    with pytest.raises(TimeRefused, match="has not come yet"):
        books.status(1, as_of=when)


@pytest.mark.parametrize(
    "when", ["yesterday", "", "2025-09-31", "10.09.2025", "2025-09", "4.2", "-1", "0001-01-01", "²"]
)
def test_a_when_that_is_no_moment_is_refused_with_an_example(books: Books, clock: Clock, when: str) -> None:
    do(books, clock, ("09:00:00", opened()))
    for times in ({"as_of": when}, {"measured_by": when}):
        with pytest.raises(TimeRefused, match="write it like 2025-09-10T09:00:00Z"):
            books.status(1, **times)


def test_as_of_the_last_position_is_now(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("11:00:00", looked("9")))
    do(
        books,
        clock,
        ("12:00:00", ApplyPlug(cycle_id=1, square=True, reason="seen", yes=True)),
        ("13:00:00", metered("2")),
    )
    now, last = books.status(1), books.status(1, as_of=books.position)
    assert last == now | {"as_of": str(books.position)}
    assert books.sources(1, as_of=books.position) == books.sources(1)
    assert books.sources(1, history=True, as_of=books.position) == books.sources(1, history=True)
    assert books.discrepancies(1, as_of=books.position) == books.discrepancies(1)
    assert books.status(1, as_of=clock.now) == now | {"as_of": "2025-09-10T13:00:00Z"}


def test_a_retraction_and_a_reversal_do_not_change_what_was_known_before(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("10:00:00", metered("1")), ("11:00:00", metered("999")))
    before = books.status(1, as_of=3)
    do(books, clock, ("12:00:00", RetractReading(cycle_id=1, reading=2, reason="mistyped")))
    assert books.status(1, as_of=3) == before
    assert realtime(books) == 1
    assert [row["retracted"] for row in books.sources(1, history=True, as_of=3)] == [False, False]


@pytest.mark.parametrize(
    ("now", "state", "days_left"),
    [
        ("2025-08-05T23:59:59", "upcoming", 56),
        ("2025-08-06T00:00:00", "open", 55),
        ("2025-09-30T23:59:59", "open", 0),
        ("2025-10-01T00:00:00", "ended", 0),
    ],
)
def test_a_cycle_is_open_from_its_first_day_to_the_end_of_its_last(
    books: Books, clock: Clock, now: str, state: str, days_left: int
) -> None:
    do(books, clock, ("2025-08-01T09:00:00", opened()))
    clock.now = at(now)
    told = books.status(1)["cycle"]
    assert (told["state"], told["days_left"]) == (state, days_left)


def test_days_left_and_state_are_those_of_then(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened()), ("2025-10-02T00:00:00", metered("1")))
    assert books.status(1)["cycle"]["state"] == "ended"
    for time in ("as_of", "measured_by"):
        then = books.status(1, **{time: "2025-09-28T12:00:00Z"})["cycle"]
        assert (then["state"], then["days_left"]) == ("open", 2)


# -- days in the cycle's zone -------------------------------------------------------------------------------------

ENDS_OF_THE_NINTH = {"Asia/Tokyo": "2025-09-09T15:00:00", "America/New_York": "2025-09-10T04:00:00"}


@pytest.mark.parametrize("zone", ENDS_OF_THE_NINTH)
def test_a_day_means_its_end_where_the_cycle_is(books: Books, clock: Clock, zone: str) -> None:
    midnight = at(ENDS_OF_THE_NINTH[zone])
    clock.now = at("2025-09-08T00:00:00")
    books.handle(opened(zone))
    for offset, amount in ((-1, "1"), (1, "2")):
        clock.now = midnight + timedelta(microseconds=offset)
        books.handle(metered(amount))
    clock.now = at("2025-09-12T12:00:00")
    assert realtime(books, as_of="2025-09-09") == realtime(books, as_of=date(2025, 9, 9)) == 1
    assert realtime(books, as_of="2025-09-10") == 2
    assert realtime(books, measured_by="2025-09-09") == realtime(books, measured_by=date(2025, 9, 9)) == 1
    assert realtime(books, measured_by="2025-09-10") == 2


@pytest.mark.parametrize(
    ("zone", "now", "today", "tomorrow"),
    [
        ("Asia/Tokyo", "2025-09-10T16:00:00", "2025-09-11", "2025-09-12"),
        ("America/New_York", "2025-09-10T03:00:00", "2025-09-09", "2025-09-10"),
    ],
)
def test_today_means_now_where_the_cycle_is(
    books: Books, clock: Clock, zone: str, now: str, today: str, tomorrow: str
) -> None:
    do(books, clock, ("2025-09-08T00:00:00", opened(zone)), (now, metered("1")))
    asked = books.status(1, as_of=today)
    assert asked["totals"]["realtime_usd"] == 1
    assert asked["as_of"] == f"{now}Z"
    assert books.status(1, measured_by=today)["measured_by"] == f"{now}Z"
    with pytest.raises(TimeRefused, match="has not come yet"):
        books.status(1, as_of=tomorrow)


@pytest.mark.parametrize(
    "when", ["2025-09-10T18:00:00", "2025-09-10 18:00:00", "2025-09-10T09:00:00Z", "2025-09-10T05:00-04:00"]
)
def test_a_time_without_offset_is_of_the_zone_of_the_cycle(books: Books, clock: Clock, when: str) -> None:
    clock.now = at("2025-09-08T00:00:00")
    books.handle(opened("Asia/Tokyo"))
    do(books, clock, ("08:59:59", metered("1")), ("09:00:00", metered("2")), ("09:00:01", metered("3")))
    assert realtime(books, as_of=when) == 2
    assert realtime(books, measured_by=when) == 2
    assert books.status(1, measured_by=when)["measured_by"] == "2025-09-10T09:00:00Z"


def test_a_datetime_of_python_is_taken_as_it_says(books: Books, clock: Clock) -> None:
    clock.now = at("2025-09-08T00:00:00")
    books.handle(opened("Asia/Tokyo"))
    do(books, clock, ("09:00:00", metered("2")), ("09:00:01", metered("3")))
    nine = at("09:00:00")
    for when in (nine, nine.astimezone(timezone(timedelta(hours=-4))), datetime(2025, 9, 10, 18)):  # noqa: DTZ001
        assert realtime(books, as_of=when) == realtime(books, measured_by=when) == 2


def test_a_day_of_twenty_five_hours_has_one_end(books: Books, clock: Clock) -> None:
    clock.now = at("2025-10-20T00:00:00")
    order = OpenCycle(start_date="2025-10-01", end_date="2025-11-30", target_usd=9, timezone="America/New_York")
    books.handle(order)
    do(books, clock, ("2025-11-03T04:59:59", metered("1")), ("2025-11-03T05:00:00.000001", metered("2")))
    clock.now = at("2025-11-05T00:00:00")
    assert realtime(books, as_of="2025-11-02") == realtime(books, measured_by="2025-11-02") == 1


# -- measured by: what had happened -------------------------------------------------------------------------------


@pytest.fixture
def founding(books: Books, clock: Clock) -> Books:
    """The founding story of September 2025, entered today, months later."""
    do(
        books,
        clock,
        ("2026-11-21T09:00:00", opened()),
        ("2026-11-21T09:01:00", metered("0.11", "2025-09-10T09:00:00Z")),
        ("2026-11-21T09:02:00", looked_balance("19.54", "2025-09-10T09:05:00Z")),
        ("2026-11-21T09:03:00", ApplyPlug(cycle_id=1, square=True, reason="another workspace", yes=True)),
        ("2026-11-21T09:04:00", AdjustBudget(cycle_id=1, amount_usd="0.04", at="2025-08-06", reason="25.00 were paid")),
    )
    clock.now = at("2026-11-21T12:00:00")
    return books


def looked_balance(balance: str, measured_at: str) -> RecordSource:
    return RecordSource(cycle_id=1, source="console", type="manual", balance=balance, measured_at=measured_at)


def tied(books: Books, **times: Any) -> dict[str, str]:
    """The tie-out without its percents, in text."""
    names = ("tracked", "plugged", "unexplained", "spent", "remaining")
    status = books.status(1, **times)
    assert status["stale"] is None if times.get("measured_by") else status["stale"] is not None
    return {name: f"{status['tie_out'][f'{name}_usd']:f}" for name in names} | {"grade": status["grade"]}


def figures(tracked: str, plugged: str, unexplained: str, spent: str, remaining: str, grade: str) -> dict[str, str]:
    return {
        "tracked": tracked,
        "plugged": plugged,
        "unexplained": unexplained,
        "spent": spent,
        "remaining": remaining,
        "grade": grade,
    }


def test_the_founding_story_entered_today_had_happened_back_then(founding: Books) -> None:
    empty = figures("0", "0", "0", "0", "25.00", "UNVERIFIED")
    assert tied(founding, measured_by="2025-08-06") == empty
    assert tied(founding, measured_by="2025-09-10T08:59:59.999999Z") == empty
    metered_only = figures("0.11", "0", "0", "0.11", "24.89", "UNVERIFIED")
    assert tied(founding, measured_by="2025-09-10T09:00:00Z") == metered_only
    assert tied(founding, measured_by="2025-09-10T09:04:59Z") == metered_only
    whole = figures("0.11", "5.31", "0.04", "5.46", "19.54", "EXCELLENT")
    assert tied(founding, measured_by="2025-09-10T09:05:00Z") == whole
    assert tied(founding, measured_by="2025-09-10") == tied(founding, measured_by="2026-11-21") == whole
    assert tied(founding) == whole


def test_what_the_founding_story_knew_back_then_is_refused_with_the_way_out(founding: Books) -> None:
    with pytest.raises(TimeRefused, match="--measured-by"):
        founding.status(1, as_of="2025-09-10")


@pytest.mark.parametrize("when", ["2025-08-05", "2025-08-05T23:59:59.999999Z", date(2025, 1, 1)])
def test_before_the_cycle_began_one_is_sent_to_as_of(founding: Books, when: Any) -> None:
    with pytest.raises(TimeRefused, match=r"cycle 1 begins at 2025-08-06T00:00:00Z; ask --as-of") as refused:
        founding.status(1, measured_by=when)
    assert refused.value.code == "before-cycle"


def test_the_first_moment_of_a_cycle_can_be_asked_for(founding: Books) -> None:
    assert founding.status(1, measured_by="2025-08-06T00:00:00Z")["tie_out"]["spent_usd"] == 0


def test_both_times_together_ask_what_was_known_of_what_had_happened(founding: Books) -> None:
    then = "2025-09-10"
    assert tied(founding, as_of=1, measured_by=then) == figures("0", "0", "0", "0", "24.96", "UNVERIFIED")
    assert tied(founding, as_of=2, measured_by=then) == figures("0.11", "0", "0", "0.11", "24.85", "UNVERIFIED")
    assert tied(founding, as_of=5, measured_by=then) == figures("0.11", "0", "5.31", "5.42", "19.54", "POOR")
    assert tied(founding, as_of=7, measured_by=then) == figures("0.11", "5.31", "0.00", "5.42", "19.54", "EXCELLENT")
    meter_only = figures("0.11", "0", "0", "0.11", "24.85", "UNVERIFIED")
    assert tied(founding, as_of=7, measured_by="2025-09-10T09:00:00Z") == meter_only
    both = founding.status(1, as_of="2026-11-21T09:02:30Z", measured_by="2025-09-10T12:00:00Z")
    assert (both["as_of"], both["measured_by"]) == ("2026-11-21T09:02:30Z", "2025-09-10T12:00:00Z")


def test_a_day_that_was_today_back_then_means_the_moment_of_asking(founding: Books) -> None:
    both = founding.status(1, as_of="2026-11-21T09:02:30Z", measured_by="2026-11-21")
    assert both["measured_by"] == "2026-11-21T09:02:30Z"


def test_readings_after_the_last_day_speak_of_its_end(books: Books, clock: Clock) -> None:
    do(
        books,
        clock,
        ("09:00:00", opened()),
        ("2025-10-05T00:00:00", metered("1")),
        ("2025-10-06T00:00:00", looked("2")),
    )
    clock.now = at("2025-10-07T00:00:00")
    assert tied(books, measured_by="2025-09-29")["spent"] == "0"
    assert tied(books, measured_by="2025-09-30") == tied(books), "its end is what they speak of"


def test_an_adjustment_counts_from_its_moment(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened(target=10)))
    top_up = AdjustBudget(cycle_id=1, amount_usd=5, at="2025-09-01", reason="entered late")
    do(books, clock, ("10:00:00", top_up), ("11:00:00", AdjustBudget(cycle_id=1, amount_usd=1, reason="now")))

    def budget(**times: Any) -> Decimal:
        return Decimal(books.status(1, **times)["cycle"]["budget_usd"])

    assert [budget(measured_by=when) for when in ("2025-08-31", "2025-09-01", "2025-09-10T10:59:59Z")] == [10, 15, 15]
    assert budget(measured_by="2025-08-31T23:59:59.999999Z") == 10
    assert budget(measured_by="2025-09-10") == budget() == 16
    assert [budget(as_of=position) for position in (1, 2, 3)] == [10, 15, 16]


def test_a_top_up_that_counts_from_a_day_is_not_in_a_balance_of_the_day_before(books: Books, clock: Clock) -> None:
    do(books, clock, ("09:00:00", opened(target=10)), ("10:00:00", looked_balance("8", "2025-08-31")))
    do(books, clock, ("11:00:00", AdjustBudget(cycle_id=1, amount_usd=5, at="2025-09-01", reason="topped up")))
    tied_out = books.status(1)["tie_out"]
    assert (tied_out["spent_usd"], tied_out["remaining_usd"]) == (2, 13)


def test_a_position_is_no_answer_to_measured_by(founding: Books) -> None:
    with pytest.raises(TimeRefused):
        founding.status(1, measured_by="5")


def test_asking_at_a_time_about_a_cycle_that_never_was_is_not_found(founding: Books) -> None:
    for times in ({"as_of": 1}, {"measured_by": "2025-09-10"}, {"as_of": "2025-01-01"}):
        with pytest.raises(NotFound):
            founding.status(7, **times)


def test_without_a_cycle_the_one_that_today_falls_in_is_asked_about(books: Books, clock: Clock) -> None:
    do(books, clock, ("2025-08-06T00:00:00", opened()))
    assert books.status()["cycle"]["id"] == 1
    clock.now = datetime(2025, 9, 30, 23, 59, 59, tzinfo=UTC)
    assert books.status()["cycle"]["id"] == 1
    clock.now = datetime(2025, 10, 1, tzinfo=UTC)
    with pytest.raises(RuleRefused, match=r"today falls in no cycle: say which with --cycle, of 1 "):
        books.status()


def test_two_writers_whose_clocks_differ_never_make_the_log_go_back(tmp_path: Path) -> None:
    path, nine, ten = tmp_path / "books.db", datetime(2025, 9, 10, 9, tzinfo=UTC), datetime(2025, 9, 10, 10, tzinfo=UTC)
    order = OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="25")
    with Books.open(path, clock=lambda: nine) as behind, Books.open(path, clock=lambda: ten) as ahead:
        behind.handle(order)
        ahead.handle(order)
        answer = behind.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount="1"))
        assert [event["recorded_at"][11:16] for event in behind.log()] == ["09:00", "10:00", "10:00"]
        assert "the clock shows" in answer["warnings"][0]
        assert behind.verify().faults == []
