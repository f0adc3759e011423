"""Books that somebody changed by hand: what is wrong is found and named, and the rest can still be read."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain import commands as c
from mecris.domain.figures import Figure
from mecris.domain.lines import Line
from mecris.domain.period import as_text
from mecris.projections.follow import VIEWS
from mecris.store import chain, positions

pytestmark = pytest.mark.sqlite

DAY = datetime(2025, 9, 9, tzinfo=UTC)

DAMAGED = 5
SEPTEMBER = {"start_date": "2025-09-01", "end_date": "2025-09-30"}
ORDERS: Sequence[c.Command] = (
    c.OpenCycle(**SEPTEMBER, target_usd="24.96"),  # 1
    c.RecordSource(cycle_id=1, source="meter", type="realtime", amount="0.11"),  # 2
    c.RecordSource(cycle_id=1, source="console", type="manual", balance="19.54", payload="left: $19.54 USD"),  # 3, 4, 5
    c.ApplyPlug(cycle_id=1, square=True, reason="another workspace", yes=True),  # 6, 7
    c.AdjustBudget(cycle_id=1, amount_usd="0.04", at="2025-09-01", reason="25.00 were paid"),  # 8, 9, 10
    c.OpenCycle(**SEPTEMBER, target_usd=10),  # 11
    c.RecordSource(cycle_id=2, source="meter", type="realtime", amount=1),  # 12
    c.ChangeThresholds(cycle_id=1, excellent=2, good=4, fair=8),  # 13
    c.ReversePlug(cycle_id=1, plug=1, reason="it was not"),  # 14, 15, 16
    c.RecordSource(cycle_id=1, source="meter", type="realtime", amount="999"),  # 17
    c.RetractReading(cycle_id=1, reading=3, reason="mistyped"),  # 18
    c.RecordSource(cycle_id=1, source="console", amount="5.5"),  # 19, 20, 21
    c.CloseCycle(cycle_id=1, accept=True, reason="good enough"),  # 22
    c.RollOver(cycle_id=2, from_cycle=1),  # 23, 24
    c.FeedCycle(provider="groq", cycle_id=2),  # 25
    c.ReadOdometer(provider="groq", amount_usd="0.80"),  # 26, 27
    c.ReadOdometer(provider="groq", amount_usd="0.75", correct=True, reason="misread"),  # 28, 29
    c.FinalizeMonth(provider="groq", month="2025-09"),  # 30
    c.RecordDispatches(run_id="r", dispatches=(c.Dispatch(dispatch_id="d", input_tokens=3, output_tokens=1),)),  # 31
    c.ReconcileTokens(run_id="r", billed_in=4, billed_out=1, dispatch_id="d"),  # 32, 33
    c.RaiseAlert(
        cycle_id=2, kind="health", level="WARNING", message="stale", threshold_percent=5, cool_down_hours=6
    ),  # 34
    c.NoteDelivery(cycle_id=2, alert=1, target="https://example.org", attempts=3, error="HTTP 500"),  # 35
    c.CreateToken(token_name="ci", scope="write", handle="0" * 16, digest="0" * 64),  # 36
    c.ImportLines(
        report="groq//export", provider="groq", account="", source="export", type="realtime", estimate=False, prices=None,
        evidence="0" * 64, exported_at=DAY, lines=(Line("one", "|1", as_text(DAY), as_text(DAY), "0.1"),),
    ),  # 37
    c.FileEvidence(
        sha256="0" * 64, size=1, file_name="export", format="csv", version=1, report="groq//export", exported_at=DAY, items=1,
        unreadable_count=1, unreadable=((2, "no amount"),), remarks=(), incomplete=False,
    ),  # 38
    c.ImportFigures(
        report="groq//console", provider="groq", account="", source="console", type="manual", evidence="0" * 64, exported_at=DAY,
        figures=(Figure(1, DAY, "|1", Decimal(5), None, None, "$5 USD"),),
    ),  # 39
    c.WithdrawReport(report="groq//export", reason="the wrong provider"),  # 40
)  # fmt: skip
EVENTS = 40
AFTER = EVENTS + 1


class Told(NamedTuple):
    """What a command ended with, printed, and said to the person."""

    code: int
    out: str
    err: str


class Desk:
    """The command line at one file of books, and a hand that reaches into the file."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self.capsys = path, capsys

    def mecris(self, *words: str) -> Told:
        """Run a command."""
        self.capsys.readouterr()
        return Told(run(["--books", str(self.path), *words]), *self.capsys.readouterr())

    def by_hand(self, sql: str, *values: Any) -> None:
        """Change the file behind the back of the books."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executescript(sql) if not values else connection.execute(sql, values)

    def looked_up(self, sql: str, *values: Any) -> Any:
        """One row of the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchone()

    def assert_named(self, position: int) -> None:
        """Verifying and replaying both say which event is wrong, and the rest can be read."""
        verified = self.mecris("audit", "verify", "--json")
        assert verified.code == DAMAGED, verified
        assert json.loads(verified.out)["faults"][0]["position"] == position
        assert f"damaged: event {position} " in verified.err
        replayed = self.mecris("audit", "replay")
        assert replayed.code == DAMAGED, replayed
        assert f"event {position} " in replayed.err
        self.assert_readable()

    def assert_readable(self) -> None:
        """Every cycle still answers."""
        assert self.mecris("budget", "status", "--cycle", "1").code == 0
        assert self.mecris("budget", "status", "--cycle", "2").code == 0
        assert self.mecris("budget", "cycle", "list").code == 0

    def assert_sound(self) -> None:
        """Nothing is wrong."""
        assert self.mecris("audit", "verify").code == 0
        assert self.mecris("audit", "replay").code == 0


