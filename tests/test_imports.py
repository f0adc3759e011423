"""Imports: files become readings and dispatches exactly once, whatever order they come in, and nothing is silently skipped."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

import pytest
from clocks import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from mecris.books import Books, importing
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, PayloadRefused, RuleRefused, Unavailable
from mecris.domain.lines import Line, better, changed_by
from mecris.domain.period import MOMENT, as_text, time_text

NOW = "2025-10-05T12:00:00Z"
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Books with September open."""
    return september(tmp_path / "books.db")


def september(path: Path) -> Books:
    books = Books.open(path, recorded_by="ada", clock=Clock(NOW))
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=100))
    return books


def cost_report(days: dict[int, str], *, more: bool = False, description: str = "tokens") -> bytes:
    """A page of Anthropic's cost report: cents by day of September."""
    data = [
        {
            "starting_at": f"2025-09-{day:02}T00:00:00Z",
            "ending_at": (datetime(2025, 9, day, tzinfo=UTC) + timedelta(days=1)).isoformat(),
            "results": [{"amount": cents, "currency": "USD", "description": description}],
        }
        for day, cents in days.items()
    ]
    return json.dumps({"data": data, "has_more": more, "next_page": "x" if more else None}).encode()


def csv(*rows: str) -> bytes:
    """Our own plain CSV."""
    return "\n".join(["date,usd,id,provider,source,type", *rows]).encode()


Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file that was exported at some time."""

    def write(name: str, content: bytes, exported: str = "2025-10-01T08:00:00Z") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        moment = datetime.fromisoformat(exported).timestamp()
        os.utime(path, (moment, moment))
        return path

    return write


def readings(books: Books) -> list[tuple[str, str, str]]:
    """What stands of every source, by time."""
    rows = [r for r in books.sources(1, history=True) if not r["retracted"]]
    return sorted((r["name"], r["measured_at"], str(r["amount_usd"])) for r in rows)


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


def page(usd: str, more: str = "") -> bytes:
    """A saved page of a dashboard."""
    return f"<html><body><div>${usd} USD</div>{more}</body></html>".encode()


def both_ways(tmp_path: Path, files: Sequence[tuple[Path, dict[str, Any]]]) -> list[Books]:
    """Books that took some files in this order, and books that took them in the other one."""
    found = []
    for name, order in (("this.db", files), ("other.db", files[::-1])):
        books = september(tmp_path / name)
        for path, how in order:
            books.import_file(path, **how)
        found.append(books)
    return found


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
    assert "2 buckets outside cycle 1: left out of it" in answer["remarks"]


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


def test_a_cycle_that_is_opened_later_is_told_when_the_file_comes_again(books: Books, put: Put) -> None:
    path = put("x.csv", csv("2025-10-01,7,c,groq,export,realtime"), "2025-10-03T00:00:00Z")
    assert books.import_file(path)["cycles"] == []
    books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=10))
    assert books.import_file(path)["cycles"] == [2]
    assert books.import_file(path)["recorded"] is False


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
    assert answer["remarks"][-1] == "cycle 1 is closed and was not told: reopen it, and import again"
    books.handle(c.ReopenCycle(cycle_id=1, reason="x"))
    assert books.import_file(put("b.json", cost_report({1: "100"})))["readings"] == 1


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


# -- usage -------------------------------------------------------------------------------------------------------


def claude_line(
    id: str, output: int, at: str = "2025-09-10T10:00:00Z", session: str = "s1", **more: Any
) -> dict[str, Any]:
    """A line of a session log."""
    usage = {
        "input_tokens": 1000,
        "output_tokens": output,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
    }
    message = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": more.pop("model", "claude-opus-4-6"),
        "usage": usage,
    }
    return {"type": "assistant", "uuid": f"u{id}{output}", "sessionId": session, "timestamp": at, "requestId": f"r{id}", "message": message, **more}  # fmt: skip


def jsonl(*lines: Any) -> bytes:
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


def test_a_session_log_becomes_dispatches_and_an_estimate_that_says_so(books: Books, put: Put) -> None:
    log = jsonl(claude_line("m1", 10), claude_line("m1", 200), claude_line("m2", 300))
    answer = books.import_file(put("log.jsonl", log))
    assert (answer["new"], answer["dispatches"], answer["readings"]) == (2, 2, 1)
    assert (
        books.run(
            "claude-code s1" if "claude-code s1" in [r["run_id"] for r in books.runs()] else books.runs()[0]["run_id"]
        )["reported_out"]
        == 500
    )
    (imported,) = [e for e in books.log() if e["event"] == "lines-imported.v1"]
    assert imported["estimate"] is True
    assert imported["prices"].startswith("genai-prices ")
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("0.0225"), "2,000 in at $5, 500 out at $25 a million"


def test_a_call_that_stands_in_two_sessions_counts_once(books: Books, put: Put) -> None:
    books.import_file(put("b.jsonl", jsonl(claude_line("m1", 200, session="s2"))))
    books.import_file(put("a.jsonl", jsonl(claude_line("m1", 200, session="s1"))))
    assert sum(run["reported_out"] for run in books.runs()) == 200


@pytest.mark.parametrize("timezone", ["Asia/Kathmandu", "America/Los_Angeles", "UTC"])
def test_calls_count_on_the_days_of_the_cycle_in_its_own_zone(tmp_path: Path, put: Put, timezone: str) -> None:
    from mecris.domain.period import Period

    with Books.open(tmp_path / "zone.db", recorded_by="ada", clock=Clock(NOW)) as books:
        books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-02", target_usd=1, timezone=timezone))
        days = Period(date(2025, 9, 1), date(2025, 9, 2), timezone)
        edges = [days.begins - MOMENT, days.begins, days.midnight(date(2025, 9, 2)), days.ends, days.ends + MOMENT]
        calls = [claude_line(f"m{n}", 200, at=as_text(at)) for n, at in enumerate(edges)]
        answer = books.import_file(put("log.jsonl", jsonl(*calls)))
        assert readings(books) == [
            ("claude code", time_text(days.midnight(date(2025, 9, 2)) - MOMENT), "0.01"),
            ("claude code", time_text(days.ends), "0.03"),
        ]
        assert "2 buckets outside cycle 1: left out of it" in answer["remarks"]


def test_a_call_of_two_sessions_leaves_the_same_runs_whichever_came_first(tmp_path: Path, put: Put) -> None:
    logs = [(put(f"{s}.jsonl", jsonl(claude_line("m1", 200, session=s))), {}) for s in ("s1", "s2")]
    for books in both_ways(tmp_path, logs):
        told = sorted((r["run_id"], r["dispatches"], r["reported_out"]) for r in books.runs())
        assert told == [("claude-code s1", 1, 200), ("claude-code s2", 1, 0)]


def test_a_copied_call_is_priced_at_the_time_of_the_first_copy() -> None:
    first, second = datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 5, tzinfo=UTC)
    copies = [Line("a", rank, at, at, None, "r", "m", 1) for rank, at in (("1", first), ("2", second))]

    def price(line: Line) -> Decimal:
        return Decimal(line.start.day)

    for order in (copies, copies[::-1]):
        known: dict[str, Line] = {}
        for copy in order:
            changed = changed_by([copy], known, price)
            for line in (*changed.new, *(now for now, _ in changed.restated), *changed.confirmed):
                known[line.key] = line
        assert (known["a"].usd, known["a"].rank, known["a"].estimated) == (1, "2", True)


def test_what_a_file_says_that_a_call_cost_is_right_before_an_estimate_of_it(tmp_path: Path, put: Put) -> None:
    logs = [
        (put(f"{n}.jsonl", jsonl(claude_line("m1", 200, **more))), {})
        for n, more in enumerate(({"costUSD": 0.001}, {}))
    ]
    for books in both_ways(tmp_path, logs):
        assert books.status(1)["totals"]["realtime_usd"] == Decimal("0.001")


def test_a_model_without_a_price_is_reported_and_not_free(books: Books, put: Put) -> None:
    answer = books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10, model="claude-unheard-of-99"))))
    assert "1 calls of claude-unheard-of-99 have no price: what they cost is unknown, not nothing" in answer["remarks"]
    assert (answer["dispatches"], answer["readings"]) == (1, 0)


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
    from mecris.books import importing

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


# -- laws --------------------------------------------------------------------------------------------------------

_LINES = st.builds(
    Line,
    key=st.sampled_from("ab"),
    rank=st.sampled_from(["", "1", "2"]),
    start=st.sampled_from([datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 2, tzinfo=UTC)]),
    end=st.just(datetime(2025, 9, 3, tzinfo=UTC)),
    usd=st.sampled_from([None, Decimal(1), Decimal(2)]),
    run=st.sampled_from(["r", "s"]),
    input_tokens=st.integers(0, 2),
)


@given(st.lists(_LINES.map(lambda line: line._replace(key="a")), min_size=1, max_size=5), st.randoms())
@settings(max_examples=200)
def test_copies_of_a_line_say_the_same_in_any_order_and_however_often(lines: list[Line], chance: Any) -> None:
    def together(copies: Sequence[Line]) -> Line:
        found = copies[0]
        for copy in copies[1:]:
            found = better(found, copy)
        return found

    shuffled = [*lines, *chance.choices(lines, k=2)]
    chance.shuffle(shuffled)
    assert better(together(lines), together(lines)) == together([*lines, lines[0]])
    assert together([lines[0], *lines]) == together([lines[0], *shuffled])


def test_what_is_known_and_not_better_changes_nothing() -> None:
    line = Line("a", "1", datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 2, tzinfo=UTC), Decimal(1))
    changed = changed_by([line, line._replace(rank="0", usd=Decimal(9))], {"a": line})
    assert not changed


@st.composite
def exports(draw: st.DrawFn) -> list[tuple[str, bytes, str]]:
    """Files of four kinds that overlap, restate and repeat one another."""
    found = []
    for number in range(draw(st.integers(2, 5))):
        exported = f"2025-10-0{draw(st.integers(1, 4))}T0{number}:00:00Z"
        days = draw(st.dictionaries(st.integers(1, 5), st.sampled_from(["0", "100", "150.5"]), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["cost", "ccusage", "log", "csv"]))
        if kind == "cost":
            content = cost_report(days)
        elif kind == "ccusage":
            rows = [
                {"date": f"2025-09-{d:02}", "totalCost": float(v) / 100, "modelBreakdowns": []} for d, v in days.items()
            ]
            content = json.dumps({"daily": rows, "totals": {}}).encode()
        elif kind == "log":
            content = jsonl(*(claude_line(f"m{d}", int(float(v)), session=f"s{number % 2}", at=f"2025-09-{d:02}T0{number}:00:00Z") for d, v in days.items()))  # fmt: skip
        else:
            content = csv(*(f"2025-09-{d:02},{float(v) / 100},{d},claude,bill,manual" for d, v in days.items()))
        found.append((f"{number}.{kind}", content, exported))
    return found


@given(exports(), st.randoms())
@settings(max_examples=25)
def test_files_in_any_order_and_repeated_end_in_the_same_status(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes, str]], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("law")
    paths = []
    for name, content, exported in files:
        path = folder / name
        path.write_bytes(content)
        moment = datetime.fromisoformat(exported).timestamp()
        os.utime(path, (moment, moment))
        paths.append(path)
    shuffled = [*paths, *chance.choices(paths, k=2)]
    chance.shuffle(shuffled)

    def told(order: Sequence[Path], name: str) -> Any:
        with september(folder / f"{name}.db") as books:
            for path in order:
                books.import_file(path)
            status = books.status(1)
            assert books.replay().differences == 0
            tokens = [sum(r[n] for r in books.runs()) for n in ("reported_in", "reported_out")]
            sources = {(s["name"], s["counted"], s["amount_usd"], s["measured_at"]) for s in books.sources(1)}
            return (
                [status[n] for n in ("totals", "tie_out", "grade", "percent", "providers")],
                readings(books),
                tokens,
                sources,
            )

    assert told(paths, "straight") == told(shuffled, "shuffled")


EVERY = sorted(
    path for path in SAMPLES.glob("*/*") if not path.name.endswith(".expected.json") and path.name != "remaining.html"
)
"""The samples of all formats, but for a balance that does not say what it is left of: rule 2 asks who else is in the cycle by then."""


class Export(NamedTuple):
    """A file: its name, what is in it, when it was exported, and how it is imported."""

    name: str
    content: bytes
    exported: str
    how: dict[str, Any]


FIGURES = [path for path in EVERY if path.parent.name in ("dashboard", "payload", "openrouter-credits")]
RIVALS = [
    path
    for path in EVERY
    if path.parent.name in ("dashboard", "csv", "ccusage", "anthropic-cost", "anthropic-messages")
]
"""Samples that see the same money, when all of them are of one provider."""
_TIMES = st.sampled_from(["2025-09-10T08:00:00Z", "2025-09-10T09:00:00Z", "2026-08-05T00:00:00Z"])


@st.composite
def sampled(draw: st.DrawFn) -> list[Export]:
    """Samples of all formats or of one: cut in parts, restated in a digit, and exported again as they were."""
    one = draw(st.sampled_from(EVERY)).parent
    among = draw(st.sampled_from([EVERY, FIGURES, RIVALS, [path for path in EVERY if path.parent == one]]))
    found: list[Export] = []
    for number, path in enumerate(draw(st.lists(st.sampled_from(among), min_size=1, max_size=3))):
        name = f"{number}-{path.parent.name}-{path.name}"
        how: dict[str, Any] = {}
        if path.parent.name in ("dashboard", "payload", "csv"):
            how["provider"] = draw(st.sampled_from([None, "claude"]))

        def exported(name: str, content: bytes, how: dict[str, Any] = how) -> Export:
            return Export(name, content, draw(_TIMES), how | {"cycle_id": draw(st.sampled_from([None, None, 1, 2]))})

        file = exported(name, path.read_bytes())
        found += [file] if draw(st.booleans()) else _parts(file, draw(st.integers(0, 9)), draw(st.integers(0, 2)))
        if draw(st.booleans()):
            found.append(exported(f"restated-{name}", _restated(file.content, draw(st.integers(0, 400)))))
        if draw(st.booleans()):
            found.append(exported(f"again-{name}", file.content))
    return found


def _parts(file: Export, cut: int, overlap: int) -> list[Export]:
    """A file in two parts that may overlap; of a table both have the first line."""
    lines = file.content.splitlines(keepends=True)
    head = lines[:1] if file.name.endswith(("csv", "tsv")) and cut else []
    parts = [lines[: cut + overlap], head + lines[cut:]]
    return [file._replace(name=f"{n}-{file.name}", content=b"".join(part)) for n, part in enumerate(parts)]


def _restated(content: bytes, place: int) -> bytes:
    """The same with another digit somewhere."""
    digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
    at = digits[place % len(digits)] if digits else 0
    return content[:at] + (b"7" if content[at : at + 1] != b"7" else b"8") + content[at + 1 :]


def all_there_is(books: Books) -> Any:
    """Everything that people ask of what files left behind, but for when and in which order it came."""
    found: list[Any] = []
    for number in (1, 2):
        status = books.status(number)
        found += [status[n] for n in ("totals", "tie_out", "grade", "percent", "providers")]
        rows = books.sources(number, history=True)
        found.append(
            sorted((r["name"], r["measured_at"], r["amount_usd"], r["counted"]) for r in rows if not r["retracted"])
        )
        pairs = books.discrepancies(number)["details"]
        found.append(sorted((p["source_a"]["name"], p["source_b"]["name"], p["diff_usd"], p["grade"]) for p in pairs))
    runs = books.runs(limit=1000)
    found.append(sorted((r["run_id"], r["dispatches"], r["reported_in"], r["reported_out"]) for r in runs))
    found.append({(f["sha256"], f["format"], f["exported_at"], f["unreadable"]) for f in books.evidence()})
    return found


@given(sampled(), st.randoms())
@settings(max_examples=100)
def test_files_of_all_formats_in_any_order_end_in_the_same_books(
    tmp_path_factory: pytest.TempPathFactory, files: list[Export], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("law")

    def told(order: Sequence[Export], name: str) -> Any:
        with Books.open(folder / name, recorded_by="ada", clock=Clock("2026-09-01T00:00:00Z")) as books:
            books.handle(
                c.OpenCycle(start_date="2024-11-01", end_date="2025-08-31", target_usd=100, timezone="Asia/Kathmandu")
            )
            books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2026-12-31", target_usd=100))
            for file in order:
                path = folder / file.name
                path.write_bytes(file.content)
                os.utime(path, (datetime.fromisoformat(file.exported).timestamp(),) * 2)
                with suppress(MecrisError):
                    books.import_file(path, **file.how)
            assert books.replay().differences == 0
            return all_there_is(books)

    shuffled = [*files, *chance.choices(files, k=2)]
    chance.shuffle(shuffled)
    assert told(files, "straight.db") == told(shuffled, "shuffled.db")


@given(
    st.lists(
        st.builds(
            claude_line,
            st.sampled_from(["m1", "m2", "m3"]),
            st.sampled_from([10, 200, 300]),
            at=st.sampled_from([f"2025-09-10T{hour:02}:00:00Z" for hour in (8, 9, 10)]),
            session=st.sampled_from(["s1", "s2"]),
            model=st.sampled_from(["claude-opus-4-6", "claude-sonnet-4-5"]),
            isSidechain=st.booleans(),
        ),
        min_size=2,
        max_size=6,
    ),
    st.integers(1, 5),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=40)
def test_a_log_in_parts_says_what_the_whole_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]], cut: int, overlap: int, last_first: bool
) -> None:
    folder = tmp_path_factory.mktemp("law")

    def told(name: str, *parts: list[dict[str, Any]]) -> Any:
        with september(folder / name) as books:
            books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=1))
            for number, part in enumerate(parts):
                path = folder / f"{name}{number}.jsonl"
                path.write_bytes(jsonl(*part))
                os.utime(path, (datetime(2025, 9, 11, tzinfo=UTC).timestamp(),) * 2)
                books.import_file(path, format="claude-code")
            return all_there_is(books)[:-1]

    parts = [lines[: cut + overlap], lines[cut:]]
    assert told("whole.db", lines) == told("parts.db", *(parts[::-1] if last_first else parts))


# -- by the command line -----------------------------------------------------------------------------------------


def mecris(path: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_founding_story_from_files_alone(tmp_path: Path, put: Put) -> None:
    """A Claude Code log, a saved dashboard page and a Groq reading; what no meter saw is explained, and the books tie out."""
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-08-06", "--end", "2025-09-30", "--target", "25.76")
    usage = [claude_line(f"m{n}", 200, at="2025-09-10T08:00:00Z") for n in range(11)]
    log = put("log.jsonl", jsonl(*usage), "2025-09-10T09:00:00Z")
    page = put("console.html", b"<html><body><h1>Usage</h1><div>$5.42 USD</div></body></html>", "2025-09-10T09:05:00Z")
    groq = put("groq.json", b'{"project_id": "p", "spent_usd": 0.80, "timestamp": "2025-08-31T23:00:00Z"}')
    assert mecris(path, "import", str(log))[1] == (
        "log.jsonl: claude-code, 'claude code' of claude; recorded 11 new lines, 11 dispatches, 1 reading, in cycle 1\n"
    )
    assert mecris(path, "import", str(page), "--provider", "claude")[0] == 0
    assert mecris(path, "import", str(groq))[0] == 0
    assert (
        mecris(path, "budget", "plug", "--cycle", "1", "--provider", "claude", "--square", "--yes", "--reason", "x")[0]
        == 0
    )
    with Books.open(path) as books:
        tied = books.status(1)["tie_out"]
        assert (tied["spent_usd"], tied["remaining_usd"], tied["unexplained_usd"]) == (
            Decimal("6.22"),
            Decimal("19.54"),
            0,
        )
        assert tied["tracked_usd"] == Decimal("0.11") + Decimal("0.80")
        assert books.replay().differences == 0
    for one in (log, page, groq):
        again = mecris(path, "import", str(one), *(["--provider", "claude"] if one == page else []))
        assert again[:2] == (0, f"{one.name}: nothing new\n")


def test_a_folder_tells_its_cycles_once(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    (tmp_path / "in").mkdir()
    for n in range(3):
        put(f"in/{n}.jsonl", jsonl(claude_line(f"m{n}", 200, session=f"s{n}")), f"2025-09-1{n}T00:00:00Z")
    put("in/3.json", cost_report({1: "none"}))
    code, out, err = mecris(path, "import", str(tmp_path / "in"))
    assert code == 1
    assert out.splitlines() == [
        *(f"{n}.jsonl: claude-code, 'claude code' of claude; recorded 1 new line, 1 dispatch" for n in range(3)),
        "3.json: anthropic-cost, 'anthropic cost report' of claude; recorded 1 unreadable line",
        "'claude code' of claude: recorded 1 reading, in cycle 1",
    ]
    assert err.count("note: these logs are") == 1
    again = mecris(path, "import", str(tmp_path / "in"), "--json")
    answers = json.loads(again[1])
    assert [(a["file"], a["recorded"]) for a in answers] == [(f"{n}.jsonl", False) for n in range(3)] + [
        ("3.json", False)
    ]
    assert answers[2]["report_usd"] == 0.03


def test_a_folder_whose_cycles_cannot_be_told_is_kept_and_that_is_said(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    name = ("budget", "add-source", "--cycle", "1", "--name", "claude code", "--type", "manual", "--amount", "1")
    assert mecris(path, *name)[0] == 0
    logs = [str(put(f"{n}.jsonl", jsonl(claude_line(f"m{n}", 200)))) for n in range(2)]
    code, _, err = mecris(path, "import", *logs)
    assert code == 3
    assert "refused: 'claude code' of claude: cycle 1 has a source 'claude code' that is not of this report" in err
    mecris(path, "budget", "retract", "--cycle", "1", "--reading", "1", "--reason", "another name")
    assert "recorded 1 reading, in cycle 1" in mecris(path, "import", *logs)[1]


def test_the_exit_code_tells_of_lines_that_could_not_be_read(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "books.db"
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    bad = put("bad.json", cost_report({1: "100", 2: "none"}))
    code, out, err = mecris(path, "import", str(bad), str(put("x.bin", b"\x00")))
    assert code == 3
    assert "line 2 cannot be read: amount 'none' is no amount" in err
    assert "refused: x.bin: x.bin is of no format that is known" in err
    assert "1 unreadable line" in out
    assert mecris(path, "import", str(bad))[0] == 0, "it was told before"
    assert mecris(path, "evidence", "quarantine")[0] == 1
    assert mecris(path, "evidence", "quarantine", "--retry")[2].endswith("was read again: 1 lines cannot be read\n")
    assert mecris(path, "import")[0] == 2


def test_a_watched_folder_is_imported_as_it_fills(tmp_path: Path) -> None:
    path, folder = tmp_path / "books.db", tmp_path / "in"
    folder.mkdir()
    mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "bomb.zip").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), "import", "--watch", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            (folder / "a.json").write_bytes(cost_report({1: "100"}))
            with Books.open(path) as books:
                _until(lambda: len(books.evidence()) == 1)
                (folder / "sub").mkdir()
                (folder / "sub" / "b.json").write_bytes(cost_report({2: "50"}))
                _until(lambda: len(books.evidence()) == 2)
                (folder / "a.json").write_bytes(cost_report({1: "110"}))
                _until(lambda: len(books.evidence()) == 3)
                assert books.status(1)["totals"]["realtime_usd"] == Decimal("1.6")
            assert watching.poll() is None, "it stays up"
        finally:
            watching.kill()
        assert "bomb.zip" in watching.stderr.read()  # type: ignore[union-attr]


def test_a_watched_file_is_tried_again_when_only_the_books_stood_in_its_way(
    books: Books, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mecris.cli import watching

    (tmp_path / "in").mkdir()
    folder = put("in/page.html", b"<html><p>$1 USD</p></html>").parent
    put("in/none.bin", b"\x00\x01")
    looks = 0

    def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            books.handle(c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=1))
        if looks == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching, "LATER", 0.0)
    monkeypatch.setattr(watching.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(books, folder, {"dry_run": False}, as_json=False)
    assert [f["file"] for f in books.evidence()] == ["page.html"]
    said = capsys.readouterr()
    assert said.out.count("page.html") == 1, "once it is imported it is left alone"
    assert said.err.count("none.bin is of no format") == 1, "what is no file of ours is told once"
    assert said.err.count("falls in no cycle") == 2


def _until(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        sleep(0.1)
    raise AssertionError("it did not happen")


HOSTILE = {
    "laughs.html": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><html><p>&b;</p></html>',
    "deep.json": b"[" * 1_000_000,
    "deep-object.json": b'{"data":' * 100_000,
    "nul.csv": b"date,usd\n2025-09-01,1\x00\n",
    "nul.json": b'{"cost_usd": 1\x00}',
    "latin.csv": "date,usd,description\n2025-09-01,1,caf\xe9\n".encode("latin-1"),
    "line.jsonl": b'{"type": "assistant", "sessionId": "s", "uuid": "' + b"x" * 20_000_000 + b'"}\n',
    "digits.json": b'{"cost_usd": ' + b"9" * 100_000 + b"}",
    "empty": b"",
    "bom": b"\xef\xbb\xbf",
    "half.html": b"<html><div>$1.00" + b"<div>" * 50_000,
    "numbers.json": b'{"data": [' + b"1," * 100_000 + b"1]}",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_are_refused_or_read_and_nothing_falls_over(books: Books, put: Put, name: str) -> None:
    before = books.position
    try:
        answer = books.import_file(put(name, HOSTILE[name], "2025-09-10T00:00:00Z"))
        assert answer["unreadable"] or answer["readings"] <= 1
    except MecrisError as refused:
        assert len(refused.message) < 2000
        assert books.position == before
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
    assert "1 bucket outside cycle 1: left out of it" in answer["remarks"]


# -- large files -------------------------------------------------------------------------------------------------

CUT_OFF = f'#!/bin/sh\n"{sys.executable}" "$@" | head -c "$BYTES"\n'


@pytest.mark.parametrize("given", [None, 0, 5, 1_200_000], ids=["all of it", "nothing", "half a length", "a batch"])
def test_a_file_that_another_process_reads_ahead_says_the_same_however_far_that_comes(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int | None
) -> None:
    lines = [claude_line(f"m{n}", n, session=f"s{n % 3}") for n in range(12_000)]
    path = put("log.jsonl", jsonl(*lines, {"timestamp": "no", "message": {"usage": {}}}))
    alone = september(tmp_path / "alone.db")
    alone.import_file(path)
    monkeypatch.setattr(importing, "LARGE", 0)
    if given is not None:
        reader = put("reader", CUT_OFF.encode())
        reader.chmod(0o700)
        monkeypatch.setenv("BYTES", str(given))
        monkeypatch.setattr(sys, "executable", str(reader))
    told: list[int] = []
    beside = september(tmp_path / "beside.db")
    answer = beside.import_file(path, progress=told.append)
    assert (answer["new"], answer["unreadable"], told[-1]) == (12_000, 1, path.stat().st_size)
    assert told == sorted(told)
    assert beside.runs() == alone.runs()
    assert beside.status(1)["totals"] == alone.status(1)["totals"]


def test_a_large_file_that_is_refused_is_refused_for_the_same_reason(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LARGE", 0)
    with pytest.raises(PayloadRefused, match="this is not JSON: Expecting"):
        books.import_file(put("cost.json", b"[1, 2"), format="litellm")


def test_a_file_that_changes_while_it_is_read_records_nothing(books: Books, put: Put) -> None:
    path = put("a.csv", csv("2025-09-01,5,a,groq,export,realtime"))
    before = books.position

    def still_written(_: int) -> None:
        with path.open("ab") as stream:
            stream.write(b"\n2025-09-02,6,b,groq,export,realtime")

    with pytest.raises(Unavailable, match="changed while it was read"):
        books.import_file(path, progress=still_written)
    assert books.position == before
    assert books.import_file(path)["recorded"]
