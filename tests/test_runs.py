"""Runs: what dispatches report, what is billed, and what is found between the two."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.errors import KeyReused, NotFound, Refused, TimeRefused
from mecris.domain.run import MOST
from mecris.domain.tokens import Tokens

MATCHED, MISMATCH, WRONG, REFUSED = 0, 1, 2, 3


@pytest.fixture
def clock() -> Clock:
    return Clock("2025-09-10T09:00:00Z")


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    with Books.open(tmp_path / "books.db", recorded_by="ada", clock=clock) as opened:
        yield opened


def reported(books: Books, run_id: str = "nightly", **dispatches: tuple[int, ...]) -> dict[str, Any]:
    """Dispatches report input, output, cache reads and cache writes."""
    return books.handle(
        c.RecordDispatches(run_id=run_id, dispatches=tuple(dispatch(id, *said) for id, said in dispatches.items()))
    )


def dispatch(id: str, input: int, output: int, read: int = 0, write: int = 0, **more: Any) -> c.Dispatch:
    return c.Dispatch(
        dispatch_id=id,
        input_tokens=input,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        **more,
    )


def running(books: Books, id: str, input: int, output: int) -> None:
    books.handle(c.RecordDispatches(run_id="nightly", dispatches=(dispatch(id, input, output, running=True),)))


def billed(books: Books, input: int, output: int, run_id: str = "nightly", **more: Any) -> dict[str, Any]:
    return books.handle(c.ReconcileTokens(run_id=run_id, billed_in=input, billed_out=output, **more))


def events(books: Books, since: int = 0) -> list[str]:
    return [event["event"] for event in books.log(since=since)]


# -- what dispatches report -------------------------------------------------------------------------------------


def test_a_run_is_the_sum_of_its_dispatches(books: Books) -> None:
    reported(books, d1=(1000, 200, 50, 7), d2=(2000, 300))
    told = books.run("nightly")
    assert (told["reported_in"], told["reported_out"]) == (3000, 500)
    assert (told["reported_cache_read"], told["reported_cache_write"]) == (50, 7)
    assert (told["dispatches"], told["running_count"]) == (2, 0)


def test_a_dispatch_that_reports_again_is_corrected_and_what_it_said_before_stays_in_the_log(books: Books) -> None:
    first = reported(books, d1=(1000, 200))
    again = reported(books, d1=(900, 250))
    assert (first["corrected"], again["corrected"]) == (0, 1)
    assert books.run("nightly")["reported_in"] == 900
    assert books.run("nightly", as_of=first["position"])["reported_in"] == 1000
    assert [e["dispatches"][0]["input_tokens"] for e in books.log()] == [1000, 900]


def test_the_same_report_again_records_nothing(books: Books) -> None:
    reported(books, d1=(1000, 200), d2=(1, 1))
    again = reported(books, d1=(1000, 200), d2=(1, 1))
    assert (again["recorded"], again["dispatches"], again["unchanged"]) == (False, 0, 2)
    assert books.position == 1


def test_of_a_batch_only_what_is_new_is_recorded(books: Books) -> None:
    reported(books, d1=(1000, 200))
    answer = reported(books, d1=(1000, 200), d2=(5, 5))
    assert (answer["dispatches"], answer["unchanged"]) == (1, 1)
    assert [d["dispatch_id"] for e in books.log(since=1) for d in e["dispatches"]] == ["d2"]


def test_a_correction_that_names_no_model_keeps_the_one_that_was_named(books: Books) -> None:
    books.handle(c.RecordDispatches(run_id="r", dispatches=(dispatch("d", 1, 1, model="opus"),)))
    books.handle(c.RecordDispatches(run_id="r", dispatches=(dispatch("d", 2, 1),)))
    assert books.run("r")["first"][0]["model"] == "opus"


def test_input_that_includes_caches_is_recorded_without_them_and_with_what_was_said(books: Books) -> None:
    books.handle(
        c.RecordDispatches(run_id="r", dispatches=(dispatch("d", 1000, 5, 400, 100, input_includes_cache=True),))
    )
    (told,) = books.run("r")["first"]
    assert (told["reported_in"], told["stated_in"]) == (500, 1000)
    assert (told["reported_cache_read"], told["reported_cache_write"]) == (400, 100)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (dispatch("d", -1, 0), "input of 'd' is -1"),
        (dispatch("d", 0, -5), "output of 'd' is -5"),
        (dispatch("d", 0, 0, -1), "cache read of 'd' is -1"),
        (dispatch("d", 0, 0, 0, MOST + 1), "cache write of 'd' is 9223372036854775808"),
        (dispatch("d", 10, 0, 8, 3, input_includes_cache=True), "11 tokens of caches are more than the 10 of input"),
        (dispatch("", 1, 1), "a dispatch needs a name"),
        (dispatch(" d", 1, 1), "a dispatch needs a name"),
        (dispatch("a\nb", 1, 1), "cannot be used"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused_and_nothing_is_written(
    books: Books, said: c.Dispatch, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        books.handle(c.RecordDispatches(run_id="r", dispatches=(dispatch("good", 1, 1), said)))
    assert books.position == 0
    with pytest.raises(NotFound):
        books.run("r")


def test_a_run_holds_what_databases_call_a_big_integer(books: Books) -> None:
    reported(books, d1=(MOST, 0))
    with pytest.raises(Refused, match="would come to 9223372036854775808"):
        reported(books, d2=(1, 0))
    reported(books, d1=(MOST - 1, 0), d2=(1, 0))
    assert books.run("nightly")["reported_in"] == MOST
    assert billed(books, 0, 0)["delta_in"] == -MOST


def test_a_batch_that_names_a_dispatch_twice_or_nothing_is_refused(books: Books) -> None:
    with pytest.raises(Refused, match="names a dispatch twice"):
        books.handle(c.RecordDispatches(run_id="r", dispatches=(dispatch("d", 1, 1), dispatch("d", 2, 2))))
    with pytest.raises(Refused, match="1 to 100,000 dispatches"):
        books.handle(c.RecordDispatches(run_id="r", dispatches=()))


# -- what is billed -----------------------------------------------------------------------------------------------


def test_a_bill_that_says_the_same_matches(books: Books) -> None:
    reported(books, d1=(1000, 200), d2=(2000, 300))
    answer = billed(books, 3000, 500)
    assert (answer["status"], answer["discrepancy"], answer["reason"]) == ("matched", False, None)
    assert events(books)[1:] == ["tokens-reconciled.v1"]


def test_a_discrepancy_is_recorded_with_its_reason_in_the_same_write(books: Books) -> None:
    reported(books, d1=(1000, 200), d2=(2000, 300))
    answer = billed(books, 3500, 600)
    assert answer["reason"] == "token discrepancy: in=+500 out=+100 (reported=3000/500, billed=3500/600)"
    found = list(books.log(since=1))
    assert [e["event"] for e in found] == ["tokens-reconciled.v1", "cost.reconciliation_discrepancy"]
    assert found[1]["reason"] == answer["reason"]
    assert books.run("nightly", as_of=2)["position"] == 3, "a position inside a write means its end"


def test_the_reason_of_one_dispatch_names_it(books: Books) -> None:
    reported(books, d1=(1000, 200), d2=(2000, 300))
    answer = billed(books, 900, 200, dispatch_id="d1")
    assert answer["reason"] == "dispatch d1: token discrepancy: in=-100 out=+0 (reported=1000/200, billed=900/200)"


def test_the_same_comparison_again_records_nothing_and_answers_the_same(books: Books) -> None:
    reported(books, d1=(1000, 200))
    first, again = billed(books, 1500, 200), billed(books, 1500, 200)
    assert (again["recorded"], again["discrepancy"]) == (False, True)
    assert {k: v for k, v in first.items() if k != "recorded"} == {k: v for k, v in again.items() if k != "recorded"}


def test_another_source_or_another_report_is_another_comparison(books: Books) -> None:
    reported(books, d1=(1000, 200))
    billed(books, 1500, 200)
    assert billed(books, 1500, 200, source="anthropic")["recorded"]
    reported(books, d1=(1500, 200))
    assert billed(books, 1500, 200)["status"] == "matched"
    listed = books.reconciliations("nightly")
    assert [r["status"] for r in listed] == ["matched", "discrepancy", "discrepancy"]
    assert [r["reason"] for r in listed[:2]] == [
        None,
        "token discrepancy: in=+500 out=+0 (reported=1000/200, billed=1500/200)",
    ]


def test_a_list_has_the_same_objects_as_the_comparison_itself(books: Books) -> None:
    reported(books, d1=(1000, 200, 50, 7))
    answers = [billed(books, 1000, 200, billed_cache_read=40), billed(books, 900, 200, dispatch_id="d1")]
    for row, answer in zip(reversed(books.reconciliations("nightly")), answers, strict=True):
        only = {"recorded", "position"}
        assert {k: v for k, v in row.items() if k not in ("id", "created_at", "recorded_by")} == {
            k: v for k, v in answer.items() if k not in only
        }


def test_while_a_dispatch_runs_more_billed_than_reported_is_pending(books: Books) -> None:
    reported(books, d1=(1000, 200))
    running(books, "d2", 10, 10)
    answer = billed(books, 3500, 600)
    assert (answer["status"], answer["discrepancy"], answer["running"]) == ("pending", False, ["d2"])
    assert events(books)[-1] == "tokens-reconciled.v1"
    assert books.reconciliations("nightly")[0]["status"] == "pending"


def test_while_a_dispatch_runs_less_billed_than_reported_is_a_discrepancy(books: Books) -> None:
    reported(books, d1=(1000, 200))
    running(books, "d2", 10, 10)
    assert billed(books, 900, 600)["status"] == "discrepancy"


def test_a_dispatch_that_is_done_is_not_pending_though_another_one_runs(books: Books) -> None:
    reported(books, d1=(1000, 200))
    running(books, "d2", 10, 10)
    assert billed(books, 1001, 200, dispatch_id="d1")["status"] == "discrepancy"
    assert billed(books, 11, 10, dispatch_id="d2")["status"] == "pending"


@pytest.mark.parametrize(
    ("tolerance", "bill", "status"),
    [
        ({"tolerance_tokens": 10}, (1010, 200), "matched"),
        ({"tolerance_tokens": 10}, (1011, 200), "discrepancy"),
        ({"tolerance_tokens": 10}, (990, 200), "matched"),
        ({"tolerance_percent": "1"}, (1010, 200), "matched"),  # 10 of 1010 are less than 1 %
        ({"tolerance_percent": "1"}, (990, 200), "discrepancy"),  # 10 of 990 are more
        ({"tolerance_percent": "1", "tolerance_tokens": 10}, (990, 200), "matched"),  # within either is within
        ({"tolerance_percent": "1", "tolerance_tokens": 10}, (1010, 211), "discrepancy"),  # each class by itself
        ({"tolerance_percent": "100"}, (0, 200), "discrepancy"),  # of nothing, nothing is tolerated
    ],
)
def test_within_either_tolerance_is_within(
    books: Books, tolerance: dict[str, Any], bill: tuple[int, int], status: str
) -> None:
    reported(books, d1=(1000, 200))
    assert billed(books, *bill, **tolerance)["status"] == status


def test_caches_are_compared_when_the_bill_names_them_and_else_told_to_be_outside(books: Books) -> None:
    reported(books, d1=(1000, 200, 50, 7))
    assert billed(books, 1000, 200)["outside_tokens"] == 57
    answer = billed(books, 1000, 200, billed_cache_read=40)
    assert (answer["status"], answer["delta_cache_read"], answer["outside_tokens"]) == ("discrepancy", -10, 7)
    assert "delta_cache_write" not in answer
    assert answer["reason"] == (
        "token discrepancy: in=+0 out=+0 cache_read=-10 (reported=1000/200/50, billed=1000/200/40)"
    )
    assert billed(books, 1000, 200, billed_cache_read=50, billed_cache_write=7)["outside_tokens"] == 0


def test_a_bill_whose_input_includes_caches_is_compared_without_them(books: Books) -> None:
    reported(books, d1=(1000, 200, 50, 7))
    answer = billed(books, 1057, 200, billed_cache_read=50, billed_cache_write=7, input_includes_cache=True)
    assert (answer["status"], answer["billed_in"]) == ("matched", 1000)
    with pytest.raises(Refused, match="give --billed-cache-read"):
        billed(books, 1057, 200, input_includes_cache=True)


def test_input_that_includes_caches_needs_every_class_of_them_that_was_reported(books: Books) -> None:
    reported(books, d1=(500, 20, 400, 100))
    position = books.position
    with pytest.raises(
        Refused, match="100 tokens of cache writes were reported: say with --billed-cache-write"
    ) as found:
        billed(books, 1000, 20, billed_cache_read=400, input_includes_cache=True)
    assert (found.value.code, books.position) == ("which-cache", position)
    answer = billed(books, 1000, 20, billed_cache_read=400, billed_cache_write=100, input_includes_cache=True)
    assert answer["status"] == "matched"
    reported(books, "openai", d1=(500, 20, 400))
    assert billed(books, 900, 20, "openai", billed_cache_read=400, input_includes_cache=True)["status"] == "matched"


def test_bills_of_dispatches_are_tied_to_the_bill_of_the_run_of_the_same_source(books: Books) -> None:
    reported(books, d1=(1000, 200, 50), d2=(2000, 300))
    billed(books, 3500, 600, source="anthropic")
    billed(books, 1000, 200, dispatch_id="d1", source="anthropic", billed_cache_read=50)
    billed(books, 2100, 300, dispatch_id="d2", source="anthropic")
    billed(books, 7, 7, dispatch_id="d2", source="openai")
    billed(books, 2300, 310, dispatch_id="d2", source="anthropic")  # the last word on d2
    bills = {bill["source"]: bill for bill in books.run("nightly")["bills"]}
    anthropic = bills["anthropic"]
    assert (anthropic["billed_in"], anthropic["dispatches_in"], anthropic["rest_in"]) == (3500, 3300, 200)
    assert (anthropic["billed_out"], anthropic["dispatches_out"], anthropic["rest_out"]) == (600, 510, 90)
    assert (anthropic["billed_cache_read"], anthropic["dispatches_cache_read"], anthropic["rest_cache_read"]) == (
        None,
        50,
        None,
    )
    assert anthropic["dispatches_billed"] == 2
    assert (bills["openai"]["billed_in"], bills["openai"]["dispatches_in"]) == (None, 7)


def test_a_cache_that_no_bill_of_a_dispatch_names_is_not_taken_for_nothing(books: Books) -> None:
    reported(books, d1=(1000, 200, 10), d2=(2000, 300))
    billed(books, 3000, 500, billed_cache_read=10)
    billed(books, 1000, 200, dispatch_id="d1")
    (bill,) = books.run("nightly")["bills"]
    assert (bill["dispatches_in"], bill["rest_in"]) == (1000, 2000)
    assert (bill["dispatches_cache_read"], bill["rest_cache_read"]) == (None, None)
    named = billed(books, 1000, 200, dispatch_id="d1", billed_cache_read=4)
    (bill,) = books.run("nightly")["bills"]
    assert (bill["dispatches_cache_read"], bill["rest_cache_read"]) == (4, 6)
    billed(books, 1000, 200, dispatch_id="d1")  # the last word on d1 names none again
    (bill,) = books.run("nightly")["bills"]
    assert (bill["dispatches_cache_read"], bill["rest_cache_read"]) == (None, None)
    (bill,) = books.run("nightly", as_of=named["position"])["bills"]
    assert bill["dispatches_cache_read"] == 4


@pytest.mark.parametrize(
    ("bill", "code"),
    [
        ({"run_id": "weekly"}, "run-not-found"),
        ({"dispatch_id": "d9"}, "dispatch-not-found"),
        ({"dispatch_id": "other"}, "dispatch-not-found"),
        ({"source": " "}, "name"),
        ({"tolerance_percent": "-1"}, "amount"),
        ({"tolerance_tokens": -1}, "tokens"),
        ({"billed_cache_read": -1}, "tokens"),
    ],
)
def test_a_bill_of_something_unknown_or_senseless_writes_nothing(books: Books, bill: dict[str, Any], code: str) -> None:
    reported(books, d1=(1000, 200))
    reported(books, "elsewhere", other=(1, 1))
    position = books.position
    with pytest.raises(Refused) as refused:
        billed(books, 1, 1, **bill)
    assert refused.value.code == code
    assert books.position == position


def test_a_key_answers_again_and_refuses_another_bill(books: Books) -> None:
    reported(books, d1=(1000, 200))
    order = c.ReconcileTokens(run_id="nightly", billed_in=1500, billed_out=200, tolerance_percent="0.5")
    first = books.handle(order, idempotency_key="k")
    again = books.handle(order, idempotency_key="k")
    assert (again.replayed, again) == (True, first)
    with pytest.raises(KeyReused):
        books.handle(order.model_copy(update={"billed_in": 1501}), idempotency_key="k")


# -- as of ----------------------------------------------------------------------------------------------------------


def test_runs_can_be_asked_as_of_a_position_and_a_time(books: Books, clock: Clock) -> None:
    reported(books, d1=(1000, 200))
    billed(books, 1000, 200)
    clock.set("2025-09-11T09:00:00Z")
    running(books, "d2", 5, 5)
    billed(books, 3000, 200)
    assert [r["id"] for r in books.reconciliations("nightly", as_of="2025-09-10")] == [2]
    assert books.run("nightly", as_of=2)["running"] == []
    assert books.run("nightly", as_of=3)["running"] == ["d2"]
    reported(books, d2=(2000, 300))
    assert books.run("nightly")["running"] == []
    assert books.run("nightly", as_of=4)["running"] == ["d2"]
    assert books.run("nightly", as_of=4)["first"][1]["reported_in"] == 5
    assert books.runs(as_of=1)[0]["reported_in"] == 1000
    with pytest.raises(TimeRefused, match="was not known yet: it was first heard of at"):
        books.reconciliations("nightly", as_of="2025-09-09")


@given(st.data())
def test_what_the_read_model_sums_up_is_what_the_log_says(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any reports and corrections, in any batches: totals as of each position are the plain sum over the events up to it."""
    names, counts = st.sampled_from("abcd"), st.integers(0, 50)
    path = tmp_path_factory.mktemp("runs") / "books.db"
    with Books.open(path, clock=Clock("2025-09-10T09:00:00Z")) as books:
        for _ in range(data.draw(st.integers(1, 8), "orders")):
            ids = data.draw(st.lists(names, unique=True, min_size=1), "batch")
            batch = tuple(
                dispatch(id, *data.draw(st.tuples(*[counts] * 4)), running=data.draw(st.booleans())) for id in ids
            )
            books.handle(c.RecordDispatches(run_id="r", dispatches=batch))
            if data.draw(st.booleans(), "look"):
                books.run("r")  # read models are caught up in steps of any size
        known: dict[str, dict[str, Any]] = {}
        for event in list(books.log()):
            known |= {d["dispatch_id"]: d for d in event["dispatches"]}
            told = books.run("r", as_of=event["position"])
            sums = [sum(d.get(f"{kind}_tokens", 0) for d in known.values()) for kind in Tokens._fields]
            assert [told[f"reported_{kind}"] for kind in ("in", "out", "cache_read", "cache_write")] == sums
            assert told["running"] == sorted(id for id, d in known.items() if d.get("running"))
            assert (told["dispatches"], told["running_count"]) == (len(known), len(told["running"]))
        assert books.replay().differences == 0


