"""Faults: what may go wrong between a program and its books, at a chosen statement of a chosen order."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakSet


class Crash(BaseException):
    """The program is killed: nothing of it runs any more."""


class Interrupted(BaseException):
    """Somebody pressed Ctrl-C; the program lives on."""


@dataclass
class Plan:
    """What goes wrong, and when.

    `crash` kills the program before a statement, `crash-after` when it has taken effect; `error` is what a full or broken disk
    says, and `error-rolled-back` is the same with the transaction gone; `answer-lost` is an error although it has taken
    effect; `interrupt` is Ctrl-C, `interrupt-after` when it has taken effect; `meanwhile` lets `work` happen before a statement, `between` before a transaction begins.
    """

    kind: str
    at: int | str
    """Which statement (counted from 1), which transaction for `between`, or the name of a statement, like COMMIT."""
    work: Callable[[], None] = lambda: None
    fired: bool = False

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}"


class Faults:
    """Stands between a program and its connections."""

    def __init__(self) -> None:
        self.dead = False
        self.plan: Plan | None = None
        self._statements = self._transactions = 0

    def arm(self, plan: Plan | None) -> None:
        """Let something go wrong in what comes next, or nothing."""
        self.plan, self._statements, self._transactions = plan, 0, 0

    def before_transaction(self) -> None:
        """A transaction is about to begin: others may have been quicker."""
        plan = self.plan
        self._transactions += 1
        if plan and plan.kind == "between" and not plan.fired and plan.at == self._transactions:
            plan.fired = True
            plan.work()

    def around(self, sql: str, run: Callable[[], Any], connection: sqlite3.Connection) -> Any:
        """Run a statement, or let it fail."""
        if self.dead:
            raise Crash
        plan = self.plan
        if plan is None or plan.fired or plan.kind == "between":
            return run()
        self._statements += 1
        if plan.at != self._statements and not (isinstance(plan.at, str) and sql.startswith(plan.at)):
            return run()
        plan.fired = True
        return self._fail(plan, sql, run, connection)

    def _fail(self, plan: Plan, sql: str, run: Callable[[], Any], connection: sqlite3.Connection) -> Any:
        match plan.kind:
            case "meanwhile":
                plan.work()
                return run()
            case "interrupt":
                raise Interrupted
            case "error" | "error-rolled-back":
                if plan.kind == "error-rolled-back" and connection.in_transaction:
                    sqlite3.Connection.rollback(connection)
                raise broken_disk(sql)
            case "answer-lost":
                run()
                raise broken_disk(sql)
            case "interrupt-after":
                run()
                raise Interrupted
            case "crash-after":
                run()
        self.dead = True
        raise Crash


def broken_disk(sql: str) -> sqlite3.OperationalError:
    """What SQLite raises: a full disk for whoever writes, a broken one for whoever reads."""
    full = sql.startswith(("INSERT", "COMMIT", "CREATE", "DELETE"))
    error = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
    return error


class Line(sqlite3.Connection):
    """A connection on which things go wrong."""

    faults: Faults

    def cursor(self, factory: Any = None) -> sqlite3.Cursor:  # type: ignore[override]
        cursor = super().cursor(factory or LineCursor)
        self.cursors.add(cursor)
        return cursor

    @cached_property
    def cursors(self) -> "WeakSet[sqlite3.Cursor]":
        """Those that may still be in the middle of something."""
        return WeakSet()

    def cut(self) -> None:
        """Close it whatever is going on; SQLite undoes what was not committed."""
        for cursor in list(self.cursors):
            cursor.close()
        super().close()

    def execute(self, *statement: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return self.cursor().execute(*statement)

    def executemany(self, *statement: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return self.cursor().executemany(*statement)

    def rollback(self) -> None:
        if self.faults.dead:
            raise Crash
        super().rollback()


class LineCursor(sqlite3.Cursor):
    """A cursor of such a connection."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        run = super().execute
        return self.connection.faults.around(sql, lambda: run(sql, *parameters), self.connection)  # type: ignore[attr-defined, no-any-return]

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        run = super().executemany
        return self.connection.faults.around(sql, lambda: run(sql, *parameters), self.connection)  # type: ignore[attr-defined, no-any-return]
