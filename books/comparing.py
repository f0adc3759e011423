"""Comparing a copy with what was copied: the log event by event, every table row by row, and what both answer.

Both sides are seen at one moment each, whoever writes meanwhile, and in the order of their keys, so that no more than a few rows
are in memory. Rows that are the same would give the same answers if both databases counted alike; that is asked too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..domain.errors import Damaged
from ..projections import follow
from ..store import positions
from ..store.connection import Connection, Store, stream
from ..store.faults import told
from .answers import to_json
from .packing import parts

if TYPE_CHECKING:
    from datetime import datetime

    from .books import Books

LOG = {
    "stored_events": "position, originator_id, originator_version, topic, state",
    "event_chain": "position, last, recorded_at, link",
}
KEYS = {"idempotency_keys": "key, fingerprint, answer"}
DESK = {
    "token_uses": "name, last_used_at",
    "jobs": "id, kind, cycle_id, status, requested_at, requested_by, via, started_at, finished_at, outcome",
}
"""The columns of each table that goes with a copy, its key first; `evidence` goes part by part."""
PROBES = 8
"""Moments of the past for which answers are compared, beside the last."""
LONG = 5_000
"""Readings, dispatches or comparisons that one answer is asked for; of longer ones the rows are compared."""
PAGE = 500
"""Events of the log that are asked for at a moment, the last ones that were known then."""
EVERY = 2**31
"""More runs than there are."""
NUL, NUL_IN_JSON, SIGN = r"\x00", r"\u0000", "\N{SYMBOL FOR NULL}"
"""A NUL in a text of a read model, and what stands for it in a database that has none; the log has it as it was."""


class Compared(NamedTuple):
    """How much was compared, and found to be the same."""

    events: int
    rows: int
    answers: int


class Still:
    """A store that shows one moment of some books, however often it is asked: what is written meanwhile is not seen."""

    def __init__(self, connection: Connection, where: str) -> None:
        self.connection, self.where = connection, where

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The connection that sees that moment."""
        with told(self.where):
            yield self.connection


def still(books: "Books", connection: Connection, where: str, now: "datetime") -> "Books":
    """Some books at one moment, asked when the clock shows another."""
    store = cast("Store", Still(connection, where))
    return type(books)(store, clock=lambda: now, limits=books.limits)


Stage = Callable[[str], None]
"""Is told what is compared next."""


def _unheard(_: str) -> None:
    """What is told to nobody."""


def require_same(ours: "Books", theirs: "Books", stage: Stage | None = None) -> Compared:
    """Compare everything but the desk; raises `Damaged` where the second are not what the first are."""
    stage = stage or _unheard
    with ours.file.reading() as reading, theirs.file.reading() as other:
        pair = Pair(reading, other, ours.file.where, theirs.file.where)
        stage("the log")
        events = [pair.same_table(table, columns) for table, columns in LOG.items()]
        stage("rows")
        rows = sum(pair.same_table(table, columns) for table, columns in KEYS.items())
        rows += pair.same_evidence() + pair.same_read_models()
        end = positions.head(reading).position
    return Compared(events[0], rows, _same_answers(ours, theirs, end, stage))


# -- rows -----------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two stores side by side, what was copied and the copy, and how to name them."""

    ours: Connection
    theirs: Connection
    source: str
    target: str

    def same_table(self, table: str, columns: str) -> int:
        """Compare a table row by row, in the order of its key; how many rows there are."""
        key, _, _ = columns.partition(",")
        question = f"SELECT {columns} FROM {table} ORDER BY {key}"
        return self._same(table, stream(self.ours, question), stream(self.theirs, question))

    def same_desk(self) -> int:
        """Compare what goes on changing: for whoever has just written it, and lets nobody else write yet."""
        return sum(self.same_table(table, columns) for table, columns in DESK.items())

    def same_evidence(self) -> int:
        """Compare the files that are kept part by part."""
        return self._same("evidence", parts(self.ours), parts(self.theirs))

    def _same(self, table: str, ours: Iterable[Any], theirs: Iterable[Any]) -> int:
        count = 0
        for one, other in zip_longest(ours, theirs):
            if one != other:
                self._tell(f"{table} of {self.target}: {_difference(one, other)}", "audit verify")
            count += 1
        return count

    def same_read_models(self) -> int:
        """Compare every row of every read model, in whatever order they lie."""
        compared = 0
        for table in (table for view in follow.VIEWS for table in view.tables):
            ours, theirs = _digest(self.ours, table), _digest(self.theirs, table)
            if ours != theirs:
                self._tell(
                    f"the read model {table} of {self.target} has other rows than that of {self.source}", "audit replay"
                )
            compared += ours[0]
        return compared

    @staticmethod
    def _tell(what: str, command: str) -> None:
        raise Damaged(f"{what}: run `mecris {command}` on both, or copy into new books")


