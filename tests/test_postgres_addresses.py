"""Addresses of books on PostgreSQL: what opens them, what is said where nothing does, and no password is shown."""

from pathlib import Path

import pytest
from postgres import Postgres
from team import SECRET

from mecris.books import Books
from mecris.cli.main import run

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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
