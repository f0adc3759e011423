"""Books move into PostgreSQL and out of it: copies, backups, and what stands in their way."""

import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from team import Place, assert_sound, story, tell

from mecris.books import Books
from mecris.cli.main import run
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.domain.errors import RuleRefused

pytestmark = pytest.mark.own_store  # these have a server of their own, wherever the other tests keep their books


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
