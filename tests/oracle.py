"""A second opinion: what the numbers mean, worked out naively from all statements of one cycle.

The oracle shares no code with the product: exact fractions, every figure from the full list, nothing kept.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from mecris.books import Books
from mecris.domain import commands as c

DAY, LATE = timedelta(1), timedelta(minutes=5)
FOREVER = 10**9
Money = Fraction


# -- what was said ----------------------------------------------------------------------------------------------


@dataclass
class Statement:
    """A reading as it was recorded by the `index`th order."""

    index: int
    number: int
    name: str
    kind: str
    provider: str
    counted: bool
    amount: Money | None
    balance: Money | None
    credit: Money | None
    at: datetime
    stated: bool
    payload: str | None
    retracted: int = FOREVER


class Adjusted(NamedTuple):
    """A change of the budget."""

    index: int
    amount: Money
    at: datetime
    provider: str


@dataclass
class Plugged:
    """A plug."""

    index: int
    number: int
    amount: Money
    provider: str
    rests_on: datetime
    reversed: int = FOREVER


class Compared(NamedTuple):
    """A difference and what it is measured by; no grade of its own if nothing could be compared."""

    diff: Money
    percent: Money | None
    grade: str


@dataclass
class Provider:
    """The figures of one provider."""

    observed: Money
    then: Money | None
    tracked: Money
    plugged: Money
    unexplained: Money
    has_both: bool = field(compare=False)
    has_meter: bool = field(compare=False)
    compared: Compared
    base: Money
    warned: list[str] = field(default_factory=list, compare=False)
    old: list[str] = field(default_factory=list, compare=False)

    @property
    def spent(self) -> Money:
        """As defined."""
        return self.tracked + self.plugged + self.unexplained


@dataclass
class Status:
    """Everything that is compared."""

    budget: Money
    realtime: Money = field(compare=False)  # not of the tie-out: no reason for a new record
    manual: Money = field(compare=False)
    providers: dict[str, Provider]
    pairs: dict[tuple[str, str], tuple[Money, Money, Compared]]
    compared: Compared

    def sum(self, what: str) -> Money:
        """One figure over all providers."""
        return sum((getattr(p, what) for p in self.providers.values()), Money(0))


# -- the arithmetic, from the text ------------------------------------------------------------------------------


@dataclass
class Page:
    """What counts for one question: the statements known by an order and measured by a moment."""

    begins: datetime
    ends: datetime
    target: Money
    bounds: tuple[Money, ...]
    statements: list[Statement]
    adjustments: list[Adjusted]
    counting: list[Adjusted]
    plugs: list[Plugged]

    def spoken(self, at: datetime) -> datetime:
        """A reading measured after the last day speaks of its end."""
        return min(at, self.ends)

    def usd(self, s: Statement) -> Money:
        """Its amount, or its credit less its balance."""
        if s.amount is not None:
            return s.amount
        assert s.balance is not None
        return (self.credit(s.at, s.provider) if s.credit is None else s.credit) - s.balance

    def credit(self, at: datetime, provider: str) -> Money:
        """The budget in force then, without adjustments that name another provider."""
        mine = [a.amount for a in self.adjustments if a.at <= at and a.provider in ("", provider)]
        return self.target + sum(mine)

    def of(self, kind: str, provider: str | None = None, *, counted: bool = True) -> dict[str, list[Statement]]:
        """The sources of a kind, each with its statements in the order of time, then of recording."""
        found: dict[str, list[Statement]] = {}
        for s in sorted(self.statements, key=lambda s: (s.at, s.number)):
            if s.kind == kind and provider in (None, s.provider) and (s.counted or not counted):
                found.setdefault(s.name, []).append(s)
        return found

    def first(self, said: list[Statement]) -> Statement:
        """The first reading; at equal times the later recorded one."""
        return [s for s in said if s.at == said[0].at][-1]

    def counterpart(self, said: list[Statement], moment: datetime) -> Statement | None:
        """The last reading measured by a moment; one without a stated time may have been 5 minutes late."""
        by = [s for s in said if self.spoken(s.at) <= moment or (not s.stated and s.at - LATE <= moment)]
        return by[-1] if by else None

    def grade(self, diff: Money, base: Money) -> Compared:
        """Percent and grade by exact fractions."""
        percent = diff / base * 100 if base else Money(0)
        for name, bound in zip(("EXCELLENT", "GOOD", "FAIR"), self.bounds, strict=True):
            if percent <= bound:
                return Compared(diff, percent, name)
        return Compared(diff, percent, "POOR")

    def provider(self, name: str) -> Provider:
        """The tie-out of one provider."""
        meters, looks = self.of("realtime", name), self.of("manual", name)
        plugged = sum((p.amount for p in self.plugs if p.provider == name), Money(0))
        metered = sum((self.usd(m[-1]) for m in meters.values()), Money(0))
        observed = sum((self.usd(s[-1]) for s in looks.values()), Money(0))
        if not (meters and looks):
            nothing = Compared(abs(plugged), None, "UNVERIFIED")
            tracked = metered if meters else observed
            return Provider(
                observed, None, tracked, plugged, -plugged, False, bool(meters), nothing, Money(0), old=self.old(looks)
            )
        moment = min(self.spoken(said[-1].at) for said in looks.values())
        then, began = self.tracked_then(meters, moment, observed)
        warned = [n for n in meters if n not in began]
        since = sum((max(Money(0), self.usd(m[-1]) - then[n]) for n, m in meters.items()), Money(0))
        warned += [n for n, m in meters.items() if self.usd(m[-1]) < then[n]]
        total = sum(then.values(), Money(0))
        unexplained = observed - total - plugged
        base = max(abs(observed), abs(observed - unexplained))
        compared = self.grade(abs(unexplained), base) if began else Compared(abs(unexplained), None, "UNVERIFIED")
        return Provider(
            observed, total, total + since, plugged, unexplained, True, True, compared, base, warned, self.old(looks)
        )

    def old(self, looks: dict[str, list[Statement]]) -> list[str]:
        """The look to take again: those more than a day older than another; all after the last day share its end."""
        if not looks:
            return []
        times = {name: self.spoken(said[-1].at) for name, said in looks.items()}
        oldest = min(looks, key=lambda name: looks[name][-1].at)
        return [oldest] if max(times.values()) - times[oldest] > DAY else []

    def tracked_then(
        self, meters: dict[str, list[Statement]], moment: datetime, observed: Money
    ) -> tuple[dict[str, Money], set[str]]:
        """What each meter had seen at the moment, and which of them had begun."""
        found = {name: self.counterpart(said, moment) for name, said in meters.items()}
        then = {name: self.usd(s) for name, s in found.items() if s is not None}
        began = set(then)
        later = [self.first(meters[name]) for name, s in found.items() if s is None]
        for first in sorted(later, key=lambda s: (s.at, self.named_at(s.name))):
            left = observed - sum(then.values(), Money(0))
            then[first.name] = max(Money(0), min(left, self.usd(first)))
        return then, began

    def named_at(self, name: str) -> int:
        """When a source was first named, among those that stand."""
        return min(s.number for s in self.statements if s.name == name)

    def pairs(self) -> dict[tuple[str, str], tuple[Money, Money, Compared]]:
        """Every realtime source with every manual source of its provider."""
        found = {}
        for b_name, b_said in self.of("manual", counted=False).items():
            b = b_said[-1]
            for a_name, a_said in self.of("realtime", b.provider, counted=False).items():
                a = self.counterpart(a_said, self.spoken(b.at)) or self.first(a_said)
                x, y = self.usd(a), self.usd(b)
                found[a_name, b_name] = (x, y, self.grade(abs(x - y), max(abs(x), abs(y))))
        return found

    def status(self) -> Status:
        """The whole cycle."""
        names = {s.provider for s in self.statements} | {p.provider for p in self.plugs}
        providers = {name: self.provider(name) for name in sorted(names)}
        graded = [p for p in providers.values() if p.compared.grade != "UNVERIFIED"]
        diff, base = sum((p.compared.diff for p in graded), Money(0)), sum((p.base for p in graded), Money(0))
        return Status(
            self.target + sum(a.amount for a in self.counting),
            sum((self.usd(s[-1]) for s in self.of("realtime").values()), Money(0)),
            sum((self.usd(s[-1]) for s in self.of("manual").values()), Money(0)),
            providers,
            self.pairs(),
            self.grade(diff, base) if graded else Compared(Money(0), None, "UNVERIFIED"),
        )


# -- the oracle's own books, and what it would refuse ---------------------------------------------------------------


class No(Exception):
    """The oracle would refuse this order."""


Standing = tuple[Money, Money, Money, str]


class World(Protocol):
    """What an oracle knows of the world: the clock, and the cycle as it was opened."""

    now: datetime
    begins: datetime
    ends: datetime

    @property
    def target(self) -> Decimal:
        """The budget it began with."""


class Oracle:
    """A list of everything that was ever said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.statements: list[Statement] = []
        self.adjustments: list[Adjusted] = []
        self.plugs: list[Plugged] = []
        self.bounds: list[tuple[int, tuple[Money, ...]]] = [(0, (Money(1), Money(5), Money(10)))]
        self.records: list[tuple[int, dict[str, Standing], Any]] = []
        self.index = 0

    def page(self, index: int = FOREVER - 1, by: datetime | None = None) -> Page:
        """What counts as of an order, of what had been measured by a moment."""
        w = self.world

        def happened(at: datetime) -> bool:
            return by is None or min(at, w.ends) <= by

        known = [a for a in self.adjustments if a.index <= index]
        return Page(
            w.begins,
            w.ends,
            Money(w.target),
            [bounds for i, bounds in self.bounds if i <= index][-1],
            [s for s in self.statements if s.index <= index < s.retracted and happened(s.at)],
            known,
            [a for a in known if by is None or a.at <= by],
            [p for p in self.plugs if p.index <= index < p.reversed and happened(p.rests_on)],
        )

    def stale(self, index: int) -> bool:
        """Does the last record still say what is the case?"""
        on_record = [standings for i, standings, _ in self.records if i <= index]
        status = self.page(index).status()
        if not on_record:
            return any(p.has_both for p in status.providers.values())
        return _standings(status) != on_record[-1]

    def does(self, order: c.CycleCommand) -> bool:
        """Write an order down, or say `No`; true if there was something to record."""
        self.index += 1
        match order:
            case c.RecordSource():
                return self._record(order)
            case c.AdjustBudget():
                return self._adjust(order)
            case c.ApplyPlug():
                return self._plug(order)
            case c.ReversePlug():
                return self._unplug(order)
            case c.RetractReading():
                return self._retract(order)
            case c.ChangeThresholds():
                return self._thresholds(order)
            case _:
                return self._reconcile()

    def _record(self, order: c.RecordSource) -> bool:
        now, page = self.world.now, self.page()
        known = next((s for s in page.statements if s.name == order.source), None)
        kind, provider, counted = self._kind(order, known)
        at = order.measured_at or now
        assert isinstance(at, datetime)
        self._no(at > now + LATE or at < page.begins)
        rate = Money(order.rate) if order.rate else Money(1)
        amount, balance, credit = (
            None if f is None else Money(f) * rate for f in (order.amount, order.balance, order.credit)
        )
        self._no(any(f is not None and (f * 10**12).denominator != 1 for f in (amount, balance, credit)))
        self._no(amount is not None and amount < 0)
        if balance is not None:
            self._no(credit is None and any(s.provider != provider for s in page.statements))
            self._no(balance > (page.credit(at, provider) if credit is None else credit))
        said = (amount, balance, credit, at, order.payload)
        if known and order.measured_at is not None:
            before = [s for s in page.statements if s.name == order.source and s.stated]
            if said in [(s.amount, s.balance, s.credit, s.at, s.payload) for s in before]:
                return False
        number = len(self.statements) + 1
        stated = order.measured_at is not None
        self.statements.append(
            Statement(
                self.index,
                number,
                order.source,
                kind,
                provider,
                counted,
                amount,
                balance,
                credit,
                at,
                stated,
                order.payload,
            )
        )
        if kind == "manual" and order.reconcile:
            self._reconcile()
        return True

    def _kind(self, order: c.RecordSource, known: Statement | None) -> tuple[str, str, bool]:
        """What a source is: as it says, or as it always was."""
        if known is None:
            self._no(order.type is None)
            return order.type or "", order.provider or "", order.counted is not False
        self._no(order.type not in (None, known.kind))
        self._no(order.provider not in (None, known.provider))
        self._no(order.counted not in (None, known.counted))
        return known.kind, known.provider, known.counted

    def _no(self, wrong: bool) -> None:
        if wrong:
            raise No

    def _adjust(self, order: c.AdjustBudget) -> bool:
        now, page = self.world.now, self.page()
        at = order.at or now
        assert isinstance(at, datetime)
        new = Adjusted(self.index, Money(order.amount_usd), at, order.provider)
        self._no(at > now or not new.amount)
        page.adjustments.append(new)
        for said in page.statements:
            touched = new.at <= said.at and new.provider in ("", said.provider)
            self._no(touched and said.credit is None and page.usd(said) < 0)
        self.adjustments.append(new)
        self._reconcile()
        return True

    def _plug(self, order: c.ApplyPlug) -> bool:
        page = self.page()
        providers = page.status().providers
        able = [name for name, p in providers.items() if p.has_both]
        self._no(len(able) != 1 if order.provider is None else order.provider not in able)
        name = able[0] if order.provider is None else order.provider
        open_ = providers[name].unexplained
        amount = open_ if order.amount_usd is None else Money(order.amount_usd)
        if order.square and not amount:
            return False
        self._no(not amount)
        self._no(not order.yes and (abs(amount) > 5 or abs(open_ - amount) > abs(open_)))
        rests_on = max(said[-1].at for said in page.of("manual", name).values())
        self.plugs.append(Plugged(self.index, len(self.plugs) + 1, amount, name, rests_on))
        self._reconcile()
        return True

    def _unplug(self, order: c.ReversePlug) -> bool:
        plug = next((p for p in self.plugs if p.number == order.plug), None)
        if plug is None or plug.reversed != FOREVER:
            raise No
        plug.reversed = self.index
        self._reconcile()
        return True

    def _retract(self, order: c.RetractReading) -> bool:
        said = next((s for s in self.statements if s.number == order.reading), None)
        if said is None or said.retracted != FOREVER:
            raise No
        said.retracted = self.index
        self._reconcile()
        return True

    def _thresholds(self, order: c.ChangeThresholds) -> bool:
        bounds = (Money(order.excellent), Money(order.good), Money(order.fair))
        self._no(not 0 <= bounds[0] < bounds[1] < bounds[2])
        changed = bounds != self.bounds[-1][1]
        self.bounds.append((self.index, bounds))
        return changed

    def _reconcile(self) -> bool:
        status = self.page().status()
        if not self.records and not any(p.has_both for p in status.providers.values()):
            return False
        new = not self.records or self.records[-1][2] != status
        self.records.append((self.index, _standings(status), status))
        return new


