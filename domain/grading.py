"""Grades: how far apart two figures are, decided on unrounded numbers."""

from decimal import Decimal
from typing import NamedTuple

from .money import EXACT, percent_of

EXCELLENT, GOOD, FAIR, POOR, UNVERIFIED = "EXCELLENT", "GOOD", "FAIR", "POOR", "UNVERIFIED"
GRADES = (EXCELLENT, GOOD, FAIR, POOR, UNVERIFIED)
"""From best to worst; UNVERIFIED says that nothing could be compared."""


class Thresholds(NamedTuple):
    """The inclusive upper bounds of the grades, in percent, increasing."""

    excellent: Decimal = Decimal(1)
    good: Decimal = Decimal(5)
    fair: Decimal = Decimal(10)


DEFAULT = Thresholds()


class Comparison(NamedTuple):
    """How far apart two figures are: `diff` dollars, of `base` dollars."""

    diff: Decimal
    base: Decimal
    grade: str

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent, to 60 digits; None when nothing could be compared."""
        if self.grade == UNVERIFIED:
            return None
        return percent_of(self.diff, self.base) if self.base else self.diff


def grade_of(diff: Decimal, base: Decimal, thresholds: Thresholds) -> str:
    """Grade `diff / base` by multiplication, so that no rounding can tip it; 0 of 0 agrees."""
    for grade, bound in zip((EXCELLENT, GOOD, FAIR), thresholds, strict=True):
        if EXACT.multiply(diff, Decimal(100)) <= EXACT.multiply(bound, base):
            return grade
    return POOR


def compare(a: Decimal, b: Decimal, thresholds: Thresholds) -> Comparison:
    """Compare two figures: the difference, and the larger of the two as its measure."""
    diff, base = abs(EXACT.subtract(a, b)), max(abs(a), abs(b))
    return Comparison(diff, base, grade_of(diff, base, thresholds))


def meets(grade: str, wanted: str) -> bool:
    """Is `grade` at least `wanted`? UNVERIFIED meets nothing."""
    return grade != UNVERIFIED and GRADES.index(grade) <= GRADES.index(wanted)
