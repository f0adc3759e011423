"""Imports: files become readings exactly once, whatever order they come in, and what is kept of them is whole."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from exports import Put, claude_line, cost_report, jsonl, readings

from mecris.books import Books, importing, intake


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


def test_a_file_that_was_said_to_be_anothers_can_be_said_again(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100"}))
    books.import_file(path, provider="claude:wrong")
    assert books.import_file(path, provider="claude:right")["readings"] == 1
    assert {p["provider"] for p in books.status(1)["providers"]} == {"claude:wrong", "claude:right"}
    assert books.import_file(path, provider="claude:right")["recorded"] is False


# -- lines that another file says too ------------------------------------------------------------------------------


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


def test_lines_that_a_later_export_says_otherwise_are_counted(books: Books, put: Put) -> None:
    books.import_file(put("new.json", cost_report({1: "110", 2: "50"}), "2025-10-02T00:00:00Z"))
    answer = books.import_file(put("old.json", cost_report({1: "100", 2: "50"}), "2025-10-01T00:00:00Z"))
    assert "1 line says otherwise than a better or later copy, which stands" in answer["remarks"]


def test_a_bucket_that_is_not_over_is_measured_when_it_was_exported(books: Books, put: Put) -> None:
    books.import_file(put("x.json", cost_report({29: "100", 30: "50"}), "2025-09-30T10:00:00Z"))
    assert [r[1] for r in readings(books)] == ["2025-09-29T23:59:59.999999Z", "2025-09-30T10:00:00Z"]
    books.import_file(put("y.json", cost_report({30: "80"}), "2025-10-01T10:00:00Z"))
    assert [r[1:] for r in readings(books)] == [
        ("2025-09-29T23:59:59.999999Z", "1"),
        ("2025-09-30T23:59:59.999999Z", "1.8"),
    ]


def test_items_that_differ_in_nothing_that_is_known_are_counted_each(books: Books, put: Put) -> None:
    item = {"date": "2025-09-01", "endpoint_id": "e", "model_permaslug": "m", "usage": 1}
    answer = books.import_file(put("a.json", json.dumps({"data": [item, item | {"usage": 2}]}).encode()))
    assert (answer["new"], answer["report_usd"]) == (2, 3)


# -- what is kept --------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_recorded_and_records_nothing(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100", 2: "50"}))
    before = books.position
    dry = books.import_file(path, dry_run=True)
    assert (books.position, books.evidence(), books.sources(1)) == (before, [], [])
    wet = books.import_file(path)
    assert dry.pop("dry_run")
    assert {n: v for n, v in dry.items() if n != "position"} == {n: v for n, v in wet.items() if n != "position"}


def test_the_file_itself_is_kept_to_the_byte(books: Books, put: Put) -> None:
    import zlib

    content = cost_report({1: "100"}) + b"\n" * 100_000
    answer = books.import_file(put("a.json", content))
    with books.file.reading() as connection:
        parts = connection.execute("SELECT content FROM evidence WHERE sha256 = ? ORDER BY part", (answer["sha256"],))
        assert zlib.decompress(b"".join(part for (part,) in parts)) == content


def test_an_import_that_fails_on_the_way_leaves_nothing_of_itself(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:

    before = books.position
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):  # noqa: PT012
        patch.setattr(intake, "tell_cycles", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        books.import_file(put("a.json", cost_report({1: "100"})))
    assert (books.position, books.evidence(), books.sources(1)) == (before, [], [])
    assert books.import_file(put("a.json", cost_report({1: "100"})))["readings"] == 1
    assert books.replay().differences == 0


@pytest.mark.parametrize(("large", "rooms"), [(1, 1), (1 << 20, 0)])
def test_only_a_large_file_takes_more_memory(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch, large: int, rooms: int
) -> None:
    taken: list[bool] = []
    roomy = books.file.roomy
    monkeypatch.setattr(importing, "LARGE", large)
    monkeypatch.setattr(books.file, "roomy", lambda: taken.append(True) or roomy())
    assert books.import_file(put("a.json", cost_report({1: "100"})))["recorded"]
    assert len(taken) == rooms


def test_what_was_imported_replays_and_is_asked_as_of(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    first = books.position
    books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10))))
    assert [f["file"] for f in books.evidence()] == ["a.json", "log.jsonl"]
    assert [f["file"] for f in books.evidence(as_of=first)] == ["a.json"]
    assert books.replay().differences == 0
    assert books.verify().faults == []