def test_a_run_of_many_dispatches_names_the_first_of_those_that_run(books: Books) -> None:
    many = tuple(dispatch(f"d{n:03d}", 1, 1, running=True) for n in range(30))
    books.handle(c.RecordDispatches(run_id="nightly", dispatches=many))
    answer = billed(books, 50, 30)
    assert (answer["running_count"], answer["running"][-1], len(answer["running"])) == (30, "d009", 10)


# -- the command line -----------------------------------------------------------------------------------------------


def mecris(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["--books", str(path / "books.db"), *words])
    told = capsys.readouterr()
    return code, told.out, told.err.replace(f"new books: {path / 'books.db'}\n", "")


@pytest.mark.sqlite
def test_the_story_of_a_run_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def m(*words: str) -> tuple[int, str, str]:
        return mecris(tmp_path, capsys, *words)

    assert m("cost", "record", "nightly", "--dispatch", "d1", "--in", "1000", "--out", "200") == (
        0,
        "dispatch d1 is recorded\nrun nightly: 1 dispatch; 1,000 in, 200 out\n",
        "",
    )
    m("cost", "record", "nightly", "--dispatch=d2", "--in=2000", "--out=300", "--running")
    assert m("cost", "reconcile", "nightly", "--billed-in=3500", "--billed-out=600") == (
        MATCHED,
        "run nightly, billed by manual: pending\n"
        "             in   out  cache read  cache write\n"
        "billed    3,500   600           -            -\n"
        "reported  3,000   500           -            -\n"
        "delta      +500  +100           -            -\n"
        "still running, and may report the rest: d2\n",
        "",
    )
    m("cost", "record", "nightly", "--dispatch", "d2", "--in", "2000", "--out", "300")
    code, out, _ = m("cost", "reconcile", "nightly", "--billed-in", "3500", "--billed-out", "600")
    assert code == MISMATCH
    assert "token discrepancy: in=+500 out=+100 (reported=3000/500, billed=3500/600)\n" in out
    code, out, _ = m("cost", "reconcile", "nightly", "--billed-in", "3500", "--billed-out", "600", "--json")
    assert (code, '"recorded": false' in out) == (MISMATCH, True)
    code, out, _ = m("cost", "list", "nightly", "--json", "--limit", "1")
    assert '"delta_in": 500, "delta_out": 100' in out
    assert out.count('"id"') == 1
    assert m("cost", "reconcile", "nightly", "--billed-in", "3000", "--billed-out", "500")[0] == MATCHED


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["reconcile", "nope", "--billed-in", "1", "--billed-out", "1"], REFUSED, "not found: there is no run 'nope'"),
        (["list", "nope"], REFUSED, "not found: there is no run 'nope' (the newest: 'r')"),
        (["show", "nope"], REFUSED, "not found: there is no run 'nope'"),
        (["record", "r", "--dispatch", "d", "--in", "-1", "--out", "1"], REFUSED, "refused: input of 'd' is -1"),
        (["record", "r", "--dispatch", "d", "--in", "1.5", "--out", "1"], WRONG, "'1.5' is not a whole number"),
        (["record", "r", "--dispatch", "d", "--in", "1"], WRONG, "Missing option '--out'"),
        (["list", "r", "--limit", "0"], WRONG, "0 is not in the range x>=1"),
        (["runs", "--limit", "0"], WRONG, "0 is not in the range x>=1"),
        (["record", "r", "--dispatch", "d", "--in", "1", "--out", "1", "--wat"], WRONG, "No such option"),
        (["reconcile", "r", "--billed-in", "1"], WRONG, "Missing option '--billed-out'"),
    ],
)
def test_wrong_words_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    mecris(tmp_path, capsys, "cost", "record", "r", "--dispatch", "d", "--in", "1", "--out", "1")
    ended, _, err = mecris(tmp_path, capsys, "cost", *words)
    assert (ended, told in err) == (code, True), err


