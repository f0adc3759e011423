"""Files that people have: read by their importer, kept as evidence, and turned into readings and dispatches in one write."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, TYPE_CHECKING, NamedTuple

from ..domain.errors import NotFound, PayloadRefused, TimeRefused, Unavailable
from ..domain.period import LATE, as_text, from_text, time_text
from ..importers.ahead import LARGE, collecting_seldom, read_ahead
from ..importers.batches import Batch, writable
from ..importers.formats import FORMATS, recognised, refusal, require_export
from ..importers.kinds import Report
from ..importers.reading import File
from ..projections import imports
from ..store.connection import Connection
from .answers import Answer
from .packing import PART, Packing, unpack

if TYPE_CHECKING:
    from .books import Books
    from .intake import Intake
    from .writing import Hand

NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a pipe waits for somebody to write into it, unless one says so."""
Progress = Callable[[int], None]
Ahead = tuple[str, Iterator[Batch]]
"""What another process reads, and the rank that it gives to what it reads."""


class Asked(NamedTuple):
    """How a file is to be imported: what is None follows from the file."""

    format: str | None = None
    cycle_id: int | None = None
    provider: str | None = None
    exported_at: datetime | None = None
    dry_run: bool = False
    tell: bool = True
    piped: bool = False
    """Did it come through a pipe? Then the same bytes again are the same statement, unless they hold figures without a moment."""
    credit: Decimal | None = None


def import_file(books: "Books", path: str, asked: Asked, by: str | None, progress: Progress | None) -> Answer:
    """Import one file; the same file again records nothing."""
    now = books.now()
    if asked.exported_at is not None and asked.exported_at > now:
        raise TimeRefused(
            f"{time_text(asked.exported_at)} has not come yet: say when the file was exported, at the latest now"
        )
    with _opened(path) as (stream, mtime, require_unchanged), Packing(path, stream) as packing:
        file = File(writable(Path(path).name), stream)
        exported = asked.exported_at or _exported_by(file, mtime, now)
        importer = _importer_of(file, asked.format)
        with _reading_ahead(importer, file, packing, as_text(exported)) as ahead:
            from .intake import Intake  # what decides takes a while to load, and the other process reads meanwhile

            digest = _digest(stream)
            intake = Intake(
                file, importer, digest, exported, now, asked, packing=packing, ahead=ahead, progress=progress
            )
            return _done(books, intake, by, require_unchanged)


def retry(books: "Books", kept: imports.Kept, by: str | None) -> Answer:
    """Read a file again that is kept as evidence: a newer importer may read what an older one could not."""
    from .intake import Intake

    with TemporaryFile() as unpacked:
        with books.file.reading() as connection:
            unpack(connection, kept.sha256, unpacked)
        asked = Asked(format=kept.format, cycle_id=kept.cycle_id)
        file, at = File(kept.name, unpacked), from_text(kept.exported_at)
        importer, said = _importer_of(file, kept.format), Report.whose(kept.report)
        return _done(books, Intake(file, importer, kept.sha256, at, books.now(), asked, said=said), by)


def tell(books: "Books", report: str, by: str | None) -> Answer:
    """Tell cycles what the files of a report come to that were taken in before."""
    from .telling import tell_cycles

    def work(connection: Connection, hand: "Hand") -> Answer:
        return Answer(report=report, **tell_cycles(connection, hand, report, books.now()).shown())

    return books.together(work, by)


def _done(
    books: "Books", intake: "Intake", by: str | None, require_unchanged: Callable[[], None] = lambda: None
) -> Answer:
    from .intake import Rehearsed

    is_large = intake.file.size >= LARGE

    def checked(connection: Connection, hand: "Hand") -> Answer:
        with books.file.roomy() if is_large else nullcontext():
            answer = intake(connection, hand)
        require_unchanged()  # while nothing of it is written yet
        return answer

    try:
        with collecting_seldom() if is_large else nullcontext():
            return books.together(checked, by)
    except Rehearsed as rehearsed:
        return rehearsed.answer


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], datetime, Callable[[], None]]]:
    """A regular file, when it was changed last, and what refuses it if it has changed since."""
    try:
        with open(os.open(path, os.O_RDONLY | NEVER_WAIT), "rb") as stream:  # noqa: PTH123  # a pipe would not be opened
            before = os.fstat(stream.fileno())
            if stat.S_ISFIFO(before.st_mode):
                raise Unavailable(f"{path} is not a file but a pipe: `mecris import -` reads what comes through one")
            if not stat.S_ISREG(before.st_mode):
                raise Unavailable(f"{path} is not a file: name the files, or watch the folder with --watch")

            def require_unchanged() -> None:
                after = os.fstat(stream.fileno())
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise Unavailable(f"{path} changed while it was read: import it again")

            yield stream, datetime.fromtimestamp(before.st_mtime, UTC), require_unchanged
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror or error}): check the path") from error


def _exported_by(file: File, mtime: datetime, now: datetime) -> datetime:
    """The file's own time; one that has not come yet would be right before every export to come."""
    if mtime > now + LATE:
        raise TimeRefused(
            f"{file.name} was changed last at {time_text(mtime)}, which has not come yet: say when it was exported with --exported-at"
        )
    return min(mtime, now)


def _importer_of(file: File, format: str | None) -> ModuleType:
    """The importer of a format, or the one that takes the file for its own."""
    if format is not None:
        if format not in FORMATS:
            raise NotFound(f"there is no format '{format}' (there are: {', '.join(FORMATS)})", code="format")
        require_export(file)
        return FORMATS[format]
    found = recognised(file)
    if not found:
        require_export(file)
        raise refusal(file)
    if len(found) > 1:
        names = ", ".join(importer.NAME for importer in found)
        raise PayloadRefused(f"{file.name} may be of several formats: say which with --format, of {names}")
    return found[0]


@contextmanager
def _reading_ahead(importer: ModuleType, file: File, packing: Packing, exported: str) -> Iterator[Ahead | None]:
    """A large file is read by another process from now on, while it is found out whether it is known."""
    if file.size < LARGE:
        yield None
    else:
        with read_ahead(importer, file, packing.opened_again(), exported) as found:
            yield exported, found


def _digest(stream: IO[bytes]) -> str:
    """The SHA-256 of a file."""
    digest = sha256()
    stream.seek(0)
    while part := stream.read(PART):
        digest.update(part)
    return digest.hexdigest()
