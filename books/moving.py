"""Moving books: event by event into another store, with positions, times and links as they are, and compared afterwards.

A copy goes on where it was interrupted: what the target holds must be the beginning of what the source holds, which their links
prove. A backup is a copy into a file of its own, a restore one out of it; both see one moment of the source, whoever writes.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import Busy, Damaged, EventDamaged, NotBooks, RuleRefused, Unavailable
from ..projections import follow
from ..store import chain, positions, schema
from ..store.connection import Connection, stream
from ..store.faults import told
from ..store.file import address
from .answers import Answer
from .comparing import DESK, KEYS, Compared, Pair, Stage, require_same, still
from .packing import content, is_kept, names

if TYPE_CHECKING:
    from .books import Books

BATCH = 5_000
"""Events after which what was copied is made durable."""
AT_ONCE = 100
"""Rows beside the log that are written together."""
TRIES = 1_000
"""Times that a moment of the source is looked for between two writes."""
Progress = Callable[[int], None]

_EVENTS = """
SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, c.last, c.recorded_at, c.link
FROM stored_events e JOIN event_chain c USING (position) WHERE e.position > ? ORDER BY e.position"""


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


def copy(source: "Books", target: "Books", progress: Progress | None = None, stage: Stage | None = None) -> Answer:
    """Copy what the source holds at this moment; the target is empty, or holds the beginning of it."""
    if source.file.where == target.file.where:
        raise RuleRefused("these are the same books: name others to copy to", code="same-books")
    with _settled(source) as reading:
        end = positions.head(reading)
        copied = _copy_events(reading, target, _common_beginning(reading, target), end, progress)
        _copy_evidence(reading, target)
        desk = _copy_beside(source, reading, target)
        events, rows, answers = _compared(source, reading, target, end, stage)
    return Answer(
        recorded=copied > 0,
        copied=copied,
        position=end.position,
        head=str(end),
        events=events,
        rows=rows + desk,
        answers=answers,
    )


def _compared(
    source: "Books", reading: Connection, target: "Books", end: positions.Head, stage: Stage | None
) -> Compared:
    """Compare all that was copied, now or before; refuses a target in which somebody went on writing."""
    with target.file.reading() as written:
        if positions.head(written).position > end.position:
            raise _written_by_others(target)
        now = source.now()
        return require_same(
            still(source, reading, source.file.where, now), still(target, written, target.file.where, now), stage
        )


def _written_by_others(target: "Books") -> RuleRefused:
    return RuleRefused(f"somebody else writes in {target.file.where}: try again", code="other-books")


@contextmanager
def _settled(source: "Books") -> Iterator[Connection]:
    """One moment of the source whose read models have seen all of its log; others may write meanwhile."""
    for _ in range(TRIES):
        source.catch_up()
        with source.file.reading() as reading:
            seen, end = follow.positions(reading).values(), positions.head(reading).position
            _require_whole(reading, end, max(seen), source.file.where)
            if min(seen) == end:
                yield reading
                return
    raise Busy(f"so much is written in {source.file.where} that no moment of it could be had: try again")


def _require_whole(reading: Connection, end: int, seen: int, where: str) -> None:
    """Refuse a log whose end is missing: its last write, and the read models, may know of more."""
    known = max(seen, positions.end_of_write(reading, end) if end else 0)
    if known > end:
        raise EventDamaged(
            f"the end of the log of {where} is missing: it ends at {end}, and once went on to {known} at least. "
            "Run `mecris audit verify` on it; nothing was copied"
        )


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


def _copy_events(
    reading: Connection, target: "Books", begun: positions.Head, end: positions.Head, progress: Progress | None
) -> int:
    copied, link = 0, begun.link
    rows = (_event(row) for row in stream(reading, _EVENTS, (begun.position,)))
    for batch in _batches(rows):
        before = batch[0].position - 1, link
        for event in batch:
            link = _checked(event, link)
        with target.file.pen() as connection:
            here = positions.head(connection)
            if (here.position, here.link) != before:
                raise _written_by_others(target)
            _append(connection, batch)
        copied += len(batch)
        if progress:
            progress(len(batch))
    if link != end.link:
        raise EventDamaged("events at the end of the log are missing, their links are left: run `mecris audit verify`")
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


def _copy_evidence(reading: Connection, target: "Books") -> None:
    """Copy the files that are kept, part by part: what is there already is not sent again."""
    rest = iter(names(reading))
    while some := list(islice(rest, AT_ONCE)):
        with target.file.pen() as connection:
            for name in some:
                if not is_kept(connection, *name):
                    connection.execute("INSERT INTO evidence VALUES (?, ?, ?)", (*name, content(reading, *name)))


def _copy_beside(source: "Books", reading: Connection, target: "Books") -> int:
    """Copy what else lies beside the log. What is kept once stays as it is; what goes on changing becomes what the source has.

    Returns how many rows of the latter were compared, before somebody who uses the target changes them again.
    """
    with target.file.pen() as connection:
        for table, columns in KEYS.items():
            _put(reading, connection, table, columns)
        for table, columns in DESK.items():
            connection.execute(f"DELETE FROM {table}")
            _put(reading, connection, table, columns)
        desk = Pair(reading, connection, source.file.where, target.file.where).same_desk()
        follow.catch_up(connection)
    target.file.tidy()
    return desk


def _put(reading: Connection, connection: Connection, table: str, columns: str) -> None:
    marks = ", ".join("?" * (columns.count(",") + 1))
    put = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    rows = iter(stream(reading, f"SELECT {columns} FROM {table}"))
    while some := list(islice(rows, AT_ONCE)):
        connection.executemany(put, some)


# -- backups --------------------------------------------------------------------------------------------------------


def backup(source: "Books", path: Path, progress: Progress | None = None, stage: Stage | None = None) -> Answer:
    """Copy the books into a new file; it gets its name when it is whole."""
    if path.exists():
        raise Unavailable(f"{path} is there already: name a file that is not")
    if not path.absolute().parent.is_dir():
        raise Unavailable(f"there is no folder {path.absolute().parent}: make it, or name another")
    draft = path.with_name(f"{path.name}.part")
    try:
        with type(source).open(draft) as target:
            _require_of_these(source, target, draft)
            answer = copy(source, target, progress, stage)
    except Damaged:
        for left in path.parent.glob(f"{draft.name}*"):
            left.unlink()
        raise
    draft.replace(path)
    return Answer(file=str(path), **answer)


def _require_of_these(source: "Books", target: "Books", draft: Path) -> None:
    """Refuse what an interrupted backup of other books left behind."""
    with source.file.reading() as reading:
        try:
            _common_beginning(reading, target)
        except RuleRefused:
            raise RuleRefused(
                f"{draft} is left over from an interrupted backup of other books: remove it, and try again",
                code="other-books",
            ) from None


def require_backup(path: Path) -> None:
    """Refuse what is no whole backup, before anything is made for it."""
    if not path.is_file():
        raise Unavailable(f"{path} is not a file: name one that `mecris books backup` wrote")
    try:
        with _read(path) as connection:
            schema.version_of(connection, str(path))
            positions.head(connection)
    except Damaged as damaged:
        raise NotBooks(f"{path} is no whole backup: name another that `mecris books backup` wrote") from damaged


def restore(target: "Books", path: Path, progress: Progress | None = None, stage: Stage | None = None) -> Answer:
    """Copy the books in a file into these, and change nothing of it; a file that is not there is no books, and is not made."""
    require_backup(path)
    with TemporaryDirectory(prefix="mecris-") as folder, _read(_of_today(path, Path(folder), target)) as connection:
        return copy(still(target, connection, str(path.absolute()), target.now()), target, progress, stage)


def _of_today(path: Path, folder: Path, target: "Books") -> Path:
    """A backup, or a copy of it in a folder of our own where an older one is brought up to date."""
    with _read(path) as connection:
        if _is_of_today(connection, path):
            return path
        private = folder / path.name
        with closing(sqlite3.connect(private)) as copied:
            connection.backup(copied)
    with type(target).open(private) as opened:
        opened.catch_up()
    return private


def _is_of_today(connection: sqlite3.Connection, path: Path) -> bool:
    """Can this version ask these books as they are?"""
    if schema.version_of(connection, str(path)) < schema.VERSION:
        return False
    return min(follow.positions(connection).values()) >= positions.head(connection).position


@contextmanager
def _read(path: Path) -> Iterator[sqlite3.Connection]:
    """A file that is only read: nothing is made beside it either, unless it is in use."""
    in_use = path.with_name(f"{path.name}-wal").exists()
    where = address(str(path), "ro" if in_use else "ro&immutable=1")
    with told(str(path)), closing(sqlite3.connect(where, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection
