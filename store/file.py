"""One file of books: opening, checking and creating it, reading from it and writing to it one at a time."""

import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from time import monotonic, sleep
from types import TracebackType

from ..domain.errors import NoBooks, NotBooks, Unavailable
from . import positions, schema
from .faults import in_our_words, told

PATIENCE = 30.0
"""Seconds to wait for another writer."""
POLL = 0.25
"""Seconds between two looks at a file that others may write."""
CACHE = -16384
"""SQLite's page cache in KiB, negative as SQLite wants it."""
ROOMY = -131072
"""The same while very much is written in one go."""


class File:
    """The books in one SQLite file. Safe to share between threads."""

    kind = "sqlite"
    patience = PATIENCE

    def __init__(self, path: str, *, make: bool = True) -> None:
        self.where = path
        self._readers: deque[sqlite3.Connection] = deque()
        self._writer: sqlite3.Connection | None = None
        self._turn = RLock()
        self._holder: int | None = None
        self._closed = False
        self.made = False
        """Were these books made by this opening?"""
        try:
            with told(self.where):
                self._require_books(make=make)
        except BaseException:
            self.close()
            raise

    def _require_books(self, *, make: bool) -> None:
        """Look at the file without touching it, make it if there is none, bring it up to date if it is old."""
        if os.path.isdir(self.where):
            raise Unavailable(f"{self.where} is a folder: name a file in it with --books")
        if not make and self._is_nothing():
            raise NoBooks(self.where)
        if not os.path.exists(self.where):
            self._create()
            self.made = True
        if not self._header():
            self._fill()
        header = self._header()
        if header[:16] != b"SQLite format 3\0":
            raise NotBooks(f"{self.where} is not a Mecris file: name another file with --books")
        if int.from_bytes(header[68:72], "big") != schema.APPLICATION_ID:
            raise NotBooks(f"{self.where} is a database, but not of Mecris: name another file with --books")
        with self.reading() as connection:
            old = schema.version_of(connection, self.where) < schema.VERSION
        if not self._sealed():
            self._keep_a_write_ahead_log()
        if old and not self._sealed():
            with self.pen() as connection:
                schema.upgrade(connection, self.where)

    def _is_nothing(self) -> bool:
        """Is there no file, or one with nothing in it?"""
        with _reaching(self.where), suppress(FileNotFoundError):
            return not os.stat(self.where).st_size
        return True

    def _keep_a_write_ahead_log(self) -> None:
        """Set the journal mode that lets people read while somebody writes; it stays with the file."""
        connection = self._take_reader()
        try:
            given_up = monotonic() + PATIENCE
            while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                try:
                    connection.execute("PRAGMA journal_mode = WAL")
                except sqlite3.OperationalError:  # somebody else is at it, and SQLite does not wait here
                    if monotonic() > given_up:
                        raise
                    sleep(0.01)
        finally:
            self._readers.append(connection)

    def _header(self) -> bytes:
        with _reaching(self.where), open(self.where, "rb") as opened:
            return opened.read(100)

    def _create(self) -> None:
        """Make the books beside their place and put them there whole: no one ever sees half of them."""
        folder, name = os.path.split(self.where)
        draft = os.path.join(folder, f".{name}.{os.getpid()}-{get_ident()}.new")
        with _reaching(self.where):
            os.makedirs(folder or ".", exist_ok=True)
            try:
                _remove(draft)
                self._make(draft)
                _put_in_place(draft, self.where)
            finally:
                _remove(draft)

    def _fill(self) -> None:
        """Make an empty file the books where it stands; the first of several wins."""
        with suppress(sqlite3.OperationalError):  # the table is there already
            self._make(self.where)

    @staticmethod
    def _make(path: str) -> None:
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            schema.create(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _sealed(self) -> bool:
        """Is this a copy that may only be read, and that nobody is writing? It can be asked without its side files."""
        return not os.access(self.where, os.W_OK) and not os.path.exists(f"{self.where}-wal")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address(self.where, "ro&immutable=1" if self._sealed() else "rw"),
            uri=True,
            isolation_level=None,
            timeout=PATIENCE,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = {CACHE}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_reader(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"these books are closed: open {self.where} again")
        try:
            return self._readers.pop()
        except IndexError:
            return self._connect()

    def reading(self) -> "Reading":
        """A connection in one read transaction: all that is asked in it sees the same books."""
        return Reading(self)

    def pen(self, *, lasting: bool = True) -> "Pen":
        """The connection of the one who writes; committed at the end, or nothing of it has happened. Nests."""
        return Pen(self)

    @contextmanager
    def roomy(self) -> Iterator[None]:
        """More memory for the one who holds the pen and writes very much: keys that come at random are looked up in it."""
        connection = self.in_hand
        assert connection is not None  # whoever writes holds the pen
        connection.execute(f"PRAGMA cache_size = {ROOMY}")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA cache_size = {CACHE}")

    @property
    def in_hand(self) -> sqlite3.Connection | None:
        """The writing connection, if this thread holds the pen."""
        return self._writer if self._holder == get_ident() else None

    def _take_pen(self) -> sqlite3.Connection:
        self._turn.acquire()
        try:
            if self._closed:
                raise Unavailable(f"these books are closed: open {self.where} again")
            if self._writer is None:
                self._writer = self._connect()
            self._writer.execute("BEGIN IMMEDIATE")
            self._holder = get_ident()
            return self._writer
        except BaseException:
            self._drop_what_was_begun()
            self._turn.release()
            raise

    def _drop_what_was_begun(self) -> None:
        """Whoever was interrupted just as the transaction began would hold the books for as long as the program lives."""
        if self._writer is not None and self._writer.in_transaction:
            self._writer.rollback()

    def _put_pen_down(self, written: bool) -> None:
        connection = self._writer
        assert connection is not None  # it was taken
        try:
            if written:
                connection.execute("COMMIT")
            elif connection.in_transaction:
                connection.rollback()
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        finally:
            self._holder = None
            self._turn.release()

    def wait(self, position: int, seconds: float) -> int:
        """Where the log ends, as soon as that is beyond a position, or after so many seconds; a file is looked at."""
        given_up = monotonic() + seconds
        while True:
            with self.reading() as connection:
                end = positions.head(connection).position
            if end > position or monotonic() >= given_up:
                return end
            sleep(min(POLL, seconds))

    @property
    def connections(self) -> int:
        """How many connections are open and idle, or write."""
        return len(self._readers) + (self._writer is not None)

    @contextmanager
    def beside(self) -> Iterator[sqlite3.Connection]:
        """A connection whose `main` is an empty private database, and whose `live` are these books, to be read."""
        with told(self.where):
            connection = sqlite3.connect("file:", uri=True, isolation_level=None)
            try:
                connection.execute("ATTACH ? AS live", (address(self.where, "ro"),))
                connection.execute("BEGIN")
                yield connection
                connection.execute("ROLLBACK")
            finally:
                connection.close()

    def grant(self, role: str) -> None:
        """Refused: who may do what with a file is the operating system's to say."""
        raise Unavailable(f"{self.where} is a file, and knows no roles: set its permissions")

    def set_up(self) -> bool:
        """Nothing of a file is missing that it could do without."""
        return False

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


class Pen:
    """A write transaction; a class and not a generator, because every order goes through it."""

    __slots__ = ("_file", "_outer")

    def __init__(self, file: File) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._outer = self._file.in_hand
        if self._outer is not None:
            return self._outer
        try:
            return self._file._take_pen()
        except sqlite3.DatabaseError as error:
            raise in_our_words(error, self._file.where) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outer is not None:
            return
        try:
            self._file._put_pen_down(written=error is None)
        except sqlite3.DatabaseError as failed:
            raise in_our_words(failed, self._file.where) from failed
        if isinstance(error, sqlite3.DatabaseError | OverflowError):
            raise in_our_words(error, self._file.where) from error


class Reading:
    """A read transaction; inside the pen it reads what is being written."""

    __slots__ = ("_connection", "_file")

    def __init__(self, file: File) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> sqlite3.Connection:
        inside = self._file.in_hand
        if inside is not None:
            return inside
        try:
            self._connection = self._file._take_reader()
            self._connection.execute("BEGIN")
        except sqlite3.DatabaseError as error:
            if self._connection is not None:
                self._connection.close()
            raise in_our_words(error, self._file.where) from error
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.rollback()
            self._file._readers.append(self._connection)
        if isinstance(error, sqlite3.DatabaseError | OverflowError):
            raise in_our_words(error, self._file.where) from error


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    """Say in our words why a file cannot be reached."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{where} cannot be reached ({error.strerror or error}): check the path and its permissions"
        ) from error


def address(path: str, mode: str) -> str:
    """A path as SQLite's address, `ro` or `rw`: neither makes a file that is not there."""
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    return f"file:{path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode={mode}"


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _put_in_place(draft: str, path: str) -> None:
    """Give a finished draft its name unless somebody was quicker; some file systems know no hard links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:
        with suppress(FileExistsError):  # `_require_books` fills an empty file, and the first of several wins there
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