class Ticking:
    """A clock that goes a minute with each look."""

    def __init__(self) -> None:
        self.now = datetime.fromisoformat("2025-09-10T09:00:00Z")

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Books with every kind of event, as bytes; the read models are up to date."""
    path = tmp_path_factory.mktemp("whole") / "books.db"
    with Books.open(path, recorded_by="ann", clock=Ticking()) as books:
        for order in ORDERS:
            books.handle(order)
        books.status(1)
        assert books.position == EVENTS
    return path.read_bytes()


@pytest.fixture
def desk(whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """A desk with a fresh copy of those books."""
    path = tmp_path / "books.db"
    path.write_bytes(whole)
    return Desk(path, capsys)


def test_books_that_nobody_touched_are_sound(desk: Desk) -> None:
    desk.assert_sound()
    desk.assert_readable()


# -- the log ------------------------------------------------------------------------------------------------------

AMOUNT = (
    "UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), '0.11', '0.12') AS BLOB) WHERE position = 2"
)
SWAP = """
UPDATE stored_events SET position = -1 WHERE position = {0};
UPDATE stored_events SET position = {0} WHERE position = {1};
UPDATE stored_events SET position = {1} WHERE position = -1;
"""
SWAP_STATES = """
CREATE TEMP TABLE kept AS SELECT position, topic, state FROM stored_events WHERE position IN (2, 12);
UPDATE stored_events SET state = (SELECT state FROM kept WHERE kept.position = 14 - stored_events.position)
WHERE position IN (2, 12);
"""
INSERT = """
INSERT INTO stored_events
SELECT {0}, originator_id, 99, topic, state FROM stored_events WHERE position = 2;
"""
LINK = f"INSERT INTO event_chain SELECT {AFTER}, {AFTER}, recorded_at, link FROM event_chain WHERE position = {EVENTS};"
TAMPERINGS = {
    "an amount was changed": (AMOUNT, 2),
    "another cycle was made its owner": (
        "UPDATE stored_events SET originator_id = 'cycle-00000002', originator_version = 9 WHERE position = 17",
        17,
    ),
    "its version was changed": ("UPDATE stored_events SET originator_version = 99 WHERE position = 21", 21),
    "its name was changed": ("UPDATE stored_events SET topic = 'plug-reversed.v1' WHERE position = 6", 6),
    "its name is not known": ("UPDATE stored_events SET topic = 'never-heard-of.v1' WHERE position = 6", 6),
    "the first event was deleted": ("DELETE FROM stored_events WHERE position = 1", 1),
    "a meter's first event was deleted": ("DELETE FROM stored_events WHERE position = 2", 2),
    "a record was deleted": ("DELETE FROM stored_events WHERE position = 4", 4),
    "a cycle's first event was deleted": ("DELETE FROM stored_events WHERE position = 11", 11),
    "the last event was deleted": ("DELETE FROM stored_events WHERE position = 21", 21),
    "an event was deleted with its link": (
        "DELETE FROM stored_events WHERE position = 9; DELETE FROM event_chain WHERE position = 9",
        9,
    ),
    "the first event was deleted with its link": (
        "DELETE FROM stored_events WHERE position = 1; DELETE FROM event_chain WHERE position = 1",
        1,
    ),
    "an event was inserted at the end": (INSERT.format(AFTER), AFTER),
    "an event was inserted at the end with a link": (INSERT.format(AFTER) + LINK, AFTER),
    "an event was inserted in front": (INSERT.format(0), 0),
    "two events were swapped": (SWAP.format(2, 12), 2),
    "two neighbours were swapped": (SWAP.format(20, 21), 20),
    "what two events say was swapped": (SWAP_STATES, 2),
    "its link was changed": ("UPDATE event_chain SET link = zeroblob(32) WHERE position = 7", 7),
    "its link is a text": ("UPDATE event_chain SET link = 'none' WHERE position = 7", 7),
    "the last link is a number": ("UPDATE event_chain SET link = 7 WHERE position = 21", 21),
    "its link was deleted": ("DELETE FROM event_chain WHERE position = 7", 7),
    "the last link was deleted": ("DELETE FROM event_chain WHERE position = 21", 21),
    "its time was changed": (
        "UPDATE event_chain SET recorded_at = '2025-09-10T08:00:00.000000Z' WHERE position = 8",
        8,
    ),
    "the last time was changed": (
        "UPDATE event_chain SET recorded_at = '2025-09-11T08:00:00.000000Z' WHERE position = 21",
        21,
    ),
    "the last time is none": ("UPDATE event_chain SET recorded_at = 'yesterday' WHERE position = 21", 21),
    "where its write ends was changed": ("UPDATE event_chain SET last = 6 WHERE position = 6", 6),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_the_event_is_named_when(desk: Desk, what: str) -> None:
    sql, position = TAMPERINGS[what]
    desk.by_hand(sql)
    desk.assert_named(position)


@pytest.mark.parametrize("position", range(1, EVENTS + 1))
def test_any_byte_of_any_event_changed_by_hand_is_found_and_named(desk: Desk, whole: bytes, position: int) -> None:
    chance = Random(position)
    (state,) = desk.looked_up("SELECT state FROM stored_events WHERE position = ?", position)
    for _ in range(8):
        changed = bytearray(state)
        changed[chance.randrange(len(state))] ^= chance.randint(1, 255)
        desk.path.write_bytes(whole)
        desk.by_hand("UPDATE stored_events SET state = ? WHERE position = ?", bytes(changed), position)
        desk.assert_named(position)


@pytest.mark.parametrize("state", [b"\xff", b"", b"[]", b"null", b"7", b"{}", '{"recorded_at": 1}', 7, 1.5])
def test_an_event_that_says_nothing_that_can_be_read_is_named(desk: Desk, state: Any) -> None:
    desk.by_hand("UPDATE stored_events SET state = ? WHERE position = 3", state)
    desk.assert_named(3)


def test_an_amount_that_is_no_number_is_named(desk: Desk) -> None:
    desk.by_hand(AMOUNT.replace("0.12", "O.11"))
    desk.assert_named(2)
    desk.by_hand(AMOUNT.replace("0.11", "0.04").replace("0.12", "O.O4").replace("= 2", "= 8"))
    assert desk.mecris("audit", "replay").code == DAMAGED


def test_the_last_write_deleted_with_its_links_is_found_by_a_kept_head_and_by_the_replay(desk: Desk) -> None:
    head = json.loads(desk.mecris("audit", "verify", "--json").out)["head"]
    desk.by_hand("DELETE FROM stored_events WHERE position > 18; DELETE FROM event_chain WHERE position > 18")
    verified = desk.mecris("audit", "verify", "--expect", head)
    assert verified.code == DAMAGED
    assert head in verified.err
    replayed = desk.mecris("audit", "replay")
    assert replayed.code == DAMAGED
    assert '"position": 19' in replayed.err
    desk.assert_readable()


def test_a_log_that_ends_before_what_the_read_models_have_seen_has_lost_an_event(desk: Desk) -> None:
    desk.by_hand("DELETE FROM stored_events WHERE position > 18; DELETE FROM event_chain WHERE position > 18")
    verified = desk.mecris("audit", "verify")
    assert verified.code == DAMAGED
    assert "event 19 is missing" in verified.err


def test_a_log_that_ends_inside_a_write_has_lost_an_event(desk: Desk) -> None:
    desk.by_hand(
        "DELETE FROM stored_events WHERE position = 21; DELETE FROM event_chain WHERE position = 21;"
        "UPDATE view_positions SET position = 20"
    )
    verified = desk.mecris("audit", "verify")
    assert verified.code == DAMAGED
    assert "event 21 is missing" in verified.err


def test_a_damaged_event_of_one_cycle_does_not_keep_another_from_going_on(desk: Desk) -> None:
    desk.by_hand("UPDATE stored_events SET state = x'00' WHERE position = 2")
    reading = ("budget", "add-source", "--cycle", "2", "--name", "meter", "--amount", "2")
    assert desk.mecris(*reading).code == 0
    desk.assert_named(2)


def test_the_log_can_be_read_up_to_the_damaged_event(desk: Desk) -> None:
    desk.by_hand("UPDATE stored_events SET state = x'00' WHERE position = 4")
    told = desk.mecris("audit", "log")
    assert told.code == DAMAGED
    assert [line.split()[0] for line in told.out.splitlines()] == ["1", "2", "3"]
    assert "event 4 " in told.err
    assert desk.mecris("audit", "log", "--since", "4").code == 0


def test_an_order_that_meets_a_damaged_event_is_told_so(desk: Desk) -> None:
    desk.by_hand("UPDATE stored_events SET state = x'00' WHERE position = 4")
    told = desk.mecris("budget", "add-source", "--cycle", "1", "--name", "meter", "--amount", "2")
    assert told.code == DAMAGED
    assert "audit verify" in told.err


def test_an_order_that_finds_an_inserted_event_in_its_place_is_told_so(desk: Desk) -> None:
    desk.by_hand(INSERT.format(AFTER))
    told = desk.mecris("budget", "add-source", "--cycle", "2", "--name", "meter", "--amount", "2")
    assert told.code == DAMAGED
    assert "audit verify" in told.err


def test_all_faults_are_named_not_only_the_first(desk: Desk) -> None:
    desk.by_hand(f"{AMOUNT}; DELETE FROM stored_events WHERE position = 9; {INSERT.format(AFTER)}")
    verified = desk.mecris("audit", "verify", "--json")
    assert [fault["position"] for fault in json.loads(verified.out)["faults"]] == [2, 9, AFTER]


def test_the_chain_can_be_checked_without_us(desk: Desk) -> None:
    """The recipe of rule 11 and of the chain's own page, written again."""
    with closing(sqlite3.connect(desk.path)) as connection:
        link = bytes(32)
        for oid, version, topic, state, position, last, recorded_at, kept in connection.execute(
            "SELECT e.originator_id, e.originator_version, e.topic, e.state, c.* FROM stored_events e "
            "JOIN event_chain c USING (position) ORDER BY position"
        ):
            assert json.loads(state)
            link = chain.link_of(link, position, last, recorded_at, oid, version, topic, state)
            assert link == kept