def test_an_empty_list_is_an_empty_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mecris(tmp_path, capsys, "cost", "record", "r", "--dispatch", "d", "--in", "1", "--out", "1")
    assert mecris(tmp_path, capsys, "cost", "list", "r", "--json")[1] == "[]\n"


# -- figures that no column could hold ---------------------------------------------------------------------------


def test_tokens_outside_the_comparison_have_room_too(books: Books) -> None:
    reported(books, d1=(1, 1, MOST, 1))
    with pytest.raises(Refused, match=f"{MOST + 1}"):
        billed(books, 1, 1)
    assert books.run("nightly")["bills"] == []
    assert billed(books, 1, 1, billed_cache_write=1)["outside_tokens"] == MOST


def test_bills_of_single_dispatches_add_up_to_no_more_than_a_figure_holds(books: Books) -> None:
    reported(books, d1=(1, 1), d2=(1, 1))
    billed(books, MOST, 1, dispatch_id="d1")
    with pytest.raises(Refused, match=f"{MOST + 1}"):
        billed(books, 1, 1, dispatch_id="d2")
    billed(books, 1, 1, dispatch_id="d2", source="other")
    billed(books, MOST - 1, 1, dispatch_id="d1")
    billed(books, 1, 1, dispatch_id="d2")
    assert [b["dispatches_in"] for b in books.run("nightly")["bills"]] == [MOST, 1]
    assert books.replay().differences == 0


def test_bills_are_listed_as_they_were_known(books: Books) -> None:
    reported(books, d1=(1, 1))
    billed(books, 1, 1, source="b")
    billed(books, 1, 1, source="a", dispatch_id="d1")
    billed(books, 2, 1, source="c")
    assert [[b["source"] for b in books.run("nightly", as_of=p)["bills"]] for p in (1, 2, 3, 5)] == [
        [],
        ["b"],
        ["a", "b"],
        ["a", "b", "c"],
    ]
