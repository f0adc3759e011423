"""Calls that were imported are dispatches of their runs, beside what people and agents record themselves."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import AmountRefused, Refused
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


def cost(key: str, rank: str = "2", usd: str = "1.5") -> Line:
    """Money of no call."""
    return Line(key, rank, AT, end_of_quarter(AT), usd)


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


def test_a_call_that_moves_keeps_its_model_in_the_old_run(books: Books) -> None:
    imported(books, call("m1", 200, "b"))
    imported(books, call("m1", 200, "a"))
    recorded(books, "m1", 5, "b")
    assert (books.run("b")["first"][0]["reported_out"], books.run("b")["first"][0]["model"]) == (5, "opus")


def test_a_call_that_is_told_to_be_money_alone_leaves_behind_what_it_reported(books: Books) -> None:
    imported(books, call("m1", 200), call("m2", 1))
    before = books.position
    imported(books, cost("m1"))
    assert out(books) == out(books, as_of=before) == (2, 201, {"m1": 200, "m2": 1})
    imported(books, call("m1", 300, rank="3"))
    assert out(books) == (2, 301, {"m1": 300, "m2": 1})
    assert books.replay().differences == 0


def test_what_was_shown_first_is_shown_again_as_of_then(books: Books) -> None:
    imported(books, *(call(f"z{n}", n) for n in range(4)), call("m1", 9))
    before, then = books.position, books.run("a", limit=3)["first"]
    recorded(books, "m1", 50)
    imported(books, call("z1", 70, rank="2"))
    assert [d["dispatch_id"] for d in books.run("a", as_of=before, limit=3)["first"]] == ["z0", "z1", "z2"]
    assert books.run("a", as_of=before, limit=3)["first"] == then
    assert [d["dispatch_id"] for d in books.run("a", limit=3)["first"]] == ["m1", "z0", "z1"]


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
runs = st.sampled_from("abc")
models = st.sampled_from(["opus", "haiku", None])
lines = st.builds(call, names, st.sampled_from([0, 1, 9, 100]), runs, st.sampled_from("123"), models)
money = st.builds(cost, names, st.sampled_from("123"), st.sampled_from(["1.5", "2"]))
dispatches = st.builds(
    c.Dispatch, dispatch_id=names, input_tokens=st.just(0), output_tokens=st.sampled_from([0, 7, 8]), running=st.booleans(), model=models
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("import"), st.sampled_from(["log", "another"]), st.lists(lines | money, min_size=1, max_size=4)),
    st.tuples(st.just("record"), runs, dispatches),
    st.tuples(st.just("bill"), runs, st.none() | names),
)


def everything(books: Books, as_of: int | None = None) -> dict[str, dict[str, Any]]:
    """What is answered of every run, as of a position."""
    told = {run["run_id"]: books.run(run["run_id"], as_of=as_of) for run in books.runs(as_of=as_of)}
    return {
        run: {name: said for name, said in answer.items() if name not in ("position", "as_of")}
        for run, answer in told.items()
    }


@settings(max_examples=settings.default.max_examples * 6)
@given(story=st.lists(steps, min_size=1, max_size=8))
def test_what_runs_were_answered_as_is_answered_again_as_of_then_in_steps_and_made_anew(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, str, Any]]
) -> None:
    books = Books.open(tmp_path_factory.mktemp("law") / "books.db", clock=Clock("2025-10-05T12:00:00Z"))
    told = {}
    for what, whom, said in story:
        with suppress(Refused):  # a bill of a run that nobody knows
            if what == "import":
                imported(books, *said, report=whom)
            elif what == "record":
                books.handle(c.RecordDispatches(run_id=whom, dispatches=(said,)))
            else:
                books.handle(c.ReconcileTokens(run_id=whom, dispatch_id=said, billed_in=0, billed_out=100))
        told[books.position] = everything(books)
    told.pop(0, None)
    for answer in (answer for answers in told.values() for answer in answers.values()):
        assert answer["dispatches"] == len(answer["first"])
        assert answer["reported_out"] == sum(each["reported_out"] for each in answer["first"])
    assert {position: everything(books, position) for position in told} == told
    assert books.replay().differences == 0
    books.rebuild()
    assert {position: everything(books, position) for position in told} == told
