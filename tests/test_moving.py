"""Moving books: what a copy takes over, what comparing it finds, and what happens when it is interrupted."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import psycopg
import pytest
from exports import csv
from postgres import Postgres

from mecris.books import Books, comparing, moving
from mecris.books.packing import PART
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.errors import Damaged, EventDamaged, NotBooks, RuleRefused, Unavailable
from mecris.store.connection import Connection

pytestmark = pytest.mark.own_store  # these bring the stores they are about


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server, in which each test has schemas of its own."""
    with Postgres.start() as server:
        yield server


@pytest.fixture(params=["a file", "a database"])
def elsewhere(request: pytest.FixtureRequest, server: Postgres, tmp_path: Path) -> str:
    """Where to copy to."""
    return place(request.param, server, tmp_path)


def place(kind: str, server: Postgres, folder: Path) -> str:
    """A new place for books."""
    name = f"books_{uuid4().hex[:8]}"
    return f"{server.url}&schema={name}" if kind == "a database" else str(folder / f"{name}.db")


def change(where: str, *statements: str) -> None:
    """Change books behind their back, past the guards."""
    if where.startswith("postgresql://"):
        schema = where.rpartition("=")[2]
        address = where.removesuffix(f"&schema={schema}")
        with psycopg.connect(address, options=f"-csearch_path={schema},{schema}_views") as connection:
            connection.execute("SET session_replication_role = replica")
            for sql in statements:
                connection.execute(sql)  # type: ignore[arg-type]  # it is a constant of the test
    else:
        with closing(sqlite3.connect(where)) as connection, connection:
            for sql in statements:
                connection.execute(sql)


def rows(where: str, table: str) -> list[tuple[object, ...]]:
    """A table as it is, in some order."""
    with Books.open(where) as books, books.file.reading() as connection:
        return sorted((tuple(row) for row in connection.execute(f"SELECT * FROM {table}")), key=repr)


def story() -> list[c.Command]:
    """A month in which something is missing and is explained, a run with its bills, and a counter."""
    said = {"cycle_id": 1, "provider": "claude", "measured_at": "2025-09-10T09:05:00Z"}
    dispatches = [c.Dispatch(dispatch_id=name, input_tokens=7, output_tokens=1) for name in ("B", "a")]
    return [
        c.OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96"),
        c.RecordSource(source="session log", type="realtime", amount="0.11", **said),
        c.RecordSource(source="console", type="manual", balance="19.54", payload="left: $19.54", **said),
        c.ApplyPlug(cycle_id=1, square=True, yes=True, reason="another workspace"),
        c.AdjustBudget(cycle_id=1, amount_usd=5, reason="topped up"),
        c.RecordDispatches(run_id="nightly", dispatches=tuple(dispatches)),
        c.ReconcileTokens(run_id="nightly", billed_in=9, billed_out=2),
        c.ReadOdometer(provider="groq", amount_usd="1.20"),
    ]


def told(where: str, folder: Path) -> Books:
    """Books with something of everything in them: orders under keys, two files, a token that was used, a job."""
    books = Books.open(where, recorded_by="ada")
    for number, order in enumerate(story()):
        books.handle(order, idempotency_key=f"story {number}")
    for name, usd in (("one.csv", "1.25"), ("two.csv", "oops")):
        (folder / name).write_bytes(csv(f"2025-09-01,{usd},{name},claude,meter,realtime"))
        books.import_file(folder / name)
    assert books.admit(books.create_token("ci", "read")["token"])
    books.note_token_uses()
    books.jobs.reconcile(1, by="ada", idempotency_key="job")
    return books


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Books]:
    """Books in a file, with something of everything in them."""
    with told(str(tmp_path / "source.db"), tmp_path) as books:
        yield books


# -- what is compared -----------------------------------------------------------------------------------------------

EVERYTHING = ("stored_events", "event_chain", "idempotency_keys", "evidence", "token_uses", "jobs", "budget_source")


