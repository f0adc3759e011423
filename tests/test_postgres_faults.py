"""Many servers on one PostgreSQL, and what may befall them: killed, cut off, full, held up, frozen, with a wrong clock."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import httpx
import psycopg
import pytest
from load import load, require_sound, sent, wait_for
from postgres import FAST, Postgres, own
from served import Server, serving, tokens_of
from test_processes import RECORDER, in_fresh_processes

from mecris.books import Books
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.domain.errors import Unavailable
from mecris.store.postgres import ear

pytestmark = pytest.mark.own_store  # these have servers of their own

BEHIND = """
from datetime import timedelta
from mecris.books import Books, books
now = books._now
Books.open.__func__.__kwdefaults__["clock"] = lambda: now() - timedelta(hours=1)
from mecris.cli.main import main
main()
"""
"""A Mecris that looks at a clock an hour behind."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server for the tests of this module, which it outlives."""
    with Postgres.start() as server:
        yield server


@pytest.fixture
def where(postgres: Postgres, request: pytest.FixtureRequest) -> str:
    """Books of the test's own, with an open cycle; nobody waits for long."""
    return with_a_cycle(f"{postgres.url}&schema=t{abs(hash(request.node.nodeid))}&patience=3&hanging=2")


def with_a_cycle(where: str) -> str:
    with Books.open(where) as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=100))
    return where


@contextmanager
def servers(where: str, count: int) -> Iterator[list[Server]]:
    """Several servers on the same books, whose connections are named after their number."""
    tokens = tokens_of(where)
    with ExitStack() as stack, ThreadPoolExecutor(count) as starting:
        contexts = [serving(f"{where}&application_name=mecris-{n}", tokens=tokens) for n in range(count)]
        yield list(starting.map(stack.enter_context, contexts))


def reading(name: str, amount: Any) -> dict[str, Any]:
    return {"cycle_id": 1, "name": name, "type": "realtime", "amount_usd": amount}


def asked(server: Server) -> httpx.Response:
    """What a server says of the cycle."""
    with server.client("read") as client:
        return client.get("/budget/cycle/1")


def holders(postgres: Postgres, whose: str = "mecris-%") -> list[Any]:
    """The backends of servers that hold a pen, and what they are doing."""
    return postgres.sql(
        "SELECT pid, state FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND application_name LIKE %s",
        whose,
    )


def lock_of(where: str) -> tuple[int, int]:
    with Books.open(where) as books:
        return books.file._lock  # type: ignore[attr-defined,no-any-return]


# -- many writers -----------------------------------------------------------------------------------------------------


def test_ten_processes_record_a_hundred_readings_each_in_one_database(where: str) -> None:
    in_fresh_processes(RECORDER, where, 10)  # type: ignore[arg-type]
    with Books.open(where) as books:
        there = [(r["name"], str(r["amount_usd"])) for r in books.sources(1, history=True)]
        sys.stdout.write(f"1000 acknowledged, {len(there)} there, {len(set(there))} different\n")
        assert len(there) == len(set(there)) == 1000
        require_sound(books)


def test_three_servers_on_one_database_lose_and_double_nothing_and_share_their_keys(where: str) -> None:
    with servers(where, 3) as three:
        with load(three, clients=9) as crowd, ThreadPoolExecutor(2) as both:
            for n in range(40):
                order = reading("shared", n + 1), f"shared {n}"
                one, other = both.map(lambda server: sent(server, *order), (three[n % 3], three[(n + 1) % 3]))  # noqa: B023
                assert one is not None
                assert other is not None
                assert (one[0], one[1]) == (other[0], other[1])
                assert one[0] == 200
                assert one[2] + other[2] == 1, "exactly one was answered with what the other was told"
        assert not crowd.problems
        assert not crowd.broken
        assert len({asked(server).text for server in three}) == 1
    crowd.require_clear()
    crowd.require_all(where, more=40)
    with Books.open(where) as books:
        assert sum(r["name"] == "shared" for r in books.sources(1, history=True)) == 40


