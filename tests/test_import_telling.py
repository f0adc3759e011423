"""Cycles are told what was imported: each its own days, once, also when it is opened later."""

from decimal import Decimal
from pathlib import Path

from clocks import Clock
from exports import NOW, Put, cost_report, csv, readings, september

from mecris.books import Books
from mecris.domain import commands as c


def test_days_outside_the_cycle_are_left_out_and_counted(books: Books, put: Put) -> None:
    content = csv(
        "2025-08-31,5,a,groq,export,realtime",
        "2025-09-01,1,b,groq,export,realtime",
        "2025-10-01,7,c,groq,export,realtime",
    )
    answer = books.import_file(put("x.csv", content))
    assert [r[2] for r in readings(books)] == ["1"]
    told = "2 days with $12.00 in no cycle (2025-08-31 to 2025-10-01): a cycle that is opened for them counts them"
    assert told in answer["remarks"]
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=1))
    assert books.status(2)["totals"]["realtime_usd"] == 7, "counted when its cycle is opened"
    only = books.import_file(put("y.csv", content.replace(b"export", b"other")), cycle_id=1)
    assert "2 days with $12.00 outside cycle 1: left out of it" in only["remarks"]


def test_all_days_outside_is_said_too(books: Books, put: Put) -> None:
    answer = books.import_file(put("a.csv", csv("2025-08-01,5,a,groq,export,realtime")))
    assert answer["readings"] == 0
    assert (
        "1 day with $5.00 in no cycle (2025-08-01 to 2025-08-01): a cycle that is opened for them counts them"
        in answer["remarks"]
    )