# -- the head -----------------------------------------------------------------------------------------------------


def test_a_head_that_was_kept_is_still_in_the_log_after_more_events(desk: Desk) -> None:
    head = desk.mecris("audit", "verify").out.split()[-1]
    assert head.startswith(f"{EVENTS}:")
    assert desk.mecris("budget", "add-source", "--cycle", "2", "--name", "meter", "--amount", "2").code == 0
    assert desk.mecris("audit", "verify").out.split()[-1] != head
    assert desk.mecris("audit", "verify", "--expect", head).code == 0


@pytest.mark.parametrize("head", [f"{EVENTS}:" + "00" * 32, f"{AFTER}:" + "00" * 32, "0:" + "00" * 32])
def test_a_head_of_other_books_is_not_in_the_log(desk: Desk, head: str) -> None:
    told = desk.mecris("audit", "verify", "--expect", head)
    assert told.code == DAMAGED
    assert "is not in this log" in told.err


def test_a_log_written_anew_with_a_chain_of_its_own_is_found_by_a_kept_head(desk: Desk) -> None:
    head = desk.mecris("audit", "verify").out.split()[-1]
    desk.by_hand(AMOUNT)
    write_chain_anew(desk)
    assert desk.mecris("audit", "verify").code == 0, "the chain alone cannot know"
    assert desk.mecris("audit", "verify", "--expect", head).code == DAMAGED
    assert desk.mecris("audit", "replay").code == DAMAGED, "but the read models remember"


