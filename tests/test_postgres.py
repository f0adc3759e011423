"""Books on PostgreSQL: who may do what, what is said when something is wrong, and moving in and out."""

import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from postgres import DEBIAN, Postgres

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import (
    AdjustBudget,
    ApplyPlug,
    Command,
    Dispatch,
    OpenCycle,
    ReadOdometer,
    RecordDispatches,
    RecordSource,
)
from mecris.domain.errors import EventDamaged, MecrisError, NewerBooks, NotFound, RuleRefused, Unavailable
from mecris.projections import follow
from mecris.projections.follow import View
from mecris.store.appending import append
from mecris.store.connection import stream
from mecris.store.postgres import schema
from mecris.store.postgres.faults import in_our_words
from mecris.store.postgres.session import Session

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books

SECRET = "k3ep-it"


PROGRAMS = {"newest": None, "oldest": DEBIAN} if DEBIAN.exists() else {"newest": None}
"""PostgreSQL as our tests bring it, and where Debian's is installed the oldest that we take."""


@pytest.fixture(scope="module", params=PROGRAMS.values(), ids=PROGRAMS.keys())
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server with an owner of books, a group that may keep them, two who belong to it, and one with a password."""
    with Postgres.start(programs=request.param) as server:
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all secured 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        server.sql("SELECT pg_reload_conf()")
        server.sql("CREATE ROLE owner LOGIN; CREATE ROLE team; GRANT team TO owner")
        server.sql("CREATE ROLE ada LOGIN; CREATE ROLE bob LOGIN; GRANT team TO ada, bob")
        server.sql(f"CREATE ROLE secured LOGIN PASSWORD '{SECRET}'")
        server.sql("CREATE ROLE closed NOLOGIN")
        server.sql("CREATE DATABASE spend OWNER owner")
        yield server


class Place:
    """A schema in the database of the owner, and who comes to it."""

    def __init__(self, server: Postgres, schema: str) -> None:
        self.server, self.schema = server, schema

    def by(self, role: str) -> str:
        """The address for a role."""
        return f"postgresql://{role}@/spend?host={self.server.folder}&port={self.server.port}&schema={self.schema}"

    def sql(self, role: str, statement: str) -> list[tuple[object, ...]]:
        """Do a statement as a role, past Mecris."""
        address = self.by(role).replace(f"&schema={self.schema}", "")
        with psycopg.connect(address, options=f"-csearch_path={self.schema}", autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]  # it is a constant of the test
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def place(postgres: Postgres, request: pytest.FixtureRequest) -> Place:
    """A schema of the test's own."""
    return Place(postgres, f"t{abs(hash(request.node.name)):x}")


@pytest.fixture
def granted(place: Place, capsys: pytest.CaptureFixture[str]) -> Place:
    """Books that the owner made and that the team keeps."""
    assert run(["--books", place.by("owner"), "books", "setup", "--grant", "team"]) == 0
    assert "team may append to" in capsys.readouterr().out
    return place


def story() -> list[Command]:
    """A month in which something is missing and is explained, a run and a counter."""
    said = {"cycle_id": 1, "provider": "claude", "measured_at": "2025-09-10T09:05:00Z"}
    return [
        OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96"),
        RecordSource(source="session log", type="realtime", amount="0.11", **said),
        RecordSource(source="console", type="manual", balance="19.54", payload="left: $19.54", **said),
        ApplyPlug(cycle_id=1, square=True, yes=True, reason="another workspace"),
        RecordDispatches(run_id="nightly", dispatches=(Dispatch(dispatch_id="d", input_tokens=7, output_tokens=1),)),
        ReadOdometer(provider="groq", amount_usd="1.20"),
    ]


def tell(books: Books) -> None:
    """Record the story, each order under a key."""
    for number, order in enumerate(story()):
        assert books.handle(order, idempotency_key=f"story {number}")["recorded"]


def assert_sound(books: Books) -> None:
    """The chain is whole, and the read models are what the log says."""
    assert books.verify().faults == []
    replayed = books.replay()
    assert (replayed.differences, replayed.faults) == (0, []), replayed.examples


# -- who may do what ------------------------------------------------------------------------------------------------


