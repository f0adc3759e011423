"""A PostgreSQL server with an owner of books and a team that keeps them, and a month to tell them."""

from collections.abc import Iterator

import psycopg
import pytest
from postgres import DEBIAN, Postgres

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import ApplyPlug, Command, Dispatch, OpenCycle, ReadOdometer, RecordDispatches, RecordSource

SECRET = "k3ep-it"


PROGRAMS = {"newest": None, "oldest": DEBIAN} if DEBIAN.exists() else {"newest": None}
"""PostgreSQL as our tests bring it, and where Debian's is installed the oldest that we take."""


@pytest.fixture(scope="session", params=PROGRAMS.values(), ids=PROGRAMS.keys())
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
    return Place(postgres, f"t{abs(hash(request.node.nodeid)):x}")


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
