"""A report that should not count, as when files were imported for the wrong provider: withdrawn, and taken in again."""

from decimal import Decimal
from pathlib import Path

import pytest
from exports import Put, cost_report, csv, mecris

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import NotFound, RuleRefused
from mecris.domain.lines import Line

WRONG = "realtime/openai//anthropic cost report"


def spent(books: Books, cycle: int = 1) -> dict[str, Decimal]:
    """What meters say, by provider."""
    return {p["provider"]: p["tracked_usd"] for p in books.status(cycle)["providers"] if p["tracked_usd"]}


def test_a_wrong_provider_is_withdrawn_and_the_right_one_counts(books: Books, put: Put) -> None:
    path = put("cost.json", cost_report({1: "100", 2: "50"}))
    books.import_file(path, provider="openai")
    with pytest.raises(RuleRefused, match="mecris evidence withdraw"):
        books.import_file(path)
    answer = books.withdraw_report(WRONG, "it is Anthropic's")
    assert (answer["retracted"], spent(books)) == (2, {})
    books.import_file(path)
    assert spent(books) == {"claude": Decimal("1.5")}
    assert books.replay().differences == 0


def test_a_cycle_that_is_opened_later_is_told_nothing_of_a_withdrawn_report(books: Books, put: Put) -> None:
    books.import_file(put("cost.json", cost_report({1: "100"})), provider="openai")
    books.withdraw_report(WRONG, "x")
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-15", target_usd=10))
    assert spent(books, 2) == {}


def test_one_more_import_lets_a_withdrawn_report_count_again(books: Books, put: Put) -> None:
    path = put("cost.json", cost_report({1: "100"}))
    digest = books.import_file(path)["sha256"]
    books.withdraw_report(digest[:8], "a slip")
    assert not books.withdraw_report(digest[:8], "again")["recorded"]
    assert spent(books) == {}
    assert books.import_file(path)["recorded"]
    assert spent(books) == {"claude": Decimal(1)}
    assert not books.import_file(path)["recorded"]
    assert books.replay().differences == 0


def test_files_of_a_withdrawn_report_are_listed_as_such_as_of_any_moment(books: Books, put: Put) -> None:
    path = put("cost.json", cost_report({1: "100"}))
    books.import_file(path)
    counted = books.position
    books.withdraw_report("realtime/claude//anthropic cost report", "a slip")
    gone = books.position
    books.import_file(path)
    states = [[file["withdrawn"] for file in books.evidence(as_of=at)] for at in (counted, gone, None)]
    assert states == [[None], ["a slip"], [None]]


def test_lines_of_a_withdrawn_report_that_come_without_a_file_let_it_count_again(books: Books, put: Put) -> None:
    books.import_file(put("cost.json", cost_report({1: "100"})))
    books.withdraw_report("realtime/claude//anthropic cost report", "a slip")
    line = Line("another", "1", "2025-09-02T00:00:00.000000Z", "2025-09-02T23:59:59.999999Z", "2")
    books.handle(
        c.ImportLines(
            report="realtime/claude//anthropic cost report", provider="claude", account="", source="anthropic cost report", type="realtime",
            estimate=False, prices=None, evidence="ab" * 32, exported_at=books.now(), lines=(line,),
        )
    )  # fmt: skip
    books.tell_cycles("realtime/claude//anthropic cost report")
    assert spent(books) == {"claude": Decimal(3)}


def test_a_figure_of_a_withdrawn_report_leaves_too(books: Books, put: Put) -> None:
    page = put("console.html", b"<html><body>$5.42 USD</body></html>", "2025-09-10T09:00:00Z")
    digest = books.import_file(page, provider="claude")["sha256"]
    assert books.status(1)["totals"]["manual_usd"] == Decimal("5.42")
    assert books.withdraw_report(digest, "another team's")["retracted"] == 1
    assert books.status(1)["totals"]["manual_usd"] == 0


def test_a_closed_cycle_keeps_what_a_withdrawn_report_told_it_and_that_is_said(books: Books, put: Put) -> None:
    digest = books.import_file(put("cost.json", cost_report({1: "100"})))["sha256"]
    books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="done"))
    answer = books.withdraw_report(digest, "x")
    assert answer["remarks"] == ["cycle 1 is closed and was not told: reopen it, and it will be"]
    assert spent(books) == {"claude": Decimal(1)}
    books.handle(c.ReopenCycle(cycle_id=1, reason="x"))
    assert spent(books) == {}


