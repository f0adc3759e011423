"""Runs: what their dispatches reported in tokens, compared with what was billed.

A run remembers nothing: everything a decision needs is asked of the past, so that a run of a hundred thousand
dispatches is as quick to write to as an empty one.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from . import commands as c
from . import run_events as e
from .aggregate import Aggregate, Answer, Stamp
from .errors import AmountRefused, NotFound, RuleRefused
from .event import Event
from .money import EXACT, plain, usd
from .text import name_of
from .tokens import CLASSES, Bill, Reported, Sum, Tokens, deltas_of, reason_of

MOST = 2**63 - 1
"""Tokens that a figure, and the sum of a run, may come to: what databases call a big integer."""
MOST_AT_ONCE = 100_000
"""Dispatches that one order may carry."""
NAMED = 10
"""Running dispatches that are named one by one."""
MATCHED, PENDING, DISCREPANCY = "matched", "pending", "discrepancy"


class Dispatches(Protocol):
    """What was reported and billed for one run, at one version."""

    def reported(self, ids: Iterable[str]) -> Mapping[str, Reported]:
        """What these dispatches reported last; those that are unknown are left out."""

    def sum(self) -> Sum:
        """What all dispatches reported together."""

    def running(self, limit: int) -> list[str]:
        """The first running dispatches, by name."""

    def last_bill(self, dispatch_id: str | None, source: str) -> Bill | None:
        """The last comparison of the run, or of a dispatch, with a source."""

    def billed_one_by_one(self, source: str) -> Tokens:
        """What the last bills of single dispatches come to, of one source."""


class Nothing(NamedTuple):
    """The state of a run."""

    def copy(self) -> "Nothing":
        """The same nothing."""
        return self

    def evolve(self, event: Event) -> None:
        """Take nothing in."""


class Run(Aggregate):
    """One agent run."""

    @classmethod
    def nothing(cls) -> Nothing:
        """A run remembers nothing."""
        return Nothing()

    @classmethod
    def at_version(cls, originator_id: str, version: int) -> "Run":
        """The run as it is after so many events."""
        return cls.begin(originator_id, version, Nothing())

    def decide(self, order: c.RunCommand, stamp: Stamp, past: Dispatches) -> Answer:
        """Do what an order says, or refuse it."""
        run = name_of(order.run_id, "the name of a run")
        if not run or run != order.run_id:
            raise RuleRefused(f"a run needs a name without spaces around it, not {order.run_id[:50]!r}", code="name")
        before = len(self.pending_events)
        if isinstance(order, c.RecordDispatches):
            answer = self._record(order, stamp, past)
        elif isinstance(order, c.ReconcileTokens):
            answer = self._reconcile(order, stamp, past)
        else:
            raise RuleRefused(f"{type(order).__name__} is not an order a run knows", code="unknown-order")
        return {"run_id": run, "recorded": len(self.pending_events) > before, **answer}

    # -- what dispatches report ---------------------------------------------------------------------------------

    def _record(self, order: c.RecordDispatches, stamp: Stamp, past: Dispatches) -> Answer:
        if not order.dispatches or len(order.dispatches) > MOST_AT_ONCE:
            raise RuleRefused(
                f"an order carries 1 to {MOST_AT_ONCE:,} dispatches, this one {len(order.dispatches):,}: split it",
                code="batch",
            )
        said = {d.dispatch_id: _said(d) for d in order.dispatches}
        if len(said) < len(order.dispatches):
            raise RuleRefused("the order names a dispatch twice: give each one once", code="dispatch-twice")
        known = past.reported(said)
        new = {id: _kept(reported, known.get(id)) for id, reported in said.items()}
        new = {id: reported for id, reported in new.items() if known.get(id) != reported}
        if new:
            _require_room(past.sum(), new, known)
            self.record(
                stamp,
                e.DispatchesRecorded,
                run_id=order.run_id,
                dispatches=tuple(_event_of(id, reported) for id, reported in new.items()),
            )
        return {
            "dispatches": len(new),
            "corrected": sum(id in known for id in new),
            "unchanged": len(said) - len(new),
            **({"dispatch_id": order.dispatches[0].dispatch_id} if len(said) == 1 else {}),
        }

    # -- what was billed ----------------------------------------------------------------------------------------

    def _reconcile(self, order: c.ReconcileTokens, stamp: Stamp, past: Dispatches) -> Answer:
        source = name_of(order.source, "the source of a bill")
        if not source:
            raise RuleRefused("a bill needs a source, like manual, anthropic or openai", code="name")
        billed = _billed(order)
        tolerance = _tolerance(order)
        reported, running, names = self._reported(order, past)
        _require_every_cache(order, reported)
        compared = _compared(order.dispatch_id, reported, billed, tolerance, running, names)
        last = past.last_bill(order.dispatch_id, source)
        if last != compared.bill:
            _require_room_for_bill(order.dispatch_id, compared, last, past.billed_one_by_one(source))
            self.record(stamp, e.TokensReconciled, **compared.facts(order.run_id, source))
            if compared.bill.status == DISCREPANCY:
                self.record(stamp, e.TokenDiscrepancyDetected, **compared.finding(order.run_id, source))
        return compared.answer(source)

    def _reported(self, order: c.ReconcileTokens, past: Dispatches) -> tuple[Tokens, int, list[str]]:
        """What is compared: the tokens, and how many dispatches are still running, with the first names."""
        if not past.sum().dispatches:
            raise NotFound(
                f"there is no run '{order.run_id}': record what its dispatches report first "
                f"(mecris cost record {order.run_id} --dispatch ...)",
                code="run-not-found",
            )
        if order.dispatch_id is None:
            sum = past.sum()
            return sum.tokens, sum.running, past.running(NAMED) if sum.running else []
        found = past.reported([order.dispatch_id]).get(order.dispatch_id)
        if found is None:
            raise NotFound(
                f"run '{order.run_id}' has no dispatch '{order.dispatch_id}': `mecris cost show {order.run_id}` lists them",
                code="dispatch-not-found",
            )
        return found.tokens, int(found.running), [order.dispatch_id] if found.running else []


def _said(d: c.Dispatch) -> Reported:
    """What a dispatch says, with input made uncached."""
    if not name_of(d.dispatch_id, "the name of a dispatch") or d.dispatch_id != d.dispatch_id.strip():
        raise RuleRefused(f"a dispatch needs a name without spaces around it, not {d.dispatch_id[:50]!r}", code="name")
    cached = d.cache_read_tokens + d.cache_write_tokens
    for what, tokens in (
        ("input", d.input_tokens),
        ("output", d.output_tokens),
        ("cache read", d.cache_read_tokens),
        ("cache write", d.cache_write_tokens),
    ):
        _require_tokens(f"{what} of '{d.dispatch_id}'", tokens)
    uncached = _uncached(d.input_tokens, cached) if d.input_includes_cache else d.input_tokens
    model = name_of(d.model, "the model") if d.model is not None else None
    stated = d.input_tokens if d.input_includes_cache else None
    return Reported(
        Tokens(uncached, d.output_tokens, d.cache_read_tokens, d.cache_write_tokens), stated, model or None, d.running
    )


def _uncached(input: int, cached: int) -> int:
    if cached > input:
        raise AmountRefused(
            f"{cached} tokens of caches are more than the {input} of input that are said to include them: "
            "leave --in-includes-cache out if input is without caches",
            code="tokens",
        )
    return input - cached


def _require_tokens(what: str, tokens: int) -> None:
    if not 0 <= tokens <= MOST:
        raise AmountRefused(f"{what} is {tokens}: tokens are counted from 0 to {MOST}", code="tokens")


def _kept(said: Reported, known: Reported | None) -> Reported:
    """A correction that names no model keeps the one that was named."""
    return said._replace(model=known.model) if known and said.model is None else said


def _require_room(before: Sum, new: Mapping[str, Reported], known: Mapping[str, Reported]) -> None:
    total = before.tokens
    for id, reported in new.items():
        total = total.plus(reported.tokens)
        if id in known:
            total = total.plus(known[id].tokens, -1)
    require_room("the run", total)


def require_room(whose: str, total: Tokens) -> None:
    """Refuse a sum of tokens that is larger than a figure may be."""
    if max(total) > MOST:
        raise AmountRefused(
            f"{whose} would come to {max(total)} tokens of one class: a run holds up to {MOST}; give the rest another run",
            code="tokens",
        )


def _require_room_for_bill(dispatch_id: str | None, compared: "Compared", last: Bill | None, before: Tokens) -> None:
    """Refuse what would make a sum of tokens larger than a figure may be."""
    sums = [compared.outside]
    if dispatch_id is not None:
        was = last.billed if last else (0,) * len(before)
        sums += [b + (new or 0) - (old or 0) for b, new, old in zip(before, compared.bill.billed, was, strict=True)]
    if max(sums) > MOST:
        raise AmountRefused(
            f"tokens of one run would come to {max(sums)}: they are counted up to {MOST}; give the rest another run",
            code="tokens",
        )


def _event_of(id: str, reported: Reported) -> e.DispatchReported:
    tokens = reported.tokens
    return e.DispatchReported(
        dispatch_id=id,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read or None,
        cache_write_tokens=tokens.cache_write or None,
        input_stated=reported.stated,
        model=reported.model,
        running=reported.running or None,
    )


def _billed(order: c.ReconcileTokens) -> tuple[int | None, ...]:
    """Billed tokens by class, input made uncached; None for a class the bill does not name."""
    read, write = order.billed_cache_read, order.billed_cache_write
    for what, tokens in (
        ("--billed-in", order.billed_in),
        ("--billed-out", order.billed_out),
        ("--billed-cache-read", read),
        ("--billed-cache-write", write),
    ):
        if tokens is not None:
            _require_tokens(what, tokens)
    billed_in = order.billed_in
    if order.input_includes_cache:
        if read is None:
            raise RuleRefused(
                "input that includes caches can be compared only when the bill says how much was cached: "
                "give --billed-cache-read (and --billed-cache-write)",
                code="which-cache",
            )
        billed_in = _uncached(billed_in, read + (write or 0))
    return billed_in, order.billed_out, read, write


def _require_every_cache(order: c.ReconcileTokens, reported: Tokens) -> None:
    """Input that includes caches cannot be made uncached while a class of them is not named."""
    if order.input_includes_cache and order.billed_cache_write is None and reported.cache_write:
        raise RuleRefused(
            f"the billed input includes caches, and {reported.cache_write} tokens of cache writes were reported: say with "
            "--billed-cache-write how many of it were cache writes (0 if there were none)",
            code="which-cache",
        )


def _tolerance(order: c.ReconcileTokens) -> tuple[int, Decimal]:
    _require_tokens("--tolerance-tokens", order.tolerance_tokens)
    percent = usd(order.tolerance_percent, "--tolerance-percent")
    if percent < 0:
        raise AmountRefused(f"--tolerance-percent {plain(percent)} is negative: give 0 or more")
    return order.tolerance_tokens, percent


_FIELDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


class Compared(NamedTuple):
    """What a comparison found, class by class; classes that the bill does not name are None."""

    dispatch_id: str | None
    bill: Bill
    deltas: tuple[int | None, ...]
    outside: int
    names: list[str]

    def reason(self) -> str:
        """The differences in words."""
        return reason_of(self.dispatch_id, self.bill.reported, self.bill.billed)

    def facts(self, run_id: str, source: str) -> Answer:
        """What `TokensReconciled` keeps."""
        counts = [
            e.TokenCounts(**dict(zip(_FIELDS, side, strict=True))) for side in (self.bill.reported, self.bill.billed)
        ]
        return {
            "run_id": run_id,
            "dispatch_id": self.dispatch_id,
            "source": source,
            "reported": counts[0],
            "billed": counts[1],
            "tolerance_tokens": self.bill.tolerance[0],
            "tolerance_percent": self.bill.tolerance[1],
            "status": self.bill.status,
            "running": tuple(self.names),
            "running_count": self.bill.running,
            "outside_tokens": self.outside,
        }

    def finding(self, run_id: str, source: str) -> Answer:
        """What `TokenDiscrepancyDetected` keeps."""
        deltas = {f"delta_{name}": d for name, d in zip(CLASSES, self.deltas, strict=True) if d is not None}
        return {"run_id": run_id, "dispatch_id": self.dispatch_id, "source": source, **deltas, "reason": self.reason()}

    def answer(self, source: str) -> Answer:
        """What a door shows."""
        bill = self.bill
        sides = {"reported": bill.reported, "billed": bill.billed, "delta": self.deltas}
        figures = {
            f"{side}_{name}": value
            for side, values in sides.items()
            for name, value in zip(CLASSES, values, strict=True)
            if name in ("in", "out") or value is not None
        }
        return {
            "dispatch_id": self.dispatch_id,
            "source": source,
            **figures,
            "discrepancy": bill.status == DISCREPANCY,
            "status": bill.status,
            "reason": self.reason() if bill.status == DISCREPANCY else None,
            "tolerance_tokens": bill.tolerance[0],
            "tolerance_percent": bill.tolerance[1],
            "outside_tokens": self.outside,
            "running": self.names,
            "running_count": bill.running,
        }


def _compared(
    dispatch_id: str | None,
    reported: Tokens,
    billed: tuple[int | None, ...],
    tolerance: tuple[int, Decimal],
    running: int,
    names: list[str],
) -> Compared:
    given = [b is not None for b in billed]
    deltas = deltas_of(reported, billed)
    beyond = [
        d
        for d, b in zip(deltas, billed, strict=True)
        if d is not None and b is not None and not _within(d, b, tolerance)
    ]
    status = MATCHED if not beyond else PENDING if running and min(beyond) > 0 else DISCREPANCY
    compared = tuple(r if known else None for r, known in zip(reported, given, strict=True))
    outside = sum(r for r, known in zip(reported, given, strict=True) if not known)
    return Compared(dispatch_id, Bill(compared, billed, tolerance, status, running), deltas, outside, names)


def _within(delta: int, billed: int, tolerance: tuple[int, Decimal]) -> bool:
    """Is a delta within either bound? The percent is of what was billed."""
    tokens, percent = tolerance
    return abs(delta) <= tokens or EXACT.multiply(Decimal(abs(delta)), Decimal(100)) <= EXACT.multiply(
        percent, Decimal(billed)
    )