# -- faults -----------------------------------------------------------------------------------------------------------


def test_postgresql_killed_under_load_is_an_outage_and_no_loss(postgres: Postgres, where: str) -> None:
    with servers(where, 2) as two, follower(two[0]) as heard:
        with load(two) as crowd:
            for _ in range(3):
                crowd.goes_on()
                postgres.kill()
                refused = crowd.problems.total() + 20
                wait_for(lambda: crowd.problems.total() >= refused, "clear errors")  # noqa: B023
                assert httpx.get(f"{two[0].url}/health").status_code == 200
                assert httpx.get(f"{two[0].url}/ready").json()["code"] == "unavailable"
                postgres.run()
            crowd.goes_on()
        with Books.open(where) as books:
            end = books.position
        wait_for(lambda: heard and heard[-1] == end, "the last event in the stream")
        assert heard == list(range(heard[0], end + 1)), "whoever follows the log missed nothing"
        crowd.require_clear()
    crowd.require_all(where)


@contextmanager
def follower(server: Server) -> Iterator[list[int]]:
    """The positions that one stream of the log has told."""
    heard: list[int] = []

    def follow() -> None:
        with server.client("read") as client, client.stream("GET", "/audit/events/stream") as stream:
            heard.extend(int(line[3:]) for line in stream.iter_lines() if line.startswith("id:"))

    thread = Thread(target=follow)
    thread.start()
    yield heard
    server.stop()
    thread.join(20)


def test_servers_killed_in_turn_under_load_lose_nothing_that_they_acknowledged(where: str) -> None:
    with servers(where, 3) as three, ExitStack() as stack, load(three) as crowd:
        for n in range(6):
            crowd.goes_on(50)
            three[n % 3].stop(signal.SIGKILL)
            crowd.goes_on(20)  # the others go on
            three[n % 3] = stack.enter_context(serving(where, tokens=three[0].tokens))
        crowd.goes_on(50)
        crowd.stop.set()
    crowd.require_clear()
    assert crowd.broken >= 6
    crowd.require_all(where)


def test_connections_that_are_cut_again_and_again_lose_nothing(postgres: Postgres, where: str) -> None:
    cut = writing = 0
    with servers(where, 2) as two:
        with load(two) as crowd:
            for n in range(30):
                wait_for(lambda: holders(postgres), "somebody who writes")
                which = "IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)" if n % 2 else "> 0"
                ended = postgres.sql(
                    f"SELECT pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted), pg_terminate_backend(pid) "
                    f"FROM pg_stat_activity WHERE application_name LIKE 'mecris-%' AND pid {which}"
                )
                cut, writing = cut + len(ended), writing + sum(held for held, _ in ended)
                sleep(0.03)
            crowd.goes_on()
        crowd.require_clear()
    sys.stdout.write(f"{cut} connections cut, {writing} of them in the middle of a write; ")
    assert writing >= 5
    crowd.require_all(where)


# -- broken off by a person --------------------------------------------------------------------------------------------