def test_days_to_come_are_told_by_their_money(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    answer = books.import_file(put("a.csv", csv("2025-10-20,4,a,groq,export,realtime")))
    assert answer["remarks"] == ["$4.00 of days that have not come yet: import the file again when they have"]


def test_money_across_the_edge_of_cycles_is_told_by_its_amount(tmp_path: Path, put: Put) -> None:
    with Books.open(tmp_path / "zone.db", clock=Clock(NOW)) as books:
        for first, last in (("2025-08-01", "2025-08-31"), ("2025-09-01", "2025-09-30")):
            books.handle(c.OpenCycle(start_date=first, end_date=last, target_usd=1, timezone="America/New_York"))
        rows = (
            "2025-08-31,1,a,groq,export,realtime",
            "2025-09-01,50,b,groq,export,realtime",
            "2025-09-02,4,c,groq,export,realtime",
        )
        answer = books.import_file(put("x.csv", csv(*rows)))
        assert answer["remarks"] == [
            "$50.00 of 2025-09-01T00:00:00Z to 2025-09-01T23:59:59.999999Z in no cycle: that lies across the edge of one, "
            "whose days may be those of another time zone"
        ]
        assert [books.status(n)["totals"]["realtime_usd"] for n in (1, 2)] == [1, 4]


def test_each_cycle_gets_its_own_part(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    content = csv("2025-09-30,1,b,groq,export,realtime", "2025-10-01,7,c,groq,export,realtime")
    assert books.import_file(put("x.csv", content))["cycles"] == [1, 2]
    assert [books.status(n)["totals"]["realtime_usd"] for n in (1, 2)] == [1, 7]
    assert books.import_file(put("y.csv", content + b"\n"), cycle_id=2)["cycles"] == []


def test_a_line_that_moves_to_another_day_counts_there_alone(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    books.import_file(put("a.csv", csv("2025-10-01,5,a,groq,export,realtime"), "2025-10-02T00:00:00Z"))
    books.import_file(put("b.csv", csv("2025-09-30,5,a,groq,export,realtime"), "2025-10-03T00:00:00Z"))
    assert [books.status(n)["totals"]["realtime_usd"] for n in (1, 2)] == [5, 0]


def test_a_report_feeds_the_cycles_that_any_of_its_files_was_imported_for(tmp_path: Path, put: Put) -> None:
    for number, (cycles, fed) in enumerate([([2], {2}), ([1, 2], {1, 2}), ([2, None], {1, 2})]):
        files = [(put(f"{n}.json", cost_report({n: "100"})), cycle) for n, cycle in enumerate(cycles, 1)]
        for name, order in (("this", files), ("other", files[::-1])):
            books = september(tmp_path / f"{number}-{name}.db")
            books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
            for path, cycle in order:
                books.import_file(path, cycle_id=cycle)
            told = {cycle: books.status(cycle)["totals"]["realtime_usd"] for cycle in (1, 2)}
            assert told == {cycle: len(files) if cycle in fed else 0 for cycle in (1, 2)}


def test_a_file_is_imported_for_another_cycle_too_and_that_is_noted_once(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
    path = put("a.json", cost_report({1: "100"}))
    assert [books.import_file(path, cycle_id=cycle)["cycles"] for cycle in (1, 2)] == [[1], [2]]
    before = books.position
    assert [books.import_file(path, cycle_id=cycle)["recorded"] for cycle in (1, 2)] == [False, False]
    assert books.position == before


def test_a_cycle_that_is_opened_later_is_told_what_was_imported_before(books: Books, put: Put) -> None:
    path = put("x.csv", csv("2025-10-01,7,c,groq,export,realtime"), "2025-10-03T00:00:00Z")
    assert books.import_file(path)["cycles"] == []
    order = c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10)
    answer = books.handle(order, idempotency_key="october")
    assert answer["imported_readings"] == 1
    assert books.status(2)["totals"]["realtime_usd"] == 7
    before = books.position
    assert books.handle(order, idempotency_key="october").replayed
    assert books.import_file(path)["recorded"] is False
    assert books.position == before
    november = c.OpenCycle(start_date="2025-11-01", end_date="2025-11-30", target_usd=10)
    assert all("imported_readings" not in told for told in books.handle_all([november, november]))


def test_a_cycle_is_opened_also_where_what_was_imported_before_cannot_be_told(books: Books, put: Put) -> None:
    by_hand = c.RecordSource(cycle_id=1, source="anthropic cost report", type="realtime", provider="claude", amount=3)
    books.handle(by_hand)
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="x"))
    answer = books.import_file(put("a.json", cost_report({1: "100"})))
    assert (answer["readings"], answer["remarks"][-1]) == (
        0,
        "cycle 1 is closed and was not told: reopen it, and it will be",
    )
    books.import_file(put("b.csv", csv("2025-10-01,7,c,groq,export,realtime")))
    october = books.handle(
        c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10), recorded_by="bob"
    )
    assert (october["imported_readings"], "warnings" in october) == (1, False), (
        "what is wrong in another cycle is no matter here"
    )
    assert {e["recorded_by"] for e in books.log(2)} == {"bob"}
    (told,) = books.handle(c.ReopenCycle(cycle_id=1, reason="x"))["warnings"]
    assert told.startswith(
        "of 'realtime/claude//anthropic cost report', which was imported before: cycle 1 has a source"
    )
    assert books.replay().differences == 0


def test_a_closed_cycle_is_not_told_and_that_is_said(books: Books, put: Put) -> None:
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="x"))
    answer = books.import_file(put("a.json", cost_report({1: "100"})))
    assert answer["remarks"][-1] == "cycle 1 is closed and was not told: reopen it, and it will be"
    assert books.handle(c.ReopenCycle(cycle_id=1, reason="x"))["imported_readings"] == 1
    assert books.status(1)["totals"]["realtime_usd"] == 1


def test_cycles_that_were_not_told_are_told_by_the_next_import_of_the_report(books: Books, put: Put) -> None:
    one, other = put("a.json", cost_report({1: "100"})), put("b.json", cost_report({2: "50"}), "2025-10-02T00:00:00Z")
    assert books.import_file(one, tell=False)["readings"] == 0
    assert (len(books.evidence()), readings(books)) == (1, []), "an import that was broken off here has the file"
    again = books.import_file(one)
    assert (again["recorded"], again["readings"], again["new"]) == (True, 1, 0)
    books.import_file(other, tell=False)
    told = books.tell_cycles(again["report"])
    assert (told["readings"], told["cycles"], told["report_usd"]) == (1, [1], Decimal("1.5"))
    before = books.position
    assert books.tell_cycles(again["report"])["readings"] == 0
    assert books.position == before