def test_whoever_was_let_in_by_setup_can_do_everything_the_product_does(
    granted: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Books.open(granted.by("ada"), recorded_by="ada") as books:
        tell(books)
        assert books.handle(story()[1], idempotency_key="story 1").replayed
        secret = books.create_token("ci", "write")["token"]
        assert books.admit(secret).name == "ci"
        books.note_token_uses()
        assert books.status(1)["tie_out"]["remaining_usd"] == Decimal("19.54")
        assert_sound(books)
        assert books.rebuild() == books.position
        monkeypatch.setattr(follow, "VIEWS", tuple(View(v.name, v.version + 1) for v in follow.VIEWS))
        assert books.status(1)["tie_out"]["unexplained_usd"] == 0
        assert_sound(books)
    with Books.open(granted.by("bob")) as books:  # what one of the team made anew, the next can make anew
        assert books.rebuild() == books.position
        assert_sound(books)
    with Books.open(granted.by("ada")) as books:
        assert books.handle(story()[0])["recorded"]
        assert_sound(books)


TAMPER = (
    "EXECUTE 'ALTER TABLE {schema}.stored_events DISABLE TRIGGER ALL'; "
    "EXECUTE 'DELETE FROM {schema}.stored_events'; EXCEPTION WHEN OTHERS THEN NULL;"
)
"""What no member of the team may do, tried by code of his that hopes for the rights of others."""
TRAPS = {
    "a function that fits better than the server's": (
        "CREATE FUNCTION {views}.quote_ident(n name) RETURNS text LANGUAGE plpgsql AS $f$ "
        "BEGIN BEGIN {tamper} END; RETURN pg_catalog.quote_ident(n::text); END $f$"
    ),
    "an operator that fits better": (
        "CREATE FUNCTION {views}.same(name, text) RETURNS bool LANGUAGE plpgsql AS $f$ "
        "BEGIN BEGIN {tamper} END; RETURN $1 = $2::name; END $f$; "
        "CREATE OPERATOR {views}.= (LEFTARG = name, RIGHTARG = text, FUNCTION = {views}.same)"
    ),
    "a trigger": (
        "CREATE FUNCTION {views}.trap() RETURNS trigger LANGUAGE plpgsql AS $f$ "
        "BEGIN BEGIN {tamper} END; RETURN NEW; END $f$; "
        "CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON {views}.view_positions FOR EACH ROW EXECUTE FUNCTION {views}.trap()"
    ),
    "a view": (
        "CREATE FUNCTION {views}.trap() RETURNS bigint LANGUAGE plpgsql AS $f$ "
        "BEGIN BEGIN {tamper} END; RETURN 1; END $f$; DROP TABLE {views}.budget_cycle CASCADE; "
        "CREATE VIEW {views}.budget_cycle AS SELECT {views}.trap() AS id"
    ),
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
@pytest.mark.parametrize("role", ["owner", "postgres"])
def test_what_the_team_puts_among_the_read_models_never_runs_with_more_rights_than_its_own(
    granted: Place, role: str, trap: str, tmp_path: Path
) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        books.catch_up()
        events = books.position
    views = f"{granted.schema}_views"
    granted.sql("ada", trap.format(views=views, tamper=TAMPER.format(schema=granted.schema)))
    granted.sql("ada", f"UPDATE {views}.view_positions SET position = 0")
    assert run(["--books", granted.by(role), "books", "setup", "--grant", "team"]) == 0
    with Books.open(granted.by(role)) as books:
        uses = (
            books.cycles,
            books.catch_up,
            books.rebuild,
            books.replay,
            lambda: books.handle(story()[1]),
            lambda: books.backup(tmp_path / "books.backup"),
        )
        for use in uses:
            with pytest.raises(Unavailable, match=r"is kept by a group.*Open it as a member of the group"):
                use()
        assert books.wait(0, 0) == events
    assert granted.sql("owner", "SELECT count(*) FROM stored_events") == [(events,)]
    assert granted.sql("owner", "SELECT DISTINCT tgenabled::text FROM pg_trigger WHERE NOT tgisinternal") == [("O",)]


def test_whoever_ruled_the_log_before_it_was_given_away_stops_using_the_read_models(place: Place) -> None:
    with Books.open(place.by("owner")) as books:
        tell(books)
        assert books.cycles()
        assert run(["--books", place.by("owner"), "books", "setup", "--grant", "team"]) == 0
        for use in (books.cycles, lambda: books.handle(story()[1])):
            with pytest.raises(Unavailable, match="is kept by a group"):
                use()
    with Books.open(place.by("ada")) as books:
        assert books.handle(story()[0])["recorded"]
        assert_sound(books)


def test_a_file_is_imported_and_read_again_by_the_team(granted: Place, tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text("date,provider,usd\n2025-09-01,claude,1.25\n2025-09-02,claude,oops\n")
    with Books.open(granted.by("ada")) as books:
        books.handle(story()[0])
        assert books.import_file(path)["recorded"]
        assert len(books.evidence()) == len(books.quarantine()) == 1
        books.retry_quarantine()
        assert_sound(books)


WRITTEN_ONCE = {
    "stored_events": "state = ''",
    "event_chain": "link = ''",
    "idempotency_keys": "answer = ''",
    "evidence": "content = ''",
}


@pytest.mark.parametrize(("table", "change"), WRITTEN_ONCE.items())
def test_neither_the_team_nor_the_owner_can_change_what_was_written_once(
    granted: Place, table: str, change: str
) -> None:
    changes = (f"UPDATE {table} SET {change}", f"DELETE FROM {table}", f"TRUNCATE {table}")
    for statement in changes:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for table {table}"):
            granted.sql("ada", statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"{table} is only appended to"):
            granted.sql("owner", statement)
    for statement in (f"DROP TABLE {table}", f"ALTER TABLE {table} DISABLE TRIGGER ALL"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner"):
            granted.sql("ada", statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        granted.sql("ada", "UPDATE books SET format = 2")


NOWHERE_ELSE = {
    "far away": "event_chain VALUES (10000000000, 10000000000, '9999-01-01T00:00:00.000000Z', '')",
    "beyond the end": "event_chain SELECT max(position) + 2, 99, '9999', '' FROM event_chain",
    "before the start": "event_chain VALUES (0, 0, '2025', '')",
    "earlier than the last": "event_chain SELECT max(position) + 1, 99, '2025-01-01T00:00:00.000000Z', '' FROM event_chain",
    "an event far away": "stored_events VALUES (10000000000, 'cycle-00000009', 1, 'cycle-opened.v1', '{}')",
    "an event beyond the end": "stored_events SELECT max(position) + 2, 'x', 1, 'x', '' FROM stored_events",
    "an event before the start": "stored_events VALUES (-1, 'x', 1, 'x', '')",
}


def test_nobody_puts_anything_anywhere_but_at_the_end_of_the_log(granted: Place) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        for role in ("ada", "owner", "postgres"):
            for what in NOWHERE_ELSE.values():
                if what.startswith("stored_events"):
                    assert granted.sql(role, f"INSERT INTO {what} RETURNING position") == []
                    continue
                with pytest.raises(psycopg.errors.DataCorrupted, match="grows at its end, position by position"):
                    granted.sql(role, f"INSERT INTO {what}")
        blind = (
            "SET search_path = {0}_views, {0}, pg_catalog; CREATE FUNCTION {0}_views.yes(bigint, bigint) RETURNS bool "
        )
        blind += "LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR {0}_views.= (LEFTARG = bigint, RIGHTARG = bigint, "
        blind += "FUNCTION = {0}_views.yes); INSERT INTO {0}." + NOWHERE_ELSE["far away"]
        with pytest.raises(psycopg.errors.DataCorrupted, match="grows at its end"):
            granted.sql("ada", blind.format(granted.schema))
        assert books.handle(story()[0])["recorded"]
        assert_sound(books)


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


def test_setting_up_again_puts_guards_back_that_are_gone(granted: Place) -> None:
    granted.sql("owner", "DROP FUNCTION event_chain_grows CASCADE; DROP FUNCTION only_appended CASCADE")
    assert run(["--books", granted.by("owner"), "books", "setup", "--grant", "team"]) == 0
    with pytest.raises(psycopg.errors.DataCorrupted, match="grows at its end"):
        granted.sql("ada", f"INSERT INTO {NOWHERE_ELSE['far away']}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is only appended to"):
        granted.sql("owner", "TRUNCATE event_chain")


def test_of_what_a_member_can_still_add_the_audit_finds_what_the_page_says(granted: Place) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        books.handle(AdjustBudget(cycle_id=1, amount_usd="1", reason="more"))
        books.catch_up()
        with books.file.pen() as connection:  # another's name, and its link
            found = connection.execute("SELECT * FROM stored_events ORDER BY position DESC LIMIT 1").fetchone()
            _, aggregate, _, topic, state = found
            version = connection.execute(
                "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (aggregate,)
            ).fetchone()[0]
            forged = StoredEvent(aggregate, version + 1, topic, bytes(state))
            append(connection, [forged], "2099-01-01T00:00:00.000000Z")
        granted.sql("ada", "INSERT INTO idempotency_keys VALUES ('forged', 'x', '{}')")
        granted.sql("ada", "INSERT INTO stored_snapshots VALUES ('cycle-00000001', 1, 'x', '')")
        granted.sql("ada", "INSERT INTO evidence VALUES ('aa', 0, '')")
        assert_sound(books)
        granted.sql("ada", f"UPDATE {granted.schema}_views.budget_cycle SET target_usd = '7'")
        assert (books.verify().faults, books.replay().differences) == ([], 2)
        books.rebuild()
        assert granted.sql("ada", "SELECT count(*) FROM stored_snapshots") == [(0,)]
        assert_sound(books)
        unlinked = f"SELECT max(position) + 1, '{aggregate}', {version + 2}, '{topic}', '{{}}' FROM stored_events"
        granted.sql("ada", f"INSERT INTO stored_events {unlinked}")
        assert [fault.position for fault in books.verify().faults] == [books.position + 1]
        assert books.replay().faults


def test_a_role_that_was_not_let_in_is_told_so(granted: Place, capsys: pytest.CaptureFixture[str]) -> None:
    granted.server.sql("CREATE ROLE stranger LOGIN")
    assert run(["--books", granted.by("stranger"), "budget", "cycle", "list"]) == 6
    assert "may not do that (permission denied for schema" in capsys.readouterr().err


def test_a_role_that_may_not_make_books_says_who_may(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--books", place.by("ada"), "budget", "cycle", "list"]) == 6
    assert "let the owner run `mecris books setup`" in capsys.readouterr().err


def test_only_a_role_that_is_there_can_be_let_in(granted: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--books", granted.by("owner"), "books", "setup", "--grant", "nobody'; DROP"]) == 6
    assert "there is no role 'nobody'; DROP' on this server" in capsys.readouterr().err


def test_an_owner_who_does_not_belong_to_the_team_is_told_how(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.server.sql("CREATE ROLE others")
    assert run(["--books", place.by("owner"), "books", "setup", "--grant", "others"]) == 6
    assert re.search(r'must be (able to SET ROLE|member of role) "others"', capsys.readouterr().err)


# -- what is there --------------------------------------------------------------------------------------------------


def test_ten_who_make_the_same_books_at_once_all_find_them_whole(place: Place) -> None:
    program = f"from mecris.books import Books\nprint(Books.open({place.by('owner')!r}).cycles(), flush=True)"
    makers = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(10)]
    assert [maker.communicate(timeout=60)[0] for maker in makers] == ["[]\n"] * 10
    assert [maker.returncode for maker in makers] == [0] * 10
    assert place.sql("owner", "SELECT count(*) FROM books") == [(1,)]


def test_a_schema_of_somebody_else_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.sql("owner", f"CREATE SCHEMA {place.schema} CREATE TABLE invoices (id int)")
    assert run(["--books", place.by("owner"), "budget", "cycle", "list"]) == 5
    assert f"the schema {place.schema} of" in (said := capsys.readouterr().err)
    assert "is not of Mecris: name another with ?schema=NAME" in said
    assert place.sql("owner", "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == [(1,)]


@pytest.mark.parametrize(
    "there",
    [
        "CREATE TABLE {views}.payroll (id int)",
        "CREATE FUNCTION {views}.quote_ident(name) RETURNS text LANGUAGE sql AS $$ SELECT '' $$",
        "CREATE TYPE {views}.wages AS (id int)",
        "CREATE OPERATOR {views}.= (LEFTARG = name, RIGHTARG = text, FUNCTION = pg_catalog.nameeqtext)",
        "GRANT CREATE ON SCHEMA {views} TO PUBLIC",
        "ALTER SCHEMA {views} OWNER TO closed",
    ],
)
def test_read_models_are_not_put_where_something_of_others_is_or_may_come(
    place: Place, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (place.schema, f"{place.schema}_views"):
        place.sql("owner", f"CREATE SCHEMA {name}")
        place.sql("postgres", there.format(views=name))
        assert run(["--books", place.by("owner"), "books", "setup", "--grant", "team"]) == 5
        assert f"the schema {name} of" in (said := capsys.readouterr().err)
        assert "is not of Mecris: name another with ?schema=NAME" in said
        place.sql("postgres", f"DROP SCHEMA {name} CASCADE")


def test_schemas_that_were_made_for_the_books_and_are_empty_are_taken(place: Place) -> None:
    place.sql("owner", f"CREATE SCHEMA {place.schema}")
    place.sql("owner", f"CREATE SCHEMA {place.schema}_views")
    assert run(["--books", place.by("owner"), "books", "setup", "--grant", "team"]) == 0
    with Books.open(place.by("ada")) as books:
        tell(books)


def test_only_read_models_are_given_to_whoever_is_let_in(place: Place) -> None:
    with Books.open(place.by("owner")) as books:
        tell(books)
        assert books.cycles()
    views = f"{place.schema}_views"
    place.sql("owner", f"CREATE TABLE {views}.payroll (id int); CREATE VIEW {views}.wages AS SELECT 1 AS id")
    assert run(["--books", place.by("owner"), "books", "setup", "--grant", "team"]) == 0
    kept = f"SELECT relname FROM pg_class WHERE relnamespace = '{views}'::regnamespace AND relkind IN ('r', 'v') AND relowner"
    assert place.sql("owner", f"{kept} <> 'team'::regrole ORDER BY 1") == [("payroll",), ("wages",)]
    given = {str(name) for (name,) in place.sql("owner", f"{kept} = 'team'::regrole")}
    assert given == {"view_positions", "budget_total", *(table for view in follow.VIEWS for table in view.tables)}


def test_books_of_a_newer_format_are_refused(granted: Place, capsys: pytest.CaptureFixture[str]) -> None:
    granted.sql("owner", "UPDATE books SET format = 99")
    assert run(["--books", granted.by("ada"), "budget", "cycle", "list"]) == 5
    assert "was written by a newer Mecris (format 99, this one reads up to" in capsys.readouterr().err


def a_next_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mecris whose books have one more table that is only appended to, and one more that changes."""

    def add(session: Session) -> None:
        session.execute("CREATE TABLE receipts (id INTEGER PRIMARY KEY, said TEXT)")
        session.execute("CREATE TABLE drafts (id INTEGER PRIMARY KEY)")

    monkeypatch.setattr(schema, "FORMAT", schema.FORMAT + 1)
    monkeypatch.setitem(schema.UPGRADES, schema.FORMAT - 1, add)
    monkeypatch.setattr(schema, "APPENDED", (*schema.APPENDED, "receipts"))
    monkeypatch.setattr(schema, "KEPT", (*schema.KEPT, "drafts"))


def test_an_upgrade_lets_the_team_go_on_guards_what_is_new_and_stops_servers_that_are_older(
    granted: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Books.open(granted.by("ada")) as older:
        tell(older)
        with monkeypatch.context() as newer:
            a_next_format(newer)
            with pytest.raises(Unavailable, match="is older than this Mecris: let the owner run `mecris books setup`"):
                Books.open(granted.by("ada"))
            assert older.handle(ReadOdometer(provider="groq", amount_usd="1.30"))["recorded"]

            def opened(_: int) -> None:
                Books.open(granted.by("owner")).close()

            with ThreadPoolExecutor(10) as ten:
                list(ten.map(opened, range(10)))
            with Books.open(granted.by("ada")) as books:
                assert books.handle(ReadOdometer(provider="groq", amount_usd="1.40"))["recorded"]
                with books.file.pen() as connection:
                    connection.execute("INSERT INTO receipts VALUES (1, 'paid')")
                    connection.execute("INSERT INTO drafts VALUES (1)")
                    connection.execute("DELETE FROM drafts")
                assert_sound(books)
                events = books.position
            for statement in ("UPDATE receipts SET said = ''", "DELETE FROM receipts", "TRUNCATE receipts"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
                    granted.sql("ada", statement)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="receipts is only appended to"):
                    granted.sql("owner", statement)
        for use in (older.cycles, older.replay, lambda: older.handle(story()[0])):
            with pytest.raises(NewerBooks, match="was written by a newer Mecris"):
                use()
    assert granted.sql("owner", "SELECT count(*) FROM stored_events") == [(events,)]


def test_read_models_of_a_newer_mecris_are_refused(granted: Place) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        books.catch_up()
        granted.sql("owner", f"UPDATE {granted.schema}_views.view_positions SET version = 99 WHERE view = 'budget'")
        with pytest.raises(NewerBooks, match="read model 'budget' was written by a newer Mecris"):
            books.status(1)


def test_two_books_in_two_schemas_do_not_see_each_other(place: Place) -> None:
    other = Place(place.server, f"{place.schema}_b")
    with Books.open(place.by("owner")) as ours, Books.open(other.by("owner")) as theirs:
        tell(ours)
        theirs.handle(
            OpenCycle(start_date="2025-01-01", end_date="2025-01-31", target_usd=1), idempotency_key="story 0"
        )
        assert [c["target_usd"] for c in ours.cycles()] == [Decimal("24.96")]
        assert [c["target_usd"] for c in theirs.cycles()] == [1]
        assert (ours.verify().events, theirs.position) == (ours.position, 1)
        with ours.file.pen():  # a writer of one does not wait for the other's
            theirs.handle(OpenCycle(start_date="2025-02-01", end_date="2025-02-28", target_usd=2))
        assert_sound(theirs)


def test_an_event_that_was_changed_behind_the_guards_is_found(granted: Place) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        change = (
            "UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'), '0.11', '0.12'), 'UTF8')"
        )
        granted.sql("postgres", f"SET session_replication_role = replica; {change} WHERE position = 2")
        assert [fault.position for fault in books.verify().faults] == [2]
        assert books.replay().faults
    assert run(["--books", granted.by("ada"), "audit", "verify"]) == 5
    assert run(["--books", granted.by("ada"), "audit", "replay"]) == 5


def test_the_team_may_do_what_it_needs_and_nothing_more(granted: Place) -> None:
    """Spelt out, as a right too many breaks nothing."""
    rights = granted.sql(
        "owner",
        "SELECT relname, string_agg(privilege_type, ' ' ORDER BY privilege_type) "
        "FROM pg_class, aclexplode(relacl) WHERE relnamespace = current_schema()::regnamespace "
        "AND grantee = 'team'::regrole GROUP BY relname",
    )
    append, keep = "INSERT SELECT", "DELETE INSERT SELECT UPDATE"
    assert dict(rights) == {
        "books": "SELECT",
        "stored_events": append,
        "event_chain": append,
        "evidence": append,
        "idempotency_keys": append,
        "stored_snapshots": keep,
        "token_uses": keep,
        "jobs": keep,
    }
    others = "SELECT count(*) FROM pg_class, aclexplode(relacl) WHERE relnamespace = current_schema()::regnamespace "
    assert granted.sql("owner", f"{others} AND grantee NOT IN ('team'::regrole, 'owner'::regrole)") == [(0,)]
    schema = "SELECT privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE nspname = current_schema()"
    assert granted.sql("owner", f"{schema} AND grantee = 'team'::regrole") == [("USAGE",)]


# -- order ----------------------------------------------------------------------------------------------------------

NAMES = ("a", "B", "b", "A", "\u00e4", "-x", "_x", "Z", "10", "9", "a b", "ab", "\u20ac", "\U0001d538")


def test_every_text_that_is_kept_is_in_the_order_of_its_bytes(place: Place) -> None:
    with Books.open(place.by("owner")) as books:
        tell(books)
        assert books.cycles()
    other = place.sql(
        "owner",
        "SELECT c.relname, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE c.relnamespace::regnamespace::text LIKE current_schema() || '%' AND c.relkind = 'r' AND attnum > 0 "
        """AND attcollation NOT IN (0, 'pg_catalog."C"'::regcollation)""",
    )
    assert other == []


def test_names_are_sorted_as_in_a_file_whatever_the_database_is_told(postgres: Postgres, tmp_path: Path) -> None:
    """Every answer of one is compared with the other's."""
    where = postgres.url.replace("/postgres?", "/sorted?")
    try:
        postgres.sql("CREATE DATABASE sorted LOCALE_PROVIDER icu ICU_LOCALE 'en' TEMPLATE template0")
    except (
        psycopg.errors.FeatureNotSupported
    ):  # it was built without: then it sorts by bytes, and the oldest one does not
        postgres.sql("CREATE DATABASE sorted TEMPLATE template0")
    else:
        with psycopg.connect(where) as connection:
            assert connection.execute("SELECT 'a' < 'B'").fetchone() == (True,)
    with Books.open(tmp_path / "books.db") as books:
        tell(books)
        for name in NAMES:
            books.handle(RecordSource(cycle_id=1, source=name, type="realtime", amount="1"))
            books.handle(
                RecordDispatches(run_id=name, dispatches=(Dispatch(dispatch_id=name, input_tokens=1, output_tokens=1),))
            )
        assert books.copy_to(where)["copied"] == books.position
        with Books.open(where) as copied:
            assert_sound(copied)
            for name in NAMES:
                assert copied.handle(RecordSource(cycle_id=1, source=name, type="realtime", amount="2"))["recorded"]


# -- what is said ---------------------------------------------------------------------------------------------------


def wrong_addresses(server: Postgres) -> dict[str, tuple[str, str]]:
    """Addresses that open nothing, and what is said of each."""
    host = f"127.0.0.1:{server.port}"
    not_let_in, no_url = "does not let this role in: check the user, its password", "the address of the books is no URL"
    unknown = "is no address that PostgreSQL knows"
    return {
        "a wrong password": (f"postgresql://secured:{SECRET}x@{host}/spend", not_let_in),
        "no password": (f"postgresql://secured@{host}/spend", not_let_in),
        "no such role": (f"postgresql://nobody:{SECRET}@{host}/spend", not_let_in),
        "a role without login": (f"postgresql://closed:{SECRET}@{host}/spend", not_let_in),
        "no such database": (f"postgresql://secured:{SECRET}@{host}/nowhere", "there is no database at"),
        "no server": (f"postgresql://ada:{SECRET}@127.0.0.1:1/spend", "cannot be reached"),
        "no such host": (f"postgresql://ada:{SECRET}@host.invalid/spend", "cannot be reached"),
        "a password as parameter": (f"postgresql://127.0.0.1:1/spend?password={SECRET}&user=ada", "cannot be reached"),
        "a slash in the password": (f"postgresql://ada:1/{SECRET}@{host}/spend", no_url),
        "a fence in the password": (f"postgresql://ada:1#{SECRET}@{host}/spend", no_url),
        "a question mark in it": (f"postgresql://ada:1?{SECRET}@{host}/spend", no_url),
        "an escape that is none": (f"postgresql://ada:{SECRET}%zz@{host}/spend", unknown),
        "an unknown parameter": (f"postgresql://ada:{SECRET}@{host}/spend?colour=red", unknown),
        "no address": (f"postgresql://ada:{SECRET}@[::1/spend", no_url),
        "a schema of the server": (f"postgresql://ada:{SECRET}@{host}/spend?schema=pg_books", "is a name of up to 55"),
        "a schema in capitals": (f"postgresql://ada:{SECRET}@{host}/spend?schema=Team", "is a name of up to 55"),
        "a schema with a quote": (f"postgresql://ada:{SECRET}@{host}/spend?schema=a%22b", "is a name of up to 55"),
        "a long schema": (f"postgresql://ada:{SECRET}@{host}/spend?schema={'s' * 56}", "is a name of up to 55"),
        "a schema of read models": (f"postgresql://ada:{SECRET}@{host}/spend?schema=mecris_views", "ends in _views"),
        "an empty schema": (f"postgresql://ada:{SECRET}@{host}/spend?schema=", "is a name of up to 55"),
    }


def test_an_address_that_opens_nothing_says_why_and_shows_no_password(
    postgres: Postgres, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for what, (address, told) in wrong_addresses(postgres).items():
        assert run(["--books", address, "budget", "cycle", "list"]) == 6, what
        printed = capsys.readouterr()
        assert told in printed.err, what
        assert SECRET not in printed.out + printed.err + caplog.text, what


def test_a_password_that_is_right_is_shown_nowhere(postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    postgres.sql("GRANT CREATE ON DATABASE spend TO secured")
    address = f"postgresql://secured:{SECRET}@127.0.0.1:{postgres.port}/spend?schema=secured"
    assert run(["--books", address, "books", "setup"]) == 0
    shown = f"postgresql://secured@127.0.0.1:{postgres.port}/spend?schema=secured"
    printed = capsys.readouterr()
    assert f"{shown} is up to date" in printed.out
    assert SECRET not in printed.out + printed.err
    with Books.open(address) as books:
        assert SECRET not in f"{books.file.where} {books.file!r}"


def test_a_password_may_come_from_a_file(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.sql("GRANT CREATE ON DATABASE spend TO secured")
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{postgres.port}:spend:secured:{SECRET}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    with Books.open(f"postgresql://secured@127.0.0.1:{postgres.port}/spend?schema=secured") as books:
        assert books.cycles() == []
    services = tmp_path / "services"
    services.write_text(f"[spend]\nhost=127.0.0.1\nport={postgres.port}\ndbname=spend\nuser=secured\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    with Books.open("postgresql://?service=spend&schema=secured") as books:
        assert books.cycles() == []


def test_a_text_with_a_nul_asks_for_nothing_that_is_there_and_is_read_with_a_sign_for_it(
    place: Place, tmp_path: Path
) -> None:
    said = []
    for where in (str(tmp_path / "books.db"), place.by("owner")):
        with Books.open(where) as books:
            tell(books)
            for ask in (books.run, books.odometers, books.reconciliations):
                with pytest.raises(NotFound) as refused:
                    ask("a\0b")
                said.append(str(refused.value))
            for cycle in ("a\0b", "first"):
                with pytest.raises(NotFound):
                    books.status(cycle)  # type: ignore[arg-type]
            books.handle(RecordSource(cycle_id=1, source="paste", type="manual", payload="$1 USD\0"))
            assert_sound(books)
    assert said[:3] == said[3:]
    with Books.open(place.by("owner")) as books:
        with books.file.reading() as connection:
            kept = connection.execute("SELECT raw_payload FROM budget_source WHERE name = 'paste'").fetchone()
        assert kept == ("$1 USD\N{SYMBOL FOR NULL}",)
        assert [e["payload"] for e in books.log() if e.get("name") == "paste"] == ["$1 USD\0"], (
            "the log has it untouched"
        )
    copied = tmp_path / "copied.db"
    with Books.open(place.by("owner")) as books:
        assert books.copy_to(copied)["recorded"]
    with Books.open(tmp_path / "books.db") as books:
        assert books.copy_to(f"{place.by('owner')}_copied")["recorded"]


def test_only_a_value_that_the_server_refuses_is_a_damaged_event() -> None:
    assert isinstance(in_our_words(psycopg.errors.InvalidTextRepresentation(), "here"), EventDamaged)
    assert isinstance(in_our_words(psycopg.DataError("no way to send that"), "here"), NotFound)


# -- moving ---------------------------------------------------------------------------------------------------------


def test_books_are_backed_up_while_others_write_and_restored(granted: Place, tmp_path: Path) -> None:
    done = Event()
    with Books.open(granted.by("ada")) as books:
        tell(books)

        def write() -> None:
            with Books.open(granted.by("bob")) as others:
                while not done.is_set():
                    others.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount="1"))

        writer = Thread(target=write)
        writer.start()
        try:
            before = books.position
            answer = books.backup(tmp_path / "books.backup")
        finally:
            done.set()
            writer.join()
        assert before <= answer["position"] <= books.position
        assert books.verify(answer["head"]).faults == []
    elsewhere = Place(granted.server, f"{granted.schema}_r")
    with Books.open(elsewhere.by("owner")) as restored:
        assert restored.restore(tmp_path / "books.backup")["head"] == answer["head"]
        assert restored.handle(story()[1], idempotency_key="story 1").replayed
        assert_sound(restored)


KILLED = """
import os, signal, sys
from mecris.books import Books, moving
moving.BATCH, copied = 10, []
def progress(count):
    copied.append(count)
    if len(copied) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
with Books.open(sys.argv[1]) as source:
    source.copy_to(sys.argv[2], progress)
"""


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_copy_that_was_killed_goes_on_where_it_stopped(
    place: Place, tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, database = str(tmp_path / "books.db"), place.by("owner")
    source, target = (file, database) if way == "in" else (database, file)
    with Books.open(source) as books:
        tell(books)
        readings = (
            RecordSource(cycle_id=1, source=f"meter {n % 3}", type="realtime", amount=f"{n}") for n in range(60)
        )
        books.handle_all(readings)
        events = books.position
    killed = subprocess.run([sys.executable, "-c", KILLED, source, target])
    assert killed.returncode == -signal.SIGKILL
    with Books.open(target) as copied:
        begun = copied.position
        assert 0 < begun < events
    assert run(["books", "copy", source, target]) == 0
    assert f"{events - begun} of {events} events copied" in (said := capsys.readouterr().out)
    assert said.endswith("0 differences\n")
    with Books.open(source) as ours, Books.open(target) as copied:
        assert str(ours.verify().head) == str(copied.verify().head)
        assert copied.handle(story()[3], idempotency_key="story 3").replayed
        assert_sound(copied)
    assert run(["books", "copy", target, source]) == 0  # and back: there is nothing to do
    assert f"0 of {events} events copied" in capsys.readouterr().out


def test_a_target_with_other_events_is_refused(place: Place, tmp_path: Path) -> None:
    with Books.open(place.by("owner")) as books, Books.open(tmp_path / "other.db") as other:
        tell(books)
        other.handle(OpenCycle(start_date="2025-01-01", end_date="2025-01-31", target_usd=1))
        with pytest.raises(RuleRefused, match="holds other events") as refused:
            other.copy_to(place.by("owner"))
        assert refused.value.code == "other-books"
        with pytest.raises(RuleRefused, match="these are the same books"):
            books.copy_to(place.by("owner"))


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


def test_roles_are_of_databases_alone(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books, pytest.raises(MecrisError, match="is a file, and knows no roles"):
        books.file.grant("team")
