"""Tokens by class, as dispatches report them and bills name them."""

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
