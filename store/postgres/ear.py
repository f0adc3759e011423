"""A connection of its own that hears when the log grows: nobody has to ask again and again."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic

import psycopg
from psycopg import sql

from .. import positions
from .faults import LOST, in_our_words
from .session import Session

LOOK = 5.0
"""Seconds after which the log is looked at although nothing was heard: news may be lost with a connection, or in a pooler."""


class Ear:
    """Listens on the channel of some books. Made again after a fault, and then looks first at what it has not heard."""

    def __init__(self, connect: Callable[[], Session], channel: str) -> None:
        self._connect, self._channel = connect, channel
        self._turn = Lock()
        self._session: Session | None = None
        self._end, self._looked = 0, 0.0
        self._closed = False

    def wait(self, position: int, seconds: float) -> int:
        """Where the log ends, as soon as that is beyond a position, or after so many seconds."""
        with self._turn:
            session = self._session or self._listening()
            try:
                return self._hear(session, position, seconds)
            except BaseException as error:
                self._forget()
                if self._closed and isinstance(error, LOST):
                    return self._end
                if isinstance(error, psycopg.Error):
                    raise in_our_words(error, session.where) from error
                raise

    def _listening(self) -> Session:
        session = self._connect()
        self._looked = 0.0
        session.raw.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        self._session = session
        return session

    def _hear(self, session: Session, position: int, seconds: float) -> int:
        if monotonic() - self._looked > LOOK:
            self._end, self._looked = positions.head(session).position, monotonic()
        if self._end <= position:
            for news in session.raw.notifies(timeout=seconds, stop_after=1):
                self._end = max(self._end, int(news.payload))
        return self._end

    def _forget(self) -> None:
        if self._session is not None:
            with suppress(psycopg.Error):
                self._session.raw.close()
            self._session = None

    @property
    def is_open(self) -> bool:
        """Is there a connection?"""
        return self._session is not None

    def close(self) -> None:
        """Listen no more; whoever waits is told where the log ended when we last heard of it."""
        self._closed = True
        if (session := self._session) is not None:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.raw.fileno())) as waited_for:
                waited_for.shutdown(socket.SHUT_RDWR)
        with self._turn:
            self._forget()
