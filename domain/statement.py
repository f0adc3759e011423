"""A statement of a source, made whole: what was left out is filled in, and what makes no sense is refused."""

from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from . import commands as c
from .aggregate import Stamp
from .errors import AmountRefused, PayloadRefused, RuleRefused, TimeRefused
from .events import Stated
from .history import Past
from .money import EXACT, cents, plain, usd
from .payload import Payload, read_payload
from .period import LATE, time_text
from .state import CycleState
from .text import name_of, writable
from .tie_out import Reading, Source, Statement


class Said(NamedTuple):
    """What a source says, in USD, with everything that was left out filled in."""

    state: CycleState
    known: Source | None
    name: str
    type: str
    provider: str
    counted: bool
    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    measured_at: datetime
    stated: bool
    stated_as: Stated | None
    payload: str | None

    def reading(self, number: int) -> Reading:
        """The reading this becomes."""
        return Reading(number, self.amount, self.balance, self.credit, self.measured_at, self.stated)

    def is_like(self, source: Source) -> bool:
        """Is this a counted source of the same type and provider?"""
        return source.counted and (source.type, source.provider) == (self.type, self.provider)

    def is_said_again(self, past: Past) -> bool:
        """Was the identical statement made before? Without a stated time two statements are never identical."""
        if not self.stated or self.known is None or self.measured_at > self.known.current.measured_at:
            return False
        digest = sha256(self.payload.encode()).hexdigest() if self.payload is not None else None
        return Statement(self.amount, self.balance, self.credit, digest) in past.statements(
            self.known, self.measured_at
        )


def said_by(state: CycleState, order: c.RecordSource, stamp: Stamp) -> Said:
    """Make an order's statement whole, or refuse it."""
    name = name_of(order.source, "the name of a source")
    if not name:
        raise RuleRefused("a source needs a name, like 'console' or 'session log'", code="name")
    known = state.sources.get(name)
    payload = read_payload(writable(order.payload, "the payload")) if order.payload is not None else None
    measured_at, stated = _measured(state, order, payload, stamp)
    amount, balance, credit, stated_as = _figures(order, payload)
    return Said(
        state,
        known,
        name,
        _kept("type", order.type, known.type if known else None, name) or _no_type(name),
        _kept("provider", _provider(order), known.provider if known else None, name) or "",
        _counted(order.counted, known, name),
        amount,
        balance,
        credit,
        measured_at,
        stated,
        stated_as,
        order.payload,
    )


def _provider(order: c.RecordSource) -> str | None:
    return None if order.provider is None else name_of(order.provider, "the provider")


def _kept(what: str, said: str | None, known: str | None, name: str) -> str | None:
    """A source keeps its type and provider: one that says nothing takes the source's own."""
    if said is not None and known is not None and said != known:
        raise RuleRefused(
            f"'{name}' has the {what} '{known}', not '{said}': use another name for another source",
            code=f"{what}-changed",
        )
    return known if said is None else said


def _no_type(name: str) -> str:
    raise RuleRefused(
        f"'{name}' is new: say with --type whether it is realtime (a meter, an API) or manual (read by a person)",
        code="no-type",
    )


def _counted(said: bool | None, known: Source | None, name: str) -> bool:
    if known and said is not None and said != known.counted:
        was = "counted" if known.counted else "compare-only"
        raise RuleRefused(
            f"'{name}' is {was} and stays so: use another name for another source", code="counted-changed"
        )
    return (known.counted if known else True) if said is None else said


def _measured(state: CycleState, order: c.RecordSource, payload: Payload | None, stamp: Stamp) -> tuple[datetime, bool]:
    if order.measured_at is not None:
        measured_at, stated = state.period.end_of(order.measured_at, stamp.now), True
    elif payload and payload.taken_at:
        measured_at, stated = payload.taken_at, True
    else:
        measured_at, stated = stamp.now, False
    whose = "the payload's own time, " if order.measured_at is None and stated else ""
    _require_in_cycle(state, measured_at, stamp, whose)
    return measured_at, stated


