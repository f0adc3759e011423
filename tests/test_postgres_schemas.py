"""Schemas of books: made once by however many, never taken from others, and each for itself."""

import subprocess
import sys
from decimal import Decimal

import psycopg
import pytest
from team import Place, assert_sound, tell

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import OpenCycle
from mecris.projections import follow

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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
    assert given == {
        "view_positions",
        "budget_total",
        "cost_reported",
        *(table for view in follow.VIEWS for table in view.tables),
    }


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


@pytest.mark.parametrize("by", ["owner", "postgres"])
def test_read_models_whose_schema_is_gone_are_made_again_for_whoever_keeps_the_books(
    granted: Place, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Books.open(granted.by("ada")) as books:
        tell(books)
        before = books.status(1)
        granted.sql("postgres", f"DROP SCHEMA {granted.schema}_views CASCADE")
        for role in ("ada", "owner"):
            for command in ("budget status --cycle 1", "audit rebuild", "audit verify"):
                assert run(["--books", granted.by(role), *command.split()]) == 6
                said = capsys.readouterr().err
                assert f"the read models of {books.file.where.replace('ada', role)} are gone" in said
                assert "let the owner run `mecris books setup`" in said
        assert run(["--books", granted.by("ada"), "books", "setup"]) == 6, "she may make no schema"
        assert run(["--books", granted.by(by), "books", "setup"]) == 0
        assert "has a place for its read models again" in capsys.readouterr().out
        assert run(["--books", granted.by(by), "books", "setup"]) == 0
        assert "is up to date" in capsys.readouterr().out
        assert books.status(1) == before
        assert_sound(books)
    owned = f"SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = '{granted.schema}_views'::regnamespace"
    assert granted.sql("owner", owned) == [("team",)]


def test_read_models_whose_schema_is_gone_belong_to_the_owner_if_nobody_else_was_let_in(place: Place) -> None:
    with Books.open(place.by("owner")) as books:
        tell(books)
        place.sql("postgres", f"DROP SCHEMA {place.schema}_views CASCADE")
        assert run(["--books", place.by("postgres"), "books", "setup"]) == 0
        assert_sound(books)


def test_of_several_who_were_let_in_setup_is_told_whose_the_read_models_are(
    granted: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    granted.server.sql("CREATE ROLE auditors; GRANT auditors TO owner")
    assert run(["--books", granted.by("owner"), "books", "setup", "--grant", "auditors"]) == 0
    granted.sql("postgres", f"DROP SCHEMA {granted.schema}_views CASCADE")
    assert run(["--books", granted.by("owner"), "books", "setup"]) == 6
    assert "is kept by auditors and team: say whose the read models are" in capsys.readouterr().err
    assert run(["--books", granted.by("owner"), "books", "setup", "--grant", "team"]) == 0
    with Books.open(granted.by("ada")) as books:
        tell(books)
        assert_sound(books)


def test_the_public_schema_is_taken_where_not_everybody_may_put_something_into_it(place: Place) -> None:
    place.server.sql(f"CREATE DATABASE {place.schema} OWNER owner")
    address = (
        place.by("owner").replace("/spend?", f"/{place.schema}?").replace(f"schema={place.schema}", "schema=public")
    )
    with psycopg.connect(address.replace("&schema=public", ""), autocommit=True) as owner:
        owner.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        assert run(["--books", address, "books", "setup", "--grant", "team"]) == 5
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        assert run(["--books", address, "books", "setup", "--grant", "team"]) == 0
    with Books.open(address.replace("owner@", "ada@")) as books:
        tell(books)