class Interrupted:
    """Ctrl-C, before or after a statement of the connection that writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, books: Books, statement: str, *, done: bool) -> None:
        raw = books.file._writer.raw  # type: ignore[attr-defined]
        execute = raw.execute

        def broken_off(said: Any, *more: Any) -> Any:
            if statement not in str(said):
                return execute(said, *more)
            if done:
                execute(said, *more)
            raise KeyboardInterrupt

        monkeypatch.setattr(raw, "execute", broken_off)


@pytest.mark.parametrize(("statement", "done"), [("pg_advisory", True), ("COMMIT", False), ("COMMIT", True)])
@pytest.mark.parametrize("lasting", [True, False])
def test_ctrl_c_leaves_no_lock_and_nothing_of_its_transaction(
    postgres: Postgres, where: str, monkeypatch: pytest.MonkeyPatch, statement: str, done: bool, lasting: bool
) -> None:
    key = lock_of(where)[1]
    with Books.open(where) as books, Books.open(where) as others:
        Interrupted(monkeypatch, books, statement, done=done)
        with pytest.raises(KeyboardInterrupt), books.file.pen(lasting=lasting):
            pass
        wait_for(
            lambda: (
                not postgres.sql("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = %s", key % 2**32)
            ),
            "the end of the lock",
        )
        assert others.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount="1"))["recorded"]
        with books.file.pen() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount="2"))["recorded"]
        require_sound(books)


def test_a_transaction_that_somebody_left_open_on_the_writing_connection_is_not_gone_on_with(where: str) -> None:
    with Books.open(where) as books:
        books.file._writer.raw.execute("BEGIN; SET LOCAL synchronous_commit = off")  # type: ignore[attr-defined]
        with books.file.pen() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


# -- a database of other defaults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "default",
    ["default_transaction_isolation = 'repeatable read'", "default_transaction_isolation = 'serializable'",
     "default_transaction_read_only = on"],
)  # fmt: skip
def test_a_database_of_other_defaults_takes_the_orders_of_two_servers_at_once(postgres: Postgres, default: str) -> None:
    postgres.sql("DROP DATABASE IF EXISTS other WITH (FORCE)")
    postgres.sql("CREATE DATABASE other")
    postgres.sql(f"ALTER DATABASE other SET {default}")
    where = with_a_cycle(postgres.url.replace("/postgres?", "/other?"))
    with Books.open(where) as ours, Books.open(where) as theirs, ThreadPoolExecutor(2) as both:

        def record(books: Books) -> int:
            orders = (RecordSource(cycle_id=1, source="meter", type="realtime", amount=n) for n in range(1, 31))
            return sum(books.handle(order)["recorded"] for order in orders)

        assert list(both.map(record, (ours, theirs))) == [30, 30]
        require_sound(ours)


FULL, BATCH = r"the disk of .* is full, nothing was recorded", "s" * 90
# -- a full disk ------------------------------------------------------------------------------------------------------


@contextmanager
def small_file_system(folder: Path) -> Iterator[Path]:
    """A file system of 24 MB, of memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", str(folder)], check=True)
    try:
        own(folder)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def may_mount() -> bool:
    """May we mount a file system here?"""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@contextmanager
def full_disk(server: Postgres) -> Iterator[tuple[str, Any, Any]]:
    """Books whose tables lie on a small file system: their address, what fills it up, and what makes room."""
    with small_file_system(server.folder / "small") as small:
        server.sql(f"CREATE TABLESPACE small LOCATION '{small}'")
        server.sql("CREATE DATABASE books TABLESPACE small")
        ballast = small / "ballast"

        def fill() -> None:
            with ballast.open("wb", 0) as opened:
                for size in (1 << 16, 1 << 12):
                    try:
                        while True:
                            opened.write(bytes(size))
                    except OSError:
                        pass

        yield server.url.replace("/postgres?", "/books?"), fill, ballast.unlink
        server.sql("DROP DATABASE books WITH (FORCE)")
        server.sql("DROP TABLESPACE small")


@contextmanager
def quota(server: Postgres) -> Iterator[tuple[str, Any, Any]]:
    """Books on a server that may not let files grow over a megabyte: their address, what sets the quota, and what lifts it."""

    def limit(most: str) -> None:
        assert server.process is not None
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        for pid in (str(server.process.pid), *children):
            server.do("/usr/bin/prlimit", f"--pid={pid}", f"--fsize={most}:unlimited")

    yield server.url, lambda: limit("1048576"), lambda: limit("unlimited")