def _require_in_cycle(state: CycleState, measured_at: datetime, stamp: Stamp, whose: str) -> None:
    other = ", or say with --measured-at when it was read" if whose else ""
    if measured_at > stamp.now + LATE:
        raise TimeRefused(
            f"{whose}{time_text(measured_at)} has not come yet: a reading says what was measured, at the latest now{other}"
        )
    if measured_at < state.period.begins:
        raise TimeRefused(
            f"{whose}{time_text(measured_at)} is before the cycle begins ({time_text(state.period.begins)}): "
            f"record it in the cycle it belongs to{other}"
        )


def _figures(
    order: c.RecordSource, payload: Payload | None
) -> tuple[Decimal | None, Decimal | None, Decimal | None, Stated | None]:
    """The amount, or the balance and its credit, in USD; and how they were stated in another currency."""
    if order.amount is not None and order.balance is not None:
        raise RuleRefused("give either the amount spent or the balance left, not both", code="amount-and-balance")
    if order.credit is not None and order.balance is None:
        raise RuleRefused(
            "--of says what a balance is left of: give it with --remaining", code="credit-without-balance"
        )
    rate = _rate(order)
    amount, balance, credit = (
        _converted(figure, rate, order.currency) for figure in (order.amount, order.balance, order.credit)
    )
    if payload is None and amount is None and balance is None:
        raise RuleRefused(
            "the reading says nothing: give --amount, --remaining, or --raw with a payload that names the amount",
            code="nothing-said",
        )
    if payload and amount is not None:
        payload.must_name(amount, "the amount")
    elif payload and balance is not None:
        payload.must_name(balance, "the balance")
    elif payload:
        if rate is not None:
            raise PayloadRefused("a payload alone is read in USD: give --amount in the other currency beside it")
        amount = payload.amount_alone()
    as_said = (
        Stated(currency=_code(order), rate=rate, amount=order.amount, balance=order.balance, credit=order.credit)
        if rate is not None
        else None
    )
    return amount, balance, credit, as_said


def _code(order: c.RecordSource) -> str:
    code = order.currency.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise RuleRefused(f"currency {order.currency!r} is not a three-letter code like USD or EUR", code="currency")
    return code


def _rate(order: c.RecordSource) -> Decimal | None:
    if _code(order) == "USD":
        if order.rate is not None and order.rate != 1:
            raise RuleRefused("a rate needs its --currency: US dollars are not converted", code="rate")
        return None
    if order.rate is None:
        raise RuleRefused(f"{_code(order)} needs a --rate: how many USD one {_code(order)} is worth", code="rate")
    rate = usd(order.rate, "the rate")
    if rate <= 0:
        raise AmountRefused(f"the rate {plain(rate)} is not positive: give how many USD one {_code(order)} is worth")
    return rate


def _converted(figure: Decimal | None, rate: Decimal | None, currency: str) -> Decimal | None:
    if figure is None or rate is None:
        return figure
    converted = EXACT.multiply(figure, rate)
    try:
        return usd(converted)
    except AmountRefused:
        raise AmountRefused(
            f"{plain(figure)} {currency.upper()} at {plain(rate)} come to ${plain(converted)}, which cannot be kept to the last "
            "digit (12 decimal places): give the rate with fewer digits"
        ) from None


def require_sense(said: Said) -> None:
    """Refuse what cannot be: a negative amount, or more left than there was."""
    if said.amount is not None and said.amount < 0:
        raise AmountRefused(
            f"the amount {cents(said.amount)} is negative: a source says how much was spent so far, 0 or more"
        )
    if said.credit is not None and said.credit < 0:
        raise AmountRefused(f"--of {cents(said.credit)} is negative: give the credit that the balance is left of")
    if said.balance is None:
        return
    others = sorted({s.name for s in said.state.sources.values() if s.provider != said.provider})
    if said.credit is None and others:
        raise RuleRefused(
            f"the cycle has sources of other providers ('{others[0]}'), whose spend this balance does not show: "
            "say with --of what it is left of",
            code="which-credit",
        )
    credit = said.credit
    if credit is None:
        credit = said.state.ledger().credit_at(said.measured_at, said.provider)
    if said.balance > credit:
        raise RuleRefused(
            f"{cents(said.balance)} are left of {cents(credit)}, more than there was: record the top-up first "
            "(mecris budget cycle adjust, with --at when it was paid)",
            code="balance-above-credit",
        )
