"""The budget cycle: what it decides, and on which grounds it refuses."""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import commands as c
from . import events as e
from .aggregate import Aggregate, Answer, Stamp
from .closing import close, reopen
from .errors import AmountRefused, ConfirmationNeeded, NotFound, RuleRefused, TimeRefused
from .findings import analysis
from .grading import Thresholds
from .history import Past, Without
from .ids import SOURCES, cycle_key, source_id
from .money import cents, dollars, exactly, plain, shown, usd
from .period import day, time_text, zone
from .records import record_of
from .state import CycleState, standing
from .statement import Said, require_sense, said_by
from .text import name_of, reason_of
from .tie_out import MANUAL, REALTIME, Provider, TieOut, added_up, tie_out

_BALANCE = re.compile(r"\b(?:balance|remaining|left|available)\b", re.IGNORECASE)
PLUG_LIMIT = Decimal(5)
"""Dollars above which a plug needs an explicit yes."""


class BudgetCycle(Aggregate):
    """One budgeting period and everything that is said about it."""

    if TYPE_CHECKING:
        state: CycleState  # the library would turn a class with annotations into a dataclass

    @classmethod
    def open(cls, order: c.OpenCycle, number: int, stamp: Stamp) -> "BudgetCycle":
        """Open a cycle."""
        first, last = day(order.start_date), day(order.end_date)
        zone(order.timezone)
        if last < first:
            raise TimeRefused(f"the cycle would end on {last}, before it starts on {first}: swap the two days")
        if order.target_usd < 0:
            raise AmountRefused(f"the target {cents(order.target_usd)} is negative: give what may be spent, 0 or more")
        event = e.CycleOpened(
            originator_id=cycle_key(number),
            originator_version=1,
            recorded_at=stamp.recorded_at,
            recorded_by=stamp.recorded_by,
            via=stamp.via,
            cycle=number,
            start_date=first,
            end_date=last,
            target_usd=order.target_usd,
            timezone=order.timezone,
            notes=reason_of(order.notes, "the note") if order.notes is not None else None,
        )
        cycle = cls.opened_by(event)
        cycle.pending_events.append(event)
        return cycle

    @classmethod
    def opened_by(cls, event: e.CycleOpened) -> "BudgetCycle":
        """The cycle that its first event describes."""
        return cls.begin(event.originator_id, event.originator_version, CycleState.opened_by(event))

    @classmethod
    def restored(cls, originator_id: str, version: int, state: CycleState) -> "BudgetCycle":
        """A cycle as it was at a version."""
        return cls.begin(originator_id, version, state)

    @exactly
    def decide(self, order: c.CycleCommand, stamp: Stamp, past: Past) -> Answer:
        """Do what an order says, or refuse it; the answer tells what came of it."""
        before = len(self.pending_events)
        if self.state.closed and not isinstance(order, c.ReopenCycle):
            self.require_open()
        answer = _DECIDE[type(order)](self, order, stamp, past)
        return {"cycle_id": self.state.cycle, "recorded": len(self.pending_events) > before, **answer}

    @exactly
    def feed(self, order: c.RecordSource, stamp: Stamp, past: Past) -> Answer | None:
        """Take what a counter shows, or None if that is what its source says now.

        A counter that was corrected may show again what it showed before, so that this was said once is no reason to leave it out.
        """
        self.require_open()
        known = self.state.sources.get(order.source)
        now = (known.current.amount, known.current.measured_at) if known else (None, None)
        if now == (order.amount, order.measured_at):
            return None
        return self._record_source(order, stamp, past, anew=now[1] == order.measured_at)

    def require_open(self) -> None:
        """Refuse whatever a closed cycle does not take."""
        if self.state.closed:
            raise RuleRefused(
                f"cycle {self.state.cycle} was closed at {time_text(self.state.closed.at)}: reopen it first "
                f"(mecris budget cycle reopen --cycle {self.state.cycle} --reason ...)",
                code="cycle-closed",
            )

    # -- the budget ---------------------------------------------------------------------------------------------

    def _adjust(self, order: c.AdjustBudget, stamp: Stamp, past: Past) -> Answer:
        reason, provider = reason_of(order.reason, "the reason"), name_of(order.provider, "the provider")
        at = stamp.now if order.at is None else self.state.period.beginning_of(order.at)
        if not order.amount_usd:
            raise AmountRefused("an adjustment of 0 changes nothing: give what was added, or taken away with a minus")
        if at > stamp.now:
            raise TimeRefused(f"the adjustment would count from {time_text(at)}, which has not come: record it then")
        self.require_balances_below_credit(order.amount_usd, at, provider, past)
        adjustment = len(self.state.adjustments) + 1
        self.record(
            stamp,
            e.BudgetAdjusted,
            adjustment=adjustment,
            amount_usd=order.amount_usd,
            at=at,
            reason=reason,
            provider=provider,
        )
        self.put_on_record(stamp, past)
        return {"adjustment": adjustment, "amount_usd": order.amount_usd, "budget_usd": self._budget()}

    def require_balances_below_credit(self, amount: Decimal, at: datetime, provider: str, past: Past) -> None:
        """Refuse what would make a balance that stands, current or not, say that less than nothing was spent."""
        if amount > 0:
            return
        ledger = self.state.ledger()
        for number, reading in past.balances_since(at):
            source = self.state.source_numbered(number)
            if source is None or provider not in ("", source.provider):
                continue
            credit = ledger.credit_at(reading.measured_at, source.provider) + amount
            if reading.balance is not None and reading.balance > credit:
                raise RuleRefused(
                    f"'{source.name}' said (reading {reading.number}) that {cents(reading.balance)} were left, more than the "
                    f"{cents(credit)} there would have been: retract that reading first, or give the adjustment a later --at",
                    code="balance-above-credit",
                )

    def _budget(self) -> Decimal:
        return self.state.ledger().budget

    def _change_thresholds(self, order: c.ChangeThresholds, stamp: Stamp, past: Past) -> Answer:
        wanted = Thresholds(*(usd(bound, "threshold") for bound in (order.excellent, order.good, order.fair)))
        if not 0 <= wanted.excellent < wanted.good < wanted.fair:
            raise RuleRefused(
                f"thresholds must increase from 0 on, these are {', '.join(map(plain, wanted))}: excellent < good < fair",
                code="thresholds",
            )
        if wanted != self.state.thresholds:
            self.record(stamp, e.ThresholdsChanged, **wanted._asdict())
        return dict(wanted._asdict())

    # -- readings -----------------------------------------------------------------------------------------------

    def _record_source(self, order: c.RecordSource, stamp: Stamp, past: Past, *, anew: bool = False) -> Answer:
        said = said_by(self.state, order, stamp)
        known = said.known
        if known and not anew and said.is_said_again(past):
            return self._said(said, known.number, None)  # even if today's rules would not let it be said anew
        require_sense(said)
        source = known.number if known else self.state.sources_ever + 1
        if source > SOURCES:
            raise RuleRefused(
                f"cycle {self.state.cycle} has named {SOURCES} sources already: reuse one of their names",
                code="too-many-sources",
            )
        reading = self.state.readings + 1
        self.record(
            stamp,
            e.SourceRecorded,
            reading=reading,
            source=source,
            name=said.name,
            type=said.type,
            provider=said.provider,
            counted=said.counted,
            amount_usd=said.amount,
            balance_usd=said.balance,
            credit_usd=said.credit,
            measured_at=said.measured_at,
            stated=said.stated,
            stated_as=said.stated_as,
            payload=order.payload,
        )
        if said.type == MANUAL and order.reconcile:
            self.put_on_record(stamp, past)  # the past tells of meters only, so this manual reading is not missed in it
        return self._said(said, source, reading)

    def _said(self, said: Said, source: int, reading: int | None) -> Answer:
        amount = (
            said.amount if said.amount is not None else self.state.ledger().amount_of(said.reading(0), said.provider)
        )
        return {
            "source_id": source_id(self.state.cycle, source),
            "source": said.name,
            "reading": reading,
            "amount_usd": amount,
            "measured_at": time_text(said.measured_at),
            "warnings": list(self._warnings(said)) if reading else [],
        }

    def _warnings(self, said: Said) -> Iterable[str]:
        alike = [source.name for source in self.state.sources.values() if said.is_like(source)]
        if said.counted and said.known is None and len(alike) > 1:
            yield added_up(said.type, alike)
        if said.known is None:
            yield from self._look_alikes(said)
        elif said.type == REALTIME and said.amount is not None and said.measured_at >= said.known.current.measured_at:
            was = self.state.ledger().said(said.known)
            if said.amount < was:
                yield f"'{said.name}' fell from {dollars(was)} to {dollars(said.amount)}: a meter of a cycle only rises"
        if said.payload and said.balance is None and _BALANCE.search(said.payload):
            yield "the payload speaks of what is left: if this is a balance and not what was spent, retract it and use --remaining"
        current = self.state.sources[said.name].current
        if current.measured_at > said.measured_at:
            yield f"'{said.name}' has a later reading of {current.measured_at:%Y-%m-%d %H:%M} UTC: this one is history and does not become current"

    def _look_alikes(self, said: Said) -> Iterable[str]:
        """Names that differ only in case are different names, and most often a slip."""
        for other in self.state.sources.values():
            if other.name != said.name and other.name.casefold() == said.name.casefold():
                yield f"'{said.name}' is another source than '{other.name}': retract this reading if they are one"
            if other.provider != said.provider and other.provider.casefold() == said.provider.casefold():
                yield f"'{said.provider}' is another provider than '{other.provider}': retract this reading if they are one"
                return

    def _retract(self, order: c.RetractReading, stamp: Stamp, past: Past) -> Answer:
        reason = reason_of(order.reason, "the reason")
        found = past.reading(order.reading)
        source = self.state.source_numbered(found[0]) if found else None
        if found is None or source is None:
            raise NotFound(
                f"cycle {self.state.cycle} has no standing reading {order.reading}: `mecris budget sources --cycle {self.state.cycle} --history` lists them",
                code="reading-not-found",
            )
        stands = past.current_and_first(source, without=order.reading)
        current, first = stands or (None, None)
        self.record(
            stamp,
            e.ReadingRetracted,
            source=source.number,
            retracted=standing(found[1]),
            reason=reason,
            current=standing(current) if current else None,
            first=standing(first) if first else None,
        )
        if order.reconcile:
            self.put_on_record(stamp, past, without=order.reading)
        return {
            "reading": order.reading,
            "source_id": source_id(self.state.cycle, source.number),
            "source": source.name,
        }

    # -- plugs --------------------------------------------------------------------------------------------------

    def _plug(self, order: c.ApplyPlug, stamp: Stamp, past: Past) -> Answer:
        reason = reason_of(order.reason, "the reason")
        evidence = reason_of(order.evidence, "the evidence") if order.evidence is not None else None
        if order.square == (order.amount_usd is not None):
            raise RuleRefused(
                "give either an amount to plug or --square, which plugs exactly what is unexplained", code="plug-amount"
            )
        book = self._provider_to_plug(order.provider, self.figures(past))
        amount = book.unexplained if order.amount_usd is None else order.amount_usd
        told = {"provider": book.name, "amount_usd": amount, "unexplained_usd": book.unexplained - amount}
        _require_as_expected(order.expected_usd, amount, "the plug would be")
        _require_as_expected(order.expected_left_usd, book.unexplained - amount, "the plug would leave unexplained")
        if order.square and not amount:
            return {"plug": None, **told}
        _require_yes(order, amount, book)
        plug = len(self.state.plugs) + 1
        manual = [s for s in self.state.sources.values() if s.type == MANUAL and s.counted and s.provider == book.name]
        self.record(
            stamp,
            e.PlugApplied,
            plug=plug,
            amount_usd=amount,
            reason=reason,
            provider=book.name,
            rests_on=max(s.current.measured_at for s in manual),
            evidence=evidence,
        )
        self.put_on_record(stamp, past)
        return {"plug": plug, **told}

    def _provider_to_plug(self, wanted: str | None, figures: TieOut) -> Provider:
        able = [p for p in figures.providers if p.has_both]
        names = ", ".join(f"'{p.name}'" if p.name else "(unnamed)" for p in able)
        if wanted is None:
            if len(able) == 1:
                return able[0]
            if not able:
                raise RuleRefused(
                    "there is nothing to plug: a plug explains what a manual reading observed and no realtime source saw",
                    code="nothing-to-plug",
                )
            raise RuleRefused(
                f"several providers can be plugged ({names}): say which with --provider", code="which-provider"
            )
        for provider in able:
            if provider.name == wanted.strip():
                return provider
        raise RuleRefused(
            f"provider '{wanted}' has no manual reading beside a realtime source, so nothing of it can be plugged"
            + (f"; these can: {names}" if able else ""),
            code="nothing-to-plug",
        )

    def _unplug(self, order: c.ReversePlug, stamp: Stamp, past: Past) -> Answer:
        reason = reason_of(order.reason, "the reason")
        plug = self.state.plugs.get(order.plug)
        if plug is None:
            raise NotFound(
                f"cycle {self.state.cycle} has no plug {order.plug}: `mecris audit log --cycle {self.state.cycle}` shows them",
                code="plug-not-found",
            )
        if plug.reversed:
            raise RuleRefused(f"plug {order.plug} was reversed before: nothing is left of it", code="plug-reversed")
        self.record(
            stamp,
            e.PlugReversed,
            plug=order.plug,
            amount_usd=-plug.amount,
            reason=reason,
            provider=plug.provider,
            rests_on=plug.rests_on,
        )
        self.put_on_record(stamp, past)
        return {"plug": order.plug, "provider": plug.provider, "amount_usd": -plug.amount}

    # -- the record ---------------------------------------------------------------------------------------------

    def _reconcile(self, order: c.Reconcile, stamp: Stamp, past: Past) -> Answer:
        figures = self.put_on_record(stamp, past)
        percent = figures.compared.percent
        return {
            "grade": figures.compared.grade,
            "diff_usd": figures.compared.diff,
            "percent": None if percent is None else shown(percent, 4),
            "unexplained_usd": figures.unexplained,
        }

    def figures(self, past: Past, without: int = 0) -> TieOut:
        """The tie-out as it stands."""
        return tie_out(self.state.ledger(), Without(past, without))

    def put_on_record(self, stamp: Stamp, past: Past, without: int = 0) -> TieOut:
        """Record the tie-out, unless no amount, percent or grade of it is new."""
        figures = self.figures(past, without)
        record = record_of(figures)
        last = self.state.record
        if record == last or (last is None and not any(p.has_both for p in figures.providers)):
            return figures
        self.record(stamp, e.CycleReconciled, record=record)
        open_books = {p.name for p in figures.providers if p.unexplained}
        for pair in figures.pairs:
            if pair.compared.diff and pair.meter.provider in open_books:
                self.record(
                    stamp,
                    e.DiscrepancyDetected,
                    provider=pair.meter.provider,
                    source_a=pair.meter.number,
                    source_b=pair.manual.number,
                    diff_usd=pair.compared.diff,
                    base_usd=pair.compared.base,
                    grade=pair.compared.grade,
                    analysis=analysis(pair),
                )
        return figures


