"""Shapes of events that are only read any more, each with a small function that makes today's fields of them.

To change the shape of an event: give its class a new name (`.v2`), and name the old one here. The log and every
read model read through this page; one stored event of every shape ever written lies in `tests/golden/`.
"""

from collections.abc import Callable, Mapping
from typing import Any

Fields = dict[str, Any]


def as_it_is(fields: Fields) -> Fields:
    """An older shape that only lacks what may be left out today."""
    return fields


OLD: Mapping[str, tuple[str, Callable[[Fields], Fields]]] = {
    "budget-adjusted.v1": ("budget-adjusted.v2", as_it_is),  # had no origin: nothing could be rolled over
}
"""The old stored name: the name that came after it, and what makes the fields of that one."""


def today(name: str, fields: Fields) -> tuple[str, Fields]:
    """A stored event under the name and in the shape it has today."""
    while name in OLD:
        name, read = OLD[name][0], OLD[name][1]
        fields = read(fields)
    return name, fields
