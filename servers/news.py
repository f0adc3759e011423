"""News of the log: one thread listens for all streams of a server, and the read models are brought up to what it hears."""

import asyncio
import logging
from contextlib import suppress
from random import uniform
from typing import Any

from anyio import CapacityLimiter, to_thread

from ..books import Books
from ..domain.errors import MecrisError

SLICE = 0.5
"""Seconds that the listener waits before it looks whether the server ends."""
CALM = 0.25
"""Seconds within which the read models follow: many events are taken in together, and of several servers one is the first."""
AGAIN = 1.0
"""Seconds after which books that could not be reached are tried again."""
_LOG = logging.getLogger("mecris")


class News:
    """Knows where the log ends, whoever writes it, and wakes who waits for that."""

    def __init__(self, books: Books) -> None:
        self.books, self.position = books, 0
        self._told = asyncio.Event()
        self._ear, self._hand = CapacityLimiter(1), CapacityLimiter(1)  # nobody who asks waits for them

    async def listen(self, closing: asyncio.Event) -> None:
        """Hear of the log until the server ends."""
        while not closing.is_set():
            with suppress(_Failed):
                self._tell(await self._do(closing, self._ear, self.books.wait, self.position, SLICE))
        self._tell(self.position + 1)  # whoever waits looks whether the server ends

    async def follow(self, closing: asyncio.Event) -> None:
        """Bring the read models up to the end, so that a question seldom has to."""
        seen = 0
        while not closing.is_set():
            if self.position <= seen:
                await self.beyond(seen, SLICE)
                continue
            await _pause(closing, uniform(0, CALM))  # noqa: S311  # no secret, only servers that do not start together
            with suppress(_Failed):
                seen = await self._do(closing, self._hand, self.books.catch_up)

    async def beyond(self, position: int, seconds: float) -> None:
        """Wait until the log is longer than this, or so many seconds."""
        if self.position <= position:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), seconds)

    def _tell(self, position: int) -> None:
        if position > self.position:
            self.position, told, self._told = position, self._told, asyncio.Event()
            told.set()

    @staticmethod
    async def _do(closing: asyncio.Event, limiter: CapacityLimiter, what: Any, *given: Any) -> int:
        try:
            done: int = await to_thread.run_sync(what, *given, limiter=limiter)
        except Exception as error:
            told = error.message if isinstance(error, MecrisError) else repr(error)
            _LOG.warning("the log is not followed, and tried again: %s", told)
            await _pause(closing, AGAIN)
            raise _Failed from error
        return done


class _Failed(Exception):
    """It did not work, was told, and is tried again."""


async def _pause(closing: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(closing.wait(), seconds)