def test_a_copy_holds_everything_and_says_how_much_was_compared(source: Books, elsewhere: str) -> None:
    answer = source.copy_to(elsewhere)
    for table in EVERYTHING:
        assert rows(source.file.where, table) == rows(elsewhere, table) != [], table
    assert answer["copied"] == answer["events"] == answer["position"] == source.position
    beside = sum(len(rows(elsewhere, table)) for table in EVERYTHING[2:6])
    with source.file.reading() as connection:
        tables = [table for view in comparing.follow.VIEWS for table in view.tables]
        counted = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert answer["rows"] == beside + sum(counted)


STATE = "state = CAST(replace(CAST(state AS TEXT), 'ada', 'ben') AS BLOB)"
STATE_THERE = "state = convert_to(replace(convert_from(state, 'UTF8'), 'ada', 'ben'), 'UTF8')"
CHANGED = {
    "an event": (f"UPDATE stored_events SET {STATE} WHERE position = 4", "stored_events", "4 is not what was copied"),
    "an event's topic": ("UPDATE stored_events SET topic = 'x' WHERE position = 2", "stored_events", "2 is not what"),
    "an event's link": ("UPDATE event_chain SET link = recorded_at WHERE position = 2", "event_chain", "2 is not what"),
    "an event's time": ("UPDATE event_chain SET recorded_at = '' WHERE position = 2", "event_chain", "2 is not what"),
    "a lost event": ("DELETE FROM stored_events WHERE position = 3", "stored_events", "4 stands where 3 belongs"),
    "a kept answer": ("UPDATE idempotency_keys SET answer = '{}' WHERE key = 'job'", "idempotency_keys", "'job' is not"),
    "an added key": ("INSERT INTO idempotency_keys VALUES ('zz', 'f', '{}')", "idempotency_keys", "'zz' was not copied"),
    "a changed file": ("UPDATE evidence SET content = 'x' WHERE part = 0", "evidence", "is not what was copied"),
    "an added part": ("INSERT INTO evidence VALUES ('zz', 9, 'x')", "evidence", "'zz' was not copied"),
    "a read model": ("UPDATE budget_source SET raw_payload = 'x'", "read model budget_source", "other rows"),
    "an added row": ("INSERT INTO budget_threshold VALUES (99, 9, '1', '2', '3')", "read model budget_threshold", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGED)
def test_whatever_was_changed_in_a_copy_is_found_and_named(source: Books, elsewhere: str, what: str) -> None:
    sql, table, difference = CHANGED[what]
    source.copy_to(elsewhere)
    there = elsewhere.startswith("postgresql://")
    sql = sql.replace(STATE, STATE_THERE).replace("= recorded_at", "= recorded_at::bytea") if there else sql
    change(elsewhere, sql)
    for _ in range(2):  # another copy that finds nothing to do mends and hides nothing
        with pytest.raises(Damaged, match=f"{table} of .*{difference}"):
            source.copy_to(elsewhere)


def test_what_was_changed_in_the_source_since_the_last_copy_is_found(source: Books, elsewhere: str) -> None:
    source.copy_to(elsewhere)
    change(source.file.where, f"UPDATE stored_events SET {STATE} WHERE position = 4")
    source.handle(c.AdjustBudget(cycle_id=1, amount_usd=1, reason="more"))
    with pytest.raises(Damaged, match=r"stored_events of .*: 4 is not what was copied"):
        source.copy_to(elsewhere)


def test_a_copy_that_orders_otherwise_is_found_although_its_rows_are_the_same(source: Books, tmp_path: Path) -> None:
    target = str(tmp_path / "target.db")
    source.copy_to(target)
    change(
        target,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'dispatch_id TEXT', 'dispatch_id TEXT COLLATE NOCASE') "
        "WHERE name = 'cost_dispatch'",
    )
    change(target, "REINDEX cost_dispatch")
    with pytest.raises(Damaged, match=r"answers otherwise than .*: run nightly as of"):
        source.copy_to(target)


def test_what_goes_on_changing_becomes_what_the_source_has(source: Books, elsewhere: str) -> None:
    source.copy_to(elsewhere)
    with Books.open(elsewhere) as used:
        used.jobs.work()
    change(elsewhere, "UPDATE token_uses SET last_used_at = '2099-01-01T00:00:00.000000Z'")
    change(elsewhere, "INSERT INTO token_uses VALUES ('other', '2099-01-01T00:00:00.000000Z')")
    source.jobs.work()
    source.copy_to(elsewhere)
    for table in ("token_uses", "jobs"):
        assert rows(source.file.where, table) == rows(elsewhere, table) != []


