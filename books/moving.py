"""Moving books: event by event into another store, with positions, times and links as they are, and compared afterwards.

A copy goes on where it was interrupted: what the target holds must be the beginning of what the source holds, which their links
prove. A backup is a copy into a file of its own, a restore one out of it; both see one moment of the source, whoever writes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import Busy, Damaged, RuleRefused, Unavailable
from ..projections import follow
from ..store import chain, positions
from ..store.connection import Connection, stream
from .answers import Answer, to_json

if TYPE_CHECKING:
    from .books import Books

BATCH = 5_000
"""Events after which what was copied is made durable."""
TRIES = 1_000
"""Times that a moment of the source is looked for between two writes."""
PROBES = 8
"""Moments of the past for which answers are compared, beside the last."""
Progress = Callable[[int], None]

_EVENTS = """
SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, c.last, c.recorded_at, c.link
FROM stored_events e JOIN event_chain c USING (position) WHERE e.position > ? ORDER BY e.position"""
BESIDE = {
    "idempotency_keys": ("key", ("fingerprint", "answer")),
    "evidence": ("sha256, part", ("content",)),
    "token_uses": ("name", ("last_used_at",)),
    "jobs": (
        "id",
        ("kind", "cycle_id", "status", "requested_at", "requested_by", "via", "started_at", "finished_at", "outcome"),
    ),
}
"""What lies beside the log and goes with it: the key of each table, and its other columns."""


class Event(NamedTuple):
    """An event with its link, as both are stored."""

    position: int
    originator_id: str
    version: int
    topic: str
    state: bytes
    last: int
    recorded_at: str
    link: bytes


def copy(source: "Books", target: "Books", progress: Progress | None = None) -> Answer:
    """Copy what the source holds at this moment; the target is empty, or holds the beginning of it."""
    if source.file.where == target.file.where:
        raise RuleRefused("these are the same books: name others to copy to", code="same-books")
    with _settled(source) as reading:
        end = positions.head(reading)
        begun = _common_beginning(reading, target)
        copied = _copy_events(reading, target, begun, progress)
        _copy_beside(reading, target)
        rows = _require_same_rows(reading, target)
    answers = _require_same_answers(source, target, end.position)
    return Answer(recorded=copied > 0, copied=copied, position=end.position, head=str(end), rows=rows, answers=answers)


@contextmanager
def _settled(source: "Books") -> Iterator[Connection]:
    """One moment of the source whose read models have seen all of its log; others may write meanwhile."""
    for _ in range(TRIES):
        source.catch_up()
        with source.file.reading() as reading:
            if min(follow.positions(reading).values()) == positions.head(reading).position:
                yield reading
                return
    raise Busy(f"so much is written in {source.file.where} that no moment of it could be had: try again")


def _common_beginning(reading: Connection, target: "Books") -> positions.Head:
    """Where the target ends; refuses one whose events are not the first ones of the source."""
    with target.file.reading() as connection:
        begun = positions.head(connection)
    if begun.position and not chain.holds(reading, str(begun)):
        raise RuleRefused(
            f"{target.file.where} holds other events (its head is {begun}): copy into books that are new, or that hold "
            "the beginning of these",
            code="other-books",
        )
    return begun


def _copy_events(reading: Connection, target: "Books", begun: positions.Head, progress: Progress | None) -> int:
    copied, link = 0, begun.link
    rows = (_event(row) for row in stream(reading, _EVENTS, (begun.position,)))
    for batch in _batches(rows):
        for event in batch:
            link = _checked(event, link)
        with target.file.pen() as connection:
            if positions.head(connection).position != batch[0].position - 1:
                raise RuleRefused(f"somebody else writes in {target.file.where}: try again", code="other-books")
            _append(connection, batch)
        copied += len(batch)
        if progress:
            progress(len(batch))
    return copied


def _event(row: Any) -> Event:
    position, id, version, topic, state, last, recorded_at, link = row
    return Event(position, id, version, topic, bytes(state), last, recorded_at, bytes(link))


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Whole writes, many together."""
    batch: list[Event] = []
    for _, write in groupby(events, key=lambda event: event.last):
        batch += write
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _checked(event: Event, before: bytes) -> bytes:
    """The link of an event; refuses one that is not what was written."""
    link = chain.link_of(
        before,
        event.position,
        event.last,
        event.recorded_at,
        event.originator_id,
        event.version,
        event.topic,
        event.state,
    )
    if link != event.link:
        raise Damaged(
            f"event {event.position} is not what was written: run `mecris audit verify`, nothing after it was copied"
        )
    return link


def _append(connection: Connection, batch: list[Event]) -> None:
    events = [(e.position, e.originator_id, e.version, e.topic, e.state) for e in batch]
    connection.executemany("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?)", events)
    links = [(e.position, e.last, e.recorded_at, e.link) for e in batch]
    connection.executemany("INSERT INTO event_chain VALUES (?, ?, ?, ?)", links)


