"""The file of the books: what is not ours, damaged, newer or out of reach is said clearly and left as it is."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pytest

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.domain.errors import Damaged, EventDamaged, MecrisError, NewerBooks, NotBooks, Unavailable
from mecris.projections.follow import VIEWS
from mecris.store import chain, file, positions, schema

pytestmark = pytest.mark.sqlite

DAMAGED, UNREACHABLE = 5, 6
OPEN = OpenCycle(start_date="2025-09-01", end_date="2099-09-30", target_usd=10)
METER = RecordSource(cycle_id=1, source="meter", type="realtime", amount="0.25")


class Told(NamedTuple):
    """What a command ended with, printed, and said to the person."""

    code: int
    out: str
    err: str


Mecris = Callable[..., Told]


@pytest.fixture
def mecris(capsys: pytest.CaptureFixture[str]) -> Mecris:
    """The command line."""

    def command(path: Path, *words: str) -> Told:
        capsys.readouterr()
        return Told(run(["--books", str(path), *words]), *capsys.readouterr())

    return command


def made(path: Path, readings: int = 1) -> Path:
    """Books with a cycle and some readings, up to date and closed."""
    with Books.open(path) as books:
        books.handle_all([OPEN, *(METER.model_copy(update={"amount": i}) for i in range(readings))])
        books.status(1)
    return path


def folder(path: Path) -> dict[str, str]:
    """The digest of every file beside a path, itself included."""
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in path.parent.iterdir() if p.is_file()}


def by_hand(path: Path, sql: str) -> None:
    """Change a database behind the back of the books."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(sql)


def pragma(books: Books, name: str) -> Any:
    """A setting of the connection that reads, and of the one that writes."""
    with books.file.reading() as connection:
        reading = connection.execute(f"PRAGMA {name}").fetchone()[0]
    with books.file.pen() as connection:
        writing = connection.execute(f"PRAGMA {name}").fetchone()[0]
    assert reading == writing
    return reading


# -- what is not ours ---------------------------------------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("2025-09-10 console $5.42 USD\n" * 100)


def short_file(path: Path) -> None:
    path.write_bytes(b"\n")


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def other_database(path: Path) -> None:
    by_hand(path, "CREATE TABLE stored_events (position INTEGER PRIMARY KEY); INSERT INTO stored_events VALUES (1)")


def other_database_with_a_write_ahead_log(path: Path) -> None:
    by_hand(path, "PRAGMA journal_mode = WAL; CREATE TABLE budget_cycle (id)")


def database_of_another_application(path: Path) -> None:
    by_hand(path, "PRAGMA application_id = 7; CREATE TABLE budget_cycle (id)")


def newer_books(path: Path) -> None:
    by_hand(made(path), "PRAGMA user_version = 99")


