"""Books that earlier versions wrote: they open, are brought up to date, answer as they did, and replay without a difference."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import simplejson

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import RuleRefused
from mecris.projections.follow import VIEWS

pytestmark = pytest.mark.sqlite

GOLDEN = Path(__file__).parent / "golden" / "books"
VERSIONS = sorted(path.stem for path in GOLDEN.glob("*.db"))
CLOCK_ALONE = ("days_left", "state", "generated_at")


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of books of an earlier version."""
    return Path(shutil.copy(GOLDEN / f"{request.param}.db", tmp_path / f"{request.param}.db"))


def told_by(path: Path) -> Any:
    """What that version answered."""
    return simplejson.loads((GOLDEN / f"{path.stem}.json").read_text(), use_decimal=True)


def require_same(then: Any, now: Any, where: str = "") -> None:
    """Whatever was answered then is answered now; answers may have got more fields, and the clock goes on."""
    if isinstance(then, dict):
        for name, value in then.items():
            if name not in CLOCK_ALONE:
                require_same(value, now[name], f"{where}.{name}")
    elif isinstance(then, list):
        assert len(then) == len(now), where
        for number, (a, b) in enumerate(zip(then, now, strict=True)):
            require_same(a, b, f"{where}[{number}]")
    else:
        assert then == now, where


def test_there_are_books_of_the_first_version() -> None:
    assert "v1" in VERSIONS


def test_old_books_replay_without_a_difference_and_their_chain_holds(old: Path) -> None:
    told = told_by(old)
    with Books.open(old) as books:
        replayed = books.replay()
        assert (replayed.differences, replayed.faults, replayed.events) == (0, [], told["position"])
        assert books.verify(told["head"]).faults == []


def test_old_books_answer_as_they_did(old: Path) -> None:
    told = told_by(old)
    seen = int(told["head"].partition(":")[0])  # answers were taken before the last event
    with Books.open(old) as books:
        for number in (1, 2):
            then = told["status"][number - 1] | {"position": seen, "as_of": str(seen)}
            require_same(then, books.status(number, as_of=seen))
            require_same(told["discrepancies"][number - 1], books.discrepancies(number, as_of=seen))
            require_same(told["sources"][number - 1], books.sources(number, history=True, as_of=seen))
        require_same(told["as_of_5"], books.status(1, as_of=5))


def test_old_books_are_brought_up_to_date_by_the_first_question(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        before = dict(connection.execute("SELECT view, version FROM view_positions"))
    assert before != {view.name: view.version for view in VIEWS}
    with Books.open(old) as books:
        books.status(1)
    with closing(sqlite3.connect(old)) as connection:
        after = dict(connection.execute("SELECT view, version FROM view_positions"))
        assert connection.execute("SELECT count(DISTINCT position) FROM view_positions").fetchone() == (1,)
    assert after == {view.name: view.version for view in VIEWS}


def test_old_books_take_new_orders_and_keep_their_keys(old: Path) -> None:
    with Books.open(old, recorded_by="ben") as books:
        first = c.OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96", notes="Claude, prepaid")
        again = books.handle(first, idempotency_key="first")
        assert (again.replayed, again["cycle_id"]) == (True, 1)
        with pytest.raises(RuleRefused, match="unexplained"):
            books.handle(c.CloseCycle(cycle_id=1))
        books.handle(c.CloseCycle(cycle_id=1, accept=True, reason="the 0.04 are known"))
        opened = books.handle(
            c.OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=0, roll_over_from=1)
        )
        assert opened["amount_usd"] == books.status(1)["tie_out"]["remaining_usd"]
        books.handle(c.ReadOdometer(provider="groq", month="2025-09", amount_usd="0.80"))
        books.handle(
            c.RecordDispatches(
                run_id="nightly", dispatches=(c.Dispatch(dispatch_id="d", input_tokens=1, output_tokens=1),)
            )
        )
        replayed = books.replay()
        assert (replayed.differences, replayed.faults) == (0, [])


def test_a_snapshot_of_another_shape_is_passed_over(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        (topic,) = connection.execute("SELECT topic FROM stored_snapshots").fetchone()
    assert topic == "cycle-snapshot.v1"
    with Books.open(old) as books:
        answer = books.handle(c.RecordSource(cycle_id=2, source="meter 0", amount="99"))
        assert answer["reading"] == 135
