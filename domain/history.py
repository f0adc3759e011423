"""What a decision may ask of the past: all standing readings of one cycle, at the version that is decided on."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from .tie_out import Reading, Source, counts_for


class Statement(NamedTuple):
    """What one reading said, to tell whether the same is said again. `payload` is its SHA-256, if it had one."""

    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    payload: str | None


class Past(Protocol):
    """The readings of one cycle that stand, at one version."""

    def last_by(self, source: Source, moment: datetime, without: int = 0) -> Reading | None:
        """The last reading of the source that counts for the moment, leaving one reading number out."""

    def statements(self, source: Source, measured_at: datetime) -> Iterable[Statement]:
        """What the source said with exactly this stated time."""

    def reading(self, number: int) -> tuple[int, Reading] | None:
        """A standing reading and the number of its source."""

    def current_and_first(self, source: Source, without: int) -> tuple[Reading, Reading] | None:
        """What would stand in a source without one of its readings; None if nothing would."""


class Amended(NamedTuple):
    """The past with what was just decided: one reading more, or one less."""

    past: Past
    ends: datetime
    source: int = 0
    added: Reading | None = None
    without: int = 0

    def last_by(self, source: Source, moment: datetime) -> Reading | None:
        """The last reading that counts for the moment; an added one is the later recorded."""
        found = self.past.last_by(source, moment, self.without)
        added = self.added if source.number == self.source else None
        if added is None or not counts_for(added, moment, self.ends):
            return found
        return added if found is None or added.measured_at >= found.measured_at else found