def _standings(status: Status) -> dict[str, Standing]:
    nothing = (Money(0), Money(0), Money(0), "UNVERIFIED")
    told = {n: (p.observed, p.plugged, p.unexplained, p.compared.grade) for n, p in status.providers.items()}
    return {name: standing for name, standing in told.items() if standing != nothing}


# -- comparing ---------------------------------------------------------------------------------------------------------


def shown(percent: Money | None) -> Decimal | None:
    """Rounded half away from zero to four places, as it is shown."""
    if percent is None:
        return None
    whole = int(abs(percent) * 10_000 + Money(1, 2))
    return Decimal(whole if percent >= 0 else -whole) / 10_000


def share(part: Money, whole: Money) -> Decimal | None:
    """In percent of the whole; of nothing there is no share."""
    return shown(part / whole * 100) if whole else None


def expected(status: Status) -> dict[str, Any]:
    """What the books should answer."""
    spent = status.sum("spent")
    seen = sum((min(p.tracked, p.spent) for p in status.providers.values() if p.has_meter), Money(0))
    looked = sum((p.observed for p in status.providers.values() if p.compared.grade != "UNVERIFIED"), Money(0))
    return {
        "budget": status.budget,
        "realtime": status.realtime,
        "manual": status.manual,
        **{name: status.sum(name) for name in ("tracked", "plugged", "unexplained")},
        "spent": spent,
        "overall": spent,
        "remaining": status.budget - spent,
        "coverage": share(seen, spent),
        "verified": share(looked, spent),
        "diff": status.compared.diff,
        "percent": shown(status.compared.percent),
        "grade": status.compared.grade,
        "providers": {name: _provider_expected(p) for name, p in status.providers.items()},
        "pairs": {k: (a, b, x.diff, shown(x.percent), x.grade) for k, (a, b, x) in status.pairs.items()},
    }