@pytest.mark.parametrize("way", [quota, *([full_disk] if may_mount() else [])])
def test_a_full_disk_records_nothing_and_says_so_and_goes_on_when_there_is_room(way: Any) -> None:
    server = Postgres.start(FAST, more=("--wal-segsize=1",))  # what is written ahead has room under the quota
    with server, way(server) as (url, fill, make_room):
        where = with_a_cycle(f"{url}&schema=full")
        with servers(where, 2) as two:
            with load(two) as crowd:
                crowd.goes_on()
                fill()
                with Books.open(where) as books, pytest.raises(Unavailable, match=FULL):
                    in_batches(books)
                wait_for(lambda: full(crowd), "a full disk under load")
                make_room()
                crowd.goes_on()
            crowd.require_clear()
        told = {(name, amount) for name, amount in crowd.acknowledged}
        with Books.open(where) as books:
            events = [e for e in books.log() if e["event"] == "source-recorded.v1"]
            by_batch = sum(e["name"] == BATCH for e in events)
            there = {(e["name"], f"{e['amount_usd']:.2f}") for e in events if e["name"] != BATCH}
            sys.stdout.write(f"{crowd}, {len(there)} there, and {by_batch} in whole batches\n")
            assert told <= there
            assert len(events) - by_batch == len(there), "nothing is there twice"
            assert by_batch % 500 == 0, "nothing is half recorded"
            require_sound(books)


def in_batches(books: Books) -> None:
    """Record until it is refused."""
    for _ in range(100):
        books.handle_all([RecordSource(cycle_id=1, source=BATCH, type="manual", amount=n) for n in range(500)])


def full(crowd: Any) -> int:
    """How many were told that the disk is full."""
    return sum(n for (_, _, detail), n in list(crowd.problems.items()) if "is full, nothing was recorded" in detail)


# -- frozen ------------------------------------------------------------------------------------------------------------


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """A server that goes on taking connections, as its machine does that for it, and says nothing."""
    assert server.process is not None
    first = server.process.pid
    os.kill(first, signal.SIGSTOP)  # from now on it makes no others
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    tell_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        tell_all(pids, signal.SIGCONT)


