"""Evidence: the files that were imported, and the lines of them that could not be read."""

import json
from typing import TYPE_CHECKING, Any

from ..domain.period import from_text, time_text
from ..projections import imports
from .answers import Answer
from .moments import Asked, Moment

if TYPE_CHECKING:
    from .books import Books


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
        for line, reason in imports.unreadable(ask.connection, file.id)
    ]


def retried(books: "Books", by: str | None) -> list[Answer]:
    """Read every file with unreadable lines again."""
    from .importing import retry

    with books.file.reading() as connection:
        files = [file for file in _newest(imports.files(connection, books.position)) if file.unreadable]
    return [retry(books, file, by) for file in files]
