"""Sessions on PostgreSQL: decided again when too late, closed while somebody listens, and large rows a few at a time."""

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from team import Place, assert_sound, story, tell

from mecris.books import Books
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.domain.errors import Unavailable
from mecris.store.connection import stream

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


def test_an_order_of_several_events_that_came_too_late_is_decided_again(place: Place) -> None:
    with Books.open(place.by("owner")) as one, Books.open(place.by("owner")) as other:
        tell(one)
        one.handle(OpenCycle(start_date="2025-10-01", end_date="2099-12-31", target_usd=1000))
        cycle = one.cycles()[-1]["id"]
        one.handle(RecordSource(cycle_id=cycle, source="meter", type="realtime", amount=1))
        for number in range(1, 9):
            books = (one, other)[number % 2]  # which remembers the cycle as it was before the other one wrote
            before = books.position
            books.handle(RecordSource(cycle_id=cycle, source="console", type="manual", amount=number))
            assert books.position > before + 1, "a look is recorded with what it compares"
        assert_sound(one)


def test_closed_books_say_so(place: Place) -> None:
    books = Books.open(place.by("owner"))
    books.close()
    for ask in (lambda: books.position, lambda: books.handle(story()[0])):
        with pytest.raises(Unavailable, match="these books are closed"):
            ask()


def test_closing_waits_for_nobody_who_listens(place: Place) -> None:
    with Books.open(place.by("owner")) as books, ThreadPoolExecutor(1) as listening:
        tell(books)
        end = books.wait(0, 0)
        waiting = listening.submit(books.wait, end, 30)
        sleep(0.5)  # until it listens
        begun = monotonic()
        books.close()
        assert monotonic() - begun < 1
        assert waiting.result(1) == end
        assert books.file.connections == 0
        with pytest.raises(Unavailable, match="these books are closed"):
            books.wait(end, 1)


def test_a_connection_that_is_given_back_to_closed_books_is_closed(place: Place) -> None:
    books = Books.open(place.by("owner"))
    with books.file.reading():
        books.close()
        assert books.file.connections == 1
    assert books.file.connections == 0


def test_a_question_with_large_rows_holds_few_of_them_at_a_time(place: Place) -> None:
    with Books.open(place.by("owner")) as books:
        with books.file.pen() as connection:
            for part in range(24):
                connection.execute("INSERT INTO evidence VALUES (?, ?, ?)", ("a" * 64, part, os.urandom(1 << 20)))
        with books.file.reading() as connection:
            tracemalloc.start()
            try:
                assert sum(len(row[0]) for row in stream(connection, "SELECT content FROM evidence")) == 24 << 20
                assert tracemalloc.get_traced_memory()[1] < 12 << 20
            finally:
                tracemalloc.stop()
