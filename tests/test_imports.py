"""Imports: files become readings exactly once, whatever order they come in, and nothing is silently skipped."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from exports import (
    NOW,
    Put,
    both_ways,
    claude_line,
    cost_report,
    csv,
    jsonl,
    page,
    putting,
    readings,
    september,
)

from mecris.books import Books, importing
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, PayloadRefused, RuleRefused, TimeRefused, Unavailable


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Books with September open."""
    return september(tmp_path / "books.db")


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file that was exported at some time."""
    return putting(tmp_path)


# -- what an import means ----------------------------------------------------------------------------------------


def test_a_report_becomes_one_cumulative_reading_for_each_bucket_end(books: Books, put: Put) -> None:
    answer = books.import_file(put("cost.json", cost_report({1: "100", 2: "50", 4: "25"})))
    assert readings(books) == [
        ("anthropic cost report", "2025-09-01T23:59:59.999999Z", "1"),
        ("anthropic cost report", "2025-09-02T23:59:59.999999Z", "1.5"),
        ("anthropic cost report", "2025-09-04T23:59:59.999999Z", "1.75"),
    ]
    assert (answer["new"], answer["readings"], answer["cycles"]) == (3, 3, [1])
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.75")
    early = books.status(1, measured_by="2025-09-02")["totals"]["realtime_usd"]
    assert early == Decimal("1.5"), "any moment has its counterpart"


def test_the_same_file_again_records_nothing(books: Books, put: Put) -> None:
    path = put("cost.json", cost_report({1: "100"}))
    books.import_file(path)
    before = books.position
    again = books.import_file(path)
    earlier = books.import_file(put("other-name.json", cost_report({1: "100"}), "2025-09-30T00:00:00Z"))
    assert (again["recorded"], earlier["recorded"], books.position) == (False, False, before)


def test_the_same_bytes_under_a_later_time_are_a_later_statement_and_that_is_noted_once(books: Books, put: Put) -> None:
    one, other = cost_report({1: "100"}), cost_report({1: "200"})
    books.import_file(put("a.json", one, "2025-10-01T00:00:00Z"))
    books.import_file(put("b.json", other, "2025-10-02T00:00:00Z"))
    again = books.import_file(put("a.json", one, "2025-10-03T00:00:00Z"))
    assert (again["recorded"], again["restated"]) == (True, 1)
    assert books.status(1)["totals"]["realtime_usd"] == 1
    before = books.position
    for exported in ("2025-10-01T00:00:00Z", "2025-10-02T12:00:00Z", "2025-10-03T00:00:00Z"):
        assert books.import_file(put("a.json", one, exported))["recorded"] is False
    assert books.position == before
    assert [f["exported_at"] for f in books.evidence()] == ["2025-10-03T00:00:00Z", "2025-10-02T00:00:00Z"]


def test_the_same_bytes_can_be_read_as_another_format(books: Books, put: Put) -> None:
    entry = put("entry.json", b'{"display_html": "<b>$5.42 USD</b>", "extracted_usd": 5.42}', "2025-09-10T09:00:00Z")
    wrong = books.import_file(entry, provider="claude", format="dashboard")
    assert (wrong["readings"], wrong["unreadable"]) == (1, 0)
    right = books.import_file(entry, provider="claude")
    assert (right["recorded"], right["report"]) == (True, wrong["report"]), "it is on record as of both formats"
    assert [f["format"] for f in books.evidence()] == ["dashboard", "payload"]
    assert books.import_file(entry, provider="claude")["recorded"] is False


# -- figures -----------------------------------------------------------------------------------------------------


def test_a_figure_is_counted_before_sums_of_lines_and_estimates_whichever_came_first(tmp_path: Path, put: Put) -> None:
    bill = put("bill.csv", csv("2025-09-01,5.5,a,claude,bill,manual"))
    seen = put("page.html", page("5.42"), "2025-09-10T09:00:00Z")
    for books in both_ways(tmp_path, [(bill, {}), (seen, {"provider": "claude"})]):
        told = {(s["name"], s["counted"], str(s["amount_usd"])) for s in books.sources(1)}
        assert told == {("claude dashboard", True, "5.42"), ("bill", False, "5.5")}
        assert books.status(1)["totals"]["manual_usd"] == Decimal("5.42")
        assert books.replay().differences == 0


def test_of_two_figures_of_one_moment_the_later_export_is_right_whichever_came_first(tmp_path: Path, put: Put) -> None:
    def api(usd: str, exported: str) -> Path:
        said = {"project_id": "p", "spent_usd": float(usd), "timestamp": "2025-09-10T09:00:00Z"}
        return put(f"{usd}.json", json.dumps(said).encode(), exported)

    for number, (earlier, later) in enumerate([("0.85", "0.8"), ("0.8", "0.85")]):
        (tmp_path / str(number)).mkdir()
        files = [(api(earlier, "2025-09-11T00:00:00Z"), {}), (api(later, "2025-09-12T00:00:00Z"), {})]
        for books in both_ways(tmp_path / str(number), files):
            assert readings(books) == [("groq api", "2025-09-10T09:00:00Z", later)]


def test_of_two_figures_saved_at_the_same_moment_one_is_right_whichever_came_first(tmp_path: Path, put: Put) -> None:
    files = [
        (put(f"{usd}.html", page(usd), "2025-09-10T09:00:00Z"), {"provider": "claude"}) for usd in ("5.42", "5.40")
    ]
    one, other = (readings(books) for books in both_ways(tmp_path, files))
    assert one == other
    assert len(one) == 1


def test_a_figure_that_no_cycle_would_take_is_refused_whichever_came_first(tmp_path: Path, put: Put) -> None:
    for number, (name, bad) in enumerate(
        [
            ("negative.html", page("5.42").replace(b"$", b"-$")),
            ("more.json", b'{"data": {"total_credits": 1, "total_usage": -2}}'),
        ]
    ):
        books = september(tmp_path / f"{number}.db")
        for usd in ("5.42", "5.43", "5.44"):
            books.import_file(put(f"{usd}.html", page(usd), "2025-09-10T09:00:00Z"), provider="claude")
            before = books.position
            with pytest.raises(MecrisError):
                books.import_file(put(name, bad, "2025-09-10T09:00:00Z"), provider="claude")
            assert books.position == before


def test_a_balance_stays_a_balance_of_its_credit(books: Books, put: Put) -> None:
    books.import_file(
        put("credits.json", b'{"data": {"total_credits": 25, "total_usage": 5.5}}', "2025-09-10T09:00:00Z")
    )
    (recorded,) = [e for e in books.log() if e["event"] == "source-recorded.v1"]
    assert (recorded["balance_usd"], recorded["credit_usd"]) == (Decimal("19.5"), 25)
    assert books.status(1)["totals"]["manual_usd"] == Decimal("5.5")


def test_a_page_joins_what_a_person_recorded_under_its_name_and_retracts_nothing_of_it(books: Books, put: Put) -> None:
    by_hand = {"cycle_id": 1, "source": "claude dashboard", "type": "manual", "provider": "claude", "counted": False}
    books.handle(c.RecordSource(**by_hand, amount=5, measured_at="2025-09-09T09:00:00Z"))
    for usd, exported in (
        ("5.42", "2025-09-10T09:00:00Z"),
        ("5.40", "2025-09-10T09:00:00Z"),
        ("6", "2025-09-11T09:00:00Z"),
    ):
        books.import_file(put(f"{usd}.html", page(usd), exported), provider="claude")
    assert [r[1] for r in readings(books)] == [f"2025-09-{day}T09:00:00Z" for day in ("09", "10", "11")]
    (source,) = books.sources(1)
    assert (source["counted"], source["amount_usd"]) == (False, 6)


def test_a_meter_that_a_person_named_comes_before_figures_too(books: Books, put: Put) -> None:
    books.import_file(put("page.html", page("5.42"), "2025-09-10T09:00:00Z"), provider="claude")
    books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", provider="claude", amount=5))
    books.import_file(put("later.html", page("5.50"), "2025-09-11T09:00:00Z"), provider="claude")
    assert {(s["name"], s["counted"]) for s in books.sources(1)} == {("console", True), ("claude dashboard", False)}


def test_what_a_person_took_back_is_not_said_again(books: Books, put: Put) -> None:
    seen = put("page.html", page("5.42"), "2025-09-10T09:00:00Z")
    books.import_file(seen, provider="claude")
    books.handle(c.RetractReading(cycle_id=1, reading=1, reason="the page of another account"))
    assert books.import_file(seen, provider="claude")["recorded"] is False
    books.import_file(put("later.html", page("6"), "2025-09-11T09:00:00Z"), provider="claude")
    assert readings(books) == [("claude dashboard", "2025-09-11T09:00:00Z", "6")]


def test_a_page_that_is_saved_again_is_seen_again(books: Books, put: Put) -> None:
    for exported in ("2025-09-10T09:00:00Z", "2025-09-12T09:00:00Z", "2025-09-11T09:00:00Z", "2025-09-12T09:00:00Z"):
        books.import_file(put("page.html", page("5.42"), exported), provider="claude")
    assert [r[1] for r in readings(books)] == [f"2025-09-{day}T09:00:00Z" for day in (10, 11, 12)]
    assert len([e for e in books.log() if e["event"] == "figures-imported.v1"]) == 3


def test_overlapping_exports_count_each_line_once(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "50"})))
    answer = books.import_file(put("b.json", cost_report({2: "50", 3: "25"}), "2025-10-02T00:00:00Z"))
    assert (answer["new"], answer["restated"], answer["readings"]) == (1, 0, 1)
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.75")


def test_a_restated_bucket_supersedes_the_old_one_and_leaves_a_trace_of_the_difference(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "50"})))
    answer = books.import_file(put("b.json", cost_report({1: "110"}), "2025-10-02T00:00:00Z"))
    assert (answer["restated"], answer["readings"], answer["retracted"]) == (1, 2, 2)
    assert [r[2] for r in readings(books)] == ["1.1", "1.6"]
    (trace,) = [e for e in books.log() if e["event"] == "lines-imported.v1"][1:]
    (line,) = trace["restated"]
    assert (line[4], line[12]) == ("1.1", "1"), "what it costs now, and what it cost before"
    retracted = [e for e in books.log() if e["event"] == "reading-retracted.v1"]
    assert len(retracted) == 2
    assert all(e["reason"].startswith("the report says otherwise by now") for e in retracted)


def test_an_older_export_that_comes_late_changes_nothing(books: Books, put: Put) -> None:
    books.import_file(put("new.json", cost_report({1: "110"}), "2025-10-02T00:00:00Z"))
    answer = books.import_file(put("old.json", cost_report({1: "100"}), "2025-10-01T00:00:00Z"))
    assert answer["restated"] == 0
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.1")
    said = books.import_file(put("said.json", cost_report({1: "90"})), exported_at=datetime(2025, 10, 3, tzinfo=UTC))
    assert said["restated"] == 1


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


def test_each_cycle_gets_its_own_part(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    content = csv("2025-09-30,1,b,groq,export,realtime", "2025-10-01,7,c,groq,export,realtime")
    assert books.import_file(put("x.csv", content))["cycles"] == [1, 2]
    assert [books.status(n)["totals"]["realtime_usd"] for n in (1, 2)] == [1, 7]
    assert books.import_file(put("y.csv", content + b"\n"), cycle_id=2)["cycles"] == []


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


def test_a_bucket_that_is_not_over_is_measured_when_it_was_exported(books: Books, put: Put) -> None:
    books.import_file(put("x.json", cost_report({29: "100", 30: "50"}), "2025-09-30T10:00:00Z"))
    assert [r[1] for r in readings(books)] == ["2025-09-29T23:59:59.999999Z", "2025-09-30T10:00:00Z"]
    books.import_file(put("y.json", cost_report({30: "80"}), "2025-10-01T10:00:00Z"))
    assert [r[1:] for r in readings(books)] == [
        ("2025-09-29T23:59:59.999999Z", "1"),
        ("2025-09-30T23:59:59.999999Z", "1.8"),
    ]


def test_an_estimate_beside_the_report_of_the_provider_is_compared_only_whichever_came_first(
    books: Books, put: Put, tmp_path: Path
) -> None:
    ccusage = json.dumps(
        {"daily": [{"date": "2025-09-01", "totalCost": 0.9, "modelBreakdowns": []}], "totals": {}}
    ).encode()
    files = [put("c.json", ccusage), put("a.json", cost_report({1: "100"}))]
    other = september(tmp_path / "other.db")
    for one in files:
        books.import_file(one)
    for one in reversed(files):
        other.import_file(one)
    for each in (books, other):
        assert {(s["name"], s["counted"]) for s in each.sources(1)} == {
            ("anthropic cost report", True),
            ("ccusage", False),
        }
        assert each.status(1)["totals"]["realtime_usd"] == 1


def test_a_report_beside_a_meter_that_a_person_named_is_compared_only(books: Books, put: Put) -> None:
    books.handle(c.RecordSource(cycle_id=1, source="meter", type="realtime", provider="claude", amount=2))
    books.import_file(put("a.json", cost_report({1: "100"})))
    assert [(s["name"], s["counted"]) for s in books.sources(1)] == [("meter", True), ("anthropic cost report", False)]


def test_two_accounts_are_two_providers(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100"})), provider="claude:work")
    books.import_file(put("b.json", cost_report({1: "300"})), provider="claude:home")
    assert {p["provider"]: p["tracked_usd"] for p in books.status(1)["providers"]} == {
        "claude:work": 1,
        "claude:home": 3,
    }


def test_a_file_that_was_said_to_be_anothers_can_be_said_again(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100"}))
    books.import_file(path, provider="claude:wrong")
    assert books.import_file(path, provider="claude:right")["readings"] == 1
    assert {p["provider"] for p in books.status(1)["providers"]} == {"claude:wrong", "claude:right"}
    assert books.import_file(path, provider="claude:right")["recorded"] is False


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


def test_pages_of_two_providers_are_two_sources(books: Books, put: Put) -> None:
    for provider, amount in (("claude", "1"), ("groq", "2")):
        page = f"<html><p>${amount}.00 USD</p></html>".encode()
        books.import_file(put(f"{provider}.html", page, "2025-09-10T09:00:00Z"), provider=provider)
    assert {(s["name"], s["provider"]) for s in books.sources(1)} == {
        ("claude dashboard", "claude"),
        ("groq dashboard", "groq"),
    }


def test_a_closed_cycle_is_not_told_and_that_is_said(books: Books, put: Put) -> None:
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="x"))
    answer = books.import_file(put("a.json", cost_report({1: "100"})))
    assert answer["remarks"][-1] == "cycle 1 is closed and was not told: reopen it, and it will be"
    assert books.handle(c.ReopenCycle(cycle_id=1, reason="x"))["imported_readings"] == 1
    assert books.status(1)["totals"]["realtime_usd"] == 1


def test_a_look_is_one_reading_however_often_the_page_is_imported(books: Books, put: Put) -> None:
    page = put("page.html", b"<html><body><div>$5.42 USD</div></body></html>", "2025-09-10T09:05:00Z")
    assert books.import_file(page, provider="claude")["readings"] == 1
    assert books.import_file(page, provider="claude")["recorded"] is False
    (source,) = books.sources(1)
    assert (source["type"], source["measured_at"], source["amount_usd"]) == (
        "manual",
        "2025-09-10T09:05:00Z",
        Decimal("5.42"),
    )


# -- nothing silently skipped ------------------------------------------------------------------------------------


def test_a_line_that_cannot_be_read_is_kept_aside_listed_and_retried(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mecris.importers import anthropic_cost

    path = put("a.json", cost_report({1: "100", 2: "none"}))
    answer = books.import_file(path)
    assert (answer["new"], answer["unreadable"]) == (1, 1)
    (row,) = books.quarantine()
    assert (row["file"], row["line"], row["reason"]) == ("a.json", 2, "amount 'none' is no amount")
    path.unlink()  # what is kept is enough
    read = anthropic_cost.read

    def newer(file: Any) -> Any:
        return (item for item in read(type(file).of(file.text.replace('"none"', '"7"').encode())))

    monkeypatch.setattr(anthropic_cost, "read", newer)
    monkeypatch.setattr(anthropic_cost, "VERSION", 2)
    (again,) = books.retry_quarantine()
    assert (again["new"], again["unreadable"], books.quarantine()) == (1, 0, [])
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.07")
    assert books.replay().differences == 0


def test_a_retry_that_reads_nothing_new_records_nothing(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    before = books.position
    (again,) = books.retry_quarantine()
    assert (again["recorded"], again["unreadable"], books.position) == (False, 1, before)


def test_a_page_without_the_next_one_is_said_to_be_incomplete(books: Books, put: Put) -> None:
    answer = books.import_file(put("a.json", cost_report({1: "100"}, more=True)))
    assert answer["incomplete"] is True
    assert any("there are more pages" in remark for remark in answer["remarks"])
    assert books.evidence()[0]["incomplete"] is True
    (reading,) = [e for e in books.log() if e["event"] == "source-recorded.v1"]
    assert json.loads(reading["payload"])["incomplete"] is True


def test_a_file_that_ends_in_the_middle_counts_as_far_as_it_goes(books: Books, put: Put) -> None:
    content = jsonl(claude_line("m1", 10)) + json.dumps(claude_line("m2", 20)).encode()[:-30]
    answer = books.import_file(put("log.jsonl", content))
    assert (answer["new"], answer["unreadable"]) == (1, 1)
    assert answer["quarantine"][0]["line"] == 2


def test_a_dry_run_says_what_would_be_recorded_and_records_nothing(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100", 2: "50"}))
    before = books.position
    dry = books.import_file(path, dry_run=True)
    assert (books.position, books.evidence(), books.sources(1)) == (before, [], [])
    wet = books.import_file(path)
    assert {n: v for n, v in dry.items() if n != "position"} == {n: v for n, v in wet.items() if n != "position"}


def test_the_file_itself_is_kept_to_the_byte(books: Books, put: Put) -> None:
    import zlib

    content = cost_report({1: "100"}) + b"\n" * 100_000
    answer = books.import_file(put("a.json", content))
    with books.file.reading() as connection:
        parts = connection.execute("SELECT content FROM evidence WHERE sha256 = ? ORDER BY part", (answer["sha256"],))
        assert zlib.decompress(b"".join(part for (part,) in parts)) == content


def test_a_file_of_no_format_is_refused_and_leaves_nothing(books: Books, put: Put) -> None:
    before = books.position
    with pytest.raises(PayloadRefused, match="is of no format that is known"):
        books.import_file(put("x.bin", b"\x00\x01\x02"))
    with pytest.raises(Unavailable, match="cannot be read"):
        books.import_file(put("a", b"").parent)
    with pytest.raises(Unavailable, match="cannot be read"):
        books.import_file("nowhere.json")
    with pytest.raises(RuleRefused, match="falls in no cycle"):
        books.import_file(put("p.html", b"<html><p>$1 USD</p></html>", "2025-10-03T00:00:00Z"))
    assert (books.position, books.evidence()) == (before, [])


def test_an_import_that_fails_on_the_way_leaves_nothing_of_itself(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:

    before = books.position
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):  # noqa: PT012
        patch.setattr(importing, "tell_cycles", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        books.import_file(put("a.json", cost_report({1: "100"})))
    assert (books.position, books.evidence(), books.sources(1)) == (before, [], [])
    assert books.import_file(put("a.json", cost_report({1: "100"})))["readings"] == 1
    assert books.replay().differences == 0


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


def test_what_was_imported_replays_and_is_asked_as_of(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    first = books.position
    books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10))))
    assert [f["file"] for f in books.evidence()] == ["a.json", "log.jsonl"]
    assert [f["file"] for f in books.evidence(as_of=first)] == ["a.json"]
    assert books.replay().differences == 0
    assert books.verify().faults == []


# -- what must not happen ----------------------------------------------------------------------------------------


def test_a_source_of_somebody_else_is_never_retracted(books: Books, put: Put) -> None:
    books.handle(c.RecordSource(cycle_id=1, source="export", type="manual", provider="claude", amount=40))
    before = books.position
    with pytest.raises(RuleRefused) as refused:
        books.import_file(put("x.csv", csv("2025-09-01,5,a,groq,export,realtime")))
    assert (refused.value.code, books.position) == ("source-taken", before)
    books.import_file(put("y.csv", csv("2025-09-01,5,a,groq,meter,realtime")))
    with pytest.raises(RuleRefused, match="has a source 'meter' that is not of this report"):
        books.import_file(put("z.csv", csv("2025-09-01,3,a,openai,meter,realtime")))
    assert readings(books)[0][2] == "40"
    assert [s["amount_usd"] for s in books.sources(1)] == [40, 5]


def test_a_line_that_moves_to_another_day_counts_there_alone(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    books.import_file(put("a.csv", csv("2025-10-01,5,a,groq,export,realtime"), "2025-10-02T00:00:00Z"))
    books.import_file(put("b.csv", csv("2025-09-30,5,a,groq,export,realtime"), "2025-10-03T00:00:00Z"))
    assert [books.status(n)["totals"]["realtime_usd"] for n in (1, 2)] == [5, 0]


def test_credits_that_exceed_the_spend_are_nothing_spent_and_that_is_said(books: Books, put: Put) -> None:
    rows = csv("2025-09-01,5,a,groq,export,realtime", "2025-09-02,-7,b,groq,export,realtime")
    answer = books.import_file(put("a.csv", rows))
    assert [r[2] for r in readings(books)] == ["5", "0"]
    assert any("credits exceed what was spent" in remark for remark in answer["remarks"])
    assert answer["report_usd"] == -2


def test_a_retry_keeps_whose_the_file_was_and_the_cycle_it_was_for(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})), provider="claude:work", cycle_id=2)
    before = books.status(1)["totals"], books.status(2)["totals"]
    books.retry_quarantine()
    assert (books.status(1)["totals"], books.status(2)["totals"]) == before
    assert {p["provider"] for p in books.status(2)["providers"]} == {"claude:work"}


def test_what_no_text_can_hold_is_set_aside_and_the_rest_counts(books: Books, put: Put) -> None:
    log = jsonl(claude_line("m\ud800", 10), claude_line(" m2 ", 20), claude_line("m3", 30, session="s\ud800"))
    answer = books.import_file(put("log.jsonl", log))
    assert answer["new"] + answer["unreadable"] == 3
    assert answer["unreadable"] >= 2
    assert books.verify().faults == []
    wrong = json.loads(cost_report({1: "100"}, description="\ud800"))
    assert books.import_file(put("c.json", json.dumps(wrong).encode()))["unreadable"] == 1


def test_a_day_beyond_all_calendars_is_set_aside(books: Books, put: Put) -> None:
    answer = books.import_file(
        put("a.csv", csv("9999-12-31,5,a,groq,export,realtime", "2025-09-01,1,b,groq,export,realtime"))
    )
    assert (answer["new"], answer["unreadable"]) == (1, 1)


def test_a_cycle_that_is_not_there_is_refused_before_anything_is_recorded(books: Books, put: Put) -> None:
    before = books.position
    with pytest.raises(MecrisError, match="there is no cycle 99"):
        books.import_file(put("a.json", cost_report({1: "100"})), cycle_id=99)
    assert books.position == before


def test_all_days_outside_is_said_too(books: Books, put: Put) -> None:
    answer = books.import_file(put("a.csv", csv("2025-08-01,5,a,groq,export,realtime")))
    assert answer["readings"] == 0
    assert (
        "1 day with $5.00 in no cycle (2025-08-01 to 2025-08-01): a cycle that is opened for them counts them"
        in answer["remarks"]
    )


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


@pytest.mark.parametrize(
    "format", ["anthropic-cost", "anthropic-usage", "openai-costs", "openai-usage", "openrouter-activity"]
)
@pytest.mark.parametrize(
    "content", [b"", b"not json at all", cost_report({1: "100", 2: "50"})[:-40].replace(b", ", b",\n"), b"[]"]
)
def test_half_a_file_is_refused_also_where_its_format_is_said(
    books: Books, put: Put, format: str, content: bytes
) -> None:
    with pytest.raises(PayloadRefused):
        books.import_file(put("half.json", content), format=format)
    assert books.evidence() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x is empty: export it again"),
        (cost_report({1: "100"})[:-9], "x begins like JSON and is none (this is not JSON: "),
        (b"hello", "x is of no format that is known: say which with --format, of claude-code, "),
        (b'{"a": 1}', "x is of no format that is known"),
    ],
)
def test_a_file_that_nobody_knows_is_told_what_is_wrong_with_it(
    books: Books, put: Put, content: bytes, said: str
) -> None:
    with pytest.raises(PayloadRefused) as refused:
        books.import_file(put("x", content))
    assert refused.value.message.startswith(said)


def test_an_export_of_the_future_is_refused(books: Books, put: Put) -> None:
    with pytest.raises(TimeRefused, match="2025-10-06T12:00:00Z has not come yet"):
        books.import_file(put("a.json", cost_report({1: "100"})), exported_at=datetime(2025, 10, 6, 12, tzinfo=UTC))
    assert books.evidence() == []


def test_lines_that_a_later_export_says_otherwise_are_counted(books: Books, put: Put) -> None:
    books.import_file(put("new.json", cost_report({1: "110", 2: "50"}), "2025-10-02T00:00:00Z"))
    answer = books.import_file(put("old.json", cost_report({1: "100", 2: "50"}), "2025-10-01T00:00:00Z"))
    assert "1 line says otherwise than a better or later copy, which stands" in answer["remarks"]


def test_a_file_that_was_not_read_to_the_last_line_says_so_each_time(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100", 2: "none"}))
    assert [books.import_file(path)[name] for name in ("recorded", "unreadable")] == [True, 1]
    assert [books.import_file(path)[name] for name in ("recorded", "unreadable")] == [False, 1]


def test_what_is_no_file_is_refused_and_not_waited_for(books: Books, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unavailable, match="is not a file"):
        books.import_file(tmp_path / "pipe")


def test_the_log_of_a_proxy_comes_after_what_the_provider_says_also_where_it_is_said_whose_it_is(
    tmp_path: Path, put: Put
) -> None:
    row = {"request_id": "1", "spend": 0.01, "startTime": "2025-09-02T10:00:00+00:00"}
    costs = {"data": [{"start_time": 1756771200, "end_time": 1756857600, "results": [{"object": "organization.costs.result", "amount": {"value": 0.3, "currency": "usd"}}]}]}  # fmt: skip
    files = [
        (put("spend.jsonl", jsonl(row)), {"provider": "openai"}),
        (put("costs.json", json.dumps(costs).encode()), {}),
    ]
    for books in both_ways(tmp_path, files):
        assert {s["name"]: s["counted"] for s in books.sources(1)} == {"openai costs": True, "litellm spend log": False}


def test_two_rows_of_a_file_that_say_two_things_under_one_id_are_not_one(books: Books, put: Put) -> None:
    rows = (
        "2025-09-01,4.20,inv-17,groq,bill,manual",
        "2025-09-01,1.30,inv-17,groq,bill,manual",
        "2025-09-01,4.20,inv-17,groq,bill,manual",
    )
    answer = books.import_file(put("a.csv", csv(*rows)))
    assert (answer["new"], answer["unreadable"], answer["report_usd"]) == (1, 1, Decimal("4.2"))
    assert "'inv-17' stands here twice and says two things" in answer["quarantine"][0]["reason"]


def test_items_that_differ_in_nothing_that_is_known_are_counted_each(books: Books, put: Put) -> None:
    item = {"date": "2025-09-01", "endpoint_id": "e", "model_permaslug": "m", "usage": 1}
    answer = books.import_file(put("a.json", json.dumps({"data": [item, item | {"usage": 2}]}).encode()))
    assert (answer["new"], answer["report_usd"]) == (2, 3)


def test_of_pages_by_line_one_that_is_cut_is_set_aside_and_the_others_count(books: Books, put: Put) -> None:
    pages = [cost_report({1: "100"}), cost_report({2: "50"}), cost_report({3: "25"})[:50]]
    answer = books.import_file(put("pages.jsonl", b"\n".join(pages)))
    assert (answer["new"], answer["unreadable"], answer["incomplete"], answer["report_usd"]) == (
        2,
        1,
        True,
        Decimal("1.5"),
    )


def test_a_log_that_ends_in_the_middle_is_incomplete(books: Books, put: Put) -> None:
    answer = books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10), claude_line("m2", 10))[:-30]))
    assert (answer["new"], answer["unreadable"], answer["incomplete"]) == (1, 1, True)


def test_days_to_come_are_told_by_their_money(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    answer = books.import_file(put("a.csv", csv("2025-10-20,4,a,groq,export,realtime")))
    assert answer["remarks"] == ["$4.00 of days that have not come yet: import the file again when they have"]


def test_what_is_long_is_cut_and_what_is_much_is_counted(books: Books, put: Put) -> None:
    row = "2025-09-01,1,{},groq,bill,manual,{}"
    header = b"date,usd,id,provider,source,type,description\n"
    content = header + "\n".join([row.format("", "x" * 4000), row.format("", "y" * 4000)]).encode()
    answer = books.import_file(put("a.csv", content))
    assert (answer["new"], answer["report_usd"]) == (2, 2)
    result = {"amount": "1", "currency": "E" * 5000}
    bucket = {"starting_at": "2025-09-01T00:00:00Z", "ending_at": "2025-09-02T00:00:00Z", "results": [result]}
    (told,) = books.import_file(put("b.json", json.dumps({"data": [bucket]}).encode()))["quarantine"]
    assert len(told["reason"]) == 400
    calls = [claude_line(f"m{n}", 1, model=f"model-{n}") for n in range(60)]
    remarks = books.import_file(put("c.jsonl", jsonl(*calls)))["remarks"]
    assert "10 more models have no price" in remarks
    assert len(remarks) < 60


@pytest.mark.parametrize("provider", ["a\nb", "x" * 300])
def test_a_provider_that_no_cycle_would_take_is_refused(books: Books, put: Put, provider: str) -> None:
    with pytest.raises(RuleRefused):
        books.import_file(put("a.json", cost_report({1: "100"})), provider=provider)
    assert books.evidence() == []


def test_a_settled_file_is_settled_as_of_then_and_stays_so_when_it_is_touched(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    digest, before = books.quarantine()[0]["sha256"], books.position
    books.settle_evidence(digest[:8], "mended")
    assert [f["settled"] for f in books.evidence(as_of=before)] == [None]
    assert [f["settled"] for f in books.evidence()] == ["mended"]
    again = books.import_file(put("a.json", cost_report({1: "100", 2: "none"}), "2025-10-04T00:00:00Z"))
    assert (again["recorded"], books.quarantine()) == (True, [])
    assert books.replay().differences == 0


def test_kept_files_are_retried_in_books_that_were_not_asked_yet(tmp_path: Path, put: Put) -> None:
    with september(tmp_path / "fresh.db") as books:
        assert books.retry_quarantine() == []
        books.import_file(put("a.json", cost_report({1: "none"})), tell=False)
        assert len(books.retry_quarantine()) == 1


def test_a_file_of_very_many_results_is_recognised_by_the_first(put: Put) -> None:
    from mecris.importers.formats import recognised
    from mecris.importers.reading import File

    content = b'{"data":[' + b",".join([b"[]"] * 50_000) + b"]}"
    looked = []
    file = File.of(content)
    found = file.json["data"]
    file.__dict__["_json"] = ({"data": _Counted(found, looked)}, None)
    assert recognised(file) == []
    assert len(looked) < 20_000, "each format looks at some of them"


class _Counted(list[Any]):
    """A list that notes each look at what is in it."""

    def __init__(self, items: list[Any], looked: list[int]) -> None:
        super().__init__(items)
        self.looked = looked

    def __iter__(self) -> Any:
        for item in super().__iter__():
            self.looked.append(1)
            yield item