def test_what_is_written_in_the_source_meanwhile_is_no_difference(
    source: Books, elsewhere: str, tmp_path: Path
) -> None:
    before = {table: rows(source.file.where, table) for table in EVERYTHING}

    def write(_: int) -> None:
        (tmp_path / "three.csv").write_bytes(csv("2025-09-01,oops,x,claude,meter,realtime"))
        source.import_file(tmp_path / "three.csv")
        source.handle(story()[1], idempotency_key="meanwhile")
        assert source.jobs.work()
        change(source.file.where, "UPDATE token_uses SET last_used_at = '2099-01-01T00:00:00.000000Z'")

    answer = source.copy_to(elsewhere, write)
    assert answer["position"] < source.position
    assert {table: rows(elsewhere, table) for table in EVERYTHING} == before


def test_a_copy_that_is_used_already_is_no_difference(
    source: Books, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = source.create_token("early", "read")["token"]
    with Books.open(elsewhere) as target:
        tidy = target.file.tidy

        def used() -> None:  # after the last write of the copy, before what was copied is compared
            tidy()
            with Books.open(elsewhere) as server:
                assert server.admit(secret)
                server.note_token_uses()

        monkeypatch.setattr(target.file, "tidy", used)
        assert moving.copy(source, target)["events"] == source.position
    assert len(rows(elsewhere, "token_uses")) == len(rows(source.file.where, "token_uses")) + 1


def test_an_event_that_was_changed_is_not_copied_nor_is_what_comes_after_it(source: Books, elsewhere: str) -> None:
    change(source.file.where, f"UPDATE stored_events SET {STATE} WHERE position = 4")
    with pytest.raises(Damaged, match="event 4 is not what was written: run `mecris audit verify`"):
        source.copy_to(elsewhere)
    with Books.open(elsewhere) as target:
        assert target.position == 0


CUT_OFF = {
    "the last event": ("stored_events", "event_chain"),
    "the last event and what the read models know": ("stored_events", "event_chain", "view_positions"),
    "the last event alone": ("stored_events",),
}


@pytest.mark.parametrize("what", CUT_OFF)
def test_a_log_whose_end_is_missing_is_not_copied(source: Books, elsewhere: str, what: str) -> None:
    source.handle(c.ReconcileTokens(run_id="nightly", billed_in=99999, billed_out=2, source="two events"))
    end = source.catch_up()
    if "view_positions" in CUT_OFF[what]:  # half of a write, which no read model has seen
        assert positions_written_with(source, end) == 2
        change(source.file.where, f"UPDATE view_positions SET position = {end - 1}")
    change(source.file.where, *(f"DELETE FROM {t} WHERE position = {end}" for t in CUT_OFF[what] if t[0] in "se"))
    with pytest.raises(EventDamaged, match=r"the end of the log|events at the end"):
        source.copy_to(elsewhere)


def positions_written_with(books: Books, position: int) -> int:
    """How many events were written together with one."""
    with books.file.reading() as connection:
        asked = "SELECT count(*) FROM event_chain WHERE last = (SELECT last FROM event_chain WHERE position = ?)"
        return int(connection.execute(asked, (position,)).fetchone()[0])


# -- what is asked --------------------------------------------------------------------------------------------------


def test_every_question_is_asked(source: Books) -> None:
    asked = set()

    class Heard(Books):
        def __getattribute__(self, name: str) -> object:
            asked.add(name)
            return super().__getattribute__(name)

    now = datetime.now(UTC)
    with Heard.open(source.file.where) as books, books.file.reading() as connection:
        same = comparing.still(books, connection, "here", now)
        assert comparing.require_same(same, same).answers > 100
    questions = {
        *("status", "forecast", "discrepancies", "sources", "cycles", "adjustments", "plugs", "chart", "narrative"),
        *("unified", "run", "runs", "reconciliations", "odometers", "alerts", "tokens", "evidence", "quarantine"),
        "events",
    }
    assert questions <= asked


def test_long_lists_are_asked_for_as_a_whole(source: Books, tmp_path: Path) -> None:
    dispatches = tuple(c.Dispatch(dispatch_id=f"d{n:03}", input_tokens=1, output_tokens=1) for n in range(130))
    source.handle(c.RecordDispatches(run_id="long", dispatches=dispatches))
    for billed in range(120):
        source.handle(c.ReconcileTokens(run_id="long", billed_in=billed, billed_out=1))
    end = source.catch_up()
    with source.file.reading() as connection:
        books = comparing.still(source, connection, "here", datetime.now(UTC))
        answers = {question: ask(books) for question, ask in comparing._questions(books, end)}
    assert len(answers[f"run long as of {end}"]["first"]) == 130
    assert len(answers[f"reconciliations of long as of {end}"]) == 120
    assert [event["position"] for event in answers[f"log as of {end}"]] == list(range(1, end + 1))


# -- backups --------------------------------------------------------------------------------------------------------

GOLDEN = Path(__file__).parent / "golden" / "books"


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where backups lie."""
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def test_a_backup_is_restored_and_not_touched(source: Books, elsewhere: str, kept: Path) -> None:
    answer = source.backup(kept / "books.backup")
    before = content(kept)
    assert list(before) == ["books.backup"]
    with Books.open(elsewhere) as target:
        assert target.restore(kept / "books.backup")["head"] == answer["head"]
        assert target.status(1) == source.at(target.now()).status(1) | {"as_of": None}
    assert content(kept) == before


@pytest.mark.parametrize("version", sorted(path.stem for path in GOLDEN.glob("*.db")))
def test_a_backup_of_an_older_version_is_restored_and_not_touched(elsewhere: str, kept: Path, version: str) -> None:
    shutil.copy(GOLDEN / f"{version}.db", kept / "old.backup")
    before = content(kept)
    with Books.open(elsewhere) as target:
        answer = target.restore(kept / "old.backup")
        assert answer["copied"] == answer["events"] == target.position > 100
        assert target.verify(answer["head"]).faults == []
    assert content(kept) == before


def test_books_in_use_are_restored_from_as_they_are_at_that_moment(source: Books, elsewhere: str) -> None:
    source.handle(c.AdjustBudget(cycle_id=1, amount_usd=1, reason="not in the read models yet"))
    assert Path(f"{source.file.where}-wal").stat().st_size > 0
    with Books.open(elsewhere) as target:
        assert target.restore(source.file.where)["copied"] == source.position


def test_a_backup_with_a_missing_end_is_not_restored(source: Books, elsewhere: str, kept: Path) -> None:
    end = source.backup(kept / "books.backup")["position"]
    change(str(kept / "books.backup"), *(f"DELETE FROM {t} WHERE position = {end}" for t in EVERYTHING[:2]))
    with Books.open(elsewhere) as target, pytest.raises(EventDamaged, match=r"the end of the log of .*books.backup"):
        target.restore(kept / "books.backup")


def test_books_are_not_restored_from_themselves(source: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuleRefused, match="these are the same books"):
        source.restore("source.db")


def test_what_is_no_backup_is_refused_under_its_name(elsewhere: str, kept: Path) -> None:
    (kept / "letter.txt").write_text("dear ada, " * 100)
    with closing(sqlite3.connect(kept / "other.db")) as other:
        other.execute("CREATE TABLE invoices (id)")
    (kept / "empty").touch()
    with Books.open(elsewhere) as target:
        for name in ("letter.txt", "other.db", "empty"):
            with pytest.raises(NotBooks, match=f"{name} is"):
                target.restore(kept / name)
        with pytest.raises(Unavailable, match="is not a file"):
            target.restore(kept / "nothing")


AS_NOBODY = """
import os, sys
from mecris.books import Books, moving
import mecris.projections.access, mecris.projections.alerts, mecris.projections.budget, mecris.projections.imports
import mecris.projections.odometers, mecris.projections.records, mecris.projections.runs
import mecris.books.access, mecris.books.chart, mecris.books.costs, mecris.books.counters, mecris.books.evidence
import mecris.books.audit, mecris.books.summary, mecris.books.unified, simplejson, zoneinfo
os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))  # root may do everything, so root steps down
backup, target = sys.argv[1:]
assert not os.access(backup, os.W_OK) and not os.access(os.path.dirname(backup), os.W_OK)
with Books.open(target) as books:
    print(books.restore(backup)["copied"], books.position)
