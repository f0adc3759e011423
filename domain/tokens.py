"""Tokens by class, as dispatches report them and bills name them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple


class Tokens(NamedTuple):
    """Tokens by class; input is uncached."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def plus(self, other: "Tokens", sign: int = 1) -> "Tokens":
        """The sum, class by class."""
        return Tokens(*(a + sign * b for a, b in zip(self, other, strict=True)))


def sum_of(counted: Iterable[tuple[int, int, int, int]]) -> Tokens:
    """What several come to, class by class."""
    columns = zip(*counted, strict=True)
    return Tokens(*map(sum, columns))


class Reported(NamedTuple):
    """What a dispatch reported last."""

    tokens: Tokens
    stated: int | None
    model: str | None
    running: bool


class Sum(NamedTuple):
    """What the dispatches of a run reported together."""

    dispatches: int = 0
    running: int = 0
    tokens: Tokens = Tokens()


class Bill(NamedTuple):
    """One comparison as it was put on record: what was billed, what was reported, and what was found."""

    reported: tuple[int | None, ...]
    billed: tuple[int | None, ...]
    tolerance: tuple[int, Decimal]
    status: str
    running: int


CLASSES = ("in", "out", "cache_read", "cache_write")
"""What the classes are called in answers."""
Counts = Sequence[int | None]
"""Tokens by class; None for a class that is not compared."""


def deltas_of(reported: Counts, billed: Counts) -> tuple[int | None, ...]:
    """Billed less reported, class by class."""
    return tuple(None if b is None or r is None else b - r for r, b in zip(reported, billed, strict=True))


def reason_of(dispatch_id: str | None, reported: Counts, billed: Counts) -> str:
    """A discrepancy in words."""
    named = zip(CLASSES, deltas_of(reported, billed), strict=True)
    deltas = " ".join(f"{name}={delta:+d}" for name, delta in named if delta is not None)
    sides = ["/".join(str(count) for count in side if count is not None) for side in (reported, billed)]
    whose = f"dispatch {dispatch_id}: " if dispatch_id is not None else ""
    return f"{whose}token discrepancy: {deltas} (reported={sides[0]}, billed={sides[1]})"
