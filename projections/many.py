"""Looking up many rows at once."""

from collections.abc import Iterator, Sequence

AT_ONCE = 500
"""Names that one look-up asks for: more are no faster, and every SQLite takes as many."""


def batches(names: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """The names in batches, each with as many marks to bind them to."""
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        yield some, ", ".join("?" * len(some))