"""


@pytest.mark.parametrize("backup", ["of today", "of the first version"])
def test_a_backup_that_one_may_only_read_is_restored(source: Books, backup: str) -> None:
    place = Path(mkdtemp(prefix="mecris-kept-"))  # on a path that everybody may walk, which pytest's own is not
    try:
        if backup == "of today":
            source.backup(place / "books.backup")
        else:
            shutil.copy(GOLDEN / "v1.db", place / "books.backup")
        (place / "books.backup").chmod(0o444)
        (place / "new").mkdir()
        (place / "new").chmod(0o777)
        place.chmod(0o555)
        command = [sys.executable, "-c", AS_NOBODY, place / "books.backup", place / "new" / "books.db"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        copied, position = done.stdout.split()
        assert copied == position != "0"
        assert sorted(path.name for path in place.iterdir()) == ["books.backup", "new"]
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


# -- evidence -------------------------------------------------------------------------------------------------------

LARGE = 96
"""MiB of evidence that are moved."""
MEMORY = """
import sys, os
from mecris.books import Books
from mecris.books.packing import unpack
def peak():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
what, where, file = sys.argv[1:]
with Books.open(where) as books:
    before = peak()
    if what == "backup":
        books.backup(file)
    elif what == "restore":
        books.restore(file)
    else:
        with books.file.reading() as connection, open(file, "wb") as out:
            unpack(connection, "a" * 64, out)
    print(peak() - before)
