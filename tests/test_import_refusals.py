"""Files that are refused, each with what is wrong with it, and nothing of them is recorded."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exports import Put, cost_report, csv, readings

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, PayloadRefused, RuleRefused, TimeRefused, Unavailable


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x is empty: export it again"),
        (cost_report({1: "100"})[:-9], "x begins like JSON and is none (this is not JSON: "),
        (b"hello", "x is of no format that is known: say which with --format, of claude-code, "),
        (b'{"a": 1}', "x is of no format that is known"),
        (b'{"data": [], "has_more": false}', "x is an empty page, which names no format: say which with --format, of "),
        (b'{"data": [{"starting_at": "2025-09-01T00:00:00Z", "results": []}]}', "x is an empty page, "),
        (b"[]", "x is an empty page, "),
        (b"SQLite\xff\n\n", "x is of no format that is known"),
        (b'{"a": 1\xff}\n{}', "x begins like JSON and is none (the file is not valid UTF-8 (byte 7): "),
        (b'{"data": [1]}', "x is of no format that is known"),
    ],
)
def test_a_file_that_nobody_knows_is_told_what_is_wrong_with_it(
    books: Books, put: Put, content: bytes, said: str
) -> None:
    with pytest.raises(PayloadRefused) as refused:
        books.import_file(put("x", content))
    assert refused.value.message.startswith(said)


def test_an_empty_page_is_taken_where_its_format_is_said(books: Books, put: Put) -> None:
    answer = books.import_file(put("x", b'{"data": [], "has_more": false}'), format="anthropic-cost")
    assert (answer["recorded"], answer["lines"]) == (True, 0)


@pytest.mark.parametrize("format", [None, "anthropic-cost", "csv"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b'{"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}, "request_id": "r"}',
            "x is an error of the API and no export (invalid x-api-key): ask it again",
        ),
        (
            b'{"error": {"message": "a\\n' + b"b" * 500 + b'", "code": 401}}',
            f"x is an error of the API and no export (a {'b' * 198}): ",
        ),
        (b'{"error": {"type": "overloaded_error"}}', "x is an error of the API and no export (overloaded_error): "),
        (b"\x1f\x8b\x08" + bytes(20), "x is a gzip archive: unpack it first"),
        (b"PK\x03\x04" + bytes(20), "x is a zip archive: unpack it first"),
    ],
)
def test_what_is_no_export_is_refused_as_what_it_is(
    books: Books, put: Put, content: bytes, said: str, format: str | None
) -> None:
    with pytest.raises(PayloadRefused) as refused:
        books.import_file(put("x", content), format=format)
    assert refused.value.message.startswith(said)
    assert books.evidence() == []


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


def test_what_is_no_file_is_refused_and_not_waited_for(books: Books, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unavailable, match="is not a file but a pipe: `mecris import -` reads"):
        books.import_file(tmp_path / "pipe")


def test_an_export_of_the_future_is_refused(books: Books, put: Put) -> None:
    with pytest.raises(TimeRefused, match="2025-10-06T12:00:00Z has not come yet"):
        books.import_file(put("a.json", cost_report({1: "100"})), exported_at=datetime(2025, 10, 6, 12, tzinfo=UTC))
    assert books.evidence() == []


def test_a_file_whose_own_time_has_not_come_yet_is_refused(books: Books, put: Put) -> None:
    later = put("a.json", cost_report({1: "100"}), "2025-10-05T13:00:00Z")
    with pytest.raises(TimeRefused, match="which has not come yet: say when it was exported with --exported-at"):
        books.import_file(later)
    assert books.evidence() == []
    assert books.import_file(later, exported_at=datetime(2025, 10, 5, 12, tzinfo=UTC))["recorded"]


def test_a_file_of_a_clock_that_is_a_little_ahead_is_of_now(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100"}), "2025-10-05T12:04:59Z"))
    assert [f["exported_at"] for f in books.evidence()] == ["2025-10-05T12:00:02Z"]


def test_a_cycle_that_is_not_there_is_refused_before_anything_is_recorded(books: Books, put: Put) -> None:
    before = books.position
    with pytest.raises(MecrisError, match="there is no cycle 99"):
        books.import_file(put("a.json", cost_report({1: "100"})), cycle_id=99)
    assert books.position == before


@pytest.mark.parametrize("provider", ["a\nb", "x" * 300])
def test_a_provider_that_no_cycle_would_take_is_refused(books: Books, put: Put, provider: str) -> None:
    with pytest.raises(RuleRefused):
        books.import_file(put("a.json", cost_report({1: "100"})), provider=provider)
    assert books.evidence() == []


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
