"""How an order becomes events: decide, then write if nobody was quicker, else decide again with the pen in hand.

The first attempt decides on what we remember of a cycle, without asking the file at all. Only the file can
say whether that was the end of the log: it refuses a version that is taken. Whatever the first attempt cannot
be sure of (a refusal, a no-op, a look into the past) is decided again while no one else can write, so there
are never more than two attempts.
"""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from threading import RLock
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from eventsourcing.application import AggregateNotFoundError

from ..domain import commands as c
from ..domain.aggregate import Aggregate, Mark, Stamp
from ..domain.cycle import BudgetCycle
from ..domain.errors import EventDamaged, KeyReused, NotFound, Refused, RuleRefused
from ..domain.history import Past
from ..domain.ids import cycle_key
from ..domain.period import LATE, as_text, from_text
from ..domain.text import name_of
from ..projections import follow, ledger
from ..projections.ledger import AsOf
from ..store import positions
from ..store.file import File
from ..store.log import Log, Stale
from .answers import Answer, from_json, to_json
from .questions import clock_is_behind

T = TypeVar("T")
Read = dict[int, BudgetCycle]
"""Cycles that were read with the pen in hand, by number."""


class Unsure(Exception):
    """What is remembered does not suffice to decide: ask again with the pen in hand."""


class Unread:
    """The past of an attempt that has not asked the file."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Unsure


class Decided(NamedTuple):
    """An aggregate with its pending events, how it was before, and the answer that goes with them."""

    aggregate: Aggregate
    before: Mark
    answer: Answer


class Writer:
    """Takes orders, one at a time in this process."""

    def __init__(self, file: File, clock: Callable[[], datetime], recorded_by: str, via: str) -> None:
        self.file, self.clock, self.recorded_by, self.via = file, clock, name_of(recorded_by, "the author"), via
        self.log = Log(file)
        self._require_whole_log()
        self._turn = RLock()
        self._last: datetime | None = None  # when we last recorded something

    def _require_whole_log(self) -> None:
        """Refuse to write where the end of the log is missing: its positions would be used twice."""
        with self.file.reading() as connection:
            end, seen = positions.head(connection).position, max(follow.positions(connection).values())
        if seen > end:
            raise EventDamaged(f"the log ends at {end}, but {seen} events were seen: run `mecris audit verify`")

    def handle(self, order: c.Command, key: str | None) -> Answer:
        """Do what an order says, or refuse it."""
        if key is not None and not name_of(key, "the idempotency key"):
            raise RuleRefused("the idempotency key is empty: give one that names this order alone", code="key")
        with self._turn:
            try:
                return self._at_first_attempt(order, key)
            except (Unsure, Refused, Stale):
                pass
            return self._held(lambda connection: self._with_the_pen(connection, order, key, {}))

    def handle_all(self, orders: Iterable[c.Command]) -> list[Answer]:
        """Do what all orders say in one atomic write, or nothing of it."""
        with self._turn:
            read: Read = {}
            return self._held(
                lambda connection: [self._with_the_pen(connection, order, None, read) for order in orders]
            )

    def _held(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Write with the pen in hand, and remember only what is written."""
        try:
            with self.file.pen() as connection:
                return write(connection)
        except BaseException as error:
            self.log.forget_all()
            if isinstance(error, Stale):  # no one else can write now, so something stands where nothing can
                raise EventDamaged("an event stands where the next one belongs: run `mecris audit verify`") from error
            raise

    def _at_first_attempt(self, order: c.Command, key: str | None) -> Answer:
        if not isinstance(order, c.CycleCommand):
            raise Unsure
        cycle = self.log.remembered(cycle_key(order.cycle_id))
        if cycle is None:
            raise Unsure
        stamp = self._stamp(self._last)
        decided = self._decide(cycle, order, stamp, cast("Past", Unread()))
        if not decided.answer["recorded"]:
            raise Unsure
        try:
            with self.file.pen() as connection:
                if key is not None and _kept(connection, key):
                    raise Unsure
                return self._write(connection, decided, stamp, order, key)
        except BaseException:
            cycle.rewind(decided.before)  # none of it is in the log
            raise

    def _with_the_pen(self, connection: sqlite3.Connection, order: c.Command, key: str | None, read: Read) -> Answer:
        kept = _kept(connection, key) if key is not None else None
        if kept and key is not None:
            return _again(key, kept, order)
        head = positions.head(connection)
        stamp = self._stamp(from_text(head.recorded_at) if head.position else None)
        decided = self._decide_afresh(connection, order, stamp, read)
        return self._write(connection, decided, stamp, order, key)

    def _decide_afresh(self, connection: sqlite3.Connection, order: c.Command, stamp: Stamp, read: Read) -> Decided:
        if isinstance(order, c.OpenCycle):
            number = self.log.next_cycle()
            cycle = BudgetCycle.open(order, number, stamp)
            self.log.keep(cycle)
            return Decided(cycle, (1, cycle.state), Answer(cycle_id=number, recorded=True))
        if not isinstance(order, c.CycleCommand):
            raise RuleRefused(f"{type(order).__name__} is not an order these books know", code="unknown-order")
        cycle = read.get(order.cycle_id) or self._read(order.cycle_id)
        read[order.cycle_id] = (
            cycle  # no one else can write, so one look is enough for all that is written with this pen
        )
        return self._decide(cycle, order, stamp, cast("Past", CaughtUp(connection, cycle)))

    def _read(self, cycle_id: int) -> BudgetCycle:
        try:
            return self.log.repository.get(cycle_key(cycle_id), deepcopy_from_cache=False)
        except AggregateNotFoundError:
            raise NotFound(
                f"there is no cycle {cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            ) from None

    def _decide(self, cycle: Aggregate, order: c.CycleCommand, stamp: Stamp, past: Past) -> Decided:
        assert isinstance(cycle, BudgetCycle)
        before = cycle.marked()
        try:
            return Decided(cycle, before, Answer(cycle.decide(order, stamp, past)))
        except BaseException:
            cycle.rewind(before)  # some of its events may have been triggered before it was refused
            raise

    def _write(
        self, connection: sqlite3.Connection, decided: Decided, stamp: Stamp, order: c.Command, key: str | None
    ) -> Answer:
        aggregate, _, answer = decided
        if aggregate.pending_events:
            answer["position"] = self.log.append(connection, aggregate, as_text(stamp.recorded_at))
            self._last = stamp.recorded_at
        else:
            answer["position"] = positions.head(connection).position
        if stamp.recorded_at - stamp.now > LATE:
            answer["warnings"] = [*answer.get("warnings", ()), clock_is_behind(stamp.recorded_at, stamp.now)]
        if key is None:
            return answer
        kept = to_json(answer)
        connection.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?)", (key, _fingerprint(order), kept))
        return Answer(from_json(kept))

    def _stamp(self, last: datetime | None) -> Stamp:
        now = self.clock()
        return Stamp(now, now if last is None or now > last else last, self.recorded_by, self.via)


