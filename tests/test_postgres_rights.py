"""Who may do what with books on PostgreSQL: the owner, the team that keeps them, and everybody else."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from team import Place, assert_sound, story, tell

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.errors import MecrisError, Unavailable
from mecris.projections import follow
from mecris.projections.follow import View

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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


def test_a_file_is_imported_and_read_again_by_the_team(granted: Place, tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text("date,provider,usd\n2025-09-01,claude,1.25\n2025-09-02,claude,oops\n")
    with Books.open(granted.by("ada")) as books:
        books.handle(story()[0])
        assert books.import_file(path)["recorded"]
        assert len(books.evidence()) == len(books.quarantine()) == 1
        books.retry_quarantine()
        assert_sound(books)


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


def test_roles_are_of_databases_alone(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books, pytest.raises(MecrisError, match="is a file, and knows no roles"):
        books.file.grant("team")


# -- code of others ------------------------------------------------------------------------------------------------


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
