"""Cycles, runs, odometers and alerts in one file of books, in any order: what always holds of them together."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from clocks import Clock
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from story import lasting

from mecris.books import Books
from mecris.books.answers import to_json
from mecris.domain import commands as c
from mecris.domain.errors import Refused
from mecris.store import log

TOMORROW = "2025-09-11"  # the clock begins the day before, and may be set back: a cycle that has not begun
CYCLES = (
    ("2025-08-01", "2025-08-31"),
    ("2025-08-20", "2025-09-19"),
    ("2025-09-01", "2025-09-30"),
    (TOMORROW, "2025-10-10"),
)
MONTHS = ("2025-07", "2025-08", "2025-09")
OVERLAPS = {1: {"2025-08"}, 2: {"2025-08", "2025-09"}, 3: {"2025-09"}, 4: {"2025-09"}}
NUMBERS = tuple(OVERLAPS)
numbers, months = st.sampled_from(NUMBERS), st.sampled_from(MONTHS)
cents = st.integers(0, 3000).map(lambda n: Decimal(n) / 100)
tokens, names = st.integers(0, 1000), st.sampled_from(["d1", "d2", "d3"])
runs = st.sampled_from(["nightly", "weekly"])
CLOCK_ALONE = ("state", "age_days", "reminders", "days_until_reset", "resets_on", "month", "month_ends", "amount_usd")


class EverythingAtOnce(RuleBasedStateMachine):
    """One file, two programs that write in it, and a plain model of what was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock("2025-09-10T09:00:00Z")
        self.often = patch.multiple(log, SNAPSHOT_EVERY=4)  # a few dozen orders should need snapshots
        self.often.start()
        self.dispatches: dict[str, dict[str, tuple[int, int, bool]]] = {}
        self.counter: dict[str, Decimal] = {}
        self.fed: set[int] = set()
        self.told: dict[int, Decimal | None] = dict.fromkeys(NUMBERS)
        self.closed: dict[int, Decimal] = {}
        self.carried: dict[int, tuple[int, Decimal]] = {}
        self.known: dict[int, str] = {}

    @initialize(amounts=st.tuples(cents, cents, cents, cents), shown=st.none() | cents, fed=st.sets(numbers))
    def open(self, amounts: tuple[Decimal, ...], shown: Decimal | None, fed: set[int]) -> None:
        path = Path(self.folder.name) / "books.db"
        self.writers = [Books.open(path, clock=self.clock, via=via) for via in ("cli", "rest")]
        self.books = self.writers[0]
        self.budgets = dict(enumerate(amounts, 1))
        for (start, end), target in zip(CYCLES, amounts, strict=True):
            self.books.handle(c.OpenCycle(start_date=start, end_date=end, target_usd=target))
        if shown is not None:
            self.the_counter_is_read("2025-09", shown, correct=False)
        for number in sorted(fed):
            self.a_cycle_is_fed(number)

    def teardown(self) -> None:
        try:
            if hasattr(self, "books"):
                replayed = self.books.replay()
                assert (replayed.differences, replayed.faults) == (0, []), replayed.examples
        finally:
            for books in getattr(self, "writers", ()):
                books.close()
            self.often.stop()
            self.folder.cleanup()

    def do(self, order: c.Command, accepted: Callable[[dict[str, Any]], None] | None = None) -> bool:
        """Hand an order to either program; a refusal leaves everything as it was."""
        position = self.books.position
        note(f"{order!r}")
        try:
            answer = self.writers[position % 2].handle(order)
        except Refused as refused:
            note(str(refused))
            assert self.books.position == position
            return False
        assert answer["recorded"] == (self.books.position > position)
        if accepted:
            accepted(answer)
        return True

    # -- orders -------------------------------------------------------------------------------------------------

    @rule(run=runs, ids=st.lists(names, unique=True, min_size=1), said=st.tuples(tokens, tokens), running=st.booleans())
    def dispatches_report(self, run: str, ids: list[str], said: tuple[int, int], running: bool) -> None:
        batch = tuple(
            c.Dispatch(dispatch_id=id, input_tokens=said[0], output_tokens=said[1], running=running) for id in ids
        )
        assert self.do(c.RecordDispatches(run_id=run, dispatches=batch))
        self.dispatches.setdefault(run, {}).update(dict.fromkeys(ids, (*said, running)))

    @rule(run=runs, dispatch=st.one_of(st.none(), names), off=st.integers(-2, 2))
    def a_bill_comes(self, run: str, dispatch: str | None, off: int) -> None:
        known = self.dispatches.get(run, {})
        mine = [known[dispatch]] if dispatch in known else list(known.values()) if dispatch is None else []
        billed_in = sum(d[0] for d in mine) + off
        order = c.ReconcileTokens(
            run_id=run, billed_in=billed_in, billed_out=sum(d[1] for d in mine), dispatch_id=dispatch
        )

        def accepted(answer: dict[str, Any]) -> None:
            waits = off > 0 and any(d[2] for d in mine)
            assert answer["status"] == ("matched" if not off else "pending" if waits else "discrepancy")
            assert answer["delta_in"] == off

        assert self.do(order, accepted) == (bool(mine) and billed_in >= 0)

    @rule(month=months, amount=cents, correct=st.booleans())
    def the_counter_is_read(self, month: str, amount: Decimal, correct: bool) -> None:
        order = c.ReadOdometer(
            provider="groq", month=month, amount_usd=amount, correct=correct, reason="x" if correct else None
        )
        before = self.counter.get(month)

        def accepted(answer: dict[str, Any]) -> None:
            if not any("is history" in w for w in answer["warnings"]):  # the clock was set back before it was read
                self.counter[month] = amount
            self.tell(self.fed if answer["recorded"] else set(), answer)

        self.do(order, accepted)
        assert self.counter.get(month) in (before, amount)

    def tell(self, cycles: set[int], answer: dict[str, Any]) -> None:
        """What the counter tells cycles: those that are open, unless the clock shows less than when it was read."""
        open_ones = cycles - set(self.closed)
        assert {f["cycle_id"] for f in answer["fed"]} <= open_ones
        for number in open_ones:
            shown = [amount for month, amount in self.counter.items() if month in OVERLAPS[number]]
            if shown and not any(f"cycle {number} was not told" in w for w in answer["warnings"]):
                self.told[number] = sum(shown, Decimal(0))

    @rule(month=months, final=st.booleans())
    def a_month_is_final_or_not(self, month: str, final: bool) -> None:
        order: c.Command = c.FinalizeMonth(provider="groq", month=month)
        self.do(order if final else c.ReopenMonth(provider="groq", month=month, reason="x"))

    @rule(number=numbers)
    def a_cycle_is_fed(self, number: int) -> None:
        def accepted(answer: dict[str, Any]) -> None:
            self.fed.add(number)
            self.tell({number}, answer)

        can = number not in self.closed or number in self.fed
        assert self.do(c.FeedCycle(provider="groq", cycle_id=number), accepted) == can

    @rule(number=numbers)
    def a_cycle_is_fed_no_more(self, number: int) -> None:
        assert self.do(c.StopFeeding(provider="groq", cycle_id=number, reason="x")) == (number in self.fed)
        self.fed.discard(number)

    @rule(number=numbers, amount=cents, kind=st.sampled_from(["realtime", "manual"]))
    def a_source_speaks(self, number: int, amount: Decimal, kind: Any) -> None:
        order = c.RecordSource(cycle_id=number, source=kind, type=kind, provider="groq", amount=amount)
        begun = f"{self.clock.now:%Y-%m-%d}" >= CYCLES[number - 1][0]
        assert self.do(order) == (number not in self.closed and begun)

    @rule(number=numbers)
    def somebody_plugs(self, number: int) -> None:
        accepted = self.do(c.ApplyPlug(cycle_id=number, square=True, yes=True, provider="groq", reason="x"))
        assert not (accepted and number in self.closed)

    @rule(number=numbers, amount=st.integers(-5, 5).filter(bool))
    def the_budget_changes(self, number: int, amount: int) -> None:
        order = c.AdjustBudget(cycle_id=number, amount_usd=amount, at=CYCLES[number - 1][0], reason="x")
        if self.do(order):
            assert number not in self.closed
            self.budgets[number] += amount

    @rule(number=numbers, accept=st.booleans())
    def a_cycle_is_closed(self, number: int, accept: bool) -> None:
        def accepted(answer: dict[str, Any]) -> None:
            assert number not in self.closed
            assert accept or not (answer["accepted"] or answer["unexplained_usd"])
            self.closed[number] = answer["remaining_usd"]

        self.do(c.CloseCycle(cycle_id=number, accept=accept, reason="x" if accept else None), accepted)

    @rule(number=numbers)
    def a_cycle_is_reopened(self, number: int) -> None:
        def accepted(answer: dict[str, Any]) -> None:
            self.closed.pop(number)
            self.tell(self.fed & {number}, answer)

        was_closed = number in self.closed
        assert self.do(c.ReopenCycle(cycle_id=number, reason="x"), accepted) == was_closed

    @rule(number=numbers)
    def a_cycle_is_closed_too_early(self, number: int) -> None:
        self.a_cycle_is_closed(number, accept=True)
        self.a_cycle_is_reopened(number)

    @rule(origin=numbers, to=numbers)
    def what_is_left_is_carried(self, origin: int, to: int) -> None:
        heir, before = self.carried.get(origin, (to, Decimal(0)))

        def accepted(answer: dict[str, Any]) -> None:
            assert answer["amount_usd"] == self.closed[origin] - before
            self.carried[origin] = (to, self.closed[origin])
            self.budgets[to] += answer["amount_usd"]

        can = origin in self.closed and to not in self.closed and origin < to and heir == to
        assert self.do(c.RollOver(cycle_id=to, from_cycle=origin), accepted) == can

    @rule(number=numbers, level=st.sampled_from(["WARNING", "CRITICAL"]))
    def an_alert_is_raised(self, number: int, level: Any) -> None:
        order = c.RaiseAlert(
            cycle_id=number, kind="health", level=level, message="x", threshold_percent=5, cool_down_hours=1
        )
        assert self.do(order)

    # -- the world ------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(-30, 40))
    def the_clock_moves(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)

    @rule()
    def the_read_models_are_rebuilt(self) -> None:
        self.books.rebuild()

    # -- what was known is still told ------------------------------------------------------------------------------

    @rule()
    def remember(self) -> None:
        self.known[self.books.position] = self.everything()

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(sorted(self.known)), "as of")
        assert self.everything(as_of=position) == self.known[position]

    def everything(self, **at: Any) -> str:
        """All answers, without what the clock alone decides."""
        answers: list[Any] = [lasting(self.books.status(number, **at)) for number in NUMBERS]
        answers += [self.books.adjustments(number, **at) for number in NUMBERS]
        listed = [run["run_id"] for run in self.books.runs(**at)]
        answers += [self.books.run(run, **at) | {"as_of": None} for run in listed]
        answers += [self.books.reconciliations(run, **at) for run in listed]
        for odometer in self.books.odometers(**at)["odometers"]:
            shown = [m for m in odometer["months"] if m["amount_usd"] is not None]
            final = [m["month"] for m in odometer["months"] if m["state"] == "final"]
            months = [{k: v for k, v in m.items() if k != "state"} for m in shown]
            kept = {k: v for k, v in odometer.items() if k not in CLOCK_ALONE and not k.endswith("average_usd")}
            answers.append(kept | {"months": months, "final": final, "projected_usd": None})
        return to_json(answers)

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def the_parts_add_up(self) -> None:
        for number in NUMBERS if hasattr(self, "books") else ():
            told = self.books.status(number)
            parts = [told["tie_out"][f"{name}_usd"] for name in ("tracked", "plugged", "unexplained", "remaining")]
            assert sum(parts) == told["cycle"]["budget_usd"] == self.budgets[number]
            assert (told["cycle"]["state"] == "closed") == (number in self.closed)

    @invariant()
    def a_closed_cycle_stands_as_it_was_closed(self) -> None:
        for number, remaining in self.closed.items():
            assert self.books.status(number)["tie_out"]["remaining_usd"] == remaining

    @invariant()
    def runs_are_the_sum_of_their_dispatches(self) -> None:
        for run, dispatches in self.dispatches.items():
            told = self.books.run(run)
            assert told["reported_in"] == sum(d[0] for d in dispatches.values())
            assert told["running"] == sorted(id for id, d in dispatches.items() if d[2])

    @invariant()
    def cycles_say_what_the_counter_told_them(self) -> None:
        for number, amount in self.told.items() if hasattr(self, "books") else ():
            said = [s["amount_usd"] for s in self.books.sources(number) if s["name"] == "groq odometer"]
            assert said == ([] if amount is None else [amount])

    @invariant()
    def what_was_carried_is_told_where_it_is_not_right_any_more(self) -> None:
        for origin, (heir, amount) in self.carried.items():
            warned = any(w.startswith(f"cycle {origin} was") for w in self.books.status(heir)["warnings"])
            assert warned == (self.closed.get(origin) != amount)

    @invariant()
    def the_chain_holds(self) -> None:
        if hasattr(self, "books"):
            assert self.books.verify().faults == []


TestEverythingAtOnce = EverythingAtOnce.TestCase