def write_chain_anew(desk: Desk) -> None:
    """What somebody does who has read how the chain is made."""
    with closing(sqlite3.connect(desk.path)) as connection, connection:
        link = positions.GENESIS
        for oid, version, topic, state, position, last, recorded_at, _ in connection.execute(
            "SELECT e.originator_id, e.originator_version, e.topic, e.state, c.* FROM stored_events e "
            "JOIN event_chain c USING (position) ORDER BY position"
        ).fetchall():
            link = chain.link_of(link, position, last, recorded_at, oid, version, topic, state)
            connection.execute("UPDATE event_chain SET link = ? WHERE position = ?", (link, position))


# -- the read models ----------------------------------------------------------------------------------------------

TABLES = [table for view in VIEWS for table in view.tables]


def test_a_figure_changed_in_a_read_model_is_found_by_the_replay_and_mended_by_a_rebuild(desk: Desk) -> None:
    before = desk.mecris("budget", "sources", "--cycle", "1").out
    desk.by_hand("UPDATE budget_reading SET amount_usd = '4.2' WHERE source_id = 1001")
    assert desk.mecris("budget", "sources", "--cycle", "1").out != before
    assert desk.mecris("audit", "verify").code == 0
    told = desk.mecris("audit", "replay")
    assert told.code == DAMAGED
    assert "differs: budget_reading, live: " in told.err
    assert "mecris audit rebuild" in told.err
    assert desk.mecris("audit", "rebuild").code == 0
    desk.assert_sound()
    assert desk.mecris("budget", "sources", "--cycle", "1").out == before