FOREIGN: dict[Callable[[Path], None], type[MecrisError]] = {
    text_file: NotBooks,
    short_file: NotBooks,
    half_a_header: NotBooks,
    other_database: NotBooks,
    other_database_with_a_write_ahead_log: NotBooks,
    database_of_another_application: NotBooks,
    newer_books: NewerBooks,
}


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_a_file_that_these_books_cannot_keep_is_named_and_left_as_it_is(
    mecris: Mecris, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "file.db"
    make(path)
    before = folder(path)
    for words in (("budget", "cycle", "list"), ("audit", "verify"), ("audit", "replay"), ("audit", "rebuild")):
        told = mecris(path, *words)
        assert (told.code, told.out) == (DAMAGED, "")
        assert told.err.startswith(f"damaged: {path} ")
    told = mecris(path, "budget", "cycle", "create", "--start", "2025-09-01", "--end", "2025-09-30", "--target", "1")
    assert (told.code, told.out) == (DAMAGED, "")
    with pytest.raises(FOREIGN[make]):
        Books.open(path)
    assert folder(path) == before


def test_newer_books_say_which_format_can_be_read(mecris: Mecris, tmp_path: Path) -> None:
    newer_books(tmp_path / "books.db")
    told = mecris(tmp_path / "books.db", "budget", "status")
    assert "format 99, this one reads up to 3" in told.err
    assert "upgrade mecris" in told.err


def test_books_of_a_version_that_never_was_are_damaged_and_left_as_they_are(mecris: Mecris, tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "PRAGMA user_version = 0")
    before = folder(path)
    told = mecris(path, "budget", "status")
    assert told.code == DAMAGED, told.err
    assert folder(path) == before


# -- what is broken -----------------------------------------------------------------------------------------------


def page_of(path: Path, table: str) -> tuple[int, int]:
    """Where the root page of a table begins in a file, and how long a page is."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return (root - 1) * size, size


@pytest.mark.parametrize("table", ["stored_events", "event_chain", "view_positions", "budget_cycle", "budget_reading"])
@pytest.mark.parametrize("rubbish", [b"\x00", b"\xff", b"SQLite"])
def test_a_page_overwritten_with_rubbish_is_damage_and_nothing_more_is_written(
    mecris: Mecris, tmp_path: Path, table: str, rubbish: bytes
) -> None:
    path = made(tmp_path / "books.db", readings=200)
    start, size = page_of(path, table)
    content = bytearray(path.read_bytes())
    content[start : start + size] = (rubbish * size)[:size]
    path.write_bytes(content)
    before = folder(path)
    for words in (("audit", "verify"), ("audit", "replay")):
        told = mecris(path, *words)
        assert told.code in (0, DAMAGED) if words[1] == "verify" else DAMAGED, told.err
    told = mecris(path, "budget", "status", "--cycle", "1")
    assert told.code in (0, DAMAGED), told.err
    assert folder(path) == before


@pytest.mark.parametrize("kept", [0.25, 0.5, 0.75])
def test_truncated_books_are_damaged_and_left_as_they_are(mecris: Mecris, tmp_path: Path, kept: float) -> None:
    path = made(tmp_path / "books.db", readings=200)
    os.truncate(path, int(path.stat().st_size * kept))
    before = folder(path)
    for words in (("audit", "verify"), ("audit", "replay"), ("budget", "status", "--cycle", "1")):
        told = mecris(path, *words)
        assert told.code == DAMAGED, told.err
        assert told.err.startswith("damaged: ")
    assert folder(path) == before


def test_books_that_lost_only_their_last_page_are_left_as_they_are(mecris: Mecris, tmp_path: Path) -> None:
    """It may hold an index that no answer needs; whoever needs it is told."""
    path = made(tmp_path / "books.db", readings=200)
    os.truncate(path, path.stat().st_size - 4096)
    before = folder(path)
    for words in (("audit", "verify"), ("audit", "replay"), ("budget", "status", "--cycle", "1")):
        assert mecris(path, *words).code in (0, DAMAGED)
    assert folder(path) == before


def test_books_that_lost_the_table_of_events_are_damaged(mecris: Mecris, tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "DROP TABLE stored_events")
    told = mecris(path, "audit", "verify")
    assert told.code == DAMAGED
    assert "no such table" in told.err


# -- what cannot be reached ---------------------------------------------------------------------------------------


def a_folder(place: Path) -> Path:
    return place


def below_a_file(place: Path) -> Path:
    (place / "file").write_text("here")
    return place / "file" / "books.db"


def below_what_nobody_can_make(place: Path) -> Path:
    return Path("/proc/mecris/books.db")


def a_link_to_nowhere(place: Path) -> Path:
    (place / "link").symlink_to(place / "nowhere")
    return place / "link"


def a_link_to_itself(place: Path) -> Path:
    (place / "link").symlink_to(place / "link")
    return place / "link"


def a_name_too_long(place: Path) -> Path:
    return place / ("x" * 300)


UNREACHED = [a_folder, below_a_file, below_what_nobody_can_make, a_link_to_nowhere, a_link_to_itself, a_name_too_long]


@pytest.mark.parametrize("place", UNREACHED, ids=lambda place: place.__name__)
def test_a_place_that_cannot_be_reached_is_said_clearly(
    mecris: Mecris, tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    path = place(tmp_path)
    before = sorted(tmp_path.iterdir())
    told = mecris(path, "budget", "cycle", "list")
    assert (told.code, told.out) == (UNREACHABLE, "")
    assert told.err.startswith(f"could not be done: {path} ")
    assert "a fault of Mecris" not in told.err
    with pytest.raises(Unavailable):
        Books.open(path)
    assert sorted(tmp_path.iterdir()) == before


def as_nobody(path: Path, *words: str) -> Told:
    """A command of a user who may do little; root may do everything, so root steps down."""
    step_down = "import os, sys; os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534));"
    program = f"from mecris.cli.main import main; {step_down} sys.argv[1:] = {['--books', str(path), *words]!r}; main()"
    warm_up = "import mecris.books.writing, mecris.cli.recording, mecris.cli.asking, mecris.cli.cycle, mecris.cli.audit, simplejson, locale, gettext, getpass;"  # whose folders nobody may see
    command = [sys.executable, "-c", warm_up + program]
    env = os.environ | {"USER": "nobody"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    return Told(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder to lock, on a path that everybody may walk (pytest keeps its own folders to itself)."""
    place = Path(mkdtemp(prefix="mecris-locked-"))
    place.chmod(0o711)
    (place / "locked").mkdir()
    yield place / "locked"
    (place / "locked").chmod(0o700)
    rmtree(place)


def test_a_folder_that_one_may_not_enter_is_said_clearly(locked: Path) -> None:
    path = made(locked / "books.db")
    locked.chmod(0)
    told = as_nobody(path, "budget", "cycle", "list")
    assert (told.code, told.out) == (UNREACHABLE, "")
    assert told.err.startswith(f"could not be done: {path} ")
    assert "a fault of Mecris" not in told.err


def test_books_that_one_may_read_but_not_write_are_not_changed_by_an_order(locked: Path) -> None:
    path = made(locked / "books.db")
    before = folder(path)
    path.chmod(0o444)
    locked.chmod(0o555)
    reading = ("budget", "add-source", "--cycle", "1", "--name", "meter", "--amount", "1")
    told = as_nobody(path, *reading)
    locked.chmod(0o700)
    assert (told.code, told.out) == (UNREACHABLE, ""), told.err
    assert "a fault of Mecris" not in told.err
    assert folder(path) == before


def test_books_that_are_closed_say_so(tmp_path: Path) -> None:
    books = Books.open(made(tmp_path / "books.db"))
    books.close()
    with pytest.raises(Unavailable, match="closed"):
        books.status(1)
    with pytest.raises(Unavailable, match="closed"):
        books.handle(METER)


def test_books_that_are_taken_away_while_open_are_not_made_anew(tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    with Books.open(path) as books:
        path.unlink()
        with pytest.raises(MecrisError):
            books.handle(METER)
    assert not path.exists(), "an empty file would become new, empty books"


class InterruptedOnce(sqlite3.Connection):
    """Ctrl-C arrives just as a write begins."""

    times = 1

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        done = super().execute(sql, *parameters)
        if sql == "BEGIN IMMEDIATE" and InterruptedOnce.times:
            InterruptedOnce.times -= 1
            raise KeyboardInterrupt
        return done


def test_whoever_is_interrupted_as_a_write_begins_does_not_keep_the_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=1)
    with Books.open(tmp_path / "books.db") as books, Books.open(tmp_path / "books.db") as other:
        with monkeypatch.context() as patched:
            connect = sqlite3.connect
            patched.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=InterruptedOnce, **k))
            with pytest.raises(KeyboardInterrupt):
                books.handle(order)
        assert other.handle(order)["position"] == 1
        assert books.handle(order)["position"] == 2


