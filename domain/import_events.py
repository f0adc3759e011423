"""Events of imports: files that were kept as evidence, and the lines and figures of reports that stand in them."""

from typing import Any, ClassVar

from .event import Event, Moment


class ImportEvent(Event):
    """Something that happened to a report or to a file; the first one makes it."""

    def first_of(self) -> Any:
        """Nothing is known of it yet."""
        from .imports import Imported

        return Imported.blank(self.originator_id)


class EvidenceFiled(ImportEvent):
    """A file was read and kept. `unreadable` are the lines that could not be read, with reasons; the rest of it counts."""

    stored_as: ClassVar[str] = "evidence-filed.v1"
    sha256: str
    size: int
    file_name: str
    format: str
    version: int
    report: str
    exported_at: Moment
    items: int
    unreadable_count: int = 0
    unreadable: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    incomplete: bool = False
    cycle_id: int | None = None


class EvidenceSettled(ImportEvent):
    """Somebody saw to the lines of a file that could not be read: nothing of them is missing any more."""

    stored_as: ClassVar[str] = "evidence-settled.v1"
    sha256: str
    reason: str


class ReportWithdrawn(ImportEvent):
    """Nothing of a report counts any more, as when files were imported for the wrong provider. What comes of it later counts, all of it."""

    stored_as: ClassVar[str] = "report-withdrawn.v1"
    report: str
    reason: str


class LinesImported(ImportEvent):
    """Lines of a report. Those of calls are dispatches of their runs too: nothing else says so in the log.

    Each is a list: key, rank, start, end, usd, run, model, input tokens, output tokens, tokens read from and written to a cache, and
    whether what it costs is the price of its tokens. `lines` are new; `restated` are followed by what stood there before: usd, start,
    end. `confirmed` lines say what they said, in a copy of another rank: key, rank. `elsewhere` are calls that are nothing in a run in
    which they were found, as they belong to another: run, key. `terms` are what the price of some calls depends on beside their tokens:
    key, terms. `whose` says whose money each of `lines` and `restated` is, in their order; empty, it is the report's own. `repriced` calls
    cost otherwise by another list of prices, and no more is new about them: key, usd, usd before.
    """

    stored_as: ClassVar[str] = "lines-imported.v1"
    report: str
    provider: str
    account: str
    source: str
    type: str
    estimate: bool = False
    prices: str | None = None
    evidence: str
    exported_at: Moment
    lines: tuple[tuple[Any, ...], ...]
    restated: tuple[tuple[Any, ...], ...] = ()
    confirmed: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[str, str], ...] | None = None
    whose: tuple[str, ...] | None = None
    repriced: tuple[tuple[str, str | None, str | None], ...] | None = None


class FiguresImported(ImportEvent):
    """Figures of a report that stand for a whole cycle so far.

    Each is a list: cycle, measured at, rank, amount, balance, the credit that the balance is left of, and what it was read from.
    """

    stored_as: ClassVar[str] = "figures-imported.v1"
    report: str
    provider: str
    account: str
    source: str
    type: str
    evidence: str
    exported_at: Moment
    figures: tuple[tuple[Any, ...], ...]


IMPORT_EVENTS: tuple[type[Event], ...] = (
    EvidenceFiled,
    EvidenceSettled,
    ReportWithdrawn,
    LinesImported,
    FiguresImported,
)
"""Everything that can happen to reports and files."""