@pytest.mark.parametrize("table", TABLES)
def test_a_row_deleted_from_a_read_model_is_found_and_mended(desk: Desk, table: str) -> None:
    assert desk.looked_up(f"SELECT count(*) FROM {table}")[0] > 0, "the story has something for every table"
    desk.by_hand(
        f"DELETE FROM {table} WHERE ({key_of(desk, table)}) = (SELECT {key_of(desk, table)} FROM {table} LIMIT 1)"
    )
    told = desk.mecris("audit", "replay")
    assert told.code == DAMAGED
    assert f"differs: {table}, rebuilt: " in told.err
    assert desk.mecris("audit", "rebuild").code == 0
    desk.assert_sound()


def key_of(desk: Desk, table: str) -> str:
    """The columns of a table's key."""
    with closing(sqlite3.connect(desk.path)) as connection:
        columns = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))
        return ", ".join(name for (name,) in columns)


@pytest.mark.parametrize("table", TABLES)
def test_a_read_model_that_lost_a_table_is_damaged_and_can_be_rebuilt(desk: Desk, table: str) -> None:
    desk.by_hand(f"DROP TABLE {table}")
    assert desk.mecris("audit", "replay").code == DAMAGED
    assert desk.mecris("audit", "rebuild").code == 0
    desk.assert_sound()
    desk.assert_readable()


@pytest.mark.parametrize("position", [0, 18, AFTER])
def test_a_read_model_that_lost_its_place_is_found_and_mended(desk: Desk, position: int) -> None:
    desk.by_hand("UPDATE view_positions SET position = ? WHERE view = 'budget'", position)
    told = desk.mecris("audit", "replay")
    assert told.code == DAMAGED, told
    assert desk.mecris("audit", "rebuild").code == 0
    desk.assert_sound()


def test_a_rebuild_of_damaged_events_changes_nothing(desk: Desk) -> None:
    before = desk.mecris("budget", "status", "--cycle", "1").out
    desk.by_hand("UPDATE stored_events SET state = x'00' WHERE position = 6")
    assert desk.mecris("audit", "rebuild").code == DAMAGED
    assert desk.mecris("budget", "status", "--cycle", "1").out == before


def test_a_version_that_was_left_out_is_named_though_the_chain_over_it_is_whole(desk: Desk) -> None:
    desk.by_hand("UPDATE stored_events SET originator_version = originator_version + 100 WHERE position = 13")
    with closing(sqlite3.connect(desk.path)) as connection, connection:
        forge(connection)
    verified = desk.mecris("audit", "verify")
    assert verified.code == DAMAGED
    assert "event 13 " in verified.err
    assert "is number 111 of cycle-00000001, where number 11 belongs" in verified.err


def forge(connection: sqlite3.Connection) -> None:
    """Write the chain anew over the events as they are."""
    link = positions.GENESIS
    rows = connection.execute("SELECT * FROM stored_events JOIN event_chain USING (position) ORDER BY position")
    for position, oid, version, topic, state, last, recorded_at, _ in rows.fetchall():
        link = chain.link_of(link, position, last, recorded_at, oid, version, topic, state)
        connection.execute("UPDATE event_chain SET link = ? WHERE position = ?", (link, position))


def test_a_chain_that_was_forged_whole_still_may_not_go_back_in_time(tmp_path: Path) -> None:
    order = c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="25")
    with Books.open(tmp_path / "books.db") as books:
        for _ in range(3):
            books.handle(order)
        with books.file.pen() as connection:
            connection.execute("UPDATE event_chain SET recorded_at = '2020-01-01T00:00:00.000000Z' WHERE position = 2")
            forge(connection)
        assert [fault.position for fault in books.verify().faults] == [2]
