"""Nothing is silently skipped: lines that cannot be read are kept aside, listed, retried and settled."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exports import Put, claude_line, cost_report, csv, jsonl, september

from mecris.books import Books
from mecris.domain import commands as c


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


def test_a_retry_keeps_whose_the_file_was_and_the_cycle_it_was_for(books: Books, put: Put) -> None:
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=10))
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})), provider="claude:work", cycle_id=2)
    before = books.status(1)["totals"], books.status(2)["totals"]
    books.retry_quarantine()
    assert (books.status(1)["totals"], books.status(2)["totals"]) == before
    assert {p["provider"] for p in books.status(2)["providers"]} == {"claude:work"}


def test_kept_files_are_retried_in_books_that_were_not_asked_yet(tmp_path: Path, put: Put) -> None:
    with september(tmp_path / "fresh.db") as books:
        assert books.retry_quarantine() == []
        books.import_file(put("a.json", cost_report({1: "none"})), tell=False)
        assert len(books.retry_quarantine()) == 1


def test_a_settled_file_is_settled_as_of_then_and_stays_so_when_it_is_touched(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    digest, before = books.quarantine()[0]["sha256"], books.position
    books.settle_evidence(digest[:8], "mended")
    assert [f["settled"] for f in books.evidence(as_of=before)] == [None]
    assert [f["settled"] for f in books.evidence()] == ["mended"]
    again = books.import_file(put("a.json", cost_report({1: "100", 2: "none"}), "2025-10-04T00:00:00Z"))
    assert (again["recorded"], books.quarantine()) == (True, [])
    assert books.replay().differences == 0


def test_a_file_that_was_not_read_to_the_last_line_says_so_each_time(books: Books, put: Put) -> None:
    path = put("a.json", cost_report({1: "100", 2: "none"}))
    assert [books.import_file(path)[name] for name in ("recorded", "unreadable")] == [True, 1]
    assert [books.import_file(path)[name] for name in ("recorded", "unreadable")] == [False, 1]


# -- what is set aside ---------------------------------------------------------------------------------------------


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


def test_two_rows_of_a_file_that_say_two_things_under_one_id_are_not_one(books: Books, put: Put) -> None:
    rows = (
        "2025-09-01,4.20,inv-17,groq,bill,manual",
        "2025-09-01,1.30,inv-17,groq,bill,manual",
        "2025-09-01,4.20,inv-17,groq,bill,manual",
    )
    answer = books.import_file(put("a.csv", csv(*rows)))
    assert (answer["new"], answer["unreadable"], answer["report_usd"]) == (1, 1, Decimal("4.2"))
    assert "'inv-17' stands here twice and says two things" in answer["quarantine"][0]["reason"]


def test_of_pages_by_line_one_that_is_cut_is_set_aside_and_the_others_count(books: Books, put: Put) -> None:
    pages = [cost_report({1: "100"}), cost_report({2: "50"}), cost_report({3: "25"})[:50]]
    answer = books.import_file(put("pages.jsonl", b"\n".join(pages)))
    assert (answer["new"], answer["unreadable"], answer["incomplete"], answer["report_usd"]) == (
        2,
        1,
        True,
        Decimal("1.5"),
    )


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


# -- files that are not whole --------------------------------------------------------------------------------------


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


def test_a_log_that_ends_in_the_middle_is_incomplete(books: Books, put: Put) -> None:
    answer = books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10), claude_line("m2", 10))[:-30]))
    assert (answer["new"], answer["unreadable"], answer["incomplete"]) == (1, 1, True)
