"""A queue of orders: those that come while one write is under way share the next one, and its wait for the disk."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..books import Books
from ..books.answers import Answer
from ..books.writing import Given
from ..domain.commands import Command
from ..domain.errors import MecrisError, Unavailable

MOST = 256
"""Orders that share one write."""
Waiting = tuple[Given, "asyncio.Future[Answer]"]


class Queue:
    """Orders on their way to the books. Answers come when what they say is on disk."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.patience = 2 * books.file.patience  # an order may wait for the write before it, and then for its own
        self._waiting: list[Waiting] = []
        self._writer = ThreadPoolExecutor(1, "mecris-writer")
        self._at_work: asyncio.Task[None] | None = None
        self._closed = False
        self.on_write: Callable[[int], None] | None = None
        """Told how many orders share a write."""

    @property
    def waiting(self) -> int:
        """How many orders wait for a write."""
        return len(self._waiting)

    async def order(self, order: Command, key: str | None, by: str) -> Answer:
        """Hand an order over; returns its answer, or raises its refusal."""
        if self._closed:
            raise Unavailable("the server is shutting down: send the order again to the next one")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((Given(order, key, by), answered))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())
        try:  # who has gone away does not take the order back
            return await asyncio.wait_for(asyncio.shield(answered), self.patience)
        except TimeoutError:
            raise Unavailable(
                f"the books have not answered for {self.patience:g} s, so this may be recorded yet: look, or give the "
                "order again with the same idempotency key"
            ) from None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                now, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                if self.on_write:
                    self.on_write(len(now))
                answers = await loop.run_in_executor(self._writer, self._write, [given for given, _ in now])
                for (_, answered), answer in zip(now, answers, strict=True):
                    _settle(answered, answer)
        finally:
            self._at_work = None

    def _write(self, given: Sequence[Given]) -> Sequence[Answer | BaseException]:
        try:
            return self.books.handle_each(given)
        except Exception as fault:  # noqa: BLE001  # it reaches whoever waits
            return [fault] * len(given)

    async def close(self) -> None:
        """Take no more orders, and finish those that were taken."""
        self._closed = True
        if self._at_work is not None:
            await self._at_work
        self._writer.shutdown()


def _settle(answered: "asyncio.Future[Answer]", answer: Answer | MecrisError | BaseException) -> None:
    if answered.cancelled():
        return
    if isinstance(answer, BaseException):
        answered.set_exception(answer)
        answered.exception()  # whoever waited may have gone away: then nobody asks for it
    else:
        answered.set_result(answer)
