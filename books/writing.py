"""How an order becomes events: decide, then write if nobody was quicker, else decide again with the pen in hand.

The first attempt decides on what we remember of a cycle, without asking the file at all. Only the file can
say whether that was the end of the log: it refuses a version that is taken. Whatever the first attempt cannot
be sure of (a refusal, a no-op, a look into the past) is decided again while no one else can write, so there
are never more than two attempts.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from threading import RLock
from typing import NamedTuple, TypeVar, cast

from ..domain import commands as c
from ..domain.aggregate import Stamp
from ..domain.errors import Busy, EventDamaged, KeyReused, MecrisError, Refused, RuleRefused, Unavailable
from ..domain.period import LATE, as_text, from_text
from ..domain.text import name_of
from ..projections import follow
from ..store import positions
from ..store.appending import Stale
from ..store.connection import Connection, Store
from ..store.log import Log
from .answers import Answer, from_json, to_json
from .deciding import decide
from .desk import Desk, Held, InHand, Read, Remembered, Unsure
from .moments import clock_is_behind

T = TypeVar("T")


class Given(NamedTuple):
    """An order, its idempotency key, and who gives it (None: whoever opened the books)."""

    order: c.Command
    key: str | None = None
    by: str | None = None


Hand = Callable[[c.Command], Answer]
"""Takes an order while the pen is held."""


class Writer:
    """Takes orders, one at a time in this process."""

    def __init__(self, file: Store, clock: Callable[[], datetime], recorded_by: str, via: str) -> None:
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

    def handle(self, given: Given) -> Answer:
        """Do what an order says, or refuse it."""
        _require_key(given.key)
        with self._turn:
            try:
                if not given.order.opens:
                    return self._at_first_attempt(given)
            except (Unsure, Refused, Stale):
                pass
            return self._held(lambda connection: self._with_the_pen(connection, given, {}))

    def handle_all(self, orders: Iterable[c.Command]) -> list[Answer]:
        """Do what all orders say in one atomic write, or nothing of it."""
        with self._turn:
            read: Read = {}
            return self._held(
                lambda connection: [self._with_the_pen(connection, Given(order), read) for order in orders]
            )

    def handle_each(self, given: Sequence[Given]) -> list[Answer | MecrisError]:
        """Do what each order says, or refuse it, all in one durable write: many share the wait for the disk."""
        if len(given) == 1:
            return [self._alone(given[0])]
        read: Read = {}
        with self._turn:
            try:
                return self._held(lambda connection: [self._each(connection, one, read) for one in given])
            except (Busy, Unavailable) as error:  # the books cannot be written: the same for all
                return [error] * len(given)
            except Exception:  # noqa: BLE001  # one of them fails for a reason of its own: each is tried by itself
                return [self._alone(one) for one in given]

    def together(self, work: Callable[[Connection, "Hand"], T], by: str | None = None) -> T:
        """Do orders that follow from one another in one atomic write; if it fails on the way, nothing is recorded."""
        with self._turn:
            read: Read = {}
            return self._held(
                lambda connection: work(
                    connection, lambda order: self._with_the_pen(connection, Given(order, None, by), read)
                )
            )

    def rehearse(self, given: Given) -> Answer:
        """What an order would be answered with, or its refusal; nothing is recorded."""
        with self._turn, self.file.pen() as connection:
            if again := _given_before(connection, given):
                return again
            head = positions.head(connection)
            last = from_text(head.recorded_at) if head.position else None
            desk = Held(self.log, connection, self._stamp(last, given.by), {})
            try:
                return decide(given.order, desk)
            finally:
                desk.put_back()
                self.log.forget_all()

    def _each(self, connection: Connection, given: Given, read: Read) -> Answer | MecrisError:
        try:
            _require_key(given.key)
            return self._with_the_pen(connection, given, read)
        except (Refused, KeyReused) as refused:
            if isinstance(given.order, c.OpenCycle):  # it was remembered from its first event on, which is not there
                self.log.forget_all()
                read.clear()
            return refused

    def _alone(self, given: Given) -> Answer | MecrisError:
        try:
            return self.handle(given)
        except MecrisError as error:
            return error

    def _held(self, write: Callable[[Connection], T]) -> T:
        """Write with the pen in hand, and remember only what is written."""
        try:
            with self.file.pen() as connection:
                return write(connection)
        except BaseException as error:
            self.log.forget_all()
            if isinstance(error, Stale):  # no one else can write now, so something stands where nothing can
                raise EventDamaged("an event stands where the next one belongs: run `mecris audit verify`") from error
            raise

    def _at_first_attempt(self, given: Given) -> Answer:
        desk = Remembered(self.log, self._stamp(self._last, given.by))
        try:
            answer = decide(given.order, cast("Desk", desk))
            if not answer["recorded"]:
                raise Unsure
            with self.file.pen() as connection:
                if given.key is not None and _kept(connection, given.key):
                    raise Unsure
                return self._write(connection, desk, answer, given, {})
        except BaseException:
            desk.put_back()
            raise

    def _with_the_pen(self, connection: Connection, given: Given, read: Read) -> Answer:
        if again := _given_before(connection, given):
            return again
        head = positions.head(connection)
        last = from_text(head.recorded_at) if head.position else None
        desk = Held(self.log, connection, self._stamp(last, given.by), read)
        try:
            return self._write(connection, desk, decide(given.order, desk), given, read)
        except BaseException:
            desk.put_back()  # some events may have been triggered before it was refused
            raise

    def _write(self, connection: Connection, desk: InHand, answer: Answer, given: Given, read: Read) -> Answer:
        stamp, changed = desk.stamp, desk.changed
        if changed:
            answer["position"] = self.log.append(connection, changed, as_text(stamp.recorded_at))
            self._last = stamp.recorded_at
            if given.order.opens:
                self._tell_imported(connection, answer, given, read)
        else:
            answer["position"] = positions.head(connection).position
        if stamp.recorded_at - stamp.now > LATE:
            answer["warnings"] = [*answer.get("warnings", ()), clock_is_behind(stamp.recorded_at, stamp.now)]
        if given.key is None:
            return answer
        kept = to_json(answer)
        row = (given.key, _fingerprint(given.order), kept)
        connection.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?)", row)
        return Answer(from_json(kept))

    def _tell_imported(self, connection: Connection, answer: Answer, given: Given, read: Read) -> None:
        """Tell a cycle that is open now what was imported before; what cannot be told of it does not keep it closed."""
        found = connection.execute(
            "SELECT 1 FROM stored_events WHERE originator_id >= 'report-' AND originator_id < 'report.' LIMIT 1"
        )
        if found.fetchone() is None:
            return
        from .telling import tell_cycle

        told = tell_cycle(
            connection,
            lambda order: self._with_the_pen(connection, Given(order, None, given.by), read),
            answer["cycle_id"],
            self.clock(),
        )
        answer["position"] = positions.head(connection).position
        if told.readings:
            answer["imported_readings"] = told.readings
        if told.refused:
            answer["warnings"] = [*answer.get("warnings", ()), *told.refused]

    def _stamp(self, last: datetime | None, by: str | None) -> Stamp:
        now = self.clock()
        return Stamp(now, now if last is None or now > last else last, by or self.recorded_by, self.via)


def _require_key(key: str | None) -> None:
    if key is not None and not name_of(key, "the idempotency key"):
        raise RuleRefused("the idempotency key is empty: give one that names this order alone", code="key")


def _kept(connection: Connection, key: str) -> tuple[str, str] | None:
    """The fingerprint and the answer kept under an idempotency key."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT fingerprint, answer FROM idempotency_keys WHERE key = ?", (key,)
    ).fetchone()
    return found


def _given_before(connection: Connection, given: Given) -> Answer | None:
    """The first answer to an order that was given before; another order under the same key is a conflict."""
    kept = _kept(connection, given.key) if given.key is not None else None
    if kept is None or given.key is None:
        return None
    if kept[0] not in _fingerprints(given.order):
        raise KeyReused(given.key)
    answer = Answer(from_json(kept[1]))
    answer.replayed = True
    return answer


def _fingerprint(order: c.Command) -> str:
    """What tells one order from another: its name and its fields, less those that say only how it may be done."""
    said = order.model_dump_json(exclude_defaults=True, exclude=set(order.aside) or None)
    return sha256(f"{order.name} {said}".encode()).hexdigest()


def _fingerprints(order: c.Command) -> Iterable[str]:
    """Also the one that a confirmed plug had when its yes still counted as what it says."""
    yield _fingerprint(order)
    if isinstance(order, c.ApplyPlug):
        said = order.model_copy(update={"yes": True, "expected_usd": None, "expected_left_usd": None}).model_dump_json(
            exclude_defaults=True
        )
        yield sha256(f"{order.name} {said}".encode()).hexdigest()
