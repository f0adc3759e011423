"""Many writers at once, and writers that are killed: nothing is lost, nothing is twice, everybody sees the same books."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from mecris.books import Books
from mecris.domain.commands import FeedCycle, OpenCycle, RecordSource

KILLS = 60
SLOWEST = 0.060
"""Seconds after its first acknowledgement by which a writer has been killed."""

IMPORTS = """
import json, os, signal, sys, time, traceback
from mecris.books import Books
from mecris.domain.commands import ApplyPlug, OpenCycle, RecordSource
import mecris.books.writing
"""

ALONE = (
    IMPORTS
    + """
path, number = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
"""
)
"""A fresh interpreter that waits for its start."""

CROWD = (
    IMPORTS
    + """
path, count, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
gate, opened = os.pipe()
children = []
for number in range(count):
    ear, mouth = os.pipe()
    pid = os.fork()
    if not pid:
        failed = 1
        try:
            os.close(opened)
            os.dup2(mouth, 1)
            os.read(gate, 1)
            exec(program)
            sys.stdout.flush()
            failed = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(failed)
    os.close(mouth)
    children.append((pid, ear))
os.close(opened)
printed = [open(ear).read() for _, ear in children]
print(json.dumps([printed, [os.waitpid(pid, 0)[1] for pid, _ in children]]))
"""
)
"""Many processes that have imported everything and start at the same moment."""

RECORDER = """
with Books.open(path) as books:
    for i in range(100):
        amount = f"{number}.{i:02}"
        books.handle(RecordSource(cycle_id=1, source=f"meter {number}", type="realtime", amount=amount))
"""

SHARER = """
with Books.open(path) as books:
    answers = {}
    for i in range(100) if number else reversed(range(100)):
        order = RecordSource(cycle_id=1, source="meter", type="realtime", amount=f"0.{i:02}")
        answer = books.handle(order, idempotency_key=f"key {i}")
        answers[i] = [repr(sorted(answer.items())), answer.replayed]
    print(json.dumps(answers))
"""

RECONCILER = """
with Books.open(path) as books:
    kind = "manual" if number % 2 else "realtime"
    for i in range(30):
        amount = f"{i}.{number:02}"
        books.handle(RecordSource(cycle_id=1, source=f"{kind} {number}", type=kind, amount=amount))
"""

EVERYTHING = """
from mecris.domain.commands import Dispatch, ReadOdometer, RecordDispatches
with Books.open(path) as books:
    for i in range(25):
        books.handle(ReadOdometer(provider=f"p{number}", amount_usd=f"{i + 1}"))
        dispatch = Dispatch(dispatch_id=f"d{number}.{i}", input_tokens=i, output_tokens=1)
        books.handle(RecordDispatches(run_id="shared", dispatches=(dispatch,)))
"""

CREATOR = """
with Books.open(path) as books:
    print(json.dumps([books.position, books.cycles()]))
"""

OPENER = """
with Books.open(path) as books:
    order = OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=number)
    print(books.handle(order)["cycle_id"])
"""

READER = """
with Books.open(path) as books:
    for line in sys.stdin:
        print(books.status(1)["totals"]["realtime_usd"], books.status(1)["position"], flush=True)
"""

KILLED = (
    IMPORTS
    + """
def write(path, round, told):
    def tell(*what):
        os.write(told, (json.dumps(what) + "\\n").encode())
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=100), idempotency_key="cycle")
        tell("opened")
        for i in range(10**6):
            amount = f"{round}.{i:06}1"
            if i % 4 == 0:
                done = books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount))
                tell("reading", done["reading"], amount)
            elif i % 4 == 1:
                done = books.handle(RecordSource(cycle_id=1, source="console", type="manual", amount=amount))
                tell("reading", done["reading"], amount)
            elif i % 4 == 2:
                done = books.handle(ApplyPlug(cycle_id=1, amount_usd=amount, reason="killed", yes=True))
                tell("plug", done["plug"], amount)
            else:
                key = f"{round} {i}"
                tell("trying", key, amount)
                order = RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount)
                done = books.handle(order, idempotency_key=key)
                tell("reading", done["reading"], amount)

for line in sys.stdin:
    path, round, first, delay = json.loads(line)
    ear, mouth = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            write(path, round, mouth)
        finally:
            os._exit(1)
    os.close(mouth)
    heard = b""
    while first and heard.count(b"\\n") < first:
        heard += os.read(ear, 65536) or sys.exit("the writer ended by itself")
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    while more := os.read(ear, 65536):
        heard += more
    os.close(ear)
    how = os.waitpid(pid, 0)[1]
    said = [json.loads(told) for told in heard.decode().splitlines(keepends=True) if told.endswith("\\n")]
    print(json.dumps([how, said]), flush=True)