def test_the_same_bytes_for_two_providers_are_told_of(books: Books, put: Put) -> None:
    path = put("bill.csv", csv("2025-09-01,5,,,,manual"))
    books.import_file(path)
    (remark,) = [r for r in books.import_file(path, provider="groq")["remarks"] if "same bytes" in r]
    assert "imported before as 'manual///csv', which counts too" in remark
    assert "withdraw 'manual///csv' --reason TEXT`, or 'manual/groq//groq csv'" in remark
    books.withdraw_report("manual///csv", "it is Groq's")
    assert books.status(1)["totals"]["manual_usd"] == 5


def test_nothing_is_missing_of_a_withdrawn_report_and_it_is_not_read_again(books: Books, put: Put) -> None:
    digest = books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))["sha256"]
    books.withdraw_report(digest, "x")
    assert (books.quarantine(), books.retry_quarantine(), spent(books)) == ([], [], {})


def test_files_that_go_with_a_withdrawn_report_are_named(books: Books, put: Put) -> None:
    books.import_file(put("a.csv", csv("2025-09-01,5,,,,manual")))
    books.import_file(put("b.csv", csv("2025-09-02,7,,,,manual")))
    (remark,) = books.withdraw_report("manual///csv", "x")["remarks"]
    assert remark.startswith("all of its 2 files count no more: a.csv, b.csv;")


def test_a_provider_that_names_nobody_is_refused(books: Books, put: Put) -> None:
    with pytest.raises(RuleRefused, match="say whose money it is"):
        books.import_file(put("a.csv", csv("2025-09-01,5,,,,manual")), provider="")
    assert books.evidence() == []


def test_what_is_to_be_withdrawn_has_to_be_there_and_to_be_one(books: Books, put: Put) -> None:
    path = put("cost.json", cost_report({1: "100"}))
    answers = [books.import_file(path, provider=f"claude:{name}") for name in ("work", "home")]
    with pytest.raises(NotFound, match="say which, of 'realtime/claude/home/anthropic cost report'"):
        books.withdraw_report(answers[0]["sha256"], "x")
    with pytest.raises(NotFound, match="evidence list"):
        books.withdraw_report("nothing", "x")


def test_nothing_at_all_is_the_beginning_of_no_digest(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100", 2: "none"})))
    before = books.position
    for name_nothing in (books.withdraw_report, books.settle_evidence):
        with pytest.raises(NotFound):
            name_nothing("", "x")
    assert books.position == before


def test_readings_that_a_person_took_back_are_named_when_the_report_comes_again(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100"})))
    books.handle(c.RetractReading(cycle_id=1, reading=1, reason="not ours"))
    again = books.import_file(put("b.json", cost_report({1: "100"}), "2025-10-04T00:00:00Z"))
    assert "1 reading of 'anthropic cost report' in cycle 1 was taken back" in " ".join(again["remarks"])
    assert spent(books) == {}


def test_withdrawing_by_the_command_line(books: Books, put: Put, tmp_path: Path) -> None:
    digest = books.import_file(put("cost.json", cost_report({1: "100", 2: "50"})))["sha256"]
    told = [mecris(tmp_path / "books.db", "evidence", "withdraw", digest[:12], "--reason", "a slip") for _ in range(2)]
    assert [(code, out) for code, out, _ in told] == [
        (0, "'realtime/claude//anthropic cost report' counts no more: 2 retractions, in cycle 1\n"),
        (0, "'realtime/claude//anthropic cost report' was withdrawn before\n"),
    ]


def test_a_name_that_would_steer_the_terminal_is_shown_on_one_line(tmp_path: Path, books: Books, put: Put) -> None:
    for day, name in enumerate(("a.csv", "b\x1b[2J\n.csv"), 1):
        books.import_file(put(name, csv(f"2025-09-0{day},5,,,,manual")))
    code, _, notes = mecris(tmp_path / "books.db", "evidence", "withdraw", "manual///csv", "--reason", "x")
    assert code == 0
    assert "all of its 2 files count no more: a.csv, b\\x1b[2J\\n.csv;" in notes
