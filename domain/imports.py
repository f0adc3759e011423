"""Reports and files, as they were imported. They remember nothing: what a decision needs is asked of the past."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, Protocol

from . import commands as c
from . import import_events as e
from .aggregate import Aggregate, Answer, Stamp
from .figures import Figure, new_among, require_sense
from .lines import Changed, Line, changed_by, repriced
from .money import plain
from .period import as_text
from .run import Nothing, require_room
from .text import reason_of
from .tokens import Tokens, sum_of

FACTS = 12
"""Fields of a line that stand in its event one after the other; its terms and its provider, which most have not, come beside them."""


class Reports(Protocol):
    """What was imported of a report so far."""

    def lines(self, keys: Iterable[str]) -> Mapping[str, Line]:
        """The lines with these keys; those that are unknown are left out."""

    def sums(self, names: Iterable[str]) -> Mapping[str, Tokens]:
        """What these runs come to so far; those that are unknown are left out."""

    def nothing(self, calls: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those of some calls, by run and key, that are dispatches without any tokens."""

    def figures(self) -> Iterable[Figure]:
        """Every figure."""


def report_key(name: str) -> str:
    """The name of a report in the log."""
    return f"report-{sha256(name.encode()).hexdigest()[:32]}"


def evidence_key(digest: str) -> str:
    """The name of a file in the log."""
    return f"evidence-{digest}"


class Imported(Aggregate):
    """One report, or one file."""

    @classmethod
    def nothing(cls) -> Nothing:
        """It remembers nothing."""
        return Nothing()

    @classmethod
    def at_version(cls, originator_id: str, version: int) -> "Imported":
        """What it is after so many events."""
        return cls.begin(originator_id, version, Nothing())

    def take_in(self, order: c.ImportLines, stamp: Stamp, past: Reports) -> Changed:
        """Take in what a file says of a report; what changed by it."""
        if order.again:
            changed = repriced(order.lines, order.price)
        else:
            changed = changed_by(order.lines, past.lines(line.key for line in order.lines), order.price)
        changed = changed._replace(elsewhere=changed.elsewhere - past.nothing(changed.elsewhere))
        if changed:
            _require_room(changed, past)
            self.record(
                stamp,
                e.LinesImported,
                **_said_by(order),
                estimate=order.estimate,
                prices=order.prices,
                lines=tuple(line[:FACTS] for line in changed.new),
                restated=tuple((*now[:FACTS], was.usd, was.start, was.end) for now, was in changed.restated),
                confirmed=tuple((line.key, line.rank) for line in changed.confirmed),
                elsewhere=tuple(sorted(changed.elsewhere)),
                terms=tuple((line.key, line.terms) for line in changed.lines if line.terms) or None,
                whose=tuple(line.provider for line in changed.lines) if _is_of_many(changed) else None,
                repriced=tuple((now.key, now.usd, was.usd) for now, was in changed.repriced) or None,
            )
        return changed

    def note(self, order: c.ImportFigures, stamp: Stamp, past: Reports) -> Answer:
        """Take in the figures of a file; whether any of them is new."""
        for figure in order.figures:
            require_sense(figure)
        new = new_among(order.figures, past.figures())
        if new:
            self.record(
                stamp,
                e.FiguresImported,
                **_said_by(order),
                figures=tuple(_figure(figure) for figure in new),
            )
        return {"recorded": bool(new)}

    def file(self, order: c.FileEvidence, stamp: Stamp) -> Answer:
        """Keep a file on record."""
        self.record(stamp, e.EvidenceFiled, **order.model_dump())
        return {"recorded": True, "sha256": order.sha256}

    def settle(self, order: c.SettleEvidence, stamp: Stamp) -> Answer:
        """Note that somebody saw to what could not be read of a file."""
        reason = reason_of(order.reason, "the reason")
        self.record(stamp, e.EvidenceSettled, sha256=order.sha256, reason=reason)
        return {"recorded": True, "sha256": order.sha256}

    def withdraw(self, order: c.WithdrawReport, stamp: Stamp) -> Answer:
        """Let nothing of a report count any more."""
        reason = reason_of(order.reason, "the reason")
        self.record(stamp, e.ReportWithdrawn, report=order.report, reason=reason)
        return {"recorded": True, "report": order.report}


def _said_by(order: c.ImportLines | c.ImportFigures) -> dict[str, Any]:
    """Of which report something is, and which file says it."""
    names = ("report", "provider", "account", "source", "type", "evidence", "exported_at")
    return {name: getattr(order, name) for name in names}


def _require_room(changed: Changed, past: Reports) -> None:
    """Refuse what may make a sum of tokens larger than a figure may be."""
    calls: dict[str, list[tuple[int, int, int, int]]] = {}
    for line in changed.lines:
        run, tokens = line[5], line[7:11]
        if run is not None:
            calls.setdefault(run, []).append(tokens)
    before = past.sums(calls)
    for run, counts in calls.items():
        require_room(f"run '{run}'", sum_of(counts).plus(before.get(run, Tokens())))


def _is_of_many(changed: Changed) -> bool:
    return any(line.provider for line in changed.lines)


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _figure(figure: Figure) -> tuple[object, ...]:
    amounts = (figure.amount, figure.balance, figure.credit)
    return figure.cycle, as_text(figure.measured_at), figure.rank, *map(_plain, amounts), figure.payload