def test_books_that_could_not_be_opened_leave_nothing_open(tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "PRAGMA user_version = 99")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NewerBooks):
        Books.open(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


# -- what becomes books -------------------------------------------------------------------------------------------

NAMES = (
    "my books.db",
    " books ",
    "what?.db",
    "books#1.db",
    "100%.db",
    "%41%2F.db",
    "a&mode=memory.db",
    'it\'s "mine".db',
    "Bücher-ß-本-🧾.db",
    "-books.db",
    ":memory:",
    "file:books.db?mode=memory",
    "books;DROP TABLE x.db",
    "back\\slash.db",
    "new\nline.db",
    "no-ending",
)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with Books.open(path) as books:
        books.handle(OPEN)
        books.handle(METER)
        assert books.replay().differences == 0
    with Books.open(str(path)) as books:
        assert books.position == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [":memory:", "file:books.db?mode=memory", "~", " "])
def test_any_name_is_a_name_in_the_folder_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with Books.open(f"./{name}") as books:
        books.handle(OPEN)
        assert books.replay().events == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_strange_name_works_from_the_command_line_too(mecris: Mecris, tmp_path: Path) -> None:
    path = tmp_path / "100% of what's #1?.db"
    made(path)
    assert mecris(path, "budget", "status", "--cycle", "1").code == 0
    assert mecris(path, "audit", "replay").code == 0
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_made_beforehand_becomes_books(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    path.touch(mode=0o600)
    with Books.open(path) as books:
        books.handle(OPEN)
        assert pragma(books, "journal_mode") == "wal"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_leads_to_the_books(tmp_path: Path) -> None:
    path, link = made(tmp_path / "books.db"), tmp_path / "link.db"
    link.symlink_to(path)
    with Books.open(link) as books:
        books.handle(METER)
    with Books.open(path) as books:
        assert books.position == 3


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with Books.open(tmp_path / "a" / "b c" / "books.db") as books:
        assert books.position == 0


def test_every_write_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books:
        assert pragma(books, "journal_mode") == "wal"
        assert pragma(books, "synchronous") == 2, "FULL"


def test_books_whose_write_ahead_log_was_switched_off_get_it_back(tmp_path: Path) -> None:
    """As they stand when the one who filled an empty file was stopped half-way, or a tool switched it off."""
    path = made(tmp_path / "books.db")
    by_hand(path, "PRAGMA journal_mode = DELETE")
    with Books.open(path) as books:
        assert pragma(books, "journal_mode") == "wal"


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    header = made(tmp_path / "books.db").read_bytes()[:100]
    assert header[:16] == b"SQLite format 3\0"
    assert header[68:72] == b"Mecr"
    assert int.from_bytes(header[60:64], "big") == schema.VERSION


# -- older and newer read models ----------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [view.name for view in VIEWS])
def test_a_read_model_of_an_older_version_is_made_again_when_asked(tmp_path: Path, view: str) -> None:
    path = made(tmp_path / "books.db", readings=5)
    tables = next(v.tables for v in VIEWS if v.name == view)
    by_hand(path, f"UPDATE view_positions SET version = 0 WHERE view = '{view}'")
    for table in tables:
        by_hand(path, f"DROP TABLE {table}; CREATE TABLE {table} (of_old)")
    with Books.open(path) as books:
        assert books.status(1)["position"] == 6
        assert books.replay().differences == 0
        with books.file.reading() as connection:
            versions = dict(connection.execute("SELECT view, version FROM view_positions"))
    assert versions == {v.name: v.version for v in VIEWS}


def test_read_models_that_are_not_there_are_made_when_asked(tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "DELETE FROM view_positions; DROP TABLE budget_cycle")
    with Books.open(path) as books:
        assert books.status(1)["position"] == 2


def test_a_read_model_of_a_newer_version_is_not_touched(mecris: Mecris, tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "UPDATE view_positions SET version = 99 WHERE view = 'records'")
    before = folder(path)
    told = mecris(path, "budget", "status", "--cycle", "1")
    assert told.code == DAMAGED
    assert "newer Mecris" in told.err
    assert folder(path) == before


# -- events of a newer version ------------------------------------------------------------------------------------


def with_an_event_of_the_future(path: Path) -> Path:
    """Books in which a newer Mecris has written something, with its link."""
    with closing(sqlite3.connect(path)) as connection, connection:
        end = positions.head(connection)
        new, state = (
            end.position + 1,
            b'{"recorded_at": "2099-01-01T00:00:00.000000Z", "recorded_by": "ann", "via": "cli"}',
        )
        row = ("cycle-00000001", 3, "cycle-dreamt-of.v1", state)
        link = chain.link_of(end.link, new, new, "2099-01-01T00:00:00.000000Z", *row)
        connection.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?)", (new, *row))
        connection.execute(
            "INSERT INTO event_chain VALUES (?, ?, ?, ?)", (new, new, "2099-01-01T00:00:00.000000Z", link)
        )
    return path


