"""A machine that uses the real books in any order it likes, and two laws that hold whatever it does."""

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from story import lasting
from strategies import (
    KINDS,
    Adjust,
    Bounds,
    Look,
    Plug,
    Retract,
    Scene,
    Told,
    Unplug,
    World,
    amounts,
    moves,
    readings,
    scenes,
    signed,
    sound_readings,
    times,
)

from mecris.books import Books
from mecris.books.answers import to_json
from mecris.domain import commands as c
from mecris.domain.errors import KeyReused, Refused
from mecris.projections import follow
from mecris.store import log

NAMES = tuple(KINDS)
providers = st.sampled_from([None, "", "a", "b"])


class BooksInUse(RuleBasedStateMachine):
    """One file of books, two programs that write in it, and what was answered at each position."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "books.db"
        self.often = patch.multiple(log, SNAPSHOT_EVERY=5)  # a few dozen orders should need snapshots
        self.often.start()
        self.known: dict[int, str] = {}
        self.keys: dict[str, tuple[c.CycleCommand, dict[str, Any]]] = {}

    @initialize(scene=scenes)
    def open_the_cycle(self, scene: Scene) -> None:
        self.world = World(scene)
        self.books = Books.open(self.path, clock=self.world)
        self.other = Books.open(self.path, clock=self.world, via="rest")
        self.books.handle(self.world.opening())

    def teardown(self) -> None:
        try:
            if hasattr(self, "books"):
                replayed = self.books.replay()
                assert (replayed.differences, replayed.faults) == (0, []), replayed.examples
        finally:
            for books in (getattr(self, "books", None), getattr(self, "other", None)):
                if books is not None:
                    books.close()
            self.often.stop()
            self.folder.cleanup()

    def do(self, books: Books, told: Told, key: str | None = None) -> None:
        """Hand an order over; a refusal leaves everything as it was."""
        order, position = self.world.command(told), books.position
        note(f"{self.world.now} {order!r}")
        try:
            answer = books.handle(order, idempotency_key=key)
        except Refused:
            assert books.position == position
            return
        except KeyReused:
            assert key in self.keys
            assert books.position == position
            return
        assert answer["position"] == books.position or answer.replayed
        assert answer.replayed or answer["recorded"] == (books.position > position)
        self.world.heard(answer)
        if key is not None:
            first_order, first = self.keys.setdefault(key, (order, answer))
            assert (first_order, first) == (order, answer)

    # -- orders --------------------------------------------------------------------------------------------------

    @rule(told=sound_readings(NAMES))
    def a_source_speaks(self, told: Told) -> None:
        self.do(self.books, told)

    @rule(told=readings(NAMES), key=st.sampled_from([None, "k1", "k2"]))
    def a_source_says_anything(self, told: Told, key: str | None) -> None:
        self.do(self.books, told, key)

    @rule(told=sound_readings(NAMES), key=st.sampled_from([None, "k1", "k2"]))
    def another_program_writes(self, told: Told, key: str | None) -> None:
        self.do(self.other, told, key)

    @rule(told=st.builds(Adjust, signed, st.one_of(st.none(), times), st.sampled_from(["", "a"])))
    def the_budget_changes(self, told: Told) -> None:
        self.do(self.books, told)

    @rule(told=st.builds(Plug, st.one_of(st.none(), signed), providers, st.just(True)), elsewhere=st.booleans())
    def somebody_plugs(self, told: Told, elsewhere: bool) -> None:
        self.do(self.other if elsewhere else self.books, told)

    @rule(told=st.builds(Unplug, st.integers(0, 6)))
    def a_plug_is_reversed(self, told: Told) -> None:
        self.do(self.books, told)

    @rule(told=st.builds(Retract, st.integers(0, 60)), elsewhere=st.booleans())
    def a_reading_is_retracted(self, told: Told, elsewhere: bool) -> None:
        self.do(self.other if elsewhere else self.books, told)

    @rule(low=st.integers(0, 3), high=st.integers(4, 20))
    def thresholds_change(self, low: int, high: int) -> None:
        self.do(self.books, Bounds((Decimal(low), Decimal(high), Decimal(50))))

    @rule()
    def somebody_reconciles(self) -> None:
        self.do(self.books, Look())
        assert self.books.status(1)["stale"] is False

    @rule(amount=amounts, good=st.booleans())
    def several_orders_are_one_write(self, amount: Decimal, good: bool) -> None:
        position = self.books.position
        orders = [
            c.RecordSource(cycle_id=1, source="batch", type="realtime", provider="c", amount=amount),
            c.RecordSource(cycle_id=1, source="batch", amount=amount + 1 if good else -1),
        ]
        try:
            done = self.books.handle_all(orders)
        except Refused:
            assert self.books.position == position
            return
        assert good
        assert done[-1]["position"] == self.books.position == position + 2
        self.world.heard(done[-1])

    @precondition(lambda self: self.world.now >= self.world.begins)
    @rule(budget=signed)
    def another_cycle_opens(self, budget: Decimal) -> None:
        order = self.world.opening().model_copy(update={"target_usd": budget})
        try:
            answer = self.other.handle(order)
        except Refused:
            assert budget < 0
            return
        first = c.RecordSource(cycle_id=answer["cycle_id"], source="m", type="realtime", amount=1)
        self.books.handle(first.model_copy(update={"measured_at": self.world.begins, "amount": budget}))

    # -- the world -------------------------------------------------------------------------------------------------

    @rule(move=st.one_of(moves, st.just(timedelta(days=-3))))
    def the_clock_moves(self, move: timedelta) -> None:
        self.world.now += move

    @rule()
    def the_books_are_closed_and_opened(self) -> None:
        self.books.close()
        self.books = Books.open(self.path, clock=self.world)

    @rule()
    def the_read_models_are_rebuilt(self) -> None:
        self.books.rebuild()

    @rule()
    def the_read_models_are_dropped(self) -> None:
        with self.books.file.pen() as connection:
            connection.execute("DELETE FROM view_positions")
            for table in (table for view in follow.VIEWS for table in view.tables):
                connection.execute(f"DROP TABLE IF EXISTS {table}")

    @rule(forgetting=st.booleans())
    def snapshots_are_deleted(self, forgetting: bool) -> None:
        with self.books.file.pen() as connection:
            connection.execute("DELETE FROM stored_snapshots")
        if forgetting:
            self.the_books_are_closed_and_opened()

    # -- questions -------------------------------------------------------------------------------------------------

    @rule()
    def remember_what_is_known(self) -> None:
        self.known[self.books.position] = self.lasting(self.books)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def what_was_known_is_still_told(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(sorted(self.known)), "as of")
        assert self.lasting(self.books, as_of=position) == self.known[position]
        assert self.lasting(self.other, as_of=position) == self.known[position]

    @rule(at=times)
    def what_had_happened_adds_up(self, at: Any) -> None:
        by = self.world.moment(at)
        if by >= self.world.begins:
            self.require_identity(self.books.status(1, measured_by=by))

    def lasting(self, books: Books, **when: Any) -> str:
        """A status and its pairs, without what the clock alone decides."""
        status, pairs = books.status(1, **when), books.discrepancies(1, **when)
        return to_json([lasting(status), pairs | {"generated_at": None}])

    # -- what always holds -------------------------------------------------------------------------------------------

    def require_identity(self, status: dict[str, Any]) -> None:
        """Everything that is in the budget is somewhere."""
        parts = status["tie_out"]
        total = sum(parts[f"{name}_usd"] for name in ("tracked", "plugged", "unexplained", "remaining"))
        assert total == status["cycle"]["budget_usd"]

    @invariant()
    def the_parts_add_up(self) -> None:
        if hasattr(self, "books"):
            self.require_identity(self.books.status(1))

    @invariant()
    def the_chain_holds(self) -> None:
        if hasattr(self, "books"):
            assert self.books.verify().faults == []


TestBooksInUse = BooksInUse.TestCase
