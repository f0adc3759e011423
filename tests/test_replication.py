"""Books on a primary with a synchronous standby: what was acknowledged is on both, and survives the primary."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from load import Load, load, require_sound, sent, wait_for
from postgres import Postgres
from served import serving, tokens_of

from mecris.books import Books
from mecris.domain.commands import OpenCycle
from mecris.domain.errors import Unavailable

pytestmark = pytest.mark.own_store  # these have servers of their own


class Pair(NamedTuple):
    """Two servers, and the address that means whichever of them can be written."""

    primary: Postgres
    standby: Postgres

    @property
    def where(self) -> str:
        hosts, ports = (",".join(str(part) for part in parts) for parts in zip(*map(_socket, self), strict=True))
        return (
            f"postgresql://postgres@/postgres?host={hosts}&port={ports}&target_session_attrs=read-write"
            "&patience=2&hanging=5"
        )


def _socket(server: Postgres) -> tuple[str, int]:
    return str(server.folder), server.port


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary that waits for its standby before it says that something is recorded, with an open cycle."""
    with ExitStack() as stack:
        primary = stack.enter_context(Postgres.start())
        standby = stack.enter_context(primary.standby())
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        wait_for(lambda: _follows(primary), "the standby")
        pair = Pair(primary, standby)
        with Books.open(pair.where) as books:
            books.handle(OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=100))
        yield pair


def _follows(primary: Postgres) -> bool:
    return primary.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'") == [("sync",)]


def test_a_standby_that_takes_over_from_a_killed_primary_has_every_acknowledged_order(pair: Pair) -> None:
    tokens = tokens_of(pair.where)
    with ExitStack() as stack:
        two = [stack.enter_context(serving(pair.where, tokens=tokens)) for _ in range(2)]
        with load(two) as crowd:
            crowd.goes_on(200)
            pair.primary.kill()
            refused(crowd)  # what was answered before has come
            before = len(crowd.acknowledged)
            refused(crowd)
            assert len(crowd.acknowledged) == before, "nobody is told yes by a standby"
            pair.standby.sql("SELECT pg_promote()")
            crowd.goes_on(200)
        crowd.require_clear()
    sys.stdout.write(f"{before} acknowledged before the primary was killed; ")
    crowd.require_all(pair.where)


def refused(crowd: Load, more: int = 20) -> None:
    """Wait until so many more orders, each client's among them, were refused."""
    wanted = crowd.problems.total() + more
    wait_for(lambda: crowd.problems.total() >= wanted, "clear errors")


def reading(amount: int) -> dict[str, Any]:
    return {"cycle_id": 1, "name": "meter", "type": "realtime", "amount_usd": amount}


def test_without_its_standby_a_primary_acknowledges_nothing_not_even_a_second_time(pair: Pair) -> None:
    """Also when somebody ends the wait by hand, so that what was written is seen: a failover would lose it."""
    with serving(pair.where) as server:
        assert _told(server, 1, "first") == (200, None)
        pair.standby.kill()
        status, detail = _told(server, 2, "second")
        assert status == 503
        assert "may be recorded yet" in detail
        wait_for(lambda: pair.primary.sql(f"SELECT pg_cancel_backend(pid) {_WAITING}"), "the one that waits")
        wait_for(lambda: not pair.primary.sql(f"SELECT pid {_WAITING}"), "the end of the wait")
        status, detail = _told(server, 2, "second")
        assert status == 503, "it stands in the primary, and is not told so"
        wait_for(lambda: pair.primary.sql(f"SELECT pg_cancel_backend(pid) {_WAITING}"), "the one that waits")
        wait_for(lambda: not pair.primary.sql(f"SELECT pid {_WAITING}"), "the end of the wait")
        with server.client("read") as client:
            assert client.get("/budget/cycle/1").status_code == 200, "a question waits for no standby"
        pair.standby.run()
        wait_for(lambda: _told(server, 2, "second") == (200, None), "the standby")
        assert "Traceback" not in "".join(server.lines)
    with Books.open(pair.where) as books:
        there = [int(r["amount_usd"]) for r in books.sources(1, history=True)]
        sys.stdout.write(f"2 sent, 2 acknowledged, {len(there)} there\n")
        assert there == [1, 2]
        require_sound(books)


def test_an_answer_given_again_waits_for_the_standby_where_no_read_model_was_made_yet(pair: Pair) -> None:
    """Somebody who ends the wait is told what that means."""
    order = OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=100)
    with Books.open(f"{pair.where}&schema=fresh") as books, ThreadPoolExecutor(1) as asking:
        assert books.handle(order, idempotency_key="once")["recorded"]
        assert pair.primary.sql("SELECT count(*) FROM fresh_views.view_positions") == [(0,)]
        pair.standby.kill()
        again = asking.submit(books.handle, order, idempotency_key="once")
        wait_for(lambda: pair.primary.sql(f"SELECT pg_cancel_backend(pid) {_WAITING}"), "the one that waits")
        with pytest.raises(
            Unavailable, match="recorded this, but no standby has it yet: look, or give the order again"
        ):
            again.result(20)


_WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def _told(server: Any, amount: int, key: str) -> tuple[int, Any]:
    answer = sent(server, reading(amount), key)
    assert answer is not None
    return answer[0], answer[1].get("detail")
