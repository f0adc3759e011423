"""The world: programs that write in one store, a clock, and what happens step by step, all of it drawn from one seed."""

import os
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from mecris.books import Books
from mecris.books.writing import Given as Handed
from mecris.domain import commands as c
from mecris.domain.errors import Busy, KeyReused, MecrisError, Refused, Unavailable
from mecris.projections import follow
from mecris.store import log

from .faults import Crash, Faults, Interrupted, Plan
from .laws import Laws
from .orders import Orders
from .stores import STORES, Row
from .truth import (
    EXPORTED,
    Broken,
    Conflict,
    Done,
    Failed,
    Given,
    ImportFile,
    Lost,
    Outcome,
    Refusal,
    Spec,
    Truth,
    require,
)

BEGIN = datetime.fromisoformat("2025-09-01T12:00:00Z")
SKEWS = [timedelta(minutes=m) for m in (0, 0, 0, 0, 1, -1, 4, -4, 6, -6, 90, -1500)]
MOVES = [timedelta(seconds=s) for s in (0, 1, 1, 60, 300, 3600, 3600, 6 * 3600, 12 * 3600, -1, -3600)]
STATEMENTS = 14
"""Most faults strike among so many statements of an order; fewer strike where it commits."""


class Program:
    """A process that uses the books: its own connections, its own memory, its own clock."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.skew = timedelta(0)
        self.start()

    def __call__(self) -> datetime:
        """What its clock shows."""
        return self.world.now + self.skew

    def start(self, author: str | None = None) -> None:
        """Begin anew, knowing nothing."""
        self.faults = Faults()
        self.books: Books = self.world.store.opened(self, self.name, author or self.name, self.faults)

    def restart(self) -> None:
        """What it knew is gone; whether it ended by itself or was killed makes no difference."""
        self.world.store.ended(self.books)
        self.start()

    @property
    def writes(self) -> bool:
        """Does it hold the pen?"""
        return self.books.file.in_hand is not None


class World:
    """Everything there is, made from a seed; `step` lets the next thing happen."""

    def __init__(self, seed: int, store: str) -> None:
        chance = Random(f"{seed}")  # chance is what a simulation is made of
        self.seed = seed
        self.store = STORES[store]()
        self.now = BEGIN
        self.truth = Truth()
        self.trace: list[str] = []
        self.posted: list[tuple[Spec, str]] = []
        self._orders = self._keys = 0
        self._often = (
            patch.multiple(log, SNAPSHOT_EVERY=chance.choice([3, 5, 100]), REMEMBERED=chance.choice([2, 256])),
            patch.object(follow, "BATCH", chance.choice([1, 7, 2000])),
        )
        for patched in self._often:
            patched.start()
        self.programs = [Program(self, name) for name in ("cli", "rest", "mcp")]
        self.laws = Laws(self.truth, self.store)

    def close(self) -> None:
        """End everything."""
        for program in self.programs:
            self.store.ended(program.books)
        self.store.close()
        self.laws.close()
        for patched in self._often:
            patched.stop()

    # -- what happens -----------------------------------------------------------------------------------------------

    def step(self, number: int) -> None:
        """Let the next thing happen, and hold every law against what is then; a step draws from a chance of its own."""
        self.chance = Random(f"{self.seed} {number}")
        self.now += self.chance.choice(MOVES) if self.maybe(0.98) else timedelta(days=self.chance.choice([-2, -1, 3]))
        if self.maybe(0.08):
            self.program().skew = self.chance.choice(SKEWS)
        kinds: list[tuple[int, Callable[[], None]]] = [
            (50, self.an_order),
            (10, self.a_duplicate),
            (4, self.another_content),
            (6, self.an_order_is_posted),
            (9, self.a_posted_order_arrives),
            (5, self.orders_share_a_write),
            (3, self.all_or_nothing),
            (3, self.a_rehearsal),
            (6, self.a_question),
            (3, self.a_rebuild),
            (3, self.a_program_ends),
            (2, self.the_power_fails),
            (1, self.snapshots_are_deleted),
            (1, self.read_models_are_dropped),
        ]
        weights, actions = zip(*kinds, strict=True)
        self.chance.choices(actions, weights)[0]() if self.truth.cycles else self.an_order()
        self.laws.hold(self.chance, [program.books for program in self.programs], dear=number % 10 == 9)

    def finish(self) -> None:
        """What must hold in the end, for a program that knows nothing."""
        self.chance = Random(f"{self.seed} end")
        for program in self.programs:
            program.restart()
        self.deliver_the_rest()
        self.laws.hold(self.chance, [program.books for program in self.programs], dear=True)
        self.laws.hold_of_everything()

    def deliver_the_rest(self) -> None:
        """Whoever does not know what came of an order gives it again, with its key, until there is an answer."""
        lost = [(kept.spec, key) for key, kept in self.truth.keys.items() if kept.answer is None]
        for spec, key in [*self.posted, *lost]:
            self.give(self.program(), spec, key)

    def maybe(self, share: float) -> bool:
        """True for that share of the times."""
        return self.chance.random() < share

    def program(self, besides: Program | None = None) -> Program:
        """Any of the programs."""
        return self.chance.choice([program for program in self.programs if program is not besides])

    def told(self, what: object) -> None:
        """A line of the trace."""
        self.trace.append(str(what))

    def draw(self, program: Program) -> Spec:
        """An order of any kind, by the clock of a program."""
        return Orders(self.chance, self.truth, program()).any()

    def new_key(self) -> str:
        """A key that was not used before."""
        self._keys += 1
        return f"key-{self._keys}"

    def an_order(self) -> None:
        """Somebody gives an order, and something may go wrong on the way."""
        program = self.program()
        spec = self.draw(program)
        key = self.new_key() if self.maybe(0.4) else None
        self.give(program, spec, key, self.plan(program, spec, key))

    def a_duplicate(self) -> None:
        """The same order comes again with its key, through whichever program."""
        if self.truth.keys:
            lost = [key for key, kept in self.truth.keys.items() if kept.answer is None]
            key = self.chance.choice(lost or list(self.truth.keys))
            spec, program = self.truth.keys[key].spec, self.program()
            self.give(program, spec, key, self.plan(program, spec, key))

    def another_content(self) -> None:
        """Another order comes under a key that was used."""
        if self.truth.keys:
            program = self.program()
            key = self.chance.choice(list(self.truth.keys))
            spec = self.draw(program)
            if not isinstance(
                spec.order, ImportFile | c.ApplyPlug
            ):  # plugs that differ in their yes alone are the same
                self.give(program, spec, key)

    def an_order_is_posted(self) -> None:
        """An order is on its way for a while."""
        spec = self.draw(self.program())
        if not isinstance(spec.order, ImportFile):
            self.posted.append((spec, self.new_key()))
            self.told(f"posted: {spec.order!r}")

    def a_posted_order_arrives(self) -> None:
        """Any order that is on its way arrives, and may do so again."""
        if self.posted:
            spec, key = self.chance.choice(self.posted)
            program = self.program()
            self.give(program, spec, key, self.plan(program, spec, key))
            if self.maybe(0.7):
                self.posted.remove((spec, key))

    # -- one order --------------------------------------------------------------------------------------------------

    def plan(self, program: Program, spec: Spec, key: str | None) -> Plan | None:
        """What goes wrong with an order, most often nothing."""
        how = self.chance.random()
        if how < 0.55:
            return None
        if how < 0.75:
            return Plan("between", self.chance.choice([1, 1, 1, 2]), self.meanwhile(program, spec, key))
        at = self.chance.choice(["COMMIT", "COMMIT", self.chance.randint(1, STATEMENTS)])
        if how < 0.85:
            return Plan("crash" if self.maybe(0.5) else "crash-after", at)
        if how < 0.95:
            return Plan(
                self.chance.choice(
                    ["error", "error", "error-rolled-back", "interrupt", "interrupt-after", "answer-lost"]
                ),
                at,
            )
        return Plan("meanwhile", at, self.meanwhile(program, spec, key)) if self.store.reads_while_writing else None

    def meanwhile(self, program: Program, spec: Spec, key: str | None) -> Callable[[], None]:
        """What another program does at that moment; mostly what gets in the way of the first one."""
        other = self.program(besides=program)
        how = self.chance.random()
        number = getattr(spec.order, "cycle_id", None)
        orders = Orders(self.chance, self.truth, other())
        if how < 0.2 and key is not None:
            return lambda: self.give(other, spec, key)
        if how < 0.25 and key is not None and not isinstance(spec.order, ImportFile):
            another = Spec(c.Reconcile(cycle_id=99), wrong=True)
            return lambda: self.give(other, another, key)
        if how < 0.75 and number in self.truth.cycles:
            return lambda: self.give(other, orders.about_a_cycle(number), None)
        if how < 0.9:
            return lambda: self.give(other, self.draw(other), None)
        return lambda: self.ask(other)

    def give(self, program: Program, spec: Spec, key: str | None, plan: Plan | None = None) -> None:
        """Give an order, and tell the truth what came of it."""
        self._orders += 1
        given = Given(spec, f"o{self._orders}", program(), None if isinstance(spec.order, ImportFile) else key)
        busy = self.somebody_writes(program)
        at = len(self.trace)
        outcome = self.outcome(program, plan, busy=busy, act=lambda: self.hand_over(program, given))
        line = f"{given.by} {program.name} {program():%d %H:%M:%S} {key or '-'} {spec.order!r}"
        self.trace.insert(at, f"{line} {plan if plan and plan.fired else ''} -> {_shown(outcome)}")
        self.clean_up(program)
        self.truth.settle(given, outcome, self.store.rows(self.truth.position))

    def hand_over(self, program: Program, given: Given) -> Outcome:
        order = given.spec.order
        if isinstance(order, ImportFile):
            return Done(self.import_file(program, order, given.by), replayed=False)
        answer = program.books.handle(order, idempotency_key=given.key, recorded_by=given.by)
        return Done(dict(answer), answer.replayed)

    def import_file(self, program: Program, order: ImportFile, by: str) -> dict[str, Any]:
        """Import a file; its answer in the shape of an order's."""
        rows = [f"2025-08-{day:02},{usd},{id},imports,gateway,realtime" for id, day, usd in order.rows]
        path = self.laws.folder / f"{by}.csv"
        path.write_text("\n".join(["date,usd,id,provider,source,type", *rows]))
        os.utime(path, (BEGIN.timestamp(), BEGIN.timestamp()))
        position = self.truth.position
        program.books.import_file(path, exported_at=EXPORTED, recorded_by=by)
        found = self.store.rows(position)
        return {"recorded": any(row.by == by for row in found), "position": found[-1].position if found else position}

    def outcome(self, program: Program, plan: Plan | None, *, busy: bool, act: Callable[[], Outcome]) -> Outcome:
        """What came of something, in the words of the truth."""
        program.faults.arm(plan)
        try:
            return act()
        except KeyReused:
            return Conflict()
        except Refused as refused:
            return Refusal(refused.code)
        except Busy as error:
            require(busy or (plan and plan.fired), "the books are busy although nobody writes", error)
            return Failed(error.message)
        except (Unavailable, Interrupted) as error:
            require(plan and plan.fired, "an order fails although nothing is wrong", error)
            return Lost() if plan.kind in ("answer-lost", "interrupt-after") else Failed(repr(error))  # type: ignore[union-attr]  # just required
        except Crash:
            return Lost()
        except (MecrisError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise unforeseen(error) from error
        finally:
            program.faults.arm(None)

    def somebody_writes(self, program: Program) -> bool:
        """Is this asked while another program is in the middle of something?"""
        return any(other.faults.plan is not None and other.faults.plan.fired for other in self.programs)

    def clean_up(self, program: Program) -> None:
        """A program that was killed is started again."""
        if program.faults.dead:
            program.restart()

    # -- several orders ---------------------------------------------------------------------------------------------

    def orders_share_a_write(self) -> None:
        """Many orders that come at once share one transaction; each is refused or done for itself."""
        program = self.program()
        given = []
        for _ in range(self.chance.randint(2, 5)):
            spec = self.draw(program)
            if not isinstance(spec.order, ImportFile):
                self._orders += 1
                key = self.new_key() if self.maybe(0.5) else None
                given.append(Given(spec, f"o{self._orders}", program(), key))
        self.chance.shuffle(given)
        plan = self.plan(program, Spec(c.Reconcile(cycle_id=99)), None) if self.maybe(0.5) else None
        if plan and plan.kind in ("between", "meanwhile"):
            plan = None
        said: list[Outcome] = []

        def act() -> Outcome:
            handed = [Handed(one.spec.order, one.key, one.by) for one in given]
            said.extend(map(_of, program.books.handle_each(handed)))
            return Done({}, replayed=False)

        outcome = self.outcome(program, plan, busy=False, act=act)
        outcomes = said or [outcome] * len(given)
        if plan and plan.fired and plan.kind in ("answer-lost", "interrupt-after"):
            outcomes = [Lost() if isinstance(one, Failed) else one for one in outcomes]
        self.clean_up(program)
        self.settle_in_turn(given, outcomes, plan)

    def settle_in_turn(self, given: list[Given], outcomes: list[Outcome], plan: Plan | None) -> None:
        """Tell the truth of several orders one by one, each with its own events."""
        rows = self.store.rows(self.truth.position)
        shown = plan if plan and plan.fired else ""
        for one, outcome in zip(given, outcomes, strict=True):
            self.told(f"{one.name} together {one.key or '-'} {one.spec.order!r} {shown} -> {_shown(outcome)}")
            mine, rows = _first_write(rows, one)
            self.truth.settle(one, outcome, mine)
        require(not rows, "events that nobody was answered for", rows)

    def all_or_nothing(self) -> None:
        """A program that starts gives several orders in one transaction, of which one may be refused."""
        program = self.program()
        number = self.chance.choice(list(self.truth.cycles) or [99])
        self._orders += 1
        by = f"o{self._orders}"
        amounts = [self.chance.randint(1, 9) for _ in range(self.chance.randint(2, 4))]
        orders: list[c.Command] = [c.AdjustBudget(cycle_id=number, amount_usd=usd, reason="why") for usd in amounts]
        if self.maybe(0.4):
            orders.append(c.ReversePlug(cycle_id=number, plug=999, reason="why"))
        given = [
            Given(Spec(order, wrong=isinstance(order, c.ReversePlug)), by, program(), None, n)
            for n, order in enumerate(orders)
        ]
        self.store.ended(program.books)
        program.start(by)
        plan = self.plan(program, Spec(c.Reconcile(cycle_id=99)), None)
        if plan and plan.kind in ("between", "meanwhile"):
            plan = None
        said: list[Outcome] = []

        def act() -> Outcome:
            said.extend(Done(dict(answer), answer.replayed) for answer in program.books.handle_all(orders))
            return Done({}, replayed=False)

        outcome = self.outcome(program, plan, busy=False, act=act)
        program.restart()
        rows = self.store.rows(self.truth.position)
        if isinstance(outcome, Done):
            self.settle_in_turn(given, said, plan)
        else:
            self.told(f"{by} all or nothing {orders!r} {plan} -> {_shown(outcome)}")
            require(isinstance(outcome, Lost) or not rows, "orders of which one is refused left events", rows)
            if rows:
                self.settle_in_turn(given, [outcome] * len(given), plan)

    def a_rehearsal(self) -> None:
        """What would come of an order is asked; nothing is recorded."""
        program = self.program()
        spec = self.draw(program)
        if isinstance(spec.order, ImportFile):
            return
        plan = Plan("error", self.chance.randint(1, STATEMENTS)) if self.maybe(0.3) else None
        act = lambda: Done(dict(program.books.rehearse(spec.order)), replayed=False)  # noqa: E731
        outcome = self.outcome(program, plan, busy=False, act=act)
        self.told(f"rehearsed {program.name} {spec.order!r} -> {_shown(outcome)}")
        require(not self.store.rows(self.truth.position), "a rehearsal recorded something", spec)

    # -- questions --------------------------------------------------------------------------------------------------

    def a_question(self) -> None:
        """Somebody asks, and something may go wrong while the read models are brought up to date."""
        program = self.program()
        how = self.chance.random()
        plan = None
        if how < 0.6:
            kind = self.chance.choice(["crash", "crash-after", "error", "interrupt"])
            plan = Plan(kind, self.chance.choice(["COMMIT", self.chance.randint(1, 60)]))
        elif how < 0.9:
            at = self.chance.choice([1, 2, 3])
            plan = Plan("between", at, self.meanwhile(program, Spec(c.Reconcile(cycle_id=1)), None))
        self.ask(program, plan)
        self.clean_up(program)

    def ask(self, program: Program, plan: Plan | None = None) -> None:
        """Ask how a cycle stands; the answer is that of the end of some write."""
        if not self.truth.cycles:
            return
        number = self.chance.choice(list(self.truth.cycles))
        busy = self.somebody_writes(program)

        def act() -> Outcome:
            self.laws.hold_of_an_answer(number, program.books.status(number))
            return Done({}, replayed=False)

        outcome = self.outcome(program, plan, busy=busy, act=act)
        self.told(f"asked {program.name} of cycle {number} {plan if plan and plan.fired else ''} -> {_shown(outcome)}")

    # -- what becomes of programs and of what is derived --------------------------------------------------------------

    def a_rebuild(self) -> None:
        """Everything that is derived is made again; it may fail on the way."""
        program = self.program()
        plan = None
        if self.maybe(0.6):
            kind = self.chance.choice(["crash", "error", "interrupt", "crash-after"])
            plan = Plan(kind, self.chance.choice(["COMMIT", self.chance.randint(1, 100)]))

        def act() -> Outcome:
            program.books.rebuild()
            return Done({}, replayed=False)

        outcome = self.outcome(program, plan, busy=False, act=act)
        self.told(f"rebuilt by {program.name} {plan if plan and plan.fired else ''} -> {_shown(outcome)}")
        self.clean_up(program)

    def a_program_ends(self) -> None:
        """A program is started again."""
        program = self.program()
        self.told(f"{program.name} is started again")
        program.restart()

    def the_power_fails(self) -> None:
        """All programs end in the middle of an order, and what may be lost on the disk is lost."""
        program = self.program()
        spec = self.draw(program)
        kind = self.chance.choice(["crash", "crash-after"])
        plan = Plan(kind, self.chance.choice(["COMMIT", self.chance.randint(1, STATEMENTS)]))
        self._orders += 1
        key = self.new_key()
        given = Given(spec, f"o{self._orders}", program(), None if isinstance(spec.order, ImportFile) else key)
        self.store.mark()
        outcome = self.outcome(program, plan, busy=False, act=lambda: self.hand_over(program, given))
        if program.faults.dead:
            self.store.cut_power(self.chance)
            for each in self.programs:
                each.restart()
        self.told(f"{given.by} {program.name} {spec.order!r} {'power fails' * plan.fired} {plan} -> {_shown(outcome)}")
        self.truth.settle(given, outcome, self.store.rows(self.truth.position))

    def snapshots_are_deleted(self) -> None:
        """They are derived too."""
        self.told("snapshots are deleted")
        with self.program().books.file.pen() as connection:
            connection.execute("DELETE FROM stored_snapshots")

    def read_models_are_dropped(self) -> None:
        """They can be thrown away."""
        self.told("read models are dropped")
        with self.program().books.file.pen() as connection:
            connection.execute("DELETE FROM view_positions")
            for table in (table for view in follow.VIEWS for table in view.tables):
                connection.execute(f"DROP TABLE IF EXISTS {table}")


def unforeseen(error: BaseException) -> AssertionError:
    """An order ends in what no order may end in."""
    return error if isinstance(error, Broken) else Broken(f"an order ends in {type(error).__name__}: {error}")


def _of(said: Any) -> Outcome:
    """One of several answers, in the words of the truth."""
    match said:
        case KeyReused():
            return Conflict()
        case Refused():
            return Refusal(said.code)
        case Busy() | Unavailable():
            return Failed(said.message)
        case MecrisError():
            raise unforeseen(said)
    return Done(dict(said), said.replayed)


def _first_write(rows: list[Row], given: Given) -> tuple[list[Row], list[Row]]:
    """The events of the next order, if they are somebody's, and the rest; a cycle that is opened takes in what was imported."""
    if not rows or rows[0].by != given.by:
        return [], rows
    opens = isinstance(given.spec.order, c.OpenCycle | c.ReopenCycle)
    mine: Collection[Row] = [row for row in rows if row.by == given.by and (opens or row.last == rows[0].last)]
    return list(mine), rows[len(mine) :]


def _shown(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return f"done at {outcome.answer.get('position', '-')}" + (" (replayed)" * outcome.replayed)
    return " ".join(map(str, (type(outcome).__name__.lower(), *outcome)))
