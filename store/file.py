"""One file of books: opening, checking and creating it, reading from it and writing to it one at a time."""

import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock, get_ident

from ..domain.errors import NotBooks, Unavailable
from . import schema
from .faults import told

PATIENCE = 30.0
"""Seconds to wait for another writer."""
CACHE = -65536
"""SQLite's page cache in KiB, negative as SQLite wants it."""


class File:
    """The books in one SQLite file. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._readers: deque[sqlite3.Connection] = deque()
        self._writer: sqlite3.Connection | None = None
        self._turn = RLock()
        self._holder: int | None = None
        self._closed = False
        with told(self.where):
            self._require_books()

    def _require_books(self) -> None:
        """Look at the file without touching it, make it if there is none, bring it up to date if it is old."""
        if self.path.is_dir():
            raise Unavailable(f"{self.where} is a folder: name a file in it with --books")
        if not self.path.exists():
            self._create()
        elif not self._header():
            self._fill()
        header = self._header()
        if header[:16] != b"SQLite format 3\0":
            raise NotBooks(f"{self.where} is not a Mecris file: name another file with --books")
        if int.from_bytes(header[68:72], "big") != schema.APPLICATION_ID:
            raise NotBooks(f"{self.where} is a database, but not of Mecris: name another file with --books")
        with self.reading() as connection:
            old = schema.version_of(connection, self.where) < schema.VERSION
        if old:
            with self.pen() as connection:
                schema.upgrade(connection, self.where)

    def _header(self) -> bytes:
        with _reaching(self.where), self.path.open("rb") as opened:
            return opened.read(100)

    def _create(self) -> None:
        """Make the books beside their place and put them there whole: no one ever sees half of them."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}-{get_ident()}.new")
        with _reaching(self.where):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.unlink(missing_ok=True)
                self._make(draft)
                _put_in_place(draft, self.path)
            finally:
                draft.unlink(missing_ok=True)

    def _fill(self) -> None:
        """Make an empty file the books where it stands; the first of several wins."""
        with suppress(sqlite3.OperationalError):
            self._make(self.path)

    @staticmethod
    def _make(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            schema.create(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        # the whole address is escaped, so that a name with ? or # is a name
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=PATIENCE, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = {CACHE}")
        return connection

    def _take_reader(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"these books are closed: open {self.where} again")
        try:
            return self._readers.pop()
        except IndexError:
            return self._connect()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection in one read transaction: all that is asked in it sees the same books."""
        if self._holder == get_ident() and self._writer is not None:
            yield self._writer
            return
        with told(self.where):
            connection = self._take_reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.rollback()
                self._readers.append(connection)

    @contextmanager
    def pen(self) -> Iterator[sqlite3.Connection]:
        """The connection of the one who writes; committed at the end, or nothing of it has happened. Nests."""
        if self._holder == get_ident() and self._writer is not None:
            yield self._writer
            return
        with self._turn, told(self.where):
            if self._closed:
                raise Unavailable(f"these books are closed: open {self.where} again")
            if self._writer is None:
                self._writer = self._connect()
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            self._holder = get_ident()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise
            finally:
                self._holder = None

    def tidy(self) -> None:
        """After one very large write: move it out of the write-ahead log, for which every small one would pay."""
        with self._turn, told(self.where):
            if self._writer is not None:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection; the file is whole at any moment, closed or not."""
        with self._turn:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    """Say in our words why a file cannot be reached."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{where} cannot be reached ({error.strerror or error}): check the path and its permissions") from error


def _put_in_place(draft: Path, path: Path) -> None:
    """Give a finished draft its name unless somebody was quicker; some file systems know no hard links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:
        os.replace(draft, path)
