"""The house: floors, installed names, stored names for good, and a start that stays fast."""

import json
import re
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mecris.domain.access_events import ACCESS_EVENTS
from mecris.domain.alert_events import ALERT_EVENTS
from mecris.domain.events import CYCLE_EVENTS
from mecris.domain.import_events import IMPORT_EVENTS
from mecris.domain.odometer_events import ODOMETER_EVENTS
from mecris.domain.old_shapes import OLD
from mecris.domain.run_events import RUN_EVENTS
from mecris.projections.follow import VIEWS
from mecris.store.mapper import EventMapper
from mecris.store.names import EVENTS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.json"))


def rooms() -> set[str]:
    """Every folder at the top that holds a typed package."""
    return {marker.parent.name for marker in ROOT.glob("*/py.typed")}


def test_every_room_is_installed_below_one_name_and_checked() -> None:
    names = {f"mecris.{room}" for room in rooms()}
    tools = PROJECT["tool"]
    assert {"domain", "store", "projections", "books", "cli"} <= rooms()
    inside = {
        f"mecris.{path.parent.relative_to(ROOT)}".replace("/", ".")
        for path in ROOT.glob("*/*/__init__.py")
        if path.parts[-3] in rooms()
    }
    assert set(tools["setuptools"]["packages"]) == names | inside
    assert tools["setuptools"]["package-dir"] == {name: name.removeprefix("mecris.") for name in names}
    assert set(tools["mypy"]["packages"]) == names
    assert set(tools["importlinter"]["root_packages"]) == names
    assert set(tools["coverage"]["run"]["source_pkgs"]) == names


def test_every_folder_with_code_that_ships_is_a_room() -> None:
    folders = {path.parent.name for path in ROOT.glob("[a-z]*/*.py")}
    assert folders - {"tests", "docs", "benchmarks", "build"} == rooms()


def name_of(golden: Path) -> str:
    """The stored name; what follows a tilde tells variants apart."""
    return golden.stem.partition("~")[0]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_every_event_ever_stored_can_be_read(golden: Path) -> None:
    from eventsourcing.persistence import StoredEvent

    mapper = EventMapper()
    stored = StoredEvent("cycle-00000001", 7, name_of(golden), golden.read_bytes().rstrip())
    event = mapper.to_domain_event(stored)
    assert event.originator_id == "cycle-00000001"
    if name_of(golden) in EVENTS:
        assert mapper.to_stored_event(event) == stored


def test_every_stored_name_has_its_golden_event() -> None:
    assert {name_of(path) for path in GOLDEN} == {*EVENTS, *OLD}
    kinds = (*CYCLE_EVENTS, *RUN_EVENTS, *ODOMETER_EVENTS, *ALERT_EVENTS, *ACCESS_EVENTS, *IMPORT_EVENTS)
    assert len(EVENTS) == len(kinds), "two events have one name"