def _difference(one: Any, other: Any) -> str:
    """In what two rows differ that should be the same: the first of each is its key."""
    if other is None:
        return f"{one[0]!r} is missing"
    if one is None:
        return f"{other[0]!r} was not copied"
    if one[0] != other[0]:
        return f"{other[0]!r} stands where {one[0]!r} belongs"
    return f"{one[0]!r} is not what was copied"


def _digest(connection: Connection, table: str) -> tuple[int, int]:
    """How many rows, and the sum of their digests: the same rows give the same, whatever their order."""
    count = sum = 0
    for row in stream(connection, f"SELECT * FROM {table}"):
        count += 1
        sum += int.from_bytes(sha256(repr(tuple(row)).replace(NUL, SIGN).encode()).digest())
    return count, sum % 2**256


# -- answers --------------------------------------------------------------------------------------------------------

Question = tuple[str, Callable[["Books"], Any]]


def _same_answers(ours: "Books", theirs: "Books", end: int, stage: Stage) -> int:
    """Ask both for everything there is to ask; how many answers there were."""
    compared = 0
    for question, ask in _questions(ours, end):
        stage(question)
        one, other = (to_json(ask(books)).replace(NUL_IN_JSON, SIGN) for books in (ours, theirs))
        if one != other:
            raise Damaged(
                f"{theirs.file.where} answers otherwise than {ours.file.where}: {question}. "
                "Run `mecris audit replay` on both"
            )
        compared += 1
    return compared


def _questions(books: "Books", end: int) -> Iterator[Question]:
    """Every question, as of the end and of moments before; what follows from other answers alone, once."""
    if not end:
        return
    yield "quarantine", lambda b: b.quarantine()
    yield f"unified as of {end}", lambda b: b.unified(as_of=end)
    for cycle in (cycle["id"] for cycle in books.cycles(as_of=end)):
        yield from _what_follows(cycle, end)
    for at in sorted({end, min(end, LONG), *(end * n // (PROBES + 1) for n in range(1, PROBES + 1))} - {0}):
        for question, ask in _questions_as_of(books, at):
            yield f"{question} as of {at}", ask


def _what_follows(id: int, at: int) -> Iterator[Question]:
    yield f"forecast of cycle {id} as of {at}", lambda b: b.forecast(id, as_of=at)
    yield f"chart of cycle {id} as of {at}", lambda b: b.chart(id, as_of=at)
    yield f"narrative of cycle {id} as of {at}", lambda b: b.narrative(id, as_of=at)


def _questions_as_of(books: "Books", at: int) -> Iterator[Question]:
    """Every question that was there to be asked at a position."""
    yield "log", lambda b: b.events(since=max(0, at - PAGE), limit=PAGE, as_of=at)
    yield "cycles", lambda b: b.cycles(as_of=at)
    yield "odometers", lambda b: b.odometers(as_of=at)
    yield "tokens", lambda b: b.tokens(as_of=at)
    yield "evidence", lambda b: b.evidence(as_of=at)
    yield "runs", lambda b: b.runs(limit=LONG, as_of=at)
    for cycle in (cycle["id"] for cycle in books.cycles(as_of=at)):
        yield from _of_cycle(cycle, at)
    for run in (run["run_id"] for run in books.runs(limit=EVERY, as_of=at)):
        yield from _of_run(run, at)


def _of_cycle(id: int, at: int) -> Iterator[Question]:
    yield f"status of cycle {id}", lambda b: b.status(id, as_of=at)
    yield f"discrepancies of cycle {id}", lambda b: b.discrepancies(id, as_of=at)
    yield f"sources of cycle {id}", lambda b: b.sources(id, as_of=at)
    yield f"adjustments of cycle {id}", lambda b: b.adjustments(id, as_of=at)
    yield f"plugs of cycle {id}", lambda b: b.plugs(id, as_of=at)
    yield f"alerts of cycle {id}", lambda b: b.alerts(id, as_of=at)
    if at <= LONG:
        yield f"history of cycle {id}", lambda b: b.sources(id, history=True, as_of=at)


def _of_run(id: str, at: int) -> Iterator[Question]:
    yield f"run {id}", lambda b: b.run(id, limit=LONG, as_of=at)
    yield f"reconciliations of {id}", lambda b: b.reconciliations(id, limit=LONG, as_of=at)
