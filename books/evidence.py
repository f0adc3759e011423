"""Evidence: the files that were imported, and the lines of them that could not be read."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..domain import commands as c
from ..domain.errors import NotFound
from ..domain.period import from_text, time_text
from ..projections import follow, imports
from ..store import positions
from ..store.connection import Connection
from .answers import Answer
from .moments import Asked, Moment
from .telling import tell_cycles

if TYPE_CHECKING:
    from .books import Books
    from .writing import Hand

MOST_NAMED = 10
"""Files that are named one by one."""


def listed(ask: Asked, moment: Moment) -> list[dict[str, Any]]:
    """Every file as it was known."""
    withdrawn = imports.withdrawn(ask.connection, moment.position)
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
            "withdrawn": withdrawn.get(file.report),
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
        for file in _missing_something(ask.connection, ask.position)
        for line, reason in imports.unreadable(ask.connection, file.id)
    ]


def _missing_something(connection: Connection, position: int) -> list[imports.Kept]:
    """Files with lines that could not be read and that nobody saw to; of a report that was withdrawn nothing is missing."""
    found = [file for file in _newest(imports.files(connection, position)) if file.missing]
    return [file for file in found if not imports.is_withdrawn(connection, file.report)]


def retried(books: "Books", by: str | None) -> list[Answer]:
    """Read every file with unreadable lines again."""
    from .importing import retry

    books.catch_up()
    with books.file.reading() as connection:
        files = _missing_something(connection, books.position)
    return [retry(books, file, by) for file in files]


def settled(books: "Books", digest: str, reason: str, by: str | None) -> Answer:
    """Note that somebody saw to the unreadable lines of a file, by the beginning of its digest."""

    def work(connection: Connection, hand: "Hand") -> Answer:
        follow.catch_up(connection)
        files = _newest(imports.files(connection, positions.head(connection).position))
        found = {file.sha256 for file in files if _begins(file, digest) and file.unreadable}
        if len(found) != 1:
            told = "several files with unreadable lines begin" if found else "no file with unreadable lines begins"
            raise NotFound(f"{told} with {digest!r}: `mecris evidence quarantine` lists them", code="which-file")
        if not any(file.missing for file in files if file.sha256 in found):
            return Answer(recorded=False, sha256=found.pop())
        return hand(c.SettleEvidence(sha256=found.pop(), reason=reason))

    return books.together(work, by)


def withdrawn(books: "Books", which: str, reason: str, by: str | None) -> Answer:
    """Let a report count no more, by its name or the beginning of the digest of a file, and tell the cycles."""

    def work(connection: Connection, hand: "Hand") -> Answer:
        follow.catch_up(connection)
        files = imports.files(connection, positions.head(connection).position)
        report = _one_of({file.report for file in files if which == file.report or _begins(file, which)}, which)
        if imports.is_withdrawn(connection, report):
            return Answer(recorded=False, report=report)
        hand(c.WithdrawReport(report=report, reason=reason))
        told = tell_cycles(connection, hand, report, books.now())
        told.remarks += _gone_with(file.name for file in files if file.report == report)
        return Answer(recorded=True, report=report, **told.shown())

    return books.together(work, by)


def _gone_with(names: Iterable[str]) -> Iterator[str]:
    """Name the files that count no more, if they are several: a person may have meant one of them."""
    named = list(dict.fromkeys(names))
    if len(named) > 1:
        more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
        yield (
            f"all of its {len(named):,} files count no more: {', '.join(named[:MOST_NAMED])}{more}; "
            "one more import of any of them lets all of them count again"
        )


def _begins(file: imports.Kept, digest: str) -> bool:
    """Is that the beginning of its digest? Nothing at all, as of a variable that was not set, is the beginning of none."""
    return bool(digest) and file.sha256.startswith(digest)


def _one_of(reports: set[str], which: str) -> str:
    if not reports:
        raise NotFound(f"no file begins with {which!r}: `mecris evidence list` shows them", code="which-file")
    if len(reports) > 1:
        named = ", ".join(repr(name) for name in sorted(reports))
        raise NotFound(f"files of several reports begin with {which!r}: say which, of {named}", code="which-report")
    return reports.pop()