def test_an_event_that_only_a_newer_version_knows_is_named_and_nothing_is_answered(tmp_path: Path) -> None:
    path = with_an_event_of_the_future(made(tmp_path / "books.db"))
    with Books.open(path) as books:
        with pytest.raises(NewerBooks, match=r"event 3 is a 'cycle-dreamt-of.v1'.* upgrade mecris"):
            books.status(1)
        with pytest.raises(NewerBooks, match=r"event 3 is a 'cycle-dreamt-of.v1'"):
            books.replay()
        assert books.verify().faults == [], "the chain does not depend on knowing it"
        assert [event["event"] for event in books.log()][-1] == "cycle-dreamt-of.v1"


def test_an_order_that_rests_on_an_event_of_a_newer_version_says_to_upgrade(tmp_path: Path) -> None:
    with Books.open(with_an_event_of_the_future(made(tmp_path / "books.db"))) as books:
        with pytest.raises(NewerBooks, match="upgrade mecris"):
            books.handle(METER)
        assert books.position == 3


def test_an_event_that_cannot_be_read_is_damage_and_not_news(tmp_path: Path) -> None:
    path = made(tmp_path / "books.db")
    by_hand(path, "DELETE FROM view_positions; UPDATE stored_events SET state = x'00' WHERE position = 2")
    with Books.open(path) as books:
        with pytest.raises(EventDamaged, match="event 2 "):
            books.status(1)
        with pytest.raises(Damaged):
            books.handle(METER)


