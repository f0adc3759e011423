"""What stands in a JSON file: one entry, an array of them, or one a line. Only the first line tells which, so large files stay on disk."""

from collections.abc import Callable, Iterator
from typing import Any

from ..domain.errors import PayloadRefused
from .reading import File, Line, read_json


def value_of(line: Line) -> Any:
    """The JSON of a line, or the line itself if it cannot be read."""
    try:
        return read_json(line.text or "")
    except PayloadRefused:
        return line


def entries_of(file: File, value: Callable[[Line], Any] = value_of) -> Iterator[tuple[int, Any]]:
    """Every entry with its number, or that of its line; a line that cannot be read is given as it is."""
    first = next(_lines(file), None)
    if first and isinstance(value(first), Line | list):
        try:
            document = file.json
            return enumerate(document if isinstance(document, list) else [document], 1)
        except PayloadRefused:
            pass  # its first line is broken, and others may not be
    return ((line.number, value(line)) for line in _lines(file))


def _lines(file: File) -> Iterator[Line]:
    return (line for line in file.lines() if line.text is None or line.text.strip())
