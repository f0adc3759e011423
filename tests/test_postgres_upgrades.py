"""Books on PostgreSQL of another format than this Mecris writes: newer ones are refused, older ones upgraded."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from team import Place, assert_sound, story, tell

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import ReadOdometer
from mecris.domain.errors import NewerBooks, Unavailable
from mecris.store.postgres import schema
from mecris.store.postgres.session import Session

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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
