"""Connections that ask: kept while they are good, and made anew when they broke, so that a server that is back is found at once."""

from collections.abc import Callable
from contextlib import suppress
from threading import BoundedSemaphore
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from ...domain.errors import Busy
from .admission import Admission
from .waiting import Frozen, Quiet

MOST = 8
"""Connections that ask at once; whoever comes after waits."""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL idle_in_transaction_session_timeout = '1h'"
"""Who asks holds no lock, and a copy of large books is long between two questions: only who writes is cut off soon."""


class Readers:
    """The connections of those who ask. Safe to share between threads.

    None is tested before it is used: the statement that begins its transaction is the test. And none is waited for that
    cannot be had: whoever asks while the server is away is told so at once, and why.
    """

    def __init__(self, connect: Callable[[], Quiet], admission: Admission, patience: float) -> None:
        self._connect, self._admission, self._patience = connect, admission, patience
        self._idle: list[Quiet] = []
        self._free = BoundedSemaphore(MOST)
        self._made: WeakSet[Quiet] = WeakSet()
        self._closed = False

    def take(self) -> Quiet:
        """A connection in a read transaction."""
        if not self._free.acquire(timeout=self._patience):
            raise Busy(f"{MOST} questions have been under way for {self._patience} s: try again")
        try:
            return self._begun()
        except BaseException:
            self._free.release()
            raise

    def _begun(self) -> Quiet:
        while raw := self._kept():
            try:
                return self._admitted(raw)
            except Frozen:
                self._close_idle()  # the others would be waited for one after another
                raise
            except psycopg.Error:  # it broke while nobody used it
                pass
        raw = self._connect()
        self._made.add(raw)
        return self._admitted(raw)

    def _admitted(self, raw: Quiet) -> Quiet:
        try:
            self._admission.begin(raw, _BEGIN)
            return raw
        except BaseException:
            raw.close()
            raise

    @property
    def open(self) -> int:
        """How many connections there are, asking or idle."""
        return sum(not raw.closed for raw in list(self._made))

    def _kept(self) -> Quiet | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def give_back(self, raw: Quiet) -> None:
        """Take a connection back when its transaction is over; one that broke is not kept."""
        with suppress(psycopg.Error):
            raw.execute("ROLLBACK")
        if raw.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(raw)
        else:
            raw.close()
        if self._closed:
            self._close_idle()
        self._free.release()

    def close(self) -> None:
        """Close what nobody uses, and the others when they are given back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        while raw := self._kept():
            raw.close()
