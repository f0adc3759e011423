"""What is written once on PostgreSQL stays as it was: who is stopped, and what the audit finds where nobody was."""

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from team import Place, assert_sound, story, tell

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import AdjustBudget
from mecris.store.appending import append

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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