"""
)


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program at work in a process of its own, ended with the test."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def asked(process: subprocess.Popen[str], line: str = "") -> str:
    """What a process answers to a line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def in_fresh_processes(program: str, path: Path, count: int) -> None:
    """Run a program in several interpreters that start at the same moment."""
    with ExitStack() as stack:
        processes = [stack.enter_context(started(ALONE + program, str(path), str(n))) for n in range(count)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
        assert [process.returncode for process in processes] == [0] * count


def at_once(program: str, path: Path, count: int) -> list[str]:
    """What several processes print that start at the same moment."""
    with started(CROWD, str(path), str(count), program) as mother:
        printed, codes = json.loads(mother.communicate(timeout=60)[0])
        assert codes == [0] * count
        return list(printed)


def books_with_a_cycle(path: Path) -> Path:
    """Books with one open cycle over 100."""
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=100))
    return path


def readings(books: Books) -> list[dict[str, Any]]:
    """Every recorded reading."""
    return [event for event in books.log() if event["event"] == "source-recorded.v1"]


def assert_sound(books: Books) -> None:
    """The chain is whole, and the read models are what the log says."""
    assert books.verify().faults == []
    replay = books.replay()
    assert (replay.differences, replay.examples, replay.faults) == (0, [], [])


def assert_adds_up(status: dict[str, Any]) -> None:
    """budget = tracked + plugged + unexplained + remaining."""
    tied = status["tie_out"]
    parts = (tied[f"{name}_usd"] for name in ("tracked", "plugged", "unexplained", "remaining"))
    assert sum(parts) == status["cycle"]["budget_usd"]


# -- many at once -------------------------------------------------------------------------------------------------


def test_ten_processes_record_a_hundred_readings_each_and_none_is_lost_or_twice(tmp_path: Path) -> None:
    path = books_with_a_cycle(tmp_path / "books.db")
    in_fresh_processes(RECORDER, path, 10)
    with Books.open(path) as books:
        recorded = readings(books)
        assert [event["reading"] for event in recorded] == list(range(1, 1001))
        expected = {(f"meter {n}", Decimal(f"{n}.{i:02}")) for n in range(10) for i in range(100)}
        assert {(event["name"], event["amount_usd"]) for event in recorded} == expected
        assert books.status(1)["totals"]["realtime_usd"] == sum(Decimal(n) + Decimal("0.99") for n in range(10))
        assert_sound(books)


def test_counters_that_feed_one_cycle_and_dispatches_of_one_run_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with Books.open(path) as books:
        today = datetime.now(UTC).date()
        days = {"start_date": today - timedelta(days=40), "end_date": today + timedelta(days=40)}
        books.handle(OpenCycle(**days, target_usd=1000))
        for number in range(4):
            books.handle(FeedCycle(provider=f"p{number}", cycle_id=1))
    at_once(EVERYTHING, path, 4)
    with Books.open(path) as books:
        events = list(books.log())
        assert sum(e["event"] == "odometer-read.v1" for e in events) == 100
        for counter, told in pairwise(events):
            if counter["event"] == "odometer-read.v1":
                assert (told["event"], told["name"]) == ("source-recorded.v1", f"{counter['provider']} odometer")
                assert told["amount_usd"] == counter["amount_usd"]
                assert books.status(1, as_of=counter["position"])["position"] >= told["position"]
        assert books.status(1)["totals"]["manual_usd"] == 100
        shared = books.run("shared")
        assert (shared["dispatches"], shared["reported_in"]) == (100, 4 * sum(range(25)))
        assert_sound(books)


def test_processes_that_reconcile_one_cycle_at_once_each_compare_what_the_others_wrote(tmp_path: Path) -> None:
    path = books_with_a_cycle(tmp_path / "books.db")
    with Books.open(path) as books:  # there is something to compare from the first manual reading on, whoever is quick
        books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount=1))
    at_once(RECONCILER, path, 4)
    with Books.open(path) as books:
        assert [event["reading"] for event in readings(books)] == list(range(1, 122))
        records = [event for event in books.log() if event["event"] == "cycle-reconciled.v1"]
        assert len(records) >= 30
        for event in records:
            known = books.status(1, as_of=event["position"])
            assert_adds_up(known)
            names = ("tracked_usd", "unexplained_usd", "remaining_usd")
            assert [event["record"][name] for name in names] == [known["tie_out"][name] for name in names]
        assert_sound(books)


def test_two_processes_sharing_idempotency_keys_record_each_reading_once_and_hear_the_same(tmp_path: Path) -> None:
    path = books_with_a_cycle(tmp_path / "books.db")
    one, other = (json.loads(printed) for printed in at_once(SHARER, path, 2))
    assert {i: body for i, (body, _) in one.items()} == {i: body for i, (body, _) in other.items()}
    assert all(one[i][1] + other[i][1] == 1 for i in one), "exactly one of the two was answered with a replay"
    with Books.open(path) as books:
        assert sorted(event["amount_usd"] for event in readings(books)) == [Decimal(i) / 100 for i in range(100)]
        assert_sound(books)


@pytest.mark.sqlite
def test_ten_processes_that_make_the_same_books_at_once_all_find_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "books.db"
    assert at_once(CREATOR, path, 10) == ["[0, []]\n"] * 10
    assert list(path.parent.iterdir()) == [path], "no draft and no side file is left"


