"""Figures of reports that stand for a whole cycle so far: each is kept, and of two about the same moment the later exported one is right."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from .errors import AmountRefused
from .money import cents
from .period import as_text


class Figure(NamedTuple):
    """What a report said at a moment: an amount, or a balance and of which credit, with what it was read from.

    `rank` tells which of two figures of one cycle and moment is right: the greater one, as text.
    """

    cycle: int
    measured_at: datetime
    rank: str
    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    payload: str

    @property
    def about(self) -> tuple[int, datetime]:
        """What it is a figure of."""
        return self.cycle, self.measured_at

    @property
    def said(self) -> tuple[Decimal | None, Decimal | None, Decimal | None, str]:
        """What it says."""
        return self.amount, self.balance, self.credit, self.payload


def rank_of(
    exported_at: datetime, said: tuple[Decimal | None, Decimal | None, Decimal | None, str], *, is_said: bool = False
) -> str:
    """The later export is right; of two of the same moment one whose credit somebody said, and else always the same one, whichever came first."""
    return f"{as_text(exported_at)}|{'~' if is_said else ''}{sha256(repr(said).encode()).hexdigest()[:16]}"


def right_of(figures: Iterable[Figure]) -> dict[tuple[int, datetime], Figure]:
    """The right figure for each cycle and moment, whatever order they come in."""
    found: dict[tuple[int, datetime], Figure] = {}
    for figure in figures:
        known = found.get(figure.about)
        if known is None or figure.rank > known.rank:
            found[figure.about] = figure
    return found


def require_sense(figure: Figure) -> None:
    """Refuse what no cycle would take, also of a figure that another one of its moment is right before."""
    if figure.amount is not None and figure.amount < 0:
        raise AmountRefused(
            f"the amount {cents(figure.amount)} is negative: a source says how much was spent so far, 0 or more"
        )
    if figure.credit is None or figure.balance is None:
        return
    if figure.credit < 0 or figure.balance > figure.credit:
        raise AmountRefused(
            f"{cents(figure.balance)} left of {cents(figure.credit)} is no balance: record what was spent by hand"
        )


def new_among(figures: Iterable[Figure], known: Iterable[Figure]) -> list[Figure]:
    """Figures that were not known; one that says what a later export said too adds nothing."""
    kept = list(known)
    right = right_of(kept)
    found: list[Figure] = []
    for figure in figures:
        stands = right.get(figure.about)
        said_later = stands is not None and stands.rank >= figure.rank and stands.said == figure.said
        if not said_later and figure not in kept:
            found.append(figure)
    return found