def _copy_beside(reading: Connection, target: "Books") -> None:
    with target.file.pen() as connection:
        for table, (key, others) in BESIDE.items():
            columns = f"{key}, {', '.join(others)}"
            marks = ", ".join("?" * (columns.count(",") + 1))
            taken = "NOTHING" if table in ("evidence", "idempotency_keys") else _taken_over(others)
            put = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO {taken}"
            rows = iter(stream(reading, f"SELECT {columns} FROM {table}"))
            while some := list(islice(rows, 4 if table == "evidence" else 100)):
                connection.executemany(put, some)
        follow.catch_up(connection)
    target.file.tidy()


def _taken_over(columns: Iterable[str]) -> str:
    return f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns)}"


# -- comparing ------------------------------------------------------------------------------------------------------


def _require_same_rows(reading: Connection, target: "Books") -> int:
    """Compare every row of every read model, in whatever order they lie; how many there are."""
    compared = 0
    with target.file.reading() as connection:
        for table in (table for view in follow.VIEWS for table in view.tables):
            ours, theirs = _digest(reading, table), _digest(connection, table)
            if ours != theirs:
                raise Damaged(
                    f"{table} of {target.file.where} has other rows: run `mecris audit replay` on it, and on what was copied"
                )
            compared += ours[0]
    return compared


def _digest(connection: Connection, table: str) -> tuple[int, int]:
    """How many rows, and the sum of their digests: the same rows give the same, whatever their order."""
    count = sum = 0
    for row in stream(connection, f"SELECT * FROM {table}"):
        count += 1
        sum += int.from_bytes(sha256(repr(tuple(row)).encode()).digest())
    return count, sum % 2**256


def _require_same_answers(source: "Books", target: "Books", end: int) -> int:
    """Ask both for everything there is to ask, as of the end and of moments before; how many answers there were."""
    compared, now = 0, source.now()
    ours, theirs = source.at(now), target.at(now)
    moments = sorted({end, *(end * n // (PROBES + 1) for n in range(1, PROBES + 1))} - {0})
    for at in moments:
        for question, ask in _questions(ours, at):
            if to_json(ask(ours)) != to_json(ask(theirs)):
                raise Damaged(
                    f"{target.file.where} answers otherwise than {source.file.where}: {question} as of {at}. "
                    "Run `mecris audit replay` on both"
                )
            compared += 1
    return compared


Question = tuple[str, Callable[["Books"], Any]]


def _questions(books: "Books", at: int) -> Iterator[Question]:
    """Every question that was there to be asked at a position."""
    yield "cycles", lambda b: b.cycles(as_of=at)
    yield "odometers", lambda b: b.odometers(as_of=at)
    yield "tokens", lambda b: b.tokens(as_of=at)
    for cycle in (cycle["id"] for cycle in books.cycles(as_of=at)):
        yield from _of_cycle(cycle, at)
    for run in (run["run_id"] for run in books.runs(limit=EVERY, as_of=at)):
        yield from _of_run(run, at)


def _of_run(id: str, at: int) -> Iterator[Question]:
    yield f"run {id}", lambda b: b.run(id, as_of=at)
    yield f"reconciliations of {id}", lambda b: b.reconciliations(id, as_of=at)


EVERY = 2**31
"""More runs than there are."""


def _of_cycle(id: int, at: int) -> Iterator[Question]:
    yield f"status of cycle {id}", lambda b: b.status(id, as_of=at)
    yield f"discrepancies of cycle {id}", lambda b: b.discrepancies(id, as_of=at)
    yield f"sources of cycle {id}", lambda b: b.sources(id, as_of=at)
    yield f"adjustments of cycle {id}", lambda b: b.adjustments(id, as_of=at)
    yield f"plugs of cycle {id}", lambda b: b.plugs(id, as_of=at)
    yield f"alerts of cycle {id}", lambda b: b.alerts(id, as_of=at)


# -- backups --------------------------------------------------------------------------------------------------------


def backup(source: "Books", path: Path, progress: Progress | None = None) -> Answer:
    """Copy the books into a new file; it gets its name when it is whole."""
    if path.exists():
        raise Unavailable(f"{path} is there already: name a file that is not")
    draft = path.with_name(f"{path.name}.part")
    with type(source).open(draft) as target:
        answer = copy(source, target, progress)
    draft.replace(path)
    return Answer(file=str(path), **answer)


def restore(target: "Books", path: Path, progress: Progress | None = None) -> Answer:
    """Copy the books in a file into these; a file that is not there is no books, and is not made."""
    if not path.is_file():
        raise Unavailable(f"{path} is not a file: name one that `mecris books backup` wrote")
    with type(target).open(path) as source:
        return copy(source, target, progress)