def test_books_without_a_name_are_where_platformdirs_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_data_dir

    from mecris.books import settings

    monkeypatch.delenv("MECRIS_BOOKS", raising=False)
    for home in ("", str(tmp_path)):
        monkeypatch.setenv("XDG_DATA_HOME", home)
        assert settings.location(None) == str(Path(user_data_dir("mecris", appauthor=False)) / "books.db")


def test_a_copy_that_may_only_be_read_can_be_asked_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "books.db"
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="30"))
        books.status(1)
    monkeypatch.setattr("mecris.store.file.os.access", lambda *_: False)  # root may write everything
    before = path.read_bytes()
    with Books.open(path) as copy:
        assert copy.status(1)["tie_out"]["remaining_usd"] == 30
        assert copy.verify().faults == []
        with pytest.raises(Unavailable, match="cannot be written"):
            copy.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="30"))
    assert path.read_bytes() == before
    assert [left.name for left in tmp_path.iterdir()] == ["books.db"]


def test_a_large_write_has_more_memory_until_it_ends_or_fails(tmp_path: Path) -> None:
    def cache(connection: Any) -> int:
        return int(connection.execute("PRAGMA cache_size").fetchone()[0])

    with Books.open(tmp_path / "books.db") as books, books.file.pen() as connection:
        usual = cache(connection)
        with books.file.roomy():
            assert cache(connection) == file.ROOMY < usual < 0
        assert cache(connection) == usual
        with pytest.raises(RuntimeError), books.file.roomy():
            raise RuntimeError
        assert cache(connection) == usual
