"""Odometers: months of a counter, what feeds a cycle, and what is to be done."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.errors import Refused

REFUSED, WRONG = 3, 2


@pytest.fixture
def clock() -> Clock:
    return Clock("2025-09-10T09:00:00Z")


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock) as opened:
        yield opened


def read(books: Books, amount: str, month: str | None = None, **more: Any) -> dict[str, Any]:
    return books.handle(c.ReadOdometer(provider="groq", amount_usd=amount, month=month, **more))


def correct(books: Books, amount: str, month: str | None = None, **more: Any) -> dict[str, Any]:
    return read(books, amount, month, correct=True, reason="misread", **more)


def months(books: Books, **at: Any) -> dict[str, tuple[str | None, str]]:
    """What each month shows, and its state."""
    (groq,) = books.odometers("groq", **at)["odometers"]
    return {m["month"]: (m["amount_usd"] and str(m["amount_usd"]), m["state"]) for m in groq["months"]}


def refused(books: Books, order: c.Command, code: str, *words: str) -> None:
    position = books.position
    with pytest.raises(Refused) as found:
        books.handle(order)
    assert found.value.code == code, found.value
    for word in words:
        assert word in found.value.message
    assert books.position == position


def cycle(books: Books, start: str, end: str) -> int:
    return int(books.handle(c.OpenCycle(start_date=start, end_date=end, target_usd=30))["cycle_id"])


# -- reading ----------------------------------------------------------------------------------------------------


def test_a_new_month_may_begin_lower_or_higher_than_the_last_one_ended(books: Books, clock: Clock) -> None:
    read(books, "0.80", "2025-08")
    read(books, "0.05")
    clock.set("2025-10-01T09:00:00Z")
    read(books, "7")
    assert months(books) == {"2025-08": ("0.8", "due"), "2025-09": ("0.05", "due"), "2025-10": ("7", "open")}


def test_within_a_month_a_counter_only_rises(books: Books) -> None:
    read(books, "0.80")
    order = c.ReadOdometer(provider="groq", amount_usd="0.79")
    refused(books, order, "counter-fell", "2025-09 stood at $0.80", "--correct with a --reason")
    assert read(books, "0.80")["recorded"], "the same figure read later says that nothing was spent since"
    read(books, "0.81")


def test_a_correction_sets_the_figure_and_leaves_its_signed_trace(books: Books) -> None:
    read(books, "0.80")
    answer = correct(books, "0.08")
    assert answer["change_usd"] == Decimal("-0.72")
    (trace,) = [e for e in books.log() if e["event"] == "odometer-corrected.v1"]
    assert (trace["change_usd"], trace["reason"], trace["amount_usd"]) == (
        Decimal("-0.72"),
        "misread",
        Decimal("0.08"),
    )
    assert months(books) == {"2025-09": ("0.08", "open")}
    read(books, "0.09")
    assert correct(books, "0.09")["recorded"] is False, "it stands there already"


def test_a_correction_needs_a_reason_and_something_to_correct(books: Books) -> None:
    order = c.ReadOdometer(provider="groq", amount_usd=1, correct=True, reason="x")
    refused(books, order, "nothing-to-correct", "without --correct")
    read(books, "0.80")
    refused(books, order.model_copy(update={"reason": None}), "no-reason")
    refused(books, order.model_copy(update={"correct": False}), "correct", "--correct")
    early = order.model_copy(update={"read_at": "2025-09-09"})
    refused(books, early, "read-before", "leave --read-at out")


def test_a_final_month_takes_only_corrections_and_stays_final(books: Books) -> None:
    read(books, "0.80", "2025-08")
    books.handle(c.FinalizeMonth(provider="groq", month="2025-08"))
    order = c.ReadOdometer(provider="groq", amount_usd="0.90", month="2025-08")
    refused(books, order, "month-final", "final at $0.80", "mecris odometer reopen")
    assert correct(books, "0.90", "2025-08")["change_usd"] == Decimal("0.1")
    assert months(books)["2025-08"] == ("0.9", "final")
    books.handle(c.ReopenMonth(provider="groq", month="2025-08", reason="the bill came"))
    assert months(books)["2025-08"] == ("0.9", "due")
    read(books, "0.95", "2025-08")


def test_finalizing_twice_is_once_and_a_gap_is_never_final(books: Books) -> None:
    read(books, "0.80", "2025-07")
    assert books.handle(c.FinalizeMonth(provider="groq", month="2025-07"))["recorded"]
    assert not books.handle(c.FinalizeMonth(provider="groq", month="2025-07"))["recorded"]
    refused(books, c.FinalizeMonth(provider="groq", month="2025-08"), "month-not-found", "a gap is not a 0")
    refused(books, c.ReopenMonth(provider="groq", month="2025-08", reason="x"), "month-not-found")
    read(books, "1")
    refused(books, c.ReopenMonth(provider="groq", month="2025-09", reason="x"), "not-final")
    assert books.handle(c.FinalizeMonth(provider="groq", month="2025-09"))["warnings"] == [
        "2025-09 is not over, 20 days of it are to come: reopen it to read them"
    ]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("2025-09-27T18:00:00Z", ["2025-09 is not over, 3 days of it are to come: reopen it to read them"]),
        ("2025-09-29T18:00:00Z", ["2025-09 is not over, 1 day of it is to come: reopen it to read it"]),
        (
            "2025-09-30T18:00:00Z",
            ["2025-09 is not over, today is its last day: reopen it to read what is still to come"],
        ),
        ("2025-10-01T00:00:00Z", []),
    ],
)
def test_a_month_that_is_made_final_while_it_runs_is_told_to_its_last_day(
    tmp_path: Path, now: str, told: list[str]
) -> None:
    with Books.open(tmp_path / "books.db", clock=Clock(now)) as books:
        books.handle(c.ReadOdometer(provider="groq", amount_usd=1, month="2025-09"))
        for _ in range(2):
            assert books.handle(c.FinalizeMonth(provider="groq", month="2025-09"))["warnings"] == told


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"month": "2025-10"}, "future-month"),
        ({"month": "2025-13"}, "month"),
        ({"month": "2025-9"}, "month"),
        ({"month": "September"}, "month"),
        ({"month": "2025-09-01"}, "month"),
        ({"amount_usd": "-0.01"}, "amount"),
        ({"read_at": "2025-09-10T09:06:00Z"}, "time"),
        ({"month": "2025-09", "read_at": "2025-08-31"}, "read-before"),
        ({"provider": " "}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(books: Books, said: dict[str, Any], code: str) -> None:
    refused(books, c.ReadOdometer(**{"provider": "groq", "amount_usd": 1} | said), code)


def test_back_filling_an_old_month_never_touches_the_current_one(books: Books) -> None:
    read(books, "0.30")
    read(books, "5", "2025-07")
    assert months(books) == {"2025-07": ("5", "due"), "2025-08": (None, "no_data"), "2025-09": ("0.3", "open")}


def test_naming_the_current_month_is_naming_none(books: Books) -> None:
    assert read(books, "0.30", "2025-09")["month"] == read(books, "0.31")["month"] == "2025-09"
    refused(books, c.ReadOdometer(provider="groq", amount_usd="0.2", month="2025-09"), "counter-fell")
    refused(books, c.ReadOdometer(provider="groq", amount_usd="0.2"), "counter-fell")


def test_a_reading_belongs_to_the_month_it_was_read_in(books: Books) -> None:
    assert read(books, "0.80", read_at="2025-08-31")["month"] == "2025-08"


def test_a_late_entry_is_history_and_must_fit_what_was_read_later(books: Books) -> None:
    read(books, "0.80", read_at="2025-09-09T12:00:00Z")
    late = read(books, "0.50", read_at="2025-09-05T12:00:00Z")
    assert late["warnings"] == [
        "2025-09 was read later, at 2025-09-09T12:00:00Z: this reading is history and does not become current"
    ]
    assert months(books) == {"2025-09": ("0.8", "open")}
    assert months(books, measured_by="2025-09-06") == {"2025-09": ("0.5", "open")}
    order = c.ReadOdometer(provider="groq", amount_usd="0.90", read_at="2025-09-05T13:00:00Z")
    refused(books, order, "counter-fell", "stood at $0.80 later")


def test_late_entries_must_fit_each_other_too(books: Books) -> None:
    read(books, "0.80", read_at="2025-09-09T12:00:00Z")
    read(books, "0.50", read_at="2025-09-05T12:00:00Z")
    between = c.ReadOdometer(provider="groq", amount_usd="0.40", read_at="2025-09-07T12:00:00Z")
    refused(books, between, "counter-fell", "stood at $0.50 before, at 2025-09-05T12:00:00Z")
    before = c.ReadOdometer(provider="groq", amount_usd="0.60", read_at="2025-09-04T12:00:00Z")
    refused(books, before, "counter-fell", "stood at $0.50 later, at 2025-09-05T12:00:00Z")
    read(books, "0.60", read_at="2025-09-07T12:00:00Z")
    read(books, "0.40", read_at="2025-09-04T12:00:00Z")


def test_what_was_corrected_does_not_stand_in_the_way_of_late_entries(books: Books) -> None:
    read(books, "5", read_at="2025-09-05T12:00:00Z")
    read(books, "8", read_at="2025-09-07T12:00:00Z")
    correct(books, "0.80", read_at="2025-09-09T12:00:00Z")
    read(books, "0.70", read_at="2025-09-08T12:00:00Z")
    refused(
        books, c.ReadOdometer(provider="groq", amount_usd="0.75", read_at="2025-09-06"), "counter-fell", "$0.70 later"
    )


def test_the_identical_statement_again_records_nothing(books: Books) -> None:
    assert read(books, "0.80", read_at="2025-09-09T12:00:00Z")["recorded"]
    assert not read(books, "0.80", read_at="2025-09-09T12:00:00Z")["recorded"]
    assert books.position == 1


# -- states, pace and reminders -------------------------------------------------------------------------------------


def status(books: Books, **at: Any) -> dict[str, Any]:
    (groq,) = books.odometers("groq", **at)["odometers"]
    return dict(groq)


@pytest.mark.parametrize(
    ("now", "state"),
    [("2025-09-27T23:59:59Z", "open"), ("2025-09-28T00:00:01Z", "due"), ("2025-10-01T00:00:01Z", "due")],
)
def test_a_month_is_due_in_its_last_three_days_and_after_its_end(
    books: Books, clock: Clock, now: str, state: str
) -> None:
    read(books, "0.80")
    clock.set(now)
    clock.move(seconds=-1)
    assert months(books)["2025-09"] == ("0.8", state)


def test_pace_and_age_and_the_reset(books: Books, clock: Clock) -> None:
    read(books, "1.00", read_at="2025-09-06T00:00:00Z")  # five days: 0.20 a day
    told = status(books)
    assert (told["daily_average_usd"], told["projected_usd"]) == (Decimal("0.2"), Decimal(6))
    assert (told["resets_on"], told["days_until_reset"]) == ("2025-10-01", 21)
    assert told["age_days"] == Decimal("4.38")


def test_filling_in_an_old_month_does_not_make_the_current_one_look_fresh(books: Books, clock: Clock) -> None:
    read(books, "1.00", read_at="2025-09-06T00:00:00Z")
    read(books, "7", "2025-08")  # read just now, and it speaks of the end of August
    assert status(books)["last_read_at"] == "2025-09-06T00:00:00Z"


def test_a_gap_is_said_and_never_taken_for_nothing(books: Books) -> None:
    read(books, "5", "2025-07")
    told = status(books)
    assert told["amount_usd"] is None
    assert told["daily_average_usd"] is None
    assert [(r["urgency"], r["month"]) for r in told["reminders"]] == [
        ("medium", "2025-07"),
        ("medium", "2025-08"),
        ("low", "2025-09"),
    ]
    assert "2025-08 has no reading, which is not a 0" in told["reminders"][1]["message"]


@pytest.mark.parametrize(
    ("now", "urgency", "words"),
    [
        ("2025-09-15T09:00:00Z", None, ""),
        ("2025-09-18T10:00:00Z", "low", "was last read 8 days ago"),
        ("2025-09-28T09:00:00Z", "medium", "2 days until 2025-09 is over: read the counter before it resets"),
        ("2025-09-30T20:00:00Z", "high", "today is the last day of 2025-09"),
        ("2025-10-02T09:00:00Z", "medium", "2025-09 is over and not final"),
    ],
)
def test_reminders_grow_more_urgent(books: Books, clock: Clock, now: str, urgency: str | None, words: str) -> None:
    read(books, "0.80")
    clock.set(now)
    reminders = [r for r in status(books)["reminders"] if r["month"] == "2025-09"]
    assert [r["urgency"] for r in reminders] == ([urgency] if urgency else [])
    assert all(words in r["message"] for r in reminders)


def test_a_counter_that_was_read_today_needs_no_reminder_on_the_last_day(books: Books, clock: Clock) -> None:
    clock.set("2025-09-30T18:00:00Z")
    read(books, "0.80")
    clock.set("2025-09-30T23:00:00Z")
    assert status(books)["reminders"] == []


def test_as_of_and_measured_by(books: Books, clock: Clock) -> None:
    read(books, "0.30")
    clock.set("2025-09-12T09:00:00Z")
    read(books, "0.40", read_at="2025-09-11T09:00:00Z")
    correct(books, "0.35")
    assert months(books, as_of=1) == {"2025-09": ("0.3", "open")}
    assert months(books, as_of="2025-09-11") == {"2025-09": ("0.3", "open")}
    assert months(books, measured_by="2025-09-11") == {"2025-09": ("0.4", "open")}
    assert months(books, as_of=2) == {"2025-09": ("0.4", "open")}
    assert books.odometers(as_of="2025-09-09")["odometers"] == []


# -- feeding a cycle ------------------------------------------------------------------------------------------------


def fed(books: Books, number: int = 1) -> list[tuple[str, str]]:
    """What a cycle was told by the counter, in the order recorded."""
    rows = books.sources(number, history=True)
    return [(str(r["amount_usd"]), r["measured_at"]) for r in rows if r["name"] == "groq odometer"]


def test_a_fed_cycle_gets_a_reading_in_the_same_write(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    position = books.position
    answer = read(books, "0.80")
    assert [e["event"] for e in books.log(since=position)] == ["odometer-read.v1", "source-recorded.v1"]
    assert answer["fed"] == [
        {"cycle_id": 1, "reading": 1, "amount_usd": Decimal("0.8"), "measured_at": answer["read_at"]}
    ]
    (source,) = books.sources(1)
    assert (source["name"], source["type"], source["provider"], source["counted"]) == (
        "groq odometer",
        "manual",
        "groq",
        True,
    )
    assert books.status(1, as_of=position + 1)["position"] == position + 2, "both are one write"


def test_a_fed_reading_reconciles_its_cycle(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    books.handle(c.RecordSource(cycle_id=1, source="meter", type="realtime", provider="groq", amount="0.75"))
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    read(books, "0.80")
    told = books.status(1)
    assert (told["tie_out"]["unexplained_usd"], told["stale"]) == (Decimal("0.05"), False)


def test_a_cycle_is_told_the_sum_of_the_months_that_overlap_it_when_the_newest_was_measured(
    books: Books, clock: Clock
) -> None:
    read(books, "9", "2025-07")
    read(books, "0.80", "2025-08")  # read in September, so it speaks of the end of August
    cycle(books, "2025-08-15", "2025-09-20")
    answer = books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    assert answer["warnings"] == [
        "2025-08 begins on 2025-08-01, before the cycle does (2025-08-15): what was spent in between is in its readings",
        "2025-09 goes on until 2025-09-30, after the cycle ends (2025-09-20): what is spent then will be in its readings",
    ]
    assert fed(books) == [("0.8", "2025-08-31T23:59:59.999999Z")]
    read(books, "0.10", read_at="2025-09-09T12:00:00Z")
    clock.set("2025-09-25T09:00:00Z")
    read(books, "0.40")
    correct(books, "0.70", "2025-08")
    assert fed(books)[1:] == [
        ("0.9", "2025-09-09T12:00:00Z"),
        ("1.2", "2025-09-20T23:59:59.999999Z"),  # at most at its end
        ("1.1", "2025-09-20T23:59:59.999999Z"),
    ]
    assert str(books.sources(1)[0]["amount_usd"]) == "1.1", "at equal times the later one is current"


def test_a_month_between_that_was_never_read_is_said(books: Books) -> None:
    cycle(books, "2025-07-01", "2025-09-30")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    read(books, "1", "2025-07")
    assert read(books, "0.40")["warnings"] == ["2025-08 has no reading: what cycle 1 is told leaves that out"]


def test_what_a_cycle_refuses_does_not_keep_the_counter_from_being_read(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    cycle(books, "2025-09-01", "2025-09-30")
    for number in (1, 2):
        books.handle(c.FeedCycle(provider="groq", cycle_id=number))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="not used"))
    answer = read(books, "0.80")
    assert [f["cycle_id"] for f in answer["fed"]] == [2]
    assert [w.partition(":")[0] for w in answer["warnings"]] == ["cycle 1 was not told"]
    books.handle(c.ReopenCycle(cycle_id=1, reason="used after all"))
    read(books, "0.90")
    assert (fed(books, 1)[-1][0], fed(books, 2)[-1][0]) == ("0.9", "0.9")


def test_a_closed_cycle_is_no_bother_while_its_months_stay_as_they_are(books: Books) -> None:
    cycle(books, "2025-08-01", "2025-08-31")
    read(books, "1", "2025-08")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="fine"))
    assert read(books, "0.10")["warnings"] == []
    (warning,) = read(books, "1.10", "2025-08")["warnings"]
    assert warning.startswith("cycle 1 was not told: cycle 1 was closed at")


def test_a_cycle_that_is_fed_no_more_keeps_what_it_was_told(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    read(books, "0.80")
    assert not books.handle(c.FeedCycle(provider="groq", cycle_id=1))["recorded"]
    books.handle(c.StopFeeding(provider="groq", cycle_id=1, reason="by hand from now on"))
    read(books, "0.90")
    assert [amount for amount, _ in fed(books)] == ["0.8"]
    refused(books, c.StopFeeding(provider="groq", cycle_id=1, reason="x"), "not-fed")
    refused(books, c.FeedCycle(provider="groq", cycle_id=9), "cycle-not-found")


def test_counters_of_two_providers_know_nothing_of_each_other(books: Books) -> None:
    read(books, "0.80")
    books.handle(c.ReadOdometer(provider="other", amount_usd="0.10"))
    assert [(o["provider"], str(o["amount_usd"])) for o in books.odometers()["odometers"]] == [
        ("groq", "0.8"),
        ("other", "0.1"),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(["2025-07", "2025-08", "2025-09"]), st.integers(0, 20), st.booleans()), max_size=12
    )
)
def test_a_fed_cycle_always_says_the_sum_of_what_its_months_show(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("fed") / "books.db"
    with Books.open(path, clock=Clock("2025-09-10T09:00:00Z")) as books:
        cycle(books, "2025-08-10", "2025-10-05")
        books.handle(c.FeedCycle(provider="groq", cycle_id=1))
        shown: dict[str, Decimal] = {}
        for month, amount, corrects in story:
            order = c.ReadOdometer(
                provider="groq", month=month, amount_usd=amount, correct=corrects, reason="x" if corrects else None
            )
            try:
                books.handle(order)
            except Refused:
                assert amount < shown.get(month, 0) if not corrects else month not in shown
                continue
            assert corrects or amount >= shown.get(month, 0)
            shown[month] = Decimal(amount)
        known = [amount for month, amount in shown.items() if month != "2025-07"]
        says = {s["name"]: s["amount_usd"] for s in books.sources(1)}
        assert says == ({"groq odometer": sum(known)} if known else {})
        assert books.replay().differences == 0


# -- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["record", "--provider", "groq", "-1"], REFUSED, "refused: the counter cannot show -$1.00"),
        (["record", "-0.5", "--provider", "groq"], REFUSED, "refused: the counter cannot show -$0.50"),
        (["record", "--provider", "groq", "1", "--month", "2999-01"], REFUSED, "refused: 2999-01 has not come yet"),
        (["record", "--provider", "groq", "1", "--month", "13-2025"], REFUSED, "write it like 2025-09"),
        (["record", "--provider", "groq", "much"], WRONG, "'much' is not a number"),
        (["record", "--provider", "groq"], WRONG, "Missing argument 'VALUE'"),
        (["record", "1"], WRONG, "Missing option '--provider'"),
        (["finalize", "--provider", "groq", "--month", "2025-08"], REFUSED, "not found: the odometer of 'groq' has no"),
        (["feed", "--provider", "groq", "--cycle", "1", "--stop"], WRONG, "--stop needs a --reason"),
        (["feed", "--provider", "groq", "--cycle", "1"], REFUSED, "not found: there is no cycle 1"),
        (["status", "--provider", "groq"], REFUSED, "not found: there is no odometer of 'groq' (there are: none)"),
    ],
)
def test_wrong_words_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert run(["--books", str(tmp_path / "books.db"), "odometer", *words]) == code
    assert told in capsys.readouterr().err


def test_a_month_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def m(*words: str) -> str:
        capsys.readouterr()
        assert run(["--books", str(tmp_path / "books.db"), *words]) == 0
        return capsys.readouterr().out

    m("budget", "cycle", "create", "--start", "2025-08-01", "--end", "2025-08-31", "--target", "5")
    assert m("odometer", "feed", "--provider", "groq", "--cycle", "1") == (
        "cycle 1 gets a reading of 'groq odometer' with each reading of the counter\n"
    )
    assert m("odometer", "record", "--provider", "groq", "0.70", "--read-at", "2025-08-20T12:00:00Z") == (
        "groq 2025-08: 0.70\ncycle 1: reading 1 says 0.70, measured at 2025-08-20 12:00:00 UTC\n"
    )
    assert m("odometer", "record", "--provider", "groq", "0.80", "--month", "2025-08") == (
        "groq 2025-08: 0.80\ncycle 1: reading 2 says 0.80, measured at 2025-08-31 23:59:59 UTC\n"
    )
    assert m("odometer", "finalize", "--provider", "groq", "--month", "2025-08") == "groq 2025-08 is final at 0.80\n"
    told = m("odometer", "record", "--provider", "groq", "0.79", "--month", "2025-08", "--correct", "--reason", "bill")
    assert told.startswith("groq 2025-08: 0.79, corrected by -0.01\n")
    assert "  2025-08  0.79  final    20" in m("odometer", "status")


# -- what the counter shows, the cycle is told -------------------------------------------------------------------


def told(books: Books, cycle_id: int = 1) -> str:
    (source,) = books.sources(cycle_id)
    return str(source["amount_usd"])


def test_a_correction_back_to_what_was_said_before_reaches_the_cycle(books: Books, clock: Clock) -> None:
    cycle(books, "2025-08-01", "2025-08-31")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    read(books, "3", "2025-08")
    for amount in ("4", "3"):  # a month that is over speaks of its end, whenever it is read
        clock.move(hours=1)
        correct(books, amount, "2025-08")
        assert told(books) == amount
    assert books.handle(c.FeedCycle(provider="groq", cycle_id=1))["recorded"] is False


def test_a_reopened_cycle_is_told_what_the_counter_shows_by_now(books: Books, clock: Clock) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    read(books, "3")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    clock.move(hours=1)
    assert any("was closed" in w for w in read(books, "5")["warnings"])
    assert told(books) == "3"
    answer = books.handle(c.ReopenCycle(cycle_id=1, reason="late spend"))
    assert [f["amount_usd"] for f in answer["fed"]] == [Decimal(5)]
    assert told(books) == "5"


def test_a_cycle_is_reopened_although_it_cannot_be_told_what_the_counter_showed_before_it_began(
    books: Books, clock: Clock
) -> None:
    clock.set("2025-08-10T09:00:00Z")
    read(books, "0.50")
    cycle(books, "2025-08-15", "2025-09-14")
    clock.set("2025-08-16T09:00:00Z")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="x"))
    answer = books.handle(c.ReopenCycle(cycle_id=1, reason="late bill"))
    assert any("cycle 1 was not told" in w for w in answer["warnings"])
    assert (books.status(1)["cycle"]["state"], answer["position"]) == ("open", books.position)
    books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", amount=1))
    assert books.verify().faults == []


def test_a_closed_cycle_cannot_be_fed_anew(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    read(books, "3")
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="early"))
    refused(books, c.FeedCycle(provider="groq", cycle_id=1), "cycle-closed", "mecris budget cycle reopen")
    refused(books, c.FeedCycle(provider="groq", cycle_id=7), "cycle-not-found")


def test_feeding_from_a_counter_that_was_never_read_says_so(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    answer = books.handle(c.FeedCycle(provider="gorq", cycle_id=1))
    assert answer["recorded"]
    assert answer["warnings"] == [
        "there is no reading of 'gorq' yet: if that is its name, read its counter "
        "(mecris odometer record --provider gorq VALUE)"
    ]
    read(books, "3")
    assert books.handle(c.FeedCycle(provider="groq", cycle_id=1))["warnings"] == []


def test_feeding_again_tells_a_cycle_whose_reading_was_retracted(books: Books) -> None:
    cycle(books, "2025-09-01", "2025-09-30")
    read(books, "3")
    books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    books.handle(c.RetractReading(cycle_id=1, reading=1, reason="slip"))
    assert books.sources(1) == []
    answer = books.handle(c.FeedCycle(provider="groq", cycle_id=1))
    assert (answer["recorded"], told(books)) == (True, "3")


def test_a_clock_that_was_ahead_does_not_block_the_counter(books: Books, clock: Clock) -> None:
    now = clock.now
    clock.move(days=10)
    read(books, "4")
    clock.now = now
    read(books, "5")
    assert months(books)["2025-09"] == ("5", "open")
    correct(books, "4.5")
    assert months(books)["2025-09"] == ("4.5", "open")
    clock.move(days=40)
    read(books, "1")
    clock.now = now
    correct(books, "0.9", "2025-10")
    clock.move(days=41)
    assert months(books)["2025-10"] == ("0.9", "open")


def test_an_earlier_figure_of_a_final_month_was_not_final(books: Books, clock: Clock) -> None:
    read(books, "1", read_at="2025-09-02")
    read(books, "2", read_at="2025-09-08")
    books.handle(c.FinalizeMonth(provider="groq", month="2025-09"))
    assert months(books, measured_by="2025-09-05")["2025-09"] == ("1", "open")
    assert months(books, measured_by="2025-09-09")["2025-09"] == ("2", "final")


def test_a_long_gap_is_one_reminder(books: Books) -> None:
    read(books, "1", "2020-01")
    books.handle(c.FinalizeMonth(provider="groq", month="2020-01"))
    (groq,) = books.odometers()["odometers"]
    assert [r["message"].partition(":")[0] for r in groq["reminders"]] == [
        "2020-02 to 2025-08 have no reading, which is not a 0",
        "2025-09 has no reading yet",
    ]


def test_names_that_cannot_be_used_are_refused(books: Books) -> None:
    refused(books, c.ReadOdometer(provider="groq ", amount_usd=1), "name", "without spaces")
    cycle(books, "2025-09-01", "2025-09-30")
    refused(books, c.FeedCycle(provider="g" * 195, cycle_id=1), "name")


def test_the_first_hour_of_a_month_is_no_pace_of_a_day(books: Books, clock: Clock) -> None:
    clock.set("2025-09-01T01:00:00Z")
    read(books, "0.50")
    (groq,) = books.odometers()["odometers"]
    assert groq["daily_average_usd"] == Decimal("0.5")


def test_a_counter_whose_name_looks_like_another_is_told(books: Books) -> None:
    read(books, "1")
    answer = books.handle(c.ReadOdometer(provider="Groq", amount_usd=1))
    assert answer["warnings"] == ["'Groq' is another provider than 'groq': their counters are kept apart"]
    assert books.handle(c.ReadOdometer(provider="Groq", amount_usd=2))["warnings"] == []