def test_golden_events_are_plain_json() -> None:
    for path in GOLDEN:
        fields = json.loads(path.read_text())
        assert {"recorded_at", "recorded_by", "via"} <= set(fields)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_event_a_view_ignores_is_ignored_by_name(view: object, tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    for table, columns in view.tables.items():  # type: ignore[attr-defined]
        connection.execute(f"CREATE TABLE {table} {columns}")
    handled = set(view.begin(connection).handlers)  # type: ignore[attr-defined]
    connection.close()
    assert handled | set(view.ignores) == set(EVENTS)  # type: ignore[attr-defined]
    assert not handled & set(view.ignores)  # type: ignore[attr-defined]


LIMITED = re.compile(r'"(?:SELECT|WITH)(?:[^"\\]|\\.|"\s*f?")*?LIMIT', re.DOTALL)


def test_of_many_rows_the_ones_that_are_taken_are_the_first_in_an_order() -> None:
    for path in (path for room in rooms() for path in (ROOT / room).rglob("*.py")):
        for found in LIMITED.findall(path.read_text()):
            assert "ORDER BY" in found or found.startswith('"SELECT 1 '), f"{path}: {found}"


def imported_by(code: str) -> set[str]:
    """The modules a program has imported in the end."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.sqlite
def test_a_question_imports_neither_pydantic_nor_the_write_side(tmp_path: Path) -> None:
    books = tmp_path / "books.db"
    code = f"""
from mecris.cli.main import run
run(["--books", {str(books)!r}, "budget", "cycle", "create", "--start", "2025-08-06", "--end", "2025-09-30", "--target", "1"])
"""
    assert "pydantic" in imported_by(code)
    asked = imported_by(
        f'from mecris.cli.main import run\nrun(["--books", {str(books)!r}, "budget", "status", "--cycle", "1"])'
    )
    assert not asked & {"pydantic", "eventsourcing", "mecris.domain.commands", "mecris.books.writing", "zoneinfo"}


def test_books_can_be_imported_beside_a_domain_package_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "__init__.py").write_text("mine = True")
    program = (
        "import domain; from mecris.books import Books; assert domain.mine; b = Books.open('b.db'); print(b.cycles())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_program_s_decimal_context_and_environment_do_not_reach_the_books(tmp_path: Path) -> None:
    program = """
import decimal, os
decimal.getcontext().prec = 3
os.environ.update(PERSISTENCE_MODULE="no.such.module", IS_SNAPSHOTTING_ENABLED="maybe", SQLITE_DBNAME="/nowhere/at/all")
from mecris.books import Books
from mecris.domain.commands import OpenCycle, RecordSource
with Books.open("b.db") as books:
    books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="123456.789"))
    books.handle(RecordSource(cycle_id=1, source="m", type="realtime", amount="0.000000000001"))
    print(books.status(1)["tie_out"]["remaining_usd"])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "123456.788999999999\n"


def test_a_kept_fingerprint_stays_the_same_when_a_command_gets_another_option() -> None:
    from mecris.books.writing import _fingerprint
    from mecris.domain.commands import RecordSource

    order = RecordSource(cycle_id=1, source="console", type="manual", amount="5.420", provider="claude")
    assert _fingerprint(order) == "b24b37d10ffd8baa725a12c4151ca0bf00869f46c975ec04a16500ead9f1a5ac"


@pytest.mark.sqlite
def test_a_snapshot_that_was_changed_or_cannot_be_read_decides_nothing(tmp_path: Path) -> None:
    from mecris.books import Books
    from mecris.domain.commands import OpenCycle, RecordSource
    from mecris.domain.errors import RuleRefused

    path = tmp_path / "books.db"
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="25"))
        for n in range(120):
            books.handle(RecordSource(cycle_id=1, source="meter", type="realtime", amount=str(n)))
    for change in ("replace(state, '\"25\"', '\"2500\"')", "'nonsense'", "x'00'"):
        connection = sqlite3.connect(path)
        changed = connection.execute(f"UPDATE stored_snapshots SET state = CAST({change} AS BLOB)").rowcount
        connection.commit()
        connection.close()
        assert changed == 1
        with Books.open(path) as books, pytest.raises(RuleRefused, match="more than there was"):
            books.handle(RecordSource(cycle_id=1, source="console", type="manual", balance="2000"))


def test_a_snapshot_is_the_state_that_its_events_make(tmp_path: Path) -> None:
    from mecris.books import Books
    from mecris.domain.commands import OpenCycle, RecordSource

    with Books.open(tmp_path / "books.db") as books:
        books.handle(
            OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="25", timezone="Europe/Berlin")
        )
        for n in range(60):
            books.handle(RecordSource(cycle_id=1, source=f"meter {n % 3}", type="realtime", amount=f"{n}.000000000001"))
            books.handle(
                RecordSource(cycle_id=1, source="console", type="manual", balance="2", credit="9", payload="$2 USD")
            )
        log = books._writer.log
        assert log.snapshots is not None
        (taken,) = log.snapshots.recorder.select_events("cycle-00000001")
        log.forget_all()
        restored = log.repository.get("cycle-00000001")
        log.forget_all()
        with books.file.pen() as connection:
            connection.execute("DELETE FROM stored_snapshots")
        folded = log.repository.get("cycle-00000001")
        assert taken.originator_version >= 100
        assert restored.state == folded.state
