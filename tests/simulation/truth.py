"""The truth beside the books: it is told only of what was acknowledged, and says what the books must hold then.

It shares no code with the product. Each order is given by somebody of its own (`recorded_by`), so that every event in the log
says which order it comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from oracle import Adjusted, Money, No, Oracle, expected

from mecris.domain import commands as c

from .stores import Row

EITHER = "either"
"""It must be accepted; whether there was something to record the truth does not follow."""
ORACLE = (
    *(c.RecordSource, c.AdjustBudget, c.ApplyPlug, c.ReversePlug),
    *(c.RetractReading, c.ChangeThresholds, c.Reconcile),
)
"""Orders that the oracle decides too."""


class Broken(AssertionError):
    """A law does not hold."""


def require(holds: object, law: str, *seen: object) -> None:
    """A law, and what was seen where it does not hold."""
    if not holds:
        raise Broken(": ".join([law, *map(str, seen)]))


EXPORTED = datetime(2025, 8, 31, 12, tzinfo=UTC)
"""When every file is exported."""


class ImportFile(c.Command):
    """A file of money by day is imported; each row is its id, its day of August and its amount."""

    name: ClassVar[str] = "import-file"
    rows: tuple[tuple[str, int, Decimal], ...]


class Spec(NamedTuple):
    """An order as the simulation gives it.

    `wrong` ones must be refused; `told` is what the oracle hears in place of the order; an `outside` order is about something that
    the truth does not follow, and may be refused.
    """

    order: c.Command
    wrong: bool = False
    told: c.Command | None = None
    outside: bool = False


class Given(NamedTuple):
    """An order on its way: by whom, when by the clock of the program that takes it, and with which key."""

    spec: Spec
    by: str
    now: datetime
    key: str | None = None
    part: int = 0
    """Which of the orders that one program gives together."""

    @property
    def name(self) -> str:
        """What it is called in the trace."""
        return f"{self.by}.{self.part}" if self.part else self.by


class Done(NamedTuple):
    """It was answered."""

    answer: dict[str, Any]
    replayed: bool


class Refusal(NamedTuple):
    """A rule said no."""

    code: str


class Conflict(NamedTuple):
    """The key was used for something else."""


class Failed(NamedTuple):
    """It could not be done, and the program said so: nothing may be recorded."""

    why: str


class Lost(NamedTuple):
    """Nobody knows: the program was killed, or the answer was lost on its way."""


Outcome = Done | Refusal | Conflict | Failed | Lost


@dataclass
class Cycle:
    """A cycle as it was opened; for its oracle it is the world."""

    number: int
    first_day: date
    begins: datetime
    ends: datetime
    target: Decimal
    followed: bool
    """Are its figures worked out? Not where counters and files speak too."""
    now: datetime
    closed: Decimal | None = None
    heir: int | None = None
    carried: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        self.is_closed = False
        self.oracle = Oracle(self)

    @classmethod
    def opened(cls, number: int, order: c.OpenCycle, *, followed: bool) -> "Cycle":
        """What an order that opens a cycle says."""
        first, last, zone = order.start_date, order.end_date, ZoneInfo(order.timezone)
        assert isinstance(first, date)
        assert isinstance(last, date)
        begins = datetime.combine(first, time(), zone).astimezone(UTC)
        midnight = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
        return cls(number, first, begins, midnight - timedelta(microseconds=1), order.target_usd, followed, begins)

    @property
    def remaining(self) -> Decimal:
        """What is left of it."""
        left: Money = expected(self.oracle.page().status())["remaining"]
        return Decimal(left.numerator) / Decimal(left.denominator)

    @property
    def settled(self) -> bool:
        """Does nothing stand against closing it?"""
        providers = self.oracle.page().status().providers.values()
        open_ = any(p.unexplained or p.compared.grade == "UNVERIFIED" for p in providers)
        return bool(providers) and not open_ and not self.oracle.stale(self.oracle.index)

    def takes_over(self, amount: Decimal, at: datetime, *, reconcile: bool) -> None:
        """The budget changes by what was left of another cycle."""
        self.oracle.index += 1
        if amount:
            new = Adjusted(self.oracle.index, Money(amount), at, "")
            page = self.oracle.page()
            page.adjustments.append(new)
            if any(new.at <= s.at and s.credit is None and page.usd(s) < 0 for s in page.statements) and reconcile:
                raise No
            self.oracle.adjustments.append(new)
            if reconcile:
                self.oracle._reconcile()


@dataclass
class Kept:
    """What an idempotency key was used for; `sure` if it is certain that the books know of it."""

    spec: Spec
    by: str
    answer: dict[str, Any] | None
    sure: bool


@dataclass
class Truth:
    """Everything that was acknowledged."""

    position: int = 0
    recorded_at: str = ""
    versions: dict[str, int] = field(default_factory=dict)
    lasts: list[int] = field(default_factory=lambda: [0])
    """The end of the write that each position lies in."""
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The positions that each order's events take."""
    keys: dict[str, Kept] = field(default_factory=dict)
    cycles: dict[int, Cycle] = field(default_factory=dict)
    dispatches: dict[str, dict[str, tuple[int, int, bool]]] = field(default_factory=dict)
    shown: dict[tuple[str, str], set[Decimal]] = field(default_factory=dict)
    lines: dict[str, Decimal] = field(default_factory=dict)
    """Lines of files that were imported."""
    told: dict[int, Decimal] = field(default_factory=dict)
    """What they came to when a cycle was told last."""
    ends_at: dict[int, dict[int, int]] = field(default_factory=dict)
    """How many orders the oracle of each cycle had heard of, at each end of a write."""

    # -- what came of an order --------------------------------------------------------------------------------------

    def settle(self, given: Given, outcome: Outcome, rows: Sequence[Row]) -> None:
        """Take in what came of an order, and the events that are new since; any of it may break a law."""
        kept = self.keys.get(given.key) if given.key is not None else None
        mine = kept is not None and kept.spec.order == given.spec.order
        nothing = isinstance(outcome, Refusal | Conflict | Failed) or (isinstance(outcome, Done) and outcome.replayed)
        require(not (nothing and rows), f"an order that ended in {outcome} left events", rows)
        self._take(given, rows, outcome)
        match outcome:
            case Conflict():
                require(
                    kept is not None and not mine, "a conflict although the key was not used for anything else", kept
                )
                kept.sure = True  # type: ignore[union-attr]  # just required
            case Done(answer, True):
                require(mine, "an answer is given again that was never given", given, kept)
                self._answered_again(kept, answer)  # type: ignore[arg-type]  # just required
            case Done(answer, False):
                require(kept is None or not kept.sure, "a key was used twice", given.key, kept)
                recorded = self._does(given, done=True, answer=answer)
                require(
                    bool(rows) == answer["recorded"], "an answer says `recorded` and the log says otherwise", answer
                )
                require(
                    recorded in (None, EITHER, answer["recorded"]), "there was something to record, or nothing", answer
                )
                require(answer["position"] == self.position, "an answer names another position", answer, self.position)
                if given.key is not None:
                    self.keys[given.key] = Kept(given.spec, given.by, answer, sure=True)
            case Refusal(code):
                require(kept is None or not kept.sure, "an order is refused that was done under its key", code)
                require(self._may_be_refused(given), "an order is refused that is right", code, given.spec.order)
            case Lost():
                if rows:
                    require(not (kept and kept.sure), "a key was used twice", given.key)
                    self._does(given, done=True)
                if given.key is not None and not (kept and kept.sure):
                    self.keys[given.key] = Kept(given.spec, given.by, None, sure=bool(rows))
            case Failed():
                pass
        self.ends_at[self.position] = {number: cycle.oracle.index for number, cycle in self.cycles.items()}

    def _take(self, given: Given, rows: Sequence[Row], outcome: Outcome) -> None:
        """New events come from this order alone, as one write, at the end of the log."""
        for row in rows:
            require(row.by == given.by, f"an event of {row.by} stands where {given.by} wrote", row)
            require(row.position == self.position + 1, "a position is left out or used twice", row, self.position)
            whole = (
                isinstance(given.spec.order, ImportFile | c.OpenCycle | c.ReopenCycle) or row.last == rows[-1].position
            )
            require(whole, "events of one order are several writes", row)
            require(row.recorded_at >= self.recorded_at, "recorded_at goes back", row.recorded_at, self.recorded_at)
            require(row.fields["recorded_at"] == row.recorded_at, "an event and its link name two times", row)
            version = self.versions.get(row.aggregate, 0) + 1
            require(row.version == version, f"version {version} belongs there", row)
            self.lasts.append(row.last)
            self.position, self.recorded_at, self.versions[row.aggregate] = row.position, row.recorded_at, version
        if rows:
            require(given.name not in self.groups, "an order is recorded twice", given)
            self.groups[given.name] = (rows[0].position, rows[-1].position)
            touched = {_cycle_in(row.aggregate) for row in rows}
            require(touched <= self._may_touch(given.spec.order), "another cycle is touched", given.spec.order, touched)

    def _may_touch(self, order: c.Command) -> set[int | None]:
        match order:
            case c.RollOver():
                return {order.cycle_id, order.from_cycle}
            case c.CycleCommand() if order.cycle_id not in self._outside():
                return {order.cycle_id}
            case c.OpenCycle():
                return {len(self.cycles) + 1, order.roll_over_from}
            case c.AlertCommand():
                return {order.cycle_id}
            case c.RunCommand() | c.TokenCommand():
                return {None}
        return {None, *self._outside()}

    def _outside(self) -> set[int]:
        return {number for number, cycle in self.cycles.items() if not cycle.followed}

    def _answered_again(self, kept: Kept, answer: dict[str, Any]) -> None:
        if kept.answer is None:  # it was lost the first time
            require(answer["recorded"] == (kept.by in self.groups), "an answer that was lost says otherwise", answer)
            kept.answer, kept.sure = answer, True
        require(kept.answer == answer, "a key is answered otherwise than before", kept.answer, answer)

    def _may_be_refused(self, given: Given) -> bool:
        try:
            return self._done(given, done=False, answer=None) is None
        except No:
            return True

    # -- what an order does -----------------------------------------------------------------------------------------

    def _does(self, given: Given, *, done: bool, answer: dict[str, Any] | None = None) -> object:
        """Do what an order says that was done: was there something to record? None where the truth does not follow."""
        try:
            return self._done(given, done=done, answer=answer)
        except No:
            raise Broken(f"an order is done that must be refused: {given.spec.order!r}: {answer}") from None

    def _done(self, given: Given, *, done: bool, answer: dict[str, Any] | None) -> object:
        """As above; `No` if it must be refused."""
        order = given.spec.told or given.spec.order
        if given.spec.wrong:
            raise No
        match order:
            case c.OpenCycle():
                return self._open(order, given, answer)
            case c.RunCommand():
                return self._run(order, answer)
            case c.ReadOdometer():
                self.shown.setdefault((order.provider, order.month or ""), set()).add(order.amount_usd)
            case ImportFile():
                return self._import(order, given)
            case c.RollOver():
                return self._roll_over(order, given)
            case c.CycleCommand():
                return self._about_a_cycle(order, given, answer, done=done)
        return None

    def _import(self, order: ImportFile, given: Given) -> object:
        if given.now < EXPORTED:
            raise No  # by a clock that far behind, it has not come yet
        new = {id: usd for id, _, usd in order.rows if id not in self.lines}
        self.lines |= new
        if new:
            self.told |= dict.fromkeys(self._outside(), sum(self.lines.values()))
        return EITHER

    def _open(self, order: c.OpenCycle, given: Given, answer: dict[str, Any] | None) -> bool:
        if order.target_usd < 0:
            raise No
        number = len(self.cycles) + 1
        require(answer is None or answer["cycle_id"] == number, "a cycle gets another number", answer, number)
        cycle = Cycle.opened(number, order, followed=not given.spec.outside)
        if order.roll_over_from is not None:
            self._carry(order.roll_over_from, cycle, min(cycle.begins, given.now), reconcile=False)
        self.cycles[number] = cycle
        self._tell_imported(cycle)
        return True

    def _tell_imported(self, cycle: Cycle) -> None:
        """A cycle that is opened hears of what was imported before."""
        if not cycle.followed and self.lines:
            self.told[cycle.number] = sum(self.lines.values())

    def _roll_over(self, order: c.RollOver, given: Given) -> bool:
        cycle = self._open_cycle(order.cycle_id)
        return self._carry(order.from_cycle, cycle, min(cycle.begins, given.now), reconcile=True)

    def _carry(self, origin: int, to: Cycle, at: datetime, *, reconcile: bool) -> bool:
        giver = self.cycles.get(origin)
        if giver is None or giver is to or giver.closed is None or giver.heir not in (None, to.number):
            raise No
        if (giver.first_day, giver.number) > (to.first_day, to.number):
            raise No
        amount = giver.closed - giver.carried
        recorded = bool(amount) or giver.heir is None
        to.takes_over(amount, at, reconcile=reconcile)
        giver.heir, giver.carried = to.number, giver.closed
        return recorded

    def _open_cycle(self, number: int) -> Cycle:
        cycle = self.cycles.get(number)
        if cycle is None or cycle.is_closed:
            raise No
        return cycle

    def _about_a_cycle(
        self, order: c.CycleCommand, given: Given, answer: dict[str, Any] | None, *, done: bool
    ) -> object:
        if isinstance(order, c.ReopenCycle):
            return self._reopen(order)
        cycle = self._open_cycle(order.cycle_id)
        cycle.now = given.now
        if isinstance(order, c.CloseCycle):
            return self._close(cycle, order, answer, done=done)
        if not cycle.followed:
            return None
        assert isinstance(order, ORACLE)
        return cycle.oracle.does(order)

    def _reopen(self, order: c.ReopenCycle) -> bool:
        cycle = self.cycles.get(order.cycle_id)
        if cycle is None or not cycle.is_closed:
            raise No
        cycle.is_closed, cycle.closed = False, None
        self._tell_imported(cycle)
        cycle.oracle.index += 1
        return True

    def _close(self, cycle: Cycle, order: c.CloseCycle, answer: dict[str, Any] | None, *, done: bool) -> object:
        if not cycle.followed:
            cycle.is_closed = done
            return None
        if not cycle.settled and not (order.accept and order.reason):
            raise No
        cycle.oracle.index += 1
        cycle.oracle._reconcile()
        cycle.is_closed, cycle.closed = True, cycle.remaining
        require(
            answer is None or answer["remaining_usd"] == cycle.closed, "a cycle is closed with another figure", answer
        )
        return True

    def _run(self, order: c.RunCommand, answer: dict[str, Any] | None) -> object:
        known = self.dispatches.get(order.run_id, {})
        if isinstance(order, c.RecordDispatches):
            new = {d.dispatch_id: (d.input_tokens, d.output_tokens, d.running) for d in order.dispatches}
            changed = any(known.get(id) != said for id, said in new.items())
            self.dispatches.setdefault(order.run_id, {}).update(new)
            return changed
        assert isinstance(order, c.ReconcileTokens)
        mine = [known[order.dispatch_id]] if order.dispatch_id in known else []
        mine = list(known.values()) if order.dispatch_id is None else mine
        if not mine or order.billed_in < 0:
            raise No
        off = order.billed_in - sum(d[0] for d in mine)
        require(answer is None or answer["delta_in"] == off, "a bill is compared with something else", answer)
        return EITHER


def _cycle_in(aggregate: str) -> int | None:
    kind, _, number = aggregate.partition("-")
    return int(number) if kind in ("cycle", "alerts") and number.isdecimal() else None