class CaughtUp:
    """The past of a cycle at exactly the version that is decided on: no one else can write meanwhile.

    Read models are brought up to date only if the decision asks; most orders never look back.
    """

    def __init__(self, connection: sqlite3.Connection, cycle: BudgetCycle) -> None:
        self._connection, self._cycle = connection, cycle

    @cached_property
    def _readings(self) -> ledger.Readings:
        follow.catch_up(self._connection)
        state = self._cycle.state
        cycle = ledger.cycle(self._connection, state.cycle)
        assert cycle is not None  # its events have just been folded
        return ledger.Readings(self._connection, cycle, AsOf(positions.head(self._connection).position))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._readings, name)


def _kept(connection: sqlite3.Connection, key: str) -> tuple[str, str] | None:
    """The fingerprint and the answer kept under an idempotency key."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT fingerprint, answer FROM idempotency_keys WHERE key = ?", (key,)
    ).fetchone()
    return found


def _again(key: str, kept: tuple[str, str], order: c.Command) -> Answer:
    """The first answer to a repeated order; another order under the same key is a conflict."""
    if kept[0] != _fingerprint(order):
        raise KeyReused(key)
    answer = Answer(from_json(kept[1]))
    answer.replayed = True
    return answer


def _fingerprint(order: c.Command) -> str:
    return sha256(f"{order.name} {order.model_dump_json(exclude_defaults=True)}".encode()).hexdigest()