_DECIDE: dict[type[c.CycleCommand], Any] = {
    c.AdjustBudget: BudgetCycle._adjust,
    c.ChangeThresholds: BudgetCycle._change_thresholds,
    c.RecordSource: BudgetCycle._record_source,
    c.RetractReading: BudgetCycle._retract,
    c.ApplyPlug: BudgetCycle._plug,
    c.ReversePlug: BudgetCycle._unplug,
    c.Reconcile: BudgetCycle._reconcile,
    c.CloseCycle: close,
    c.ReopenCycle: reopen,
}


def _require_as_expected(expected: Decimal | None, amount: Decimal, what: str) -> None:
    if expected is not None and expected != amount:
        raise RuleRefused(
            f"{what} {dollars(amount)} by now, and not {dollars(expected)}: "
            "the books have changed since they were looked at, look again",
            code="plug-changed",
        )


def _require_yes(order: c.ApplyPlug, amount: Decimal, book: Provider) -> None:
    if not amount:
        raise AmountRefused("a plug of 0 explains nothing: give an amount, or --square")
    if order.yes:
        return
    left, before = book.unexplained - amount, book.unexplained
    over = [f"is over {dollars(PLUG_LIMIT)}"] if abs(amount) > PLUG_LIMIT else []
    more = (
        [f"would leave more unexplained ({dollars(left)}) than before ({dollars(before)})"]
        if abs(left) > abs(before)
        else []
    )
    if over or more:
        how = "confirm it with --yes, or use --square" if more else "confirm it with --yes"
        raise ConfirmationNeeded(f"a plug of {dollars(amount)} {' and '.join(over + more)}: {how}")
