"""Ids: small integers outside, names in the log inside; both follow from numbers that events carry."""

SOURCES = 999
"""Sources a cycle may name: every pair of them is compared, and `source_id` leaves room for three digits."""


def cycle_key(number: int) -> str:
    """The name of a cycle in the log; ordered as text like the numbers are."""
    return f"cycle-{number:08d}"


def cycle_of(key: str) -> int:
    """The number of a cycle from its name in the log."""
    return int(key[6:])


def source_id(cycle: int, source: int) -> int:
    """The id of a source everywhere outside: source 12 of cycle 3 is 3012."""
    return cycle * (SOURCES + 1) + source


def source_of(id: int) -> int:
    """The number of a source in its cycle."""
    return id % (SOURCES + 1)


def cycle_of_source(id: int) -> int:
    """The cycle a source belongs to."""
    return id // (SOURCES + 1)
