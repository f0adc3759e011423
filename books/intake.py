"""What one file brings, taken in with the pen in hand: its lines and figures, itself as evidence, and readings of cycles."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..domain import commands as c
from ..domain.errors import NotFound, RuleRefused, Unavailable
from ..domain.figures import Figure, rank_of
from ..domain.lines import Changed, Line
from ..domain.period import as_text, from_text
from ..domain.terms import Terms
from ..domain.text import name_of
from ..importers.batches import Batch, batches, not_of
from ..importers.jsonl import CUT
from ..importers.kinds import WRONG_SHAPE, Look, Report, Unreadable
from ..importers.reading import File
from ..projections import follow, imports, ledger
from ..store.connection import Connection
from .answers import Answer
from .packing import Packing, is_kept
from .telling import Told, cycle_of, tell_cycles

if TYPE_CHECKING:
    from .importing import Ahead, Asked, Progress
    from .pricing import Prices
    from .writing import Hand

NAMED = 1_000
"""Unreadable lines that are kept on record one by one; the rest is counted."""
MODELS = 50
"""Models without a price that are named."""


class Rehearsed(Exception):
    """What a dry run would have come to; raised so that nothing of it is written."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Intake:
    """The import of one file, done with the pen in hand."""

    def __init__(
        self,
        file: File,
        importer: ModuleType,
        digest: str,
        exported_at: datetime,
        now: datetime,
        asked: "Asked",
        *,
        packing: Packing | None = None,
        ahead: "Ahead | None" = None,
        progress: "Progress | None" = None,
        said: tuple[str, str, str] | None = None,
    ) -> None:
        """Of a file that is kept and read again there is nothing to pack, and it is known whose it was `said` to be."""
        self.file, self.importer, self.digest = file, importer, digest
        self.exported_at, self.now, self.asked = exported_at, now, asked
        self.packing, self.ahead, self.progress, self.said = packing, ahead, progress, said
        self.is_said = False
        """Was it said whose money all of it is?"""
        self.counts = Counter[str]()
        self.unpriced = Counter[str]()
        self.providers: set[str] = set()
        self.unreadable: list[Unreadable] = []
        self.remarks: list[str] = []
        self.incomplete = False
        self.told = Told()
        self.figures: list[Figure] = []
        self.before: list[imports.Kept] = []
        """The same bytes, each time they were noted for this report as of this format."""
        self.changed = self.is_read = self.is_packed = self.is_withdrawn = False
        self._prices: Prices | None = None
        self.report = self._report(importer)

    def __call__(self, connection: Connection, hand: "Hand") -> Answer:
        """Do it, and say what came of it."""
        importer, report = self.importer, self.report
        follow.catch_up(connection)
        self._require_cycle(connection)
        self.before = imports.kept(connection, self.digest, report.name, importer.NAME)
        if self.asked.piped and self.before and not imports.has_figures(connection, report.name):
            self.exported_at = from_text(max(file.exported_at for file in self.before))
        self.is_packed = is_kept(connection, self.digest, 0)
        self.is_withdrawn = imports.is_withdrawn(connection, report.name)
        if not self.before:
            self.remarks += [
                f"the same bytes were imported before as '{other}', which counts too: if one of them was a slip, withdraw "
                f"that one, `mecris evidence withdraw '{other}' --reason TEXT`, or '{report.name}'"
                for other in imports.others(connection, self.digest, report.name)
            ]
        is_new = False
        if self._may_say_more(connection, importer, report):
            self.is_read = True
            if self.packing and not self.is_packed:
                self.packing.start()
            self._take_in(connection, hand, importer, report)
            is_new = self._says_more(importer)
        if is_new:
            self._keep(connection, hand, importer, report)
        if self.asked.tell or self.asked.dry_run or self.figures:
            self.told = tell_cycles(connection, hand, report.name, self.now)
        answer = self._answer(importer, report, is_new)
        if self.asked.dry_run:
            raise Rehearsed(answer)
        return answer

    def _may_say_more(self, connection: Connection, importer: ModuleType, report: Report) -> bool:
        """Can anything new come of reading the file? The same bytes under a later time are a later statement.

        A figure that names no moment is of the moment at which its file was saved, also of an earlier one, and of the cycle that was named.
        """
        if self.said is not None or self._is_noted_anew(importer):
            return True
        if self.asked.credit is not None:
            return True
        known = {(file.exported_at, file.cycle_id) for file in self.before}
        return (as_text(self.exported_at), self.asked.cycle_id) not in known and imports.has_figures(
            connection, report.name
        )

    def _is_noted_anew(self, importer: ModuleType) -> bool:
        """Is the file unknown, or read by a newer importer, for another cycle, exported later than we knew, or withdrawn?"""
        return (
            not self.before
            or self.is_withdrawn
            or max(file.version for file in self.before) < importer.VERSION
            or as_text(self.exported_at) > max(file.exported_at for file in self.before)
            or self.asked.cycle_id not in {file.cycle_id for file in self.before}
        )

    def _says_more(self, importer: ModuleType) -> bool:
        """Did reading it bring anything that is not on record?"""
        if self.changed or self._is_noted_anew(importer):
            return True
        return self.counts["unreadable"] != self.before[-1].unreadable

    def _require_cycle(self, connection: Connection) -> None:
        if self.asked.cycle_id is not None and ledger.cycle(connection, self.asked.cycle_id) is None:
            raise NotFound(
                f"there is no cycle {self.asked.cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            )

    def _report(self, importer: ModuleType) -> Report:
        report = self._said(importer)
        name_of(report.money_of, "the provider")
        name_of(report.label, "the source")
        return report

    def _said(self, importer: ModuleType) -> Report:
        try:
            report: Report = importer.report(self.file)
        except WRONG_SHAPE as error:
            raise not_of(importer, self.file) from error
        if self.said is not None:
            provider, account, source = self.said
            self.is_said = (provider, account) != (report.provider, report.account)
            return report._replace(provider=provider, account=account, source=source)
        if self.asked.provider is None:
            if not report.provider:
                self.remarks.append("nobody said whose this is, so it is the unnamed provider's: say with --provider")
            return report
        if not self.asked.provider:
            raise RuleRefused("--provider names nobody: say whose money it is, or leave it away", code="provider")
        self.is_said = True
        provider, _, account = self.asked.provider.partition(":")
        if report.provider and report.provider != provider:
            self.remarks.append(f"the file is of '{report.provider}': taken for '{provider}', as was said")
        source = report.source if report.provider else f"{provider} {report.source}"  # a page does not say whose it is
        return report._replace(provider=provider, account=account, source=source)

    # -- lines ----------------------------------------------------------------------------------------------------

    def _take_in(self, connection: Connection, hand: "Hand", importer: ModuleType, report: Report) -> None:
        exported = max(as_text(self.exported_at), *(file.exported_at for file in self.before), "")
        self._prices = _price_list() if report.estimate else None
        with self._batches(importer, exported) as batches:
            for batch in batches:
                self._note(connection, batch)
                if batch.lines:
                    self._take_in_lines(hand, report, batch.lines)
                if self.progress:
                    self.progress(batch.place)
        if self.asked.credit is not None and all(figure.credit != self.asked.credit for figure in self.figures):
            raise RuleRefused(
                f"{self.file.name} has no balance that does not say what it is left of: import it without --of",
                code="no-balance",
            )
        if self.figures:
            self._note_figures(hand, report)

    @contextmanager
    def _batches(self, importer: ModuleType, exported: str) -> Iterator[Iterator[Batch]]:
        """What the file says; while the first of a large one is read, there is time to read the prices."""
        if self.ahead and self.ahead[0] == exported:
            if self._prices:
                self._prices.load()
            yield self.ahead[1]
        else:
            with closing(batches(importer, self.file, exported)) as found:
                yield found

    def _note(self, connection: Connection, batch: Batch) -> None:
        """Take down what is not a line."""
        self.counts["lines"] += len(batch.lines) + len(batch.looks)
        self.counts["unreadable"] += len(batch.unreadable)
        self.unreadable += batch.unreadable[: NAMED - len(self.unreadable)]
        self.figures += [self._figure(connection, look) for look in batch.looks]
        self.remarks += [remark.text for remark in batch.remarks][: NAMED - len(self.remarks)]
        self.incomplete |= any(remark.incomplete for remark in batch.remarks)
        self.incomplete |= any(reason == CUT for _, reason in batch.unreadable)

    def _take_in_lines(self, hand: "Hand", report: Report, lines: list[Line]) -> None:
        if self.is_said:
            lines = [line._replace(provider="") if line.provider else line for line in lines]
        self.providers |= {line.provider for line in lines}
        if report.estimate and self._prices is None:
            _require_said(lines)
        prices = self._prices if any(line.run is not None for line in lines) else None
        order = c.ImportLines(
            **self._said_by(report),
            estimate=report.estimate,
            prices=prices.version if prices else None,
            price=partial(self._priced, report.provider) if prices else None,
            lines=tuple(lines),
        )
        answer = hand(order)
        changed: Changed = answer["changed"]
        self.changed |= answer["recorded"]
        self.counts["new"] += len(changed.new)
        self.counts["restated"] += len(changed.restated)
        self.counts["passed"] += changed.passed
        self.counts["dispatches"] += changed.dispatches
        if not report.estimate:
            self.unpriced.update(what_is_priced(line) for line in lines if _has_no_price(line))

    def _note_figures(self, hand: "Hand", report: Report) -> None:
        order = c.ImportFigures(
            **self._said_by(report),
            figures=tuple(self.figures),
        )
        self.changed |= hand(order)["recorded"]

    def _said_by(self, report: Report) -> dict[str, Any]:
        """Of which report something is, and which file says it."""
        return {
            "report": report.name,
            "provider": report.provider,
            "account": report.account,
            "source": report.source,
            "type": report.type,
            "evidence": self.digest,
            "exported_at": self.exported_at,
        }

    def _figure(self, connection: Connection, look: Look) -> Figure:
        at = look.measured_at or min(self.exported_at, self.now)
        is_said = look.balance is not None and look.credit is None and self.asked.credit is not None
        said = look.amount, look.balance, self.asked.credit if is_said else look.credit, look.payload
        rank = rank_of(self.exported_at, said, is_said=is_said)
        return Figure(cycle_of(connection, at, self.asked.cycle_id), at, rank, *said)

    def _priced(self, provider: str, line: Line) -> Decimal | None:
        assert self._prices is not None  # nothing is priced without a list of prices
        usd = self._prices.of(provider, line)
        if usd is None:
            self.unpriced[what_is_priced(line)] += 1
        return usd

    # -- evidence -------------------------------------------------------------------------------------------------

    def _keep(self, connection: Connection, hand: "Hand", importer: ModuleType, report: Report) -> None:
        order = c.FileEvidence(
            sha256=self.digest,
            size=self.file.size,
            file_name=self.file.name,
            format=importer.NAME,
            version=importer.VERSION,
            report=report.name,
            exported_at=self.exported_at,
            items=self.counts["lines"],
            unreadable_count=self.counts["unreadable"],
            unreadable=tuple(self.unreadable),
            remarks=tuple(dict.fromkeys([*self.remarks, *without_price(self.unpriced)])),
            incomplete=self.incomplete,
            cycle_id=self.asked.cycle_id,
        )
        hand(order)
        parts = self.packing.parts() if self.packing and not self.is_packed else ()
        connection.executemany(
            "INSERT INTO evidence VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((self.digest, number, part) for number, part in enumerate(parts)),
        )

    def _passed(self) -> Iterator[str]:
        """Say of lines that they are not what counts."""
        if n := self.counts["passed"]:
            yield f"{n:,} {'line says' if n == 1 else 'lines say'} otherwise than a better or later copy, which stands"

    def _answer(self, importer: ModuleType, report: Report, is_new: bool) -> Answer:
        told = self.told.shown()
        remarks = [*self.remarks, *self._passed(), *without_price(self.unpriced), *told.pop("remarks")]
        return Answer(
            **told,
            file=self.file.name,
            sha256=self.digest,
            format=importer.NAME,
            report=report.name,
            provider=", ".join(sorted({provider or report.money_of for provider in self.providers or ("",)})),
            source=report.label,
            recorded=is_new or self.told.readings + self.told.retracted > 0,
            lines=self.counts["lines"],
            new=self.counts["new"],
            restated=self.counts["restated"],
            unreadable=self.counts["unreadable"] if self.is_read else self.before[-1].missing,
            dispatches=self.counts["dispatches"],
            incomplete=self.incomplete,
            remarks=list(dict.fromkeys(remarks)),
            quarantine=[{"line": line, "reason": reason} for line, reason in self.unreadable],
            **({"dry_run": True} if self.asked.dry_run else {}),
        )


def _has_no_price(line: Line) -> bool:
    return line.run is not None and line.usd is None


def _price_list() -> "Prices | None":
    """The list of prices, if it is there."""
    from .pricing import Prices

    try:
        return Prices()
    except Unavailable:
        return None


def _require_said(lines: Iterable[Line]) -> None:
    """Refuse calls of which nobody says what they cost, where there is no list of prices."""
    from .pricing import Prices

    if any(_has_no_price(line) for line in lines):
        Prices()


def what_is_priced(line: Line) -> str:
    """What has a price or not: a model, with the terms that have none of their own."""
    other = Terms.of(line.terms).other
    return f"{line.model or 'no model'} ({other})" if other else line.model or "no model"


def without_price(unpriced: Counter[str]) -> list[str]:
    """What a person should know of calls, or sums of calls, that have no price."""
    found = sorted(unpriced.items())
    told = [
        f"{count:,} {'line' if count == 1 else 'lines'} of {what} {'has' if count == 1 else 'have'} no price: what "
        f"{'it' if count == 1 else 'they'} cost is unknown, not nothing"
        for what, count in found[:MODELS]
    ]
    return told if len(found) <= MODELS else [*told, f"{len(found) - MODELS:,} more models have no price"]
