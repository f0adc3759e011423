"""Where the books of a simulation lie, and how programs reach them: the one place that knows SQLite.

Another store is another class with the face of `Store`, and its line in `STORES`.
"""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from mecris.books import Books
from mecris.store import schema
from mecris.store.file import File, address

from .faults import Faults, Line


class Row(NamedTuple):
    """A stored event with its link, as anybody can read it without the product."""

    position: int
    aggregate: str
    version: int
    topic: str
    fields: dict[str, Any]
    last: int
    recorded_at: str

    @property
    def by(self) -> str:
        """Who gave the order; each one is given by somebody else."""
        return str(self.fields["recorded_by"])


Clock = Callable[[], datetime]


class Store(Protocol):
    """What a simulation asks of the place where its books lie."""

    reads_while_writing: bool
    """Can others read while somebody writes?"""

    def opened(self, clock: Clock, via: str, author: str, faults: Faults) -> Books:
        """The books as a program of its own would open them: with its own connections and its own memory."""

    def ended(self, books: Books) -> None:
        """What is left of a program is gone, as after kill -9; what it had not committed is undone."""

    def mark(self) -> None:
        """Remember what is on the disk before an order: it cannot be lost any more."""

    def cut_power(self, chance: Random) -> bool:
        """Lose what may be lost in a power failure; every program must have ended. False: this store knows no power."""

    def rows(self, after: int) -> list[Row]:
        """Every event after a position."""

    def keys(self) -> set[str]:
        """Every idempotency key that is kept."""

    def replayed(self, books: Books) -> tuple[int, list[Any]]:
        """How many rows of the read models differ from the log, and what the chain says."""

    def close(self) -> None:
        """Throw the books away."""


class Quick(File):
    """A file that does not wait for the disk: here a disk loses what the simulation says, and nothing else."""

    def __init__(self, path: str, faults: Faults) -> None:
        self.faults = faults
        self.lines: list[Line] = []
        super().__init__(path)

    def _line(self, where: str) -> Line:
        line = Line(where, uri=True, isolation_level=None, timeout=0, check_same_thread=False)
        line.faults = self.faults
        self.lines.append(line)
        return line

    def _connect(self) -> sqlite3.Connection:
        line = self._line(address(self.where, "rw"))
        line.execute("PRAGMA synchronous = OFF")
        return line

    def reading(self) -> Any:
        if self.in_hand is None:
            self.faults.before_transaction()
        return super().reading()

    def pen(self, *, lasting: bool = True) -> Any:
        if self.in_hand is None:
            self.faults.before_transaction()
        return super().pen(lasting=lasting)


class Memory(Quick):
    """Books in memory, shared by all that know their name."""

    def _require_books(self, *, make: bool) -> None:
        """They were made with the store."""

    def _sealed(self) -> bool:
        return False

    def _connect(self) -> sqlite3.Connection:
        return self._line(self.where)


def read(connection: sqlite3.Connection, after: int) -> list[Row]:
    """Events and links with SQL alone."""
    found = connection.execute(
        "SELECT position, originator_id, originator_version, topic, state, last, recorded_at "
        "FROM stored_events JOIN event_chain USING (position) WHERE position > ? ORDER BY position",
        (after,),
    )
    return [Row(*row[:4], json.loads(row[4]), *row[5:]) for row in found]


def end(books: Books) -> None:
    """Close every connection; SQLite undoes what was not committed."""
    file = books.file
    assert isinstance(file, Quick)
    for line in file.lines:
        line.cut()


@cache
def empty_books() -> bytes:
    """Books that nothing was recorded in, to begin from."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        Books.open(path).close()
        return path.read_bytes()


class OnDisk:
    """One SQLite file with its write-ahead log."""

    reads_while_writing = True

    def __init__(self) -> None:
        shm = Path("/dev/shm")  # a disk in memory, where there is one
        self.folder = Path(tempfile.mkdtemp(prefix="mecris-simulation-", dir=shm if shm.is_dir() else None))
        self._names = (str(self.folder / f"books-{n}.db") for n in count())
        self.path = next(self._names)
        Path(self.path).write_bytes(empty_books())
        self._look()

    def _look(self) -> None:
        self._eye = sqlite3.connect(address(self.path, "ro"), uri=True, isolation_level=None, timeout=0)

    def opened(self, clock: Clock, via: str, author: str, faults: Faults) -> Books:
        return Books(Quick(self.path, faults), clock=clock, via=via, recorded_by=author)

    def ended(self, books: Books) -> None:
        end(books)

    def mark(self) -> None:
        self._safe = self._on_disk()

    def _on_disk(self) -> tuple[int, int, int]:
        wal, main = Path(f"{self.path}-wal"), Path(self.path).stat()
        return wal.stat().st_size if wal.exists() else 0, main.st_mtime_ns, main.st_size

    def cut_power(self, chance: Random) -> bool:
        """Go on with a copy of the file and its write-ahead log, whose end since the mark is cut off anywhere."""
        (safe, *main), (size, *main_now) = self._safe, self._on_disk()
        new = next(self._names)
        shutil.copyfile(self.path, new)
        if size:
            shutil.copyfile(f"{self.path}-wal", f"{new}-wal")
            if main == main_now and size > safe:  # nothing was moved out of the log meanwhile, it only grew
                with Path(f"{new}-wal").open("r+b") as wal:
                    wal.truncate(chance.choice([safe, size, chance.randint(safe, size)]))
        self._eye.close()
        self.path = new
        self._look()
        return True

    def rows(self, after: int) -> list[Row]:
        return read(self._eye, after)

    def keys(self) -> set[str]:
        return {key for (key,) in self._eye.execute("SELECT key FROM idempotency_keys")}

    def replayed(self, books: Books) -> tuple[int, list[Any]]:
        replay = books.replay()
        return replay.differences, [*replay.faults, *replay.examples]

    def close(self) -> None:
        self._eye.close()
        shutil.rmtree(self.folder)


class InMemory:
    """A database in memory that several connections share."""

    reads_while_writing = False
    _numbers = count()

    def __init__(self) -> None:
        self.where = f"file:/mecris-simulation-{next(self._numbers)}?vfs=memdb"
        self._eye = sqlite3.connect(self.where, uri=True, isolation_level=None, timeout=0)
        schema.create(self._eye)

    def opened(self, clock: Clock, via: str, author: str, faults: Faults) -> Books:
        return Books(Memory(self.where, faults), clock=clock, via=via, recorded_by=author)

    def ended(self, books: Books) -> None:
        end(books)

    def mark(self) -> None:
        """Nothing is on a disk."""

    def cut_power(self, chance: Random) -> bool:
        return False

    def rows(self, after: int) -> list[Row]:
        return read(self._eye, after)

    def keys(self) -> set[str]:
        return {key for (key,) in self._eye.execute("SELECT key FROM idempotency_keys")}

    def replayed(self, books: Books) -> tuple[int, list[Any]]:
        """A replay looks at a file: it gets a copy."""
        books.cycles()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "books.db"
            with closing(sqlite3.connect(path)) as copy:
                copy.execute("PRAGMA synchronous = OFF")
                self._eye.backup(copy)
            with Books(Quick(str(path), Faults())) as copied:
                replay = copied.replay()
        return replay.differences, [*replay.faults, *replay.examples]

    def close(self) -> None:
        self._eye.close()


STORES: dict[str, Callable[[], Store]] = {"memory": InMemory, "sqlite": OnDisk}
"""The stores that are simulated, by name."""
