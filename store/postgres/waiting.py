"""Waiting for a server for as long as it lives: a frozen one keeps its connections, and would be waited for without end."""

from collections.abc import Callable, Generator
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

T = TypeVar("T")


class Frozen(psycopg.OperationalError):
    """A server that did not answer lets nobody in either."""


def while_it_lives(asking: Generator[Any, Any, T], seconds: float, lives: Callable[[], bool]) -> Generator[Any, Any, T]:
    """Go on with what asks a server; each time so many seconds went by without a word, find out whether it lives.

    What is slow is waited for, however long it takes: a large import, a rebuild, a standby.
    """
    heard = monotonic()
    try:
        wanted = next(asking)
        while True:
            ready = yield wanted
            if ready:
                heard = monotonic()
            elif monotonic() - heard > seconds:
                if not lives():
                    raise Frozen(f"it has not answered for {seconds:g} s")
                heard = monotonic()
            wanted = asking.send(ready)
    except StopIteration as done:
        answer: T = done.value
        return answer


class Quiet(psycopg.Connection[Any]):
    """A connection that goes with the books that are forgotten, without a word; keeps what the server warns of.

    Whoever makes one says how long its server may say nothing, and how to find out then whether that lives.
    """

    patience: float = inf
    lives: Callable[["Quiet"], bool]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.warnings: list[Diagnostic] = []
        self.add_notice_handler(self.warnings.append)

    def wait(self, gen: Any, *given: Any, **named: Any) -> Any:
        """Wait for the server as long as it lives."""
        try:
            return super().wait(while_it_lives(gen, self.patience, self._owes_nothing_or_lives), *given, **named)
        except Frozen:
            self.close()
            raise

    def _owes_nothing_or_lives(self) -> bool:
        return self.pgconn.transaction_status != TransactionStatus.ACTIVE or self.lives(self)

    def __del__(self, *_: Any) -> None:
        with suppress(psycopg.Error, AttributeError):  # it may not have come far
            self.close()