def test_ten_processes_that_make_and_write_the_same_books_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    cycles = sorted(map(int, at_once(OPENER, path, 10)))
    assert cycles == list(range(1, 11))
    with Books.open(path) as books:
        assert sorted(cycle["target_usd"] for cycle in books.cycles()) == list(range(10))
        assert_sound(books)


@pytest.mark.sqlite
@pytest.mark.parametrize("attempt", range(2))
def test_ten_processes_that_fill_the_same_empty_file_at_once_all_find_whole_books(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "books.db"
    path.touch()
    assert sorted(map(int, at_once(OPENER, path, 10))) == list(range(1, 11))
    with Books.open(path) as books:
        assert_sound(books)
        with books.file.reading() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_ten_processes_opening_cycles_at_once_get_ten_different_numbers(tmp_path: Path) -> None:
    path = books_with_a_cycle(tmp_path / "books.db")
    assert sorted(map(int, at_once(OPENER, path, 10))) == list(range(2, 12))
    with Books.open(path) as books:
        assert_sound(books)


def test_a_reader_in_another_process_sees_every_write_made_before_it_asked(tmp_path: Path) -> None:
    path = books_with_a_cycle(tmp_path / "books.db")
    with Books.open(path) as books, started(ALONE + READER, str(path), "0") as reader:
        assert asked(reader) == "ready"
        for i in range(1, 101):
            answer = books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount=f"{i}.25"))
            assert asked(reader) == f"{i}.25 {answer['position']}"


def test_many_threads_may_share_one_books(tmp_path: Path) -> None:
    def work(thread: int) -> None:
        for i in range(25):
            kind = "manual" if thread % 3 == 0 else "realtime"
            order = RecordSource(cycle_id=1, source=f"source {thread}", type=kind, amount=f"{i}.{thread}")
            position = books.handle(order, idempotency_key=f"{thread} {i}")["position"]
            status = books.status(1)
            assert status["position"] >= position
            assert_adds_up(status)

    with Books.open(books_with_a_cycle(tmp_path / "books.db")) as books:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        assert [event["reading"] for event in readings(books)] == list(range(1, 201))
        assert_sound(books)


# -- killed -------------------------------------------------------------------------------------------------------


def moments(seed: int) -> Iterator[tuple[int, float]]:
    """When to kill: after how many acknowledgements (0: perhaps before the books are open), and how long after."""
    chance = Random(seed)
    for kill in range(KILLS):
        yield 0 if kill % 6 == 0 else chance.randint(1, 4), chance.uniform(0, SLOWEST)


def events_after(path: Path, position: int) -> tuple[int, list[dict[str, Any]]]:
    """What the books hold after a position, asked the way a person would after a crash."""
    with Books.open(path) as books:
        if books.position:
            assert_adds_up(books.status(1))
        return books.position, list(books.log(since=position))


def recorded_in(events: list[dict[str, Any]]) -> set[tuple[str, int, Decimal]]:
    """The readings and plugs among events, as the writers acknowledge them."""
    numbered = {"source-recorded.v1": "reading", "plug-applied.v1": "plug"}
    told = [(numbered[event["event"]], event) for event in events if event["event"] in numbered]
    return {(name, event[name], event["amount_usd"]) for name, event in told}


def test_a_writer_killed_at_any_moment_leaves_books_that_hold_all_it_acknowledged(tmp_path: Path) -> None:
    path, position, acknowledged, tried = tmp_path / "books.db", 0, 0, {}
    with started(KILLED) as mother:
        for kill, (first, delay) in enumerate(moments(seed=20250910), 1):
            how, said = json.loads(asked(mother, json.dumps([str(path), kill, first, delay])))
            assert how == 9, "the writer was killed, and did not fail"
            position, events = events_after(path, position)
            acks = {
                (name, number, Decimal(amount))
                for name, number, amount in (line for line in said if line[0] in ("reading", "plug"))
            }
            assert acks <= recorded_in(events)
            acknowledged += len(acks)
            tried |= {key: amount for name, key, amount in (line for line in said if line[0] == "trying")}
    assert acknowledged > KILLS
    with Books.open(path) as books:
        for key, amount in tried.items():
            order = RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount)
            books.handle(order, idempotency_key=key)
        amounts = [event["amount_usd"] for event in readings(books)]
        assert all(amounts.count(Decimal(amount)) == 1 for amount in tried.values()), "a retried key records once"
        assert [event["reading"] for event in readings(books)] == list(range(1, len(amounts) + 1))
        assert_sound(books)


def test_a_replay_while_others_write_is_of_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "busy.db"
    over = Event()

    def write() -> None:
        with Books.open(path) as books:
            number = 0
            while not over.is_set():
                number += 1
                books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount=number))

    with Books.open(path) as books, ThreadPoolExecutor(1) as pool:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=10))
        writing = pool.submit(write)
        replays = [books.replay() for _ in range(8)]
        over.set()
        writing.result()
        assert [(replay.differences, replay.faults) for replay in replays] == [(0, [])] * 8
        assert replays[-1].events > replays[0].events, "nothing was written meanwhile"
