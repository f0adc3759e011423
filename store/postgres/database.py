"""Books in a database: connections, one who writes at a time over all servers, and what happens when they break.

Whoever writes holds an advisory lock until the end of the transaction, so positions are dense and `recorded_at` never goes
backwards, whoever writes. The lock goes with its connection: a server that dies lets go of it, one that hangs is cut off.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from ...domain.errors import Unavailable
from . import schema
from .address import Address, address_of
from .ear import Ear
from .faults import LOST, in_our_words, unreadable
from .session import Session

PATIENCE = 30
"""Seconds to wait for another writer."""
HANGING = 60
"""Seconds after which a transaction in which nothing happens is cut off by the server."""
REACH = 10
"""Seconds to wait for a server that does not answer."""
READERS = 8
"""Connections that ask at once; whoever comes after waits."""
APPLICATION = 0x4D656372
"""'Mecr': the first half of the lock's name; the second is the schema's."""

_SETTINGS = f"""
SET search_path = {{schema}}, {{views}};
SET lock_timeout = '{PATIENCE}s';
SET idle_in_transaction_session_timeout = '{HANGING}s';
SET tcp_keepalives_idle = {REACH};
SET tcp_keepalives_interval = {REACH};
SET tcp_keepalives_count = 3;
SET client_min_messages = warning;
SET synchronous_commit = {{durable}}"""
_BEGIN_ASKING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Quiet(psycopg.Connection[Any]):
    """A connection that goes with the books that are forgotten, without a word."""

    def __del__(self, *_: Any) -> None:
        with suppress(psycopg.Error, AttributeError):  # it may not have come far
            self.close()


class Database:
    """The books in one schema of a PostgreSQL database. Safe to share between threads."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.address: Address = address_of(url)
        self.where = self.address.shown
        self.made = False
        self._lock = APPLICATION, zlib.crc32(self.address.schema.encode()) - 2**31
        self._turn = RLock()
        self._holder: int | None = None
        self._writer: Session | None = None
        self._closed = False
        self._ear = Ear(self._connect, self.address.channel)
        self._readers: ConnectionPool[Quiet] = ConnectionPool(
            self.address.url,
            connection_class=Quiet,
            kwargs={"autocommit": True, **_reach(self.address.url)},
            min_size=0,
            max_size=READERS,
            open=False,
            configure=self._configure,
            check=ConnectionPool.check_connection,
            timeout=PATIENCE,
            reconnect_timeout=REACH,
            num_workers=1,
        )
        try:
            self._require_books()
        except BaseException:
            self.close()
            raise

    def _require_books(self) -> None:
        """Look at what is there; make the books if there are none, and bring them up to date if they are old."""
        self._turn.acquire()
        try:
            self._writer = self._connect()
            with _told(self.where):
                version = schema.version_of(self._writer, self.address)
        finally:
            self._turn.release()
        if version == schema.FORMAT:
            return
        with self.pen() as session:
            assert isinstance(session, Session)
            version = schema.version_of(session, self.address)  # somebody may have been quicker
            if version == 0:
                self._require_the_right(session)
                schema.create(session, self.address)
                self.made = True
            elif version < schema.FORMAT:
                schema.upgrade(session, self.address)

    def _require_the_right(self, session: Session) -> None:
        may = session.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()[0]
        if not may:
            raise Unavailable(
                f"there are no books in {self.where} yet, and this role may not make them: let the owner run "
                "`mecris books setup`, see docs/operations.md"
            )

    # -- connections ----------------------------------------------------------------------------------------------

    def _connect(self) -> Session:
        try:
            raw = Quiet.connect(self.address.url, autocommit=True, **_reach(self.address.url))
            self._configure(raw)
        except psycopg.ProgrammingError:
            raise unreadable(self.where) from None
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error
        return self._session(raw)

    def _configure(self, raw: "psycopg.Connection[Any]") -> None:
        """Set a new connection up: what is acknowledged is on disk, whatever the server's default says."""
        asked = raw.execute("SHOW synchronous_commit").fetchone()
        assert asked is not None
        durable = "on" if asked[0] in ("off", "local") else asked[0]
        names = {"schema": self.address.schema, "views": self.address.views}
        raw.execute(
            sql.SQL(_SETTINGS).format(
                **{key: sql.Identifier(name) for key, name in names.items()}, durable=sql.Literal(durable)
            )
        )

    def _session(self, raw: "psycopg.Connection[Any]") -> Session:
        return Session(raw, self.where, self.address.views, self.address.views)

    def reading(self) -> "Reading":
        """A connection in one read transaction: all that is asked in it sees the same books."""
        return Reading(self)

    def pen(self) -> "Pen":
        """The connection of the one who writes; committed at the end, or nothing of it has happened. Nests."""
        return Pen(self)

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
        asking = self._readers.get_stats().get("pool_size", 0)
        return asking + (self._writer is not None) + self._ear.is_open

    @contextmanager
    def beside(self) -> Iterator[Session]:
        """A connection whose `main` is an empty private database, and whose `live` are these books, to be read."""
        session = self._connect()
        session.here = "pg_temp"
        try:
            session.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
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
        try:
            self._readers.open()
            return self._readers.getconn()
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error

    def _give_back(self, raw: Quiet) -> None:
        self._readers.putconn(raw)

    def _take_pen(self) -> Session:
        self._turn.acquire()
        try:
            self._require_open()
            session = self._begun()
            self._holder = get_ident()
            return session
        except BaseException:
            self._turn.release()
            raise

    def _begun(self) -> Session:
        """A writing connection that holds the lock; one that broke since the last order is made anew, and tried once more."""
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({self._lock[0]}, {self._lock[1]})"
        for is_last in (False, True):
            session = self._writer or self._connect()
            self._writer = session
            try:
                session.raw.execute(begin)
                session.appended, session.has_made = 0, False
                return session
            except psycopg.Error as error:
                broken = session.raw.broken or session.raw.closed
                self._drop_writer()
                if is_last or not broken or not isinstance(error, LOST):
                    raise in_our_words(error, self.where) from error
        raise AssertionError("the second try returns or raises")

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
        except LOST as error:
            self._drop_writer()
            if written:
                raise Unavailable(
                    f"{self.where} broke off while this was written, so it may be recorded or not: look, or give the "
                    "order again with the same idempotency key"
                ) from error
        except psycopg.Error as error:
            self._drop_writer()
            raise in_our_words(error, self.where) from error
        finally:
            self._holder = None
            self._turn.release()

    def _commit(self, session: Session) -> None:
        if session.has_made:
            schema.adopt(session, self.address)
        if session.appended:
            session.raw.execute(f"SELECT pg_notify('{self.address.channel}', '{session.appended}')")
        done = session.raw.execute("COMMIT")
        if done.statusmessage != "COMMIT":  # a statement failed on the way and was passed over
            raise Unavailable(f"{self.where} did not take what was written: nothing was recorded, try again")

    def grant(self, role: str) -> None:
        """Let a role keep these books: append to the log, and own the read models. It can change or delete no event."""
        with self.pen() as session:
            schema.grant(session, self.address, role)

    def tidy(self) -> None:
        """After one very large write: let the planner know what there is now."""
        with _told(self.where), self.pen() as session:
            for table in ("stored_events", "event_chain"):
                session.execute(f"ANALYZE {table}")

    def close(self) -> None:
        """Close every connection."""
        with self._turn:
            self._closed = True
            self._drop_writer()
        self._ear.close()
        self._readers.close()


class Pen:
    """A write transaction that holds the lock of all writers."""

    __slots__ = ("_database", "_outer")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Session:
        self._outer = self._database.in_hand
        return self._database._take_pen() if self._outer is None else self._outer

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
        try:
            self._raw.execute(_BEGIN_ASKING)
        except psycopg.Error as error:
            self._database._give_back(self._raw)
            raise in_our_words(error, self._database.where) from error
        return self._database._session(self._raw)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._raw is None:
            return
        try:
            if not self._raw.closed:
                self._raw.execute("ROLLBACK")
        except psycopg.Error:
            self._raw.close()  # the pool makes another in its place
        finally:
            self._database._give_back(self._raw)


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise in_our_words(error, where) from error


def _reach(url: str) -> dict[str, Any]:
    """How long to wait for a server, unless the address says it."""
    return {"application_name": "mecris"} | ({} if "connect_timeout" in url else {"connect_timeout": REACH})