"""


def grown(*words: object) -> int:
    """By how many MiB a program grew at its highest that moved books, or unpacked a file."""
    done = subprocess.run([sys.executable, "-c", MEMORY, *map(str, words)], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory of a program")
def test_moving_evidence_takes_no_more_memory_than_a_few_parts_of_it(
    server: Postgres, tmp_path: Path, elsewhere: str
) -> None:
    packing, whole = zlib.compressobj(0), sha256()
    source = place("a database", server, tmp_path)
    with Books.open(source) as books, books.file.pen() as connection:
        for part in range(LARGE):
            noise = os.urandom(PART)
            whole.update(noise)
            kept = packing.compress(noise) + (packing.flush() if part == LARGE - 1 else b"")
            connection.execute("INSERT INTO evidence VALUES (?, ?, ?)", ("a" * 64, part, kept))
    assert grown("backup", source, tmp_path / "books.backup") < LARGE
    assert grown("restore", elsewhere, tmp_path / "books.backup") < LARGE
    assert grown("unpack", source, tmp_path / "unpacked") < LARGE / 2
    assert sha256((tmp_path / "unpacked").read_bytes()).digest() == whole.digest()


# -- interrupted, and two at once -----------------------------------------------------------------------------------

WAYS = [("a file", "a database"), ("a database", "a file"), ("a file", "a file")]
BOTH_WAYS = pytest.mark.parametrize(("come_from", "go_to"), WAYS)


def interrupt(books: Books, number: int, how: Callable[[], None]) -> None:
    """Let something happen in one of the next transactions that write these books, before it is committed."""
    pen, count = books.file.pen, iter(range(1, 1000))

    @contextmanager
    def hurried(**more: bool) -> Iterator[Connection]:
        with pen(**more) as connection:
            yield connection
            if next(count) == number:
                how()

    books.file.pen = hurried  # type: ignore[method-assign]


def ctrl_c() -> None:
    raise KeyboardInterrupt


def stopped_by_ctrl_c(source: str, target: str, number: int) -> bool:
    """Copy, and press Ctrl-C in one of the transactions; False if there were not so many."""
    with Books.open(source) as ours, Books.open(target) as theirs:
        interrupt(theirs, number, ctrl_c)
        try:
            moving.copy(ours, theirs)
        except KeyboardInterrupt:
            return True
    return False


def killed(source: str, target: str, number: int) -> bool:
    """Copy in a program that is killed in one of the transactions; False if there were not so many."""
    child = os.fork()
    if not child:
        failed = 1
        try:
            with Books.open(source) as ours, Books.open(target) as theirs:
                interrupt(theirs, number, lambda: os.kill(os.getpid(), signal.SIGKILL))
                moving.copy(ours, theirs)
                failed = 0
        finally:
            os._exit(failed)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@BOTH_WAYS
@pytest.mark.parametrize("how", [stopped_by_ctrl_c, killed])
def test_a_copy_that_is_interrupted_in_any_of_its_steps_goes_on_and_ends_as_one_at_once(
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    come_from: str,
    go_to: str,
    how: Callable[[str, str, int], bool],
) -> None:
    monkeypatch.setattr(moving, "BATCH", 9)
    source, target, steps = place(come_from, server, tmp_path), place(go_to, server, tmp_path), 0
    told(source, tmp_path).close()
    while how(source, target, steps + 1):
        steps += 1
        require_whole_after_another_run(source, target)
        target = place(go_to, server, tmp_path)
    assert steps >= 4  # two batches of events, the evidence, and the rest


def require_whole_after_another_run(source: str, target: str) -> None:
    """What another run makes of a copy that was interrupted is what was to be copied."""
    with Books.open(source) as ours, Books.open(target) as theirs:
        moving.copy(ours, theirs)
        assert moving.copy(ours, theirs)["copied"] == 0
        assert theirs.verify(ours.verify().head).faults == []
        replayed = theirs.replay()
        assert (replayed.differences, replayed.faults) == (0, [])
        assert theirs.handle(story()[1], idempotency_key="story 1").replayed
    for table in EVERYTHING:
        assert rows(source, table) == rows(target, table) != [], table


def test_a_backup_that_was_interrupted_is_made_the_next_time(source: Books, kept: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        source.backup(kept / "books.backup", lambda _: ctrl_c())
    assert not (kept / "books.backup").exists()
    source.handle(c.AdjustBudget(cycle_id=1, amount_usd=1, reason="meanwhile"))
    assert source.backup(kept / "books.backup")["events"] == source.position
    assert list(content(kept)) == ["books.backup"]


def test_a_command_that_is_interrupted_says_that_it_goes_on(
    source: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where, target = source.file.where, str(tmp_path / "target.db")
    for command in (["books", "copy", where, target], ["--books", where, "books", "backup", target]):
        with monkeypatch.context() as stopped:
            stopped.setattr(moving, "_copy_evidence", lambda *_: ctrl_c())
            assert run(command) == 130
        assert capsys.readouterr().err == (
            "interrupted: what was copied stays, and the same command goes on from there\n"
        )
        assert run(command) == 0
        capsys.readouterr()
        Path(target).unlink()


def test_what_a_backup_of_other_books_left_behind_is_to_be_removed(source: Books, kept: Path) -> None:
    with Books.open(kept / "books.backup.part") as other:
        other.handle(c.ReadOdometer(provider="groq", amount_usd=1))
    with pytest.raises(RuleRefused, match=r"books\.backup\.part is left over from an interrupted backup .*: remove it"):
        source.backup(kept / "books.backup")
    (kept / "books.backup.part").unlink()
    assert source.backup(kept / "books.backup")["events"] == source.position


def test_a_copy_into_books_that_another_one_fills_is_refused(
    source: Books, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "BATCH", 5)
    answers = []

    def another(_: int) -> None:
        with Books.open(source.file.where) as books:
            answers.append(books.copy_to(elsewhere))

    with pytest.raises(RuleRefused, match=r"somebody else writes in .*: try again"):
        source.copy_to(elsewhere, another)
    assert answers[0]["events"] == source.position
    assert source.copy_to(elsewhere)["copied"] == 0


def test_a_copy_into_books_in_which_somebody_records_is_refused(source: Books, elsewhere: str) -> None:
    def record(_: int) -> None:
        with Books.open(elsewhere) as books:
            books.handle(story()[0])

    with pytest.raises(RuleRefused, match=r"somebody else writes in .*: try again"):
        source.copy_to(elsewhere, record)


def test_copies_at_the_same_time_end_whole_or_are_refused(
    source: Books, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "BATCH", 2)

    def copy(_: int) -> str:
        with Books.open(source.file.where) as books:
            try:
                return str(books.copy_to(elsewhere)["head"])
            except RuleRefused as refused:
                return refused.code

    with ThreadPoolExecutor(4) as pool:
        ends = set(pool.map(copy, range(4)))
    head = str(source.verify().head)
    assert head in ends
    assert ends <= {head, "other-books"}
    for table in EVERYTHING:
        assert rows(source.file.where, table) == rows(elsewhere, table)
    assert source.copy_to(elsewhere)["copied"] == 0


# -- what is told ---------------------------------------------------------------------------------------------------


def test_the_command_says_how_much_was_copied_and_compared(
    source: Books, elsewhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where, events = source.file.where, source.position
    assert run(["books", "copy", where, elsewhere, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert run(["books", "copy", where, elsewhere]) == 0
    assert capsys.readouterr().out == (
        f"0 of {events} events copied, {events} events, {answer['rows']} rows and {answer['answers']} answers compared, "
        "0 differences\n"
    )
    change(elsewhere, "INSERT INTO idempotency_keys VALUES ('zz', 'f', '{}')")
    assert run(["books", "copy", where, elsewhere]) == 5
    assert "idempotency_keys of " in (said := capsys.readouterr().err)
    assert "'zz' was not copied: run `mecris audit verify` on both, or copy into new books" in said


def test_a_place_that_one_may_not_look_into_is_named(
    source: Books, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", look)  # root may look everywhere
    assert run(["--books", source.file.where, "books", "backup", str(kept / "books.backup")]) == 6
    assert capsys.readouterr().err == f"could not be done: {kept}/books.backup: Permission denied\n"


def test_a_terminal_shows_what_is_copied_and_what_is_compared(
    source: Books, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(["--books", source.file.where, "books", "backup", str(kept / "books.backup")]) == 0
    said = capsys.readouterr().err
    at = [
        said.index(what)
        for what in ("copying", "comparing the log", "comparing rows", "comparing status of cycle 1 as")
    ]
    assert at == sorted(at)


def test_empty_books_are_copied(elsewhere: str, tmp_path: Path) -> None:
    with Books.open(tmp_path / "empty.db") as books:
        answer = books.copy_to(elsewhere)
    assert (answer["recorded"], answer["copied"], answer["events"], answer["rows"]) == (False, 0, 0, 0)


def test_a_name_that_was_mistyped_is_no_source_and_no_backup(
    server: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere, target, text = place("a database", server, tmp_path), tmp_path / "target.db", tmp_path / "text.csv"
    text.write_text("date,usd\n")
    assert run(["books", "copy", nowhere, str(target)]) == 3
    assert "there are no books at postgresql://" in capsys.readouterr().err
    assert server.sql("SELECT FROM pg_namespace WHERE nspname = %s", (nowhere.rpartition("=")[2],)) == []
    assert run(["books", "copy", str(tmp_path / "missing.db"), str(target)]) == 3
    assert f"there are no books at {tmp_path}/missing.db, and none were made" in capsys.readouterr().err
    assert run(["--books", str(tmp_path / "missing.db"), "books", "backup", str(target)]) == 3
    assert list(tmp_path.glob("missing.db*")) == []
    for backup in (text, tmp_path / "missing.db"):
        assert run(["--books", str(target), "books", "restore", str(backup)]) in (5, 6)
        assert str(backup) in capsys.readouterr().err
    assert not target.exists(), "nothing was made for it"
    with Books.open(tmp_path / "books.db") as books, pytest.raises(Unavailable, match="there is no folder"):
        books.backup(tmp_path / "nowhere" / "backup.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_backup_of_damaged_books_leaves_nothing(source: Books, tmp_path: Path) -> None:
    change(source.file.where, "UPDATE stored_events SET state = CAST('{}' AS BLOB) WHERE position = 2")
    with pytest.raises(Damaged):
        source.backup(tmp_path / "backup.db")
    assert list(tmp_path.glob("backup*")) == []
