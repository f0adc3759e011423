"""Closing, reopening and rolling over: what stands against it, what it leaves on record, and that it is carried once."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from story import given, happened, metered, opened, plug, read_off, retracted, square

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain import events as e
from mecris.domain.errors import Refused


def close(**more: Any) -> c.CloseCycle:
    return c.CloseCycle(cycle_id=1, **more)


def accept(reason: str | None = "five cents are fine") -> c.CloseCycle:
    return close(accept=True, reason=reason)


def reopen(number: int = 1) -> c.ReopenCycle:
    return c.ReopenCycle(cycle_id=number, reason="a late bill")


# -- what stands against it -----------------------------------------------------------------------------------------


def test_a_settled_cycle_is_closed_with_its_final_figures() -> None:
    story = given(opened("25"), metered("5.42"), read_off("5.42")).when(close()).then(happened(e.CycleClosed))
    record = story.new[0].record  # type: ignore[attr-defined]
    assert (record.remaining_usd, record.grade) == (Decimal("19.58"), "EXCELLENT")
    assert story.new[0].accepted == ()  # type: ignore[attr-defined]


def test_what_is_unexplained_stands_against_closing() -> None:
    story = given(opened(), metered("0.11"), read_off("5.42"))
    story.when(close()).refused("not-settled", "$5.31 are unexplained", "--accept", "--reason")
    story.when(square()).when(close()).then(happened(e.CycleClosed))


def test_what_two_providers_owe_each_other_does_not_cancel_out() -> None:
    story = given(
        opened(),
        metered("1", "a meter", provider="a"),
        read_off("2", "a bill", provider="a"),
        metered("2", "b meter", provider="b"),
        read_off("1", "b bill", provider="b"),
    )
    assert story.answer["recorded"]
    story.when(close()).refused("not-settled", "$1.00 of 'a' are unexplained", "-$1.00 of 'b' are unexplained")


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ((), "no source said anything"),
        ((metered("1"),), "it was compared with nothing"),
        ((read_off("1"),), "it was compared with nothing"),
        ((metered("1"), read_off("1"), metered("3", "b meter", provider="b")), "what is spent of 'b' is UNVERIFIED"),
    ],
)
def test_what_was_compared_with_nothing_stands_against_closing(orders: tuple[c.RecordSource, ...], words: str) -> None:
    given(opened(), *orders).when(close()).refused("not-settled", "UNVERIFIED", words)


def test_what_is_not_on_record_stands_against_closing() -> None:
    story = given(opened(), metered("5.42"), read_off("5.42", reconcile=False))
    story.when(close()).refused("not-settled", "not on record (mecris budget reconcile --cycle 1)")
    story.when(c.Reconcile(cycle_id=1)).when(close()).then(happened(e.CycleClosed))


def test_it_can_be_accepted_with_a_reason_and_what_was_accepted_is_kept() -> None:
    story = given(opened(), metered("0.11"), read_off("5.42", reconcile=False))
    story.when(accept(None)).refused("no-reason")
    story.when(accept(" ")).refused("no-reason")
    accepted = (
        "$5.31 are unexplained",
        "the comparison is not on record (mecris budget reconcile --cycle 1)",
    )
    story.when(accept()).then(
        happened(e.CycleReconciled),
        happened(e.DiscrepancyDetected),
        happened(e.CycleClosed, accepted=accepted, reason="five cents are fine"),
    )


def test_accepting_what_is_settled_needs_no_reason() -> None:
    given(opened(), metered("1"), read_off("1")).when(accept(None)).then(happened(e.CycleClosed, accepted=()))


def test_closing_before_the_last_day_is_over_is_told() -> None:
    story = given(opened(), metered("1"), read_off("1")).when(close())
    assert story.answer["warnings"] == ["cycle 1 runs until 2025-09-30: what is spent until then needs it open"]


# -- a closed cycle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        metered("2"),
        metered("1", measured_at="2025-09-10T09:01:00Z"),
        read_off("2"),
        retracted(1),
        plug("1", yes=True),
        square(),
        c.ReversePlug(cycle_id=1, plug=1, reason="x"),
        c.AdjustBudget(cycle_id=1, amount_usd=1, reason="x"),
        c.ChangeThresholds(cycle_id=1, excellent=2, good=3, fair=4),
        c.Reconcile(cycle_id=1),
        close(),
        accept(),
    ],
    ids=lambda order: order.name,
)
def test_a_closed_cycle_refuses_everything_but_reopening(order: c.CycleCommand) -> None:
    story = given(opened(), metered("1", measured_at="2025-09-10T09:01:00Z"), read_off("1"), close())
    story.when(order).refused(
        "cycle-closed", "cycle 1 was closed at 2025-09-10T09:03:00Z", "mecris budget cycle reopen"
    )


def test_reopening_needs_a_reason_and_leaves_its_trace() -> None:
    story = given(opened(), metered("1"), read_off("1"))
    story.when(reopen()).refused("not-closed")
    story.when(close())
    story.when(c.ReopenCycle(cycle_id=1, reason=" ")).refused("no-reason")
    story.when(reopen()).then(happened(e.CycleReopened, reason="a late bill"))
    story.when(metered("2")).then(happened(e.SourceRecorded))


# -- rolling over -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock("2025-09-10T09:00:00Z")


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    """August, prepaid with 25, of which 19.58 are left; September is open beside it."""
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock) as opened:
        opened.handle(c.OpenCycle(start_date="2025-08-01", end_date="2025-08-31", target_usd=25))
        for kind, name in (("realtime", "meter"), ("manual", "console")):
            opened.handle(c.RecordSource(cycle_id=1, source=name, type=kind, amount="5.42", measured_at="2025-08-31"))
        opened.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
        yield opened


def roll_over(to: int = 2, origin: int = 1, **more: Any) -> c.RollOver:
    return c.RollOver(cycle_id=to, from_cycle=origin, **more)


def refused(books: Books, order: c.Command, code: str, *words: str) -> None:
    position = books.position
    with pytest.raises(Refused) as found:
        books.handle(order)
    assert found.value.code == code, found.value
    for word in words:
        assert word in found.value.message
    assert books.position == position


def budget(books: Books, number: int = 2) -> Decimal:
    return Decimal(books.status(number)["cycle"]["budget_usd"])


def test_what_is_left_is_carried_into_a_new_cycle_with_its_origin(books: Books) -> None:
    books.handle(close())
    position = books.position
    answer = books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=5, roll_over_from=1))
    assert (answer["cycle_id"], answer["amount_usd"], budget(books, 3)) == (3, Decimal("19.58"), Decimal("24.58"))
    told = [(e["event"], e["cycle_id"]) for e in books.log(since=position)]
    assert told == [("cycle-opened.v1", 3), ("budget-adjusted.v2", 3), ("remainder-carried.v1", 1)]
    (row,) = books.adjustments(3)
    assert (row["rolled_over_from"], row["reason"], row["amount_usd"]) == (
        1,
        "what was left of cycle 1",
        answer["amount_usd"],
    )
    assert row["counts_from"].startswith("2025-09-10"), "October has not come: it counts from now"


def test_what_is_left_counts_from_the_beginning_of_a_cycle_that_has_begun(books: Books) -> None:
    books.handle(close())
    books.handle(c.RecordSource(cycle_id=2, source="console", type="manual", balance="9", measured_at="2025-09-05"))
    books.handle(roll_over())
    assert books.adjustments(2)[0]["counts_from"] == "2025-09-01T00:00:00Z"
    spent = books.status(2)["tie_out"]["spent_usd"]
    assert spent == Decimal("20.58"), "the balance is left of 29.58 and not of 10"


def test_what_is_carried_over_is_put_on_record_in_the_same_write(books: Books) -> None:
    books.handle(close())
    for kind, name in (("realtime", "meter"), ("manual", "console")):
        books.handle(c.RecordSource(cycle_id=2, source=name, type=kind, amount=1, measured_at="2025-09-05"))
    position = books.position
    books.handle(roll_over())
    told = [(e["event"], e["cycle_id"]) for e in books.log(since=position)]
    assert told == [("remainder-carried.v1", 1), ("budget-adjusted.v2", 2), ("cycle-reconciled.v1", 2)]


def test_what_is_carried_over_does_not_count_from_the_future(books: Books) -> None:
    books.handle(close())
    refused(books, roll_over(at="2025-09-11"), "time", "has not come")


def test_a_deficit_is_carried_too(books: Books) -> None:
    for name in ("meter", "console"):
        books.handle(c.RecordSource(cycle_id=1, source=name, amount=27, measured_at="2025-09-01"))
    books.handle(close())
    assert books.handle(roll_over())["amount_usd"] == -2
    assert budget(books) == 8


def test_a_deficit_may_not_put_a_standing_balance_above_its_credit(books: Books) -> None:
    for name in ("meter", "console"):
        books.handle(c.RecordSource(cycle_id=1, source=name, amount=27, measured_at="2025-09-01"))
    books.handle(close())
    books.handle(c.RecordSource(cycle_id=2, source="console", type="manual", balance="9", measured_at="2025-09-05"))
    refused(books, roll_over(), "balance-above-credit")


def test_it_is_carried_once(books: Books) -> None:
    books.handle(close())
    books.handle(roll_over())
    again = books.handle(roll_over())
    assert (again["recorded"], again["amount_usd"], again["adjustment"]) == (False, 0, None)
    assert budget(books) == Decimal("29.58")
    third = c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0, roll_over_from=1)
    refused(books, third, "rolled-over", "went to cycle 2 already")
    assert len(books.cycles()) == 2, "a cycle that could not be rolled over into was not opened"


def test_a_remainder_of_nothing_is_carried_as_nothing_and_still_has_its_heir(books: Books) -> None:
    for name in ("meter", "console"):
        books.handle(c.RecordSource(cycle_id=1, source=name, amount=25, measured_at="2025-09-01"))
    books.handle(close())
    answer = books.handle(roll_over())
    assert (answer["recorded"], answer["amount_usd"], budget(books)) == (True, 0, 10)
    assert [e["event"] for e in books.log(since=answer["position"] - 1)] == ["remainder-carried.v1"]
    third = c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0)
    books.handle(third)
    refused(books, roll_over(3), "rolled-over")


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (roll_over(), "not-closed"),
        (roll_over(1), "roll-over"),
        (roll_over(2, 9), "cycle-not-found"),
        (roll_over(9), "cycle-not-found"),
        (c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0, roll_over_from=1), "not-closed"),
        (
            c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0, roll_over_from=7),
            "cycle-not-found",
        ),
    ],
)
def test_what_cannot_be_rolled_over_is_refused(books: Books, order: c.Command, code: str) -> None:
    refused(books, order, code)


def test_what_is_left_goes_to_a_later_cycle_and_not_to_a_closed_one(books: Books) -> None:
    books.handle(c.CloseCycle(cycle_id=2, accept=True, reason="not used"))
    refused(books, roll_over(1, 2), "roll-over", "begins after")
    books.handle(close())
    refused(books, roll_over(), "cycle-closed", "cycle 2 was closed")
    refused(books, roll_over(at="2999-01-01"), "cycle-closed")


def test_a_reopened_cycle_that_closes_with_other_figures_shows_in_its_heir_which_can_take_it_over(
    books: Books, clock: Clock
) -> None:
    books.handle(close())
    books.handle(roll_over())
    books.handle(reopen())
    assert books.status(2)["warnings"][0] == ("cycle 1 was reopened: the $19.58 carried over from it may change")
    refused(books, roll_over(), "not-closed")
    for name in ("meter", "console"):
        books.handle(c.RecordSource(cycle_id=1, source=name, amount=6, measured_at="2025-09-02"))
    books.handle(close())
    told = books.position
    assert books.status(2)["warnings"][0] == (
        "cycle 1 was closed with $19.00 left, $19.58 were carried over: take the difference over with "
        "`mecris budget cycle adjust --cycle 2 --from-roll-over 1`"
    )
    answer = books.handle(roll_over())
    assert (answer["amount_usd"], answer["budget_usd"]) == (Decimal("-0.58"), 29)
    assert books.status(2)["warnings"] == []
    assert books.status(2, as_of=told)["warnings"] != []
    assert [(a["amount_usd"], a["rolled_over_from"]) for a in books.adjustments(2)] == [
        (Decimal("19.58"), 1),
        (Decimal("-0.58"), 1),
    ]
    replayed = books.replay()
    assert (replayed.differences, replayed.faults) == (0, [])


def test_a_closed_cycle_is_told_to_be_closed_as_of_when_it_was(books: Books) -> None:
    open_at = books.position
    closed_at = books.handle(close())["position"]
    books.handle(reopen())
    states = [books.status(1, **at)["cycle"]["state"] for at in ({"as_of": open_at}, {"as_of": closed_at}, {})]
    assert states == ["ended", "closed", "ended"]
    assert [c["state"] for c in books.cycles(as_of=closed_at)] == ["closed", "open"]


# -- the command line -----------------------------------------------------------------------------------------------


def test_a_month_closed_rolled_over_reopened_corrected_and_closed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def m(code: int, *words: str) -> tuple[str, str]:
        capsys.readouterr()
        assert run(["--books", str(tmp_path / "books.db"), "budget", *words]) == code
        told = capsys.readouterr()
        return told.out, told.err

    def said(name: str, kind: str, amount: str, at: str = "2025-09-30") -> None:
        words = ["--name", name, "--type", kind, "--amount", amount, "--measured-at", at]
        m(0, "add-source", "--cycle", "1", *words)

    m(0, "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "30")
    said("meter", "realtime", "5.40")
    said("console", "manual", "5.42")
    assert m(3, "cycle", "close", "--cycle", "1") == (
        "",
        "refused: cycle 1 cannot be closed yet: $0.02 are unexplained; settle that first, or say with --accept "
        "and a --reason why it may stay so\n",
    )
    assert m(0, "cycle", "close", "--cycle", "1", "--accept", "--reason", "two cents") == (
        "cycle 1 is closed: 5.42 spent, 24.58 left, EXCELLENT\naccepted: $0.02 are unexplained\n",
        "",
    )
    out, _ = m(
        0,
        *["cycle", "create", "--start", "2025-10-01", "--end", "2025-10-31", "--target", "10", "--roll-over-from", "1"],
    )
    assert out == "cycle 2 is open: 34.58 from 2025-10-01 to 2025-10-31, with the 24.58 left of cycle 1\n"
    assert m(3, "add-source", "--cycle", "1", "--name", "meter", "--amount", "6")[1].startswith(
        "refused: cycle 1 was closed at "
    )
    out, err = m(0, "cycle", "reopen", "--cycle", "1", "--reason", "a late bill")
    assert out.startswith("cycle 1 is open again\n")
    assert "what cycle 2 got of it follows once it is closed again" in err
    said("meter", "realtime", "6", "2025-10-01")
    said("console", "manual", "6", "2025-10-01")
    assert m(0, "cycle", "close", "--cycle", "1")[0] == "cycle 1 is closed: 6.00 spent, 24.00 left, EXCELLENT\n"
    assert "take the difference over with `mecris budget cycle adjust --cycle 2" in m(0, "status", "--cycle", "2")[1]
    out, _ = m(0, "cycle", "adjust", "--cycle", "2", "--from-roll-over", "1")
    assert out.startswith("adjustment 2: -0.58 left of cycle 1, the budget is 34.00 now\n")
    out, _ = m(0, "cycle", "adjust", "--cycle", "2", "--from-roll-over", "1")
    assert out.startswith("nothing of cycle 1 is left to carry over: the budget stays as it is\n")
    assert "closed" in m(0, "cycle", "list")[0]
    assert m(0, "cycle", "adjustments", "--cycle", "2")[0].count("what was left of cycle 1") == 2
    m(2, "cycle", "adjust", "--cycle", "2")
    m(2, "cycle", "adjust", "--cycle", "2", "--amount", "1")
    capsys.readouterr()
    assert run(["--books", str(tmp_path / "books.db"), "audit", "log", "--cycle", "1"]) == 0
    log = re.findall(r"\S+\.v\d", capsys.readouterr().out)
    assert [name for name in log if name.startswith(("cycle-cl", "cycle-re", "rem"))] == [
        "cycle-reconciled.v1",
        "cycle-closed.v1",
        "remainder-carried.v1",
        "cycle-reopened.v1",
        "cycle-reconciled.v1",
        "cycle-closed.v1",
        "remainder-carried.v1",
    ]


def test_a_closed_cycle_says_when_it_was_closed_by_whom_and_who_got_the_rest(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.handle(c.RecordSource(cycle_id=1, source="x", type="realtime", provider="x", amount=1))
    position = books.position
    books.handle(close(accept=True, reason="fine"))
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0, roll_over_from=1))
    cycle = books.status(1)["cycle"]
    assert (cycle["closed"]["by"], cycle["closed"]["reason"], cycle["rolled_over_to"]) == ("ada", "fine", 3)
    before = books.status(1, as_of=position)["cycle"]
    assert (before["closed"], before["rolled_over_to"]) == (None, None)
    assert run(["--books", str(books.file.where), "budget", "status", "--cycle", "1"]) == 0
    assert " by ada, what is left went to cycle 3; accepted (fine): " in capsys.readouterr().out
    assert run(["--books", str(books.file.where), "budget", "alert", "--cycle", "1", "--threshold", "1"]) == 0
    assert capsys.readouterr().out.endswith("; closed, so nobody is told\n")
