"""Orders of every kind, right and wrong ones, drawn from chance alone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from strategies import CASTS, FIRST, KINDS, LAST, OFFSETS

from mecris.domain import commands as c

from .truth import Cycle, ImportFile, Spec, Truth

AMOUNTS = [Decimal(a) for a in ("0", "1E-12", "0.04", "0.11", "1", "4.75", "5", "5.42", "9.5", "10", "19.54")]
HUGE = Decimal("99999999999.999999999999")
ZONES = ("UTC", "Europe/Berlin", "America/New_York")
MONTHS = ("2025-07", "2025-08", "2025-09")
RUNS, DISPATCHES = ("nightly", "weekly"), ("d1", "d2", "d3")
MOST_CYCLES = 4


class Orders:
    """What somebody may want of the books as they are."""

    def __init__(self, chance: Random, truth: Truth, now: datetime) -> None:
        self.chance, self.truth, self.now = chance, truth, now

    def any(self) -> Spec:
        """An order of any kind."""
        if self.maybe(0.9 if not self.truth.cycles else 0.5 / (1 + len(self.truth.cycles)) ** 2):
            return self.opening()
        if self.maybe(0.12):
            return self.outside()
        if self.maybe(0.1):
            return self.tokens()
        if self.maybe(0.04):
            return self.wrong()
        return self.about_a_cycle(self.number())

    def number(self) -> int:
        """A cycle, once in a while one that is not there."""
        if not self.truth.cycles or self.maybe(0.02):
            return 99
        return self.chance.choice([1, *self.truth.cycles])

    def maybe(self, share: float) -> bool:
        """True for that share of the times."""
        return self.chance.random() < share

    # -- words ------------------------------------------------------------------------------------------------------

    def amount(self) -> Decimal:
        """Not negative, sometimes with every digit there is."""
        how = self.chance.random()
        if how < 0.5:
            return self.chance.choice(AMOUNTS)
        return Decimal(self.chance.randrange(3000)).scaleb(-2) if how < 0.9 else self.exact()

    def exact(self) -> Decimal:
        """An amount with twelve places."""
        return Decimal(self.chance.randrange(30 * 10**12)).scaleb(-12)

    def signed(self) -> Decimal:
        """Perhaps negative."""
        return self.amount() * self.chance.choice([1, 1, -1])

    def moment(self, cycle: Cycle) -> datetime:
        """Around now, around an edge of the cycle, or when something else was measured; also too early and too late."""
        seen = [s.at for s in cycle.oracle.statements]
        anchors = [
            self.now,
            self.now,
            cycle.begins,
            cycle.ends,
            *(self.chance.sample(seen, 2) if len(seen) > 1 else seen),
        ]
        return self.chance.choice(anchors) + self.chance.choice(OFFSETS)

    # -- cycles -----------------------------------------------------------------------------------------------------

    def opening(self) -> Spec:
        """A cycle opens; the second one is what counters and files speak of, in August."""
        outside = len(self.truth.cycles) == 1
        first = date(2025, 8, 1) if outside else FIRST + timedelta(self.chance.choice([0, 0, 0, 0, 1, 3]))
        last = date(2025, 8, 31) if outside else first + (LAST - FIRST)
        closed = [n for n, cycle in self.truth.cycles.items() if cycle.closed is not None]
        target = self.chance.choice([Decimal("24.96"), Decimal(0), Decimal(100), Decimal(-1), HUGE])
        origin = self.chance.choice(closed) if closed and not outside and self.maybe(0.5) else None
        zone = "UTC" if outside else self.chance.choice(ZONES)  # a file's days are UTC
        if len(self.truth.cycles) >= MOST_CYCLES:
            target = Decimal(-1)
        order = c.OpenCycle(start_date=first, end_date=last, target_usd=target, timezone=zone, roll_over_from=origin)
        return Spec(order, outside=outside)

    def about_a_cycle(self, number: int) -> Spec:
        """An order about a cycle."""
        cycle = self.truth.cycles.get(number)
        if cycle is None:
            return Spec(c.Reconcile(cycle_id=number), wrong=True)
        if not cycle.followed:
            return self.chance.choice([self.simple_reading, self.simple_reading, self.plug, self.files])(cycle)
        if self.maybe(0.7 if cycle.is_closed else 0.02):
            return self.reopening(cycle) if self.maybe(0.5) else self.roll_over(cycle)
        kinds: list[tuple[int, Callable[[Cycle], Spec]]] = [
            (8, self.simple_reading),
            (6, self.reading),
            (2, self.payload),
            (3, self.adjustment),
            (6, self.plug),
            (2, self.unplug),
            (2, self.retraction),
            (1, self.bounds),
            (1, self.look),
            (1, self.closing),
            (1, self.alert),
        ]
        weights, makers = zip(*kinds, strict=True)
        return self.chance.choices(makers, weights)[0](cycle)

    def cast(self, cycle: Cycle) -> str:
        """A source of those that speak in a cycle."""
        return self.chance.choice(CASTS[cycle.number % len(CASTS)])

    def simple_reading(self, cycle: Cycle) -> Spec:
        """A reading that is seldom refused."""
        name = self.cast(cycle)
        kind, provider, counted = KINDS[name]
        at = None if self.maybe(0.5) else self.now + self.chance.choice([o for o in OFFSETS if o <= timedelta(0)])
        order = c.RecordSource(
            cycle_id=cycle.number,
            source=name,
            type=kind,
            provider=provider,
            counted=counted,
            amount=self.amount(),
            measured_at=at,
            reconcile=self.maybe(0.8),
        )
        return Spec(order)

    def reading(self, cycle: Cycle) -> Spec:
        """A reading, a few of them nonsense."""
        name = self.cast(cycle)
        kind, provider, counted = KINDS[name]
        other = "manual" if kind == "realtime" else "realtime"
        says: dict[str, Any] = self.chance.choice(
            [{"type": kind, "provider": provider, "counted": counted}] * 6
            + [{}, {"type": other, "provider": provider}, {"type": kind, "provider": "z"}]
            + [{"type": kind, "provider": provider, "counted": not counted}]
        )
        figure = self.signed()
        figures: dict[str, Any] = self.chance.choice(
            [{"amount": figure}, {"amount": HUGE}, {"amount": figure, "currency": "EUR", "rate": Decimal("1.5")}]
            + [{"balance": figure}] * 2
            + [{"balance": figure, "credit": self.chance.choice([Decimal(30), self.amount()])}]
        )
        at = None if self.maybe(0.4) else self.moment(cycle)
        return Spec(c.RecordSource(cycle_id=cycle.number, source=name, measured_at=at, **says, **figures))

    def payload(self, cycle: Cycle) -> Spec:
        """A page that names an amount; a few name two."""
        said = self.simple_reading(cycle).order.model_copy(update={"amount": None})
        figure = Decimal(self.chance.randrange(3000)).scaleb(-2)
        page = f"so far ${figure} USD"
        order = said.model_copy(update={"payload": page})
        if self.maybe(0.2):
            return Spec(said.model_copy(update={"payload": f"{page}, and yesterday ${figure + 1} USD"}), wrong=True)
        return Spec(order, told=order.model_copy(update={"amount": figure}))

    def adjustment(self, cycle: Cycle) -> Spec:
        """The budget changes."""
        at = None if self.maybe(0.5) else self.moment(cycle)
        provider = self.chance.choice(["", "", "a"])
        return Spec(
            c.AdjustBudget(cycle_id=cycle.number, amount_usd=self.signed(), reason="why", at=at, provider=provider)
        )

    def plug(self, cycle: Cycle) -> Spec:
        """Somebody explains what is missing."""
        amount = None if self.maybe(0.6) else self.signed()
        able = [name for name, p in cycle.oracle.page().status().providers.items() if p.has_both]
        if cycle.followed and not able and self.maybe(0.8):
            return self.simple_reading(cycle)
        provider = self.chance.choice(able if able and self.maybe(0.7) else [None, "", "a", "b"])
        return Spec(
            c.ApplyPlug(
                cycle_id=cycle.number,
                amount_usd=amount,
                square=amount is None,
                provider=provider,
                reason="why",
                yes=self.maybe(0.7),
            )
        )

    def unplug(self, cycle: Cycle) -> Spec:
        """A plug is undone, perhaps a second time."""
        if not cycle.oracle.plugs and self.maybe(0.9):
            return self.plug(cycle)
        plug = self.chance.randint(1, max(1, len(cycle.oracle.plugs)))
        return Spec(c.ReversePlug(cycle_id=cycle.number, plug=plug, reason="why"))

    def retraction(self, cycle: Cycle) -> Spec:
        """A reading is taken back, perhaps a second time."""
        reading = self.chance.randint(1, max(1, len(cycle.oracle.statements)))
        return Spec(c.RetractReading(cycle_id=cycle.number, reading=reading, reason="why"))

    def bounds(self, cycle: Cycle) -> Spec:
        """Other thresholds, some of which do not increase."""
        low, middle, high = self.chance.choice([(1, 5, 10), (0, 1, 100), (2, 2, 3), (10, 50, 90)])
        return Spec(c.ChangeThresholds(cycle_id=cycle.number, excellent=low, good=middle, fair=high))

    def look(self, cycle: Cycle) -> Spec:
        """A person reconciles."""
        return Spec(c.Reconcile(cycle_id=cycle.number))

    def closing(self, cycle: Cycle) -> Spec:
        """A cycle is closed, whether or not everything is settled."""
        accept = self.maybe(0.6)
        return Spec(c.CloseCycle(cycle_id=cycle.number, accept=accept, reason="why" if accept else None))

    def reopening(self, cycle: Cycle) -> Spec:
        """A cycle takes statements again, if it was closed."""
        return Spec(c.ReopenCycle(cycle_id=cycle.number, reason="why"))

    def roll_over(self, cycle: Cycle) -> Spec:
        """What is left goes to another cycle, if it may."""
        others = [
            n for n, other in self.truth.cycles.items() if other.followed and (other is not cycle or self.maybe(0.1))
        ]
        if not others:
            return self.reopening(cycle)
        return Spec(c.RollOver(cycle_id=self.chance.choice(others), from_cycle=cycle.number))

    def alert(self, cycle: Cycle) -> Spec:
        """Something is over its threshold."""
        level = self.chance.choice(["WARNING", "CRITICAL"])
        order = c.RaiseAlert(
            cycle_id=cycle.number, kind="health", level=level, message="x", threshold_percent=5, cool_down_hours=1
        )
        return Spec(order, outside=True)

    # -- everything else --------------------------------------------------------------------------------------------

    def tokens(self) -> Spec:
        """Dispatches report, or a bill comes."""
        run = self.chance.choice(RUNS)
        if self.maybe(0.6):
            ids = self.chance.sample(DISPATCHES, self.chance.randint(1, 3))
            batch = tuple(
                c.Dispatch(
                    dispatch_id=id,
                    input_tokens=self.chance.randrange(5),
                    output_tokens=self.chance.randrange(3),
                    running=self.maybe(0.3),
                )
                for id in ids
            )
            return Spec(c.RecordDispatches(run_id=run, dispatches=batch))
        known = self.truth.dispatches.get(run, {})
        billed = sum(said[0] for said in known.values()) + self.chance.randint(-1, 2)
        dispatch = self.chance.choice([None, None, *DISPATCHES])
        return Spec(c.ReconcileTokens(run_id=run, billed_in=billed, billed_out=1, dispatch_id=dispatch))

    def outside(self) -> Spec:
        """Counters and tokens: what the truth does not follow."""
        provider, month = self.chance.choice(["groq", "other"]), self.chance.choice(MONTHS)
        correct = self.maybe(0.3)
        fed = next((n for n, cycle in self.truth.cycles.items() if not cycle.followed), 99)
        name = self.chance.choice(["ada", "bob"])
        reading = c.ReadOdometer(
            provider=provider,
            month=month,
            amount_usd=self.amount(),
            correct=correct,
            reason="why" if correct else None,
        )
        order: c.Command = self.chance.choice(
            [
                *[reading] * 4,
                *[c.FeedCycle(provider=provider, cycle_id=fed)] * (fed != 99),
                c.FeedCycle(provider=provider, cycle_id=fed),
                c.StopFeeding(provider=provider, cycle_id=fed, reason="why"),
                c.FinalizeMonth(provider=provider, month=month),
                c.ReopenMonth(provider=provider, month=month, reason="why"),
                c.CreateToken(token_name=name, scope="read", handle=f"{len(name):016x}", digest=f"{len(name):064x}"),
                c.RevokeToken(token_name=name),
            ]
        )
        return Spec(order, outside=True)

    def files(self, cycle: Cycle) -> Spec:
        """A file with some of the lines of August; what a line says follows from its id."""
        ids = sorted(self.chance.sample(range(12), self.chance.randint(1, 6)))
        return Spec(ImportFile(rows=tuple((f"line-{n}", n + 1, Decimal(n * n + 1).scaleb(-2)) for n in ids)))

    def wrong(self) -> Spec:
        """An order that nothing can be right about."""
        number = self.number()
        order: c.Command = self.chance.choice(
            [
                c.RecordSource(cycle_id=number, source="meter", type="realtime", amount=1, currency="EUR"),
                c.RecordSource(cycle_id=number, source="", type="realtime", amount=1),
                c.RecordSource(cycle_id=number, source="meter", type="realtime", amount=1, payload="$2 USD"),
                c.RecordSource(cycle_id=number, source="meter", type="realtime"),
                c.AdjustBudget(cycle_id=number, amount_usd=1, reason=" "),
                c.RollOver(cycle_id=number, from_cycle=number),
                c.OpenCycle(start_date="2025-09-02", end_date="2025-09-01", target_usd=1),
                c.OpenCycle(start_date="2025-09-01", end_date="2025-09-02", target_usd=1, timezone="Nowhere/At/All"),
                c.RecordDispatches(run_id="nightly", dispatches=()),
                c.ReadOdometer(provider="groq", amount_usd=-1),
            ]
        )
        return Spec(order, wrong=True)
