"""What the rooms above see of a database: statements with `?` or `:name`, rows as tuples. SQLite's own connection is one.

SQL is written once, for both databases. Where they differ it is written as SQLite has it, and `postgres.dialect` says it
in PostgreSQL's words: every difference is in that one page.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a protocol takes a quarter of a millisecond to make, which a question can spare
    from typing import Protocol

    class Rows(Protocol):
        """What a statement found."""

        @property
        def description(self) -> Any:
            """The columns; the first of each is its name."""

        @property
        def rowcount(self) -> int:
            """How many rows a statement wrote."""

        def fetchone(self) -> Any:
            """The next row, or None."""

        def fetchall(self) -> list[Any]:
            """All rows."""

        def __iter__(self) -> Iterator[Any]:
            """Row by row."""

    class Connection(Protocol):
        """A connection in a transaction."""

        def execute(self, sql: str, parameters: Any = (), /) -> Rows:
            """Do one statement."""

        def executemany(self, sql: str, rows: Iterable[Any], /) -> Rows:
            """Do one statement for each row."""

    class Store(Protocol):
        """Where books are kept. Safe to share between threads."""

        where: str
        """How to name it to a person; no secret in it."""
        made: bool
        """Were these books made by this opening?"""
        kind: str
        patience: float
        """Seconds to wait for another writer."""

        def reading(self) -> AbstractContextManager[Connection]:
            """A connection in one read transaction: all that is asked in it sees the same books."""

        def pen(self, *, lasting: bool = True) -> AbstractContextManager[Connection]:
            """The connection of the one who writes; committed at the end, or nothing of it has happened. Nests.

            What is not lasting can be made again, and may be lost with the machine.
            """

        def roomy(self) -> AbstractContextManager[None]:
            """More memory for the one who holds the pen and writes very much, where memory is ours to give."""

        @property
        def in_hand(self) -> Connection | None:
            """The writing connection, if this thread holds the pen."""

        def wait(self, position: int, seconds: float) -> int:
            """Where the log ends, as soon as that is beyond a position, or after so many seconds."""

        @property
        def connections(self) -> int:
            """How many connections are open."""

        def beside(self) -> AbstractContextManager[Connection]:
            """A connection whose `main` is an empty private database, and whose `live` are these books, to be read."""

        def grant(self, role: str) -> None:
            """Let a role keep these books, with as little as that needs."""

        def set_up(self) -> bool:
            """Make a place for the read models again, if it is gone. Was it gone?"""

        def tidy(self) -> None:
            """After one very large write."""

        def close(self) -> None:
            """Close every connection."""

else:
    Connection = Rows = Store = object


def stream(connection: Connection, sql: str, parameters: Any = ()) -> Iterable[Any]:
    """The rows of a question that may have very many: they are not held in memory together."""
    streaming = getattr(connection, "stream", None)
    rows: Iterable[Any] = streaming(sql, parameters) if streaming else connection.execute(sql, parameters)
    return rows