def tell_all(pids: list[int], what: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended by themselves."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


def test_a_frozen_postgresql_is_waited_for_as_long_as_was_said_and_then_an_outage(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the one who asks, the one who writes and the one who listens, each on a connection that was good."""
    monkeypatch.setattr(ear, "LOOK", 0)
    order = RecordSource(cycle_id=1, source="meter", type="realtime", amount="1")
    with Books.open(with_a_cycle(f"{postgres.tcp}&schema=frozen&patience=1")) as books, ThreadPoolExecutor(3) as three:
        end = books.handle(order)["position"]
        assert books.status(1)
        assert books.wait(0, 0) == end
        with frozen(postgres):
            begun = monotonic()
            uses: list[Any] = [lambda: books.status(1), lambda: books.handle(order), lambda: books.wait(end, 1)]
            for use in [three.submit(use) for use in uses]:
                with pytest.raises(Unavailable, match=r"cannot be reached.*nothing was recorded"):
                    use.result(30)
            assert monotonic() - begun < 20
        assert books.status(1)["cycle"]["id"] == 1
        assert books.handle(order)["recorded"]
        assert books.wait(end, 5) > end
        require_sound(books)


def test_a_postgresql_that_freezes_at_the_commit_has_perhaps_recorded_it(
    postgres: Postgres, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = RecordSource(cycle_id=1, source="meter", type="realtime", amount="1")
    with Books.open(where) as books, ExitStack() as stack:
        raw = books.file._writer.raw  # type: ignore[attr-defined]
        execute = raw.execute

        def freezing(said: Any, *more: Any) -> Any:
            if said == "COMMIT":
                stack.enter_context(frozen(postgres))
            return execute(said, *more)

        monkeypatch.setattr(raw, "execute", freezing)
        with pytest.raises(Unavailable, match="so it may be recorded or not"):
            books.handle(order, idempotency_key="once")
        stack.close()
        books.handle(order, idempotency_key="once")
        assert len(books.sources(1, history=True)) == 1


def test_what_is_slow_is_waited_for_while_the_server_lives(postgres: Postgres) -> None:
    with Books.open(f"{postgres.url}&schema=slow&patience=1") as books, books.file.reading() as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(3)").fetchone() == (1,)


# -- somebody in the way ----------------------------------------------------------------------------------------------


def test_a_transaction_left_open_is_waited_for_as_long_as_was_said_and_then_told(
    postgres: Postgres, where: str
) -> None:
    with servers(where, 2) as two, psycopg.connect(postgres.url) as idle:
        idle.execute("SELECT pg_advisory_xact_lock(%s, %s)", lock_of(where))
        with ThreadPoolExecutor(2) as both:
            answers = list(both.map(lambda server: sent(server, reading("held", 1), "held"), two))
        for answer in answers:
            assert answer is not None
            assert (answer[0], answer[1]["code"]) == (503, "busy")
            assert "another writer holds" in answer[1]["detail"]
        assert asked(two[0]).status_code == 200, "questions wait for nobody"
        idle.rollback()
        answers = [sent(server, reading("held", 1), "held") for server in two]
        assert [answer and answer[0] for answer in answers] == [200, 200]
    with Books.open(where) as books:
        assert len(books.sources(1, history=True)) == 1
        require_sound(books)


def test_a_server_frozen_while_it_writes_is_cut_off_and_comes_back(postgres: Postgres, where: str) -> None:
    with servers(where, 3) as three:
        with load(three, clients=9) as crowd:
            crowd.goes_on(50)
            wait_for(lambda: froze(postgres, three[0]), "a server that stands still while it writes")
            wait_for(lambda: not holders(postgres, "mecris-0"), "the cut", 10)
            crowd.goes_on(50)
            three[0].process.send_signal(signal.SIGCONT)
            wait_for(lambda: crowd.problems, "a clear error of the one that stood still")
            answered = wait_for(lambda: sent(three[0], reading("after", 1), "after"), "an answer")
            assert answered[0] == 200
        crowd.require_clear()
    crowd.require_all(where, more=1)


APPENDS = """
SELECT 1 FROM pg_locks WHERE pid = %s AND relation::regclass::text LIKE '%%stored_events' AND mode = 'RowExclusiveLock'"""
"""Whoever follows the log holds the pen too, and reads events; only an order adds some."""


def froze(postgres: Postgres, server: Server) -> int:
    """Stop the first server; the backend that holds its pen, if it was stopped with an order half written, else 0."""
    server.process.send_signal(signal.SIGSTOP)
    sleep(0.05)  # what it asked for is answered
    held = [pid for pid, state in holders(postgres, "mecris-0") if state == "idle in transaction"]
    if held and postgres.sql(APPENDS, held[0]):
        return int(held[0])
    server.process.send_signal(signal.SIGCONT)
    sleep(0.02)
    return 0


def test_a_server_whose_clock_is_an_hour_behind_does_not_turn_time_back(where: str) -> None:
    with serving(where) as right, serving(where, tokens=right.tokens, program=("-c", BEHIND)) as behind:
        answers = [sent((right, behind)[n % 2], reading(f"clock {n % 2}", n + 1), f"clock {n}") for n in range(20)]
        for n, answer in enumerate(answers):
            assert answer is not None
            assert answer[0] == 200
            warned = [told for told in answer[1].get("warnings", []) if "set the clock" in told]
            assert len(warned) == n % 2, answer
        with load([right, behind]) as crowd:
            crowd.goes_on(100)
        crowd.require_clear()
    crowd.require_all(where, more=20)
    with Books.open(where) as books:
        times = [datetime.fromisoformat(e["recorded_at"]) for e in books.log()]
        assert times[-1] - times[0] < timedelta(minutes=30)