def _provider_expected(p: Provider) -> dict[str, Any]:
    return {
        "observed": p.observed,
        "then": p.then,
        "tracked": p.tracked,
        "plugged": p.plugged,
        "unexplained": p.unexplained,
        "spent": p.spent,
        "diff": p.compared.diff,
        "percent": shown(p.compared.percent),
        "grade": p.compared.grade,
    }


def told(books: Books, both: dict[str, bool], cycle: int = 1, **when: Any) -> dict[str, Any]:
    """What the books do answer."""
    return figures(books.status(cycle, **when), books.discrepancies(cycle, **when), both)


def figures(status: dict[str, Any], pairs: dict[str, Any], both: dict[str, bool]) -> dict[str, Any]:
    """The figures of an answer."""
    tie_out = status["tie_out"]
    return {
        "budget": Money(status["cycle"]["budget_usd"]),
        "realtime": Money(status["totals"]["realtime_usd"]),
        "manual": Money(status["totals"]["manual_usd"]),
        "overall": Money(status["totals"]["overall_usd"]),
        **{n: Money(tie_out[f"{n}_usd"]) for n in ("tracked", "plugged", "unexplained", "spent", "remaining")},
        "coverage": tie_out["coverage_percent"],
        "verified": tie_out["verified_percent"],
        "diff": Money(status["diff_usd"]),
        "percent": status["percent"],
        "grade": status["grade"],
        "providers": {p["provider"]: _provider_told(p, both.get(p["provider"], False)) for p in status["providers"]},
        "pairs": {(p["source_a"]["name"], p["source_b"]["name"]): _pair_told(p) for p in pairs["details"]},
    }


def _provider_told(p: dict[str, Any], has_both: bool) -> dict[str, Any]:
    names = ("observed", "tracked", "plugged", "unexplained", "spent", "diff")
    figures: dict[str, Any] = {name: Money(p[f"{name}_usd"]) for name in names}
    figures["then"] = Money(p["tracked_then_usd"]) if has_both else None  # without a look there is no "then"
    return figures | {"percent": p["percent"], "grade": p["grade"]}


def _pair_told(p: dict[str, Any]) -> tuple[Any, ...]:
    amounts = (Money(p[side]["amount_usd"]) for side in ("source_a", "source_b"))
    return (*amounts, Money(p["diff_usd"]), p["percent"], p["grade"])
