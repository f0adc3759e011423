"""Texts on PostgreSQL: in the order of their bytes, with every character, as in a file."""

from pathlib import Path

import psycopg
import pytest
from postgres import Postgres
from team import Place, assert_sound, tell

from mecris.books import Books
from mecris.domain.commands import Dispatch, RecordDispatches, RecordSource
from mecris.domain.errors import EventDamaged, NotFound
from mecris.store.postgres.faults import in_our_words
from mecris.store.postgres.session import COPIED

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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


@pytest.mark.parametrize("count", [2, COPIED, 3 * COPIED])
def test_rows_that_are_written_together_are_what_was_said_however_many_there_are(place: Place, count: int) -> None:
    odd = [
        "",
        "\\N",
        "\\.",
        "a\tb\nc\rd",
        "\\\\x41\\",
        "NULL",
        "a\0b",
        "\U0001f600",
        "\x7f\x0b",
        "'\"%s{}",
        "x" * 300_000,
    ]
    rows = [(n, odd[n % len(odd)], odd[n % len(odd)].encode(), n % 2 == 0, None) for n in range(count)]
    with Books.open(place.by("owner")) as books, books.file.pen() as connection:
        connection.execute("CREATE TEMP TABLE odd (n BIGINT, said TEXT, bytes BYTEA, flag BIGINT, nothing TEXT)")
        connection.executemany("INSERT INTO odd VALUES (?, ?, ?, ?, ?)", rows)
        found = connection.execute("SELECT * FROM odd ORDER BY n").fetchall()
    assert found == [
        (n, said.replace("\0", "\N{SYMBOL FOR NULL}"), by, int(flag), None) for n, said, by, flag, _ in rows
    ]
