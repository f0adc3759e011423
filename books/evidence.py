"""Evidence: the files that were imported, and the lines of them that could not be read."""

import json
from typing import TYPE_CHECKING, Any

from ..domain import commands as c
from ..domain.errors import NotFound
from ..domain.period import from_text, time_text
from ..projections import follow, imports
from ..store import positions
from ..store.connection import Connection
from .answers import Answer
from .moments import Asked, Moment

if TYPE_CHECKING:
    from .books import Books
    from .writing import Hand


def listed(ask: Asked, moment: Moment) -> list[dict[str, Any]]:
    """Every file as it was known."""
    return [
        {
            "sha256": file.sha256,
            "file": file.name,
            "size": file.size,
            "format": file.format,
            "version": file.version,
            "report": file.report,
            "exported_at": time_text(from_text(file.exported_at)),
            "lines": file.items,
            "unreadable": file.unreadable,
            "settled": file.settled,
            "incomplete": bool(file.incomplete),
            "remarks": json.loads(file.remarks),
            "recorded_at": time_text(from_text(file.recorded_at)),
            "recorded_by": file.recorded_by,
            "position": file.id,
        }
        for file in _newest(imports.files(ask.connection, moment.position))
    ]


def _newest(files: list[imports.Kept]) -> list[imports.Kept]:
    """Each file by the newest importer and its latest time, for each report and format that it was read as."""
    found: dict[tuple[str, str, str], imports.Kept] = {}
    for file in files:
        key = file.sha256, file.report, file.format
        found[key] = max(found.get(key, file), file, key=lambda kept: (kept.version, kept.exported_at, kept.id))
    return list(found.values())


def quarantined(ask: Asked) -> list[dict[str, Any]]:
    """Every line that could not be read."""
    return [
        {"sha256": file.sha256, "file": file.name, "format": file.format, "line": line, "reason": reason}
        for file in _newest(imports.files(ask.connection, ask.position))
        if file.missing
        for line, reason in imports.unreadable(ask.connection, file.id)
    ]


def retried(books: "Books", by: str | None) -> list[Answer]:
    """Read every file with unreadable lines again."""
    from .importing import retry

    books.catch_up()
    with books.file.reading() as connection:
        files = [file for file in _newest(imports.files(connection, books.position)) if file.missing]
    return [retry(books, file, by) for file in files]


def settled(books: "Books", digest: str, reason: str, by: str | None) -> Answer:
    """Note that somebody saw to the unreadable lines of a file, by the beginning of its digest."""

    def work(connection: Connection, hand: "Hand") -> Answer:
        follow.catch_up(connection)
        files = _newest(imports.files(connection, positions.head(connection).position))
        found = {file.sha256 for file in files if file.sha256.startswith(digest) and file.unreadable}
        if len(found) != 1:
            told = "several files with unreadable lines begin" if found else "no file with unreadable lines begins"
            raise NotFound(f"{told} with {digest!r}: `mecris evidence quarantine` lists them", code="which-file")
        if not any(file.missing for file in files if file.sha256 in found):
            return Answer(recorded=False, sha256=found.pop())
        return hand(c.SettleEvidence(sha256=found.pop(), reason=reason))

    return books.together(work, by)
