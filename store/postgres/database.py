"""Books in a database: connections, one who writes at a time over all servers, and what happens when they break.

Whoever writes holds an advisory lock until the end of the transaction, so positions are dense and `recorded_at` never goes
backwards, whoever writes. The lock goes with its connection: a server that dies lets go of it, one that hangs is cut off.
"""

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock, get_ident
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from ...domain.errors import Busy, NoBooks, Unavailable
from . import schema
from .address import Address, address_of
from .admission import Admission
from .ear import Ear
from .faults import LOST, at_the_door, in_our_words, told, unreadable
from .readers import Readers
from .session import Session
from .waiting import Quiet

REACH = 5
"""Seconds to wait for a server that does not answer."""
APPLICATION = 0x4D656372
"""'Mecr': the first half of the lock's name; the second is the schema's."""

_SETTINGS = f"""
SET search_path = {{schema}};
SET lock_timeout = {{patience}};
SET idle_in_transaction_session_timeout = {{hanging}};
SET tcp_keepalives_idle = {REACH};
SET tcp_keepalives_interval = {REACH};
SET tcp_keepalives_count = 3;
SET client_min_messages = warning;
SET synchronous_commit = {{durable}}"""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Said whatever the defaults of the database are: whoever waited for the lock has to see what was written meanwhile."""
_TABLES = (
    "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = ? AND relkind = 'r'"
)
"""The read models that there are."""
_AS_SAFE = "SELECT pg_logical_emit_message(true, 'mecris', '')"
"""Makes a write of what writes nothing: an answer that is given again is then waited for, on disk and standby, as the first was."""
_AGAIN = "look, or give the order again with the same idempotency key"
_REACH = {
    "application_name": "mecris",
    "connect_timeout": REACH,
    "keepalives_idle": REACH,
    "keepalives_interval": REACH,
    "keepalives_count": 3,
    "tcp_user_timeout": 4 * REACH * 1000,
}
"""How long to wait for a server, and for one that went away without a word, unless the address says it."""


class Database:
    """The books in one schema of a PostgreSQL database. Safe to share between threads."""

    kind = "postgresql"

    def __init__(self, url: str, *, make: bool = True) -> None:
        self.address: Address = address_of(url)
        self.where = self.address.shown
        self.made = False
        self._lock = APPLICATION, zlib.crc32(self.address.schema.encode()) - 2**31
        self._turn = RLock()
        self._holder: int | None = None
        self._writer: Session | None = None
        self._closed = False
        self._ear = Ear(self._connect, self.address.schema)
        self.patience: float = self.address.patience
        self._admission = Admission(self.address)
        self._readers = Readers(self._connected, self._admission, self.patience)
        try:
            self._require_books(make=make)
        except BaseException:
            self.close()
            raise

    def _require_books(self, *, make: bool) -> None:
        """Look at what is there; make the books if there are none, and bring them up to date if they are old."""
        self._turn.acquire()
        try:
            self._writer = self._connect()
            with told(self.where):
                version = schema.version_of(self._writer, self.address)
        finally:
            self._turn.release()
        if version == schema.FORMAT:
            return
        if version == 0 and not make:
            raise NoBooks(self.where)
        with self._setting_up() as session:
            version = schema.version_of(session, self.address)  # somebody may have been quicker
            if version == 0:
                self._require_the_right(session)
                schema.create(session, self.address)
                self.made = True
            elif version < schema.FORMAT:
                schema.upgrade(session, self.address)

    def _require_the_right(self, session: Session) -> None:
        if not schema.may_create(session):
            raise Unavailable(
                f"there are no books in {self.where} yet, and this role may not make them: let the owner run "
                "`mecris books setup`, see docs/operations.md"
            )

    # -- connections ----------------------------------------------------------------------------------------------

    def _connected(self) -> Quiet:
        try:
            said = conninfo_to_dict(self.address.url)
            more: dict[str, Any] = {name: value for name, value in _REACH.items() if name not in said}
            raw = Quiet.connect(self.address.url, autocommit=True, **more)
        except psycopg.ProgrammingError:
            raise unreadable(self.where) from None
        raw.patience, raw.lives = self.patience, self._lives
        self._configure(raw)
        return raw

    def _lives(self, raw: Quiet) -> bool:
        """Does the server of a connection let somebody else in, or say why not?"""
        there: dict[str, Any] = {
            "host": raw.info.host,
            "port": raw.info.port,
            "target_session_attrs": "any",
            "connect_timeout": REACH,
        }
        if raw.info.hostaddr:
            there["hostaddr"] = raw.info.hostaddr
        try:
            Quiet.connect(self.address.url, **there).close()
        except psycopg.OperationalError as error:
            return at_the_door(str(error), self.where) is not None
        return True

    def _connect(self) -> Session:
        with told(self.where):
            return self._session(self._connected())

    def _configure(self, raw: Quiet) -> None:
        """Set a new connection up: what is acknowledged is on disk, whatever the server's default says."""
        asked = raw.execute("SHOW synchronous_commit").fetchone()
        assert asked is not None
        durable = "on" if asked[0] in ("off", "local") else asked[0]
        values = {
            "durable": durable,
            "patience": f"{self.address.patience}s",
            "hanging": f"{self.address.hanging}s",
        }
        raw.execute(
            sql.SQL(_SETTINGS).format(
                schema=sql.Identifier(self.address.schema),
                **{key: sql.Literal(value) for key, value in values.items()},
            )
        )

    def _session(self, raw: Quiet, *, asks: bool = False) -> Session:
        return Session(raw, self.where, self.address.views, self.address.views, asks=asks)

    def reading(self) -> "Reading":
        """A connection in one read transaction: all that is asked in it sees the same books."""
        return Reading(self)

    def pen(self, *, lasting: bool = True) -> "Pen":
        """The connection of the one who writes; committed at the end, or nothing of it has happened. Nests.

        What can be made again waits neither for the disk nor for a standby.
        """
        return Pen(self, _BEGIN if lasting else f"{_BEGIN}; SET LOCAL synchronous_commit = off")

    def roomy(self) -> AbstractContextManager[None]:
        """Nothing more: the server's memory is the server's."""
        return nullcontext()

    def _setting_up(self) -> "Pen":
        """The pen of whoever makes books, upgrades them or says who keeps them; no name in it means a read model."""
        return Pen(self, _BEGIN, admitted=False)

    @property
    def in_hand(self) -> Session | None:
        """The writing connection, if this thread holds the pen."""
        return self._writer if self._holder == get_ident() else None

    def wait(self, position: int, seconds: float) -> int:
        """Where the log ends, as soon as that is beyond a position, or after so many seconds; the database tells it."""
        self._require_open()
        return self._ear.wait(position, seconds)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._readers.open + (self._writer is not None) + self._ear.is_open

    @contextmanager
    def beside(self) -> Iterator[Session]:
        """A connection whose `main` is an empty private database, and whose `live` are these books, to be read."""
        session = self._connect()
        session.here = "pg_temp"
        try:
            self._admission.begin(session.raw, "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")
            yield session
            session.raw.execute("ROLLBACK")
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error
        finally:
            session.raw.close()

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable(f"these books are closed: open {self.where} again")

    def _take_reader(self) -> Quiet:
        self._require_open()
        with told(self.where):
            return self._readers.take()

    def _take_pen(self, begin: str, *, admitted: bool) -> Session:
        if not self._turn.acquire(timeout=self.patience):
            raise Busy(f"another writer holds {self.where} for too long: try again")
        try:
            self._require_open()
            session = self._begun(f"{begin}; SELECT pg_advisory_xact_lock({self._lock[0]}, {self._lock[1]})", admitted)
            self._holder = get_ident()
            return session
        except BaseException:
            self._drop_writer()  # it may hold the lock already
            self._turn.release()
            raise

    def _begun(self, begin: str, admitted: bool) -> Session:
        """A writing connection that holds the lock; one that broke since the last order is made anew, and tried once more."""
        for is_last in (False, True):
            session = self._writer = self._kept_writer() or self._connect()
            try:
                self._begin(session.raw, begin, admitted)
                session.forget()
                return session
            except psycopg.Error as error:
                broken = session.raw.broken or session.raw.closed
                self._drop_writer()
                if is_last or not broken or not isinstance(error, LOST):
                    raise in_our_words(error, self.where) from error
        raise AssertionError("the second try returns or raises")

    def _kept_writer(self) -> Session | None:
        """The connection of the last writer, unless something of his is still under way on it."""
        if self._writer is not None and self._writer.raw.info.transaction_status != TransactionStatus.IDLE:
            self._drop_writer()
        return self._writer

    def _begin(self, raw: Quiet, begin: str, admitted: bool) -> None:
        if admitted:
            self._admission.begin(raw, begin)
        else:
            raw.execute(begin)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.raw.close()
            self._writer = None

    def _put_pen_down(self, *, written: bool) -> None:
        session = self._writer
        assert session is not None  # it was taken
        try:
            if written:
                self._commit(session)
            elif session.raw.info.transaction_status != TransactionStatus.IDLE:
                session.raw.execute("ROLLBACK")
        except psycopg.Error as error:
            self._drop_writer()
            if written:
                raise in_our_words(error, self.where) from error
        except BaseException:  # Ctrl-C too: nobody knows how far it came
            self._drop_writer()
            raise
        finally:
            self._holder = None
            self._turn.release()

    def _commit(self, session: Session) -> None:
        if session.made:
            schema.adopt(session, self.address)
        if session.appended:
            session.raw.execute("SELECT pg_notify(%s, %s)", (self.address.schema, str(session.appended)))
        if not session.has_written:
            session.raw.execute(_AS_SAFE)
        session.raw.warnings.clear()
        try:
            done = session.raw.execute("COMMIT")
        except LOST as error:
            raise Unavailable(
                f"{self.where} broke off while this was written, so it may be recorded or not: {_AGAIN}"
            ) from error
        if done.statusmessage != "COMMIT":  # a statement failed on the way and was passed over
            raise Unavailable(f"{self.where} did not take what was written: nothing was recorded, try again")
        if session.raw.warnings:  # somebody ended the wait for a standby: a failover would lose it
            raise Unavailable(f"{self.where} recorded this, but no standby has it yet: {_AGAIN}")

    def grant(self, role: str) -> None:
        """Let a role keep these books: append to the log, and own the read models. It can change or delete no event."""
        with self._setting_up() as session:
            schema.grant(session, self.address, role)

    def set_up(self) -> bool:
        """Make a place for the read models again, if it is gone; whoever keeps the books gets it. Was it gone?"""
        with self._setting_up() as session:
            return schema.remake(session, self.address)

    def tidy(self) -> None:
        """After one very large write: let the planner know what there is now."""
        with told(self.where), self.pen() as session:
            for table in ("stored_events", "event_chain"):
                session.execute(f"ANALYZE {table}")
            for (table,) in session.execute(_TABLES, (session.here,)).fetchall():
                session.execute(f"ANALYZE main.{table}")

    def close(self) -> None:
        """Close every connection."""
        with self._turn:
            self._closed = True
            self._drop_writer()
        self._ear.close()
        self._readers.close()


class Pen:
    """A write transaction that holds the lock of all writers."""

    __slots__ = ("_admitted", "_begin", "_database", "_outer")

    def __init__(self, database: Database, begin: str, *, admitted: bool = True) -> None:
        self._database, self._begin, self._admitted = database, begin, admitted

    def __enter__(self) -> Session:
        self._outer = self._database.in_hand
        return self._outer or self._database._take_pen(self._begin, admitted=self._admitted)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outer is None:
            self._database._put_pen_down(written=error is None)


class Reading:
    """A read transaction; inside the pen it reads what is being written."""

    __slots__ = ("_database", "_raw")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._raw: Quiet | None = None

    def __enter__(self) -> Session:
        inside = self._database.in_hand
        if inside is not None:
            return inside
        self._raw = self._database._take_reader()
        return self._database._session(self._raw, asks=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._raw is not None:
            self._database._readers.give_back(self._raw)
