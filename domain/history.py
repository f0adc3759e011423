"""What a decision may ask of the past: all standing readings of one cycle, at the version that is decided on."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Protocol

from .tie_out import Reading, Source, Statement


class Past(Protocol):
    """The readings of one cycle that stand, at one version."""

    def last_by(self, source: Source, moment: datetime, without: int = 0) -> Reading | None:
        """The last reading of the source that counts for the moment, leaving one reading number out."""

    def statements(self, source: Source, measured_at: datetime) -> Iterable[Statement]:
        """What the source said with exactly this stated time."""

    def reading(self, number: int) -> tuple[int, Reading] | None:
        """A standing reading and the number of its source."""

    def balances_since(self, moment: datetime) -> Iterable[tuple[int, Reading]]:
        """Standing balances without a credit of their own, measured at a moment or later, with their sources' numbers."""

    def current_and_first(self, source: Source, without: int) -> tuple[Reading, Reading] | None:
        """What would stand in a source without one of its readings; None if nothing would."""


class Without(NamedTuple):
    """The past without a reading that is being retracted."""

    past: Past
    reading: int = 0

    def last_by(self, source: Source, moment: datetime) -> Reading | None:
        """The last reading that counts for the moment."""
        return self.past.last_by(source, moment, self.reading)
