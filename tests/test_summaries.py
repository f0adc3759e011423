"""Summaries: what is left in one line, what to do about it, and cycles and counters together."""

from decimal import Decimal
from pathlib import Path

import pytest
from clocks import Clock
from looks import clock_of_september, looked, metered, on, ten_days_of_september  # noqa: F401  # fixtures too

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c

# -- one line ------------------------------------------------------------------------------------------------------


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


# -- cycles and counters together ----------------------------------------------------------------------------------


def test_cycles_and_counters_together_count_nothing_twice(books: Books, clock: Clock) -> None:
    metered(books, "5", "11")
    books.handle(c.OpenCycle(start_date="2025-09-05", end_date="2025-10-04", target_usd=10))
    books.handle(
        c.RecordSource(cycle_id=2, source="other", type="manual", provider="claude", amount=1, measured_at=on("11"))
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
    books.handle(c.ReadOdometer(provider="groq", amount_usd="0.50", read_at=on("09")))
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


# -- what is recommended -------------------------------------------------------------------------------------------


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
