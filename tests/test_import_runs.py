"""Calls that were imported are dispatches of their runs, beside what people and agents record themselves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from clocks import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import AmountRefused
from mecris.domain.lines import Line
from mecris.domain.period import end_of_quarter

EXPORTED = datetime(2025, 10, 1, tzinfo=UTC)
AT = "2025-09-02T10:00:00.000000Z"


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Empty books."""
    return Books.open(tmp_path / "books.db", clock=Clock("2025-10-05T12:00:00Z"))


def call(key: str, output: int, run: str = "a", rank: str = "1", model: str | None = "opus") -> Line:
    """A call as an importer reads it."""
    return Line(key, rank, AT, end_of_quarter(AT), None, run, model, 0, output)


def imported(books: Books, *lines: Line, report: str = "log") -> None:
    """Take in lines of a report."""
    books.handle(
        c.ImportLines(
            report=report, provider="claude", account="", source=report, type="realtime", estimate=False, prices=None,
            evidence="ab" * 32, exported_at=EXPORTED, lines=lines,
        )
    )  # fmt: skip


def recorded(books: Books, id: str, output: int, run: str = "a", *, running: bool = False) -> None:
    """Somebody records a dispatch by hand."""
    said = c.Dispatch(dispatch_id=id, input_tokens=0, output_tokens=output, running=running)
    books.handle(c.RecordDispatches(run_id=run, dispatches=(said,)))


def out(books: Books, run: str = "a", as_of: int | None = None) -> tuple[int, int, dict[str, int]]:
    """Dispatches and tokens of a run, and what each dispatch reported."""
    told = books.run(run, as_of=as_of)
    return told["dispatches"], told["reported_out"], {d["dispatch_id"]: d["reported_out"] for d in told["first"]}


def test_a_run_that_was_only_imported_can_be_billed(books: Books) -> None:
    imported(books, call("m1", 200), call("m2", 100))
    answer = books.handle(c.ReconcileTokens(run_id="a", billed_in=0, billed_out=310))
    assert (answer["reported_out"], answer["delta_out"]) == (300, 10)


def test_what_a_person_records_over_an_imported_dispatch_is_the_later_word(books: Books) -> None:
    imported(books, call("m1", 200))
    before = books.position
    recorded(books, "m1", 250)
    assert out(books) == (1, 250, {"m1": 250})
    assert out(books, as_of=before) == (1, 200, {"m1": 200})
    assert books.run("a")["first"][0]["model"] == "opus"


def test_an_import_that_says_nothing_new_leaves_the_later_word_and_a_restated_one_has_it(books: Books) -> None:
    imported(books, call("m1", 200))
    recorded(books, "m1", 250)
    imported(books, call("m1", 200, rank="2"))
    assert out(books) == (1, 250, {"m1": 250}), "the same, in a later copy"
    imported(books, call("m1", 300, rank="3", model=None))
    assert out(books) == (1, 300, {"m1": 300})
    assert books.run("a")["first"][0]["model"] == "opus", "who names no model keeps the one that was named"


def test_a_dispatch_that_was_recorded_by_hand_is_not_counted_again(books: Books) -> None:
    recorded(books, "m1", 150, running=True)
    imported(books, call("m1", 200), call("m2", 10))
    told = books.run("a")
    assert (told["dispatches"], told["reported_out"], told["running_count"]) == (2, 210, 0)


def test_two_reports_that_know_the_same_call_count_it_once(books: Books) -> None:
    imported(books, call("m1", 200))
    imported(books, call("m1", 220), call("m2", 10), report="another log")
    imported(books, call("m2", 20), call("m3", 5))
    assert out(books) == (3, 245, {"m1": 220, "m2": 20, "m3": 5})


def test_a_call_that_moves_to_another_run_is_nothing_in_the_old_one(books: Books) -> None:
    imported(books, call("m1", 200, "b"), call("m2", 10, "b"))
    before = books.position
    imported(books, call("m1", 200, "a"))
    assert (out(books, "a"), out(books, "b")) == ((1, 200, {"m1": 200}), (2, 10, {"m1": 0, "m2": 10}))
    assert out(books, "b", before) == (2, 210, {"m1": 200, "m2": 10})


def test_a_call_without_tokens_that_moves_to_another_run_stays_a_dispatch_of_the_old_one(books: Books) -> None:
    imported(books, call("m1", 0, "b"))
    imported(books, call("m1", 9, "a", rank="2"))
    assert (out(books, "a"), out(books, "b")) == ((1, 9, {"m1": 9}), (1, 0, {"m1": 0}))


def test_lines_are_shown_after_what_was_recorded_in_the_order_in_which_they_were_imported(books: Books) -> None:
    imported(books, call("z", 1), call("m1", 2))
    imported(books, call("a", 3))
    recorded(books, "n", 4)
    assert [d["dispatch_id"] for d in books.run("a")["first"]] == ["n", "z", "m1", "a"]
    assert [d["dispatch_id"] for d in books.run("a", limit=2)["first"]] == ["n", "z"]


def test_the_view_for_sql_tells_every_dispatch_whoever_said_it(books: Books) -> None:
    imported(books, call("m1", 200), call("m2", 7))
    recorded(books, "m1", 250)
    imported(books, call("m2", 8, rank="2"))
    books.catch_up()
    with books.file.reading() as connection:
        told = connection.execute(
            "SELECT dispatch_id, output_tokens, position, superseded FROM cost_reported ORDER BY 1, 3"
        ).fetchall()
    assert told == [("m1", 200, 1, 2), ("m1", 250, 2, None), ("m2", 7, 1, 3), ("m2", 8, 3, None)]


def test_more_tokens_than_a_run_holds_are_refused_before_they_are_written(books: Books) -> None:
    imported(books, call("m1", 2**62))
    with pytest.raises(AmountRefused, match="run 'a' would come to 9223372036854775808 tokens"):
        imported(books, call("m2", 2**62))
    assert out(books) == (1, 2**62, {"m1": 2**62})


names = st.sampled_from(["m1", "m2", "m3"])
lines = st.builds(call, names, st.integers(0, 9), st.sampled_from("ab"), st.sampled_from("123"))
steps = st.one_of(
    st.tuples(st.just("import"), st.lists(lines, min_size=1, max_size=4), st.sampled_from(["log", "another log"])),
    st.tuples(st.just("record"), names, st.sampled_from("ab")),
)


@settings(max_examples=settings.default.max_examples * 2)
@given(story=st.lists(steps, min_size=1, max_size=8))
def test_sums_of_runs_are_those_of_their_dispatches_in_steps_and_made_anew(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, object, str]]
) -> None:
    books = Books.open(tmp_path_factory.mktemp("law") / "books.db", clock=Clock("2025-10-05T12:00:00Z"))
    for number, (what, said, whom) in enumerate(story):
        if what == "import":
            imported(books, *said, report=whom)  # type: ignore[misc]
        else:
            recorded(books, str(said), 100 + number, whom)
    told = {run["run_id"]: out(books, run["run_id"]) for run in books.runs()}
    assert all((many, total) == (len(each), sum(each.values())) for many, total, each in told.values())
    books.rebuild()
    assert {run["run_id"]: out(books, run["run_id"]) for run in books.runs()} == told
