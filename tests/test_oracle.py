"""The books against a second opinion: every figure of every story is what the oracle works out."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from oracle import No, Oracle, Status, expected, told
from strategies import Scene, Told, World, stories, times

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import Refused


def require_same(books: Books, status: Status, **when: Any) -> None:
    """Compare every figure and every pair."""
    both = {name: p.has_both for name, p in status.providers.items()}
    assert told(books, both, **when) == expected(status)


def require_warnings(books: Books, status: Status) -> None:
    """What a person should know is said: old looks, meters that fell, meters that began later."""
    warnings = books.status(1)["warnings"]
    for provider in status.providers.values():
        for name in provider.warned:
            assert any(f"'{name}'" in warning for warning in warnings), name
    old = [w.split("'")[1] for w in warnings if "more than a day" in w]
    assert old == [name for provider in status.providers.values() for name in provider.old]


@settings(max_examples=settings.default.max_examples * 2)
@given(stories, st.data())
def test_the_books_say_what_the_design_says(
    story: tuple[Scene, list[tuple[timedelta, Told]]], data: st.DataObject
) -> None:
    scene, told_orders = story
    world = World(scene)
    oracle = Oracle(world)
    ends_at: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder, Books.open(Path(folder) / "books.db", clock=world) as books:
        ends_at[books.handle(world.opening())["position"]] = 0
        for move, words in told_orders:
            world.now += move
            order = world.command(words)
            note(f"{world.now} {order!r}")
            require_same_outcome(books, oracle, order)
            ends_at[books.position] = oracle.index
            status = oracle.page().status()
            require_same(books, status)
            require_warnings(books, status)
            assert books.status(1)["stale"] == oracle.stale(oracle.index)
        tell_what_was_reached(oracle.page().status())
        require_same_history(books, oracle, ends_at, data)


def tell_what_was_reached(status: Status) -> None:
    """For `--hypothesis-show-statistics`: do the stories get anywhere?"""
    for provider in status.providers.values():
        event(f"both kinds: {provider.has_both}")
        event(f"plugged: {bool(provider.plugged)}")
        event(f"warned: {bool(provider.warned)}")
        event(f"since: {provider.then is not None and provider.tracked > provider.then}")
    event(f"grade: {status.compared.grade}")


def require_same_outcome(books: Books, oracle: Oracle, order: c.CycleCommand) -> None:
    """Both refuse, or both agree on whether there is something to record."""
    try:
        recorded = oracle.does(order)
    except No:
        recorded = None
    try:
        answer = books.handle(order)
    except Refused as refusal:
        event(f"refused: {refusal.code}")
        assert recorded is None, refusal
        return
    assert recorded == answer["recorded"]
    oracle.world.heard(answer)


def require_same_history(books: Books, oracle: Oracle, ends_at: dict[int, int], data: st.DataObject) -> None:
    """What was known, what had happened, and both together."""
    world = oracle.world
    for _ in range(6):
        position = data.draw(st.sampled_from(sorted(ends_at)), "as of")
        by = data.draw(st.one_of(st.none(), times.map(world.moment)), "measured by")
        if by is not None and by < world.begins:
            continue
        index = ends_at[position]
        require_same(books, oracle.page(index, by).status(), as_of=position, measured_by=by)
        if by is not None:
            require_same(books, oracle.page(by=by).status(), measured_by=by)
        else:
            assert books.status(1, as_of=position)["stale"] == oracle.stale(index)


# -- what the oracle found -----------------------------------------------------------------------------------------------


def kept_after_the_end(folder: Path) -> Books:
    """Books in which everything is said days after the last day, 2025-09-04."""
    books = Books.open(folder / "books.db", clock=lambda: datetime.fromisoformat("2025-09-10T00:00:00Z"))
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-04", target_usd="20"))
    return books


def test_a_balance_read_after_the_last_day_keeps_its_credit_when_asked_by_an_earlier_time(tmp_path: Path) -> None:
    with kept_after_the_end(tmp_path) as books:
        books.handle(c.AdjustBudget(cycle_id=1, amount_usd=10, reason="top-up", at="2025-09-06T00:00:00Z"))
        read = c.RecordSource(
            cycle_id=1, source="console", type="manual", balance=25, measured_at="2025-09-07T00:00:00Z"
        )
        assert books.handle(read)["amount_usd"] == 5
        status = books.status(1, measured_by="2025-09-05T12:00:00Z")
        assert (status["totals"]["manual_usd"], status["cycle"]["budget_usd"]) == (5, 20)


def test_looks_taken_after_the_last_day_are_never_too_far_apart(tmp_path: Path) -> None:
    with kept_after_the_end(tmp_path) as books:
        for source, at in (("console", "2025-09-05T00:00:00Z"), ("bill", "2025-09-07T00:00:00Z")):
            books.handle(c.RecordSource(cycle_id=1, source=source, type="manual", amount=1, measured_at=at))
        assert not any("more than a day" in warning for warning in books.status(1)["warnings"])
