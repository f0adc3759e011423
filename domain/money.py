"""Exact US dollars: read, calculate, write. No float gets in, and only `shown` rounds."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from .errors import AmountRefused

P = ParamSpec("P")
R = TypeVar("R")

ZERO = Decimal(0)
PLACES = 12
"""Decimal places kept: a per-token price needs 1e-12 dollars to be exact."""
LIMIT = Decimal(10) ** 12
"""Amounts stay below a trillion dollars, so that sums and products of them stay exact."""
FARTHEST = 60
"""Powers of ten beyond which a number means nothing here, and would only take memory."""

EXACT = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow])
"""A context in which a result that would have to be rounded is an error, not a rounding."""
SHOW = Context(prec=60, rounding=ROUND_HALF_UP)


def exactly(function: Callable[P, R]) -> Callable[P, R]:
    """Run a calculation in the exact context, whatever the embedding program did to the thread's own."""

    @wraps(function)
    def calculated(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return calculated


def number(value: str | int | Decimal, what: str = "amount") -> Decimal:
    """Read an exact, finite number; floats are refused: 0.1 + 0.2 has no place in a ledger."""
    if isinstance(value, bool | float):
        raise AmountRefused(
            f"{what} {value!r} is a {type(value).__name__}: give it as a string or a Decimal, like '5.42'"
        )
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise AmountRefused(f"{what} {value!r} is not a number: write it like 5.42")
    try:
        read = Decimal(value.strip() if isinstance(value, str) else value, EXACT)
    except (InvalidOperation, ValueError, TypeError):
        raise AmountRefused(f"{what} {value!r} is not a number: write it like 5.42") from None
    if not read.is_finite():
        raise AmountRefused(f"{what} {value} is not a finite number: write it like 5.42")
    if read and abs(read.adjusted()) > FARTHEST:
        raise AmountRefused(f"{what} {str(value)[:40]} is out of range: write it like 5.42")
    return read


def usd(value: str | int | Decimal, what: str = "amount") -> Decimal:
    """Read an exact amount of at most 12 decimal places and below a trillion, in its shortest form."""
    read = number(value, what)
    if read.adjusted() >= LIMIT.adjusted() and read:
        raise AmountRefused(f"{what} {str(value)[:40]} is out of range: amounts stay below {LIMIT:,}")
    try:
        read = read.normalize(EXACT)
    except Inexact:
        raise AmountRefused(
            f"{what} {str(value)[:40]} has more than {PLACES} decimal places: give it with fewer digits"
        ) from None
    exponent = read.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > PLACES:
        raise AmountRefused(
            f"{what} {str(value)[:40]} has more than {PLACES} decimal places: give it with fewer digits"
        )
    if not read:
        return ZERO
    return read if isinstance(exponent, int) and exponent <= 0 else read.quantize(Decimal(1), context=EXACT)


def plain(amount: Decimal) -> str:
    """Write an amount with all its digits, without exponent and trailing zeros: '5.42', '30', '-0.0000001'."""
    return f"{amount.normalize(EXACT):f}" if amount else "0"


def cents(amount: Decimal) -> str:
    """Write an amount for people: at least two places, and never fewer digits than there are."""
    rounded = shown(amount, 2)
    return f"{rounded if rounded == amount else amount.normalize(EXACT):,f}"


def dollars(amount: Decimal) -> str:
    """Write an amount in a sentence: '$5.31', '-$0.04'."""
    return f"{'-' if amount < 0 else ''}${cents(abs(amount))}"


def shown(amount: Decimal, places: int) -> Decimal:
    """Round for showing, half away from zero: the one place where Mecris rounds."""
    return amount.quantize(Decimal(1).scaleb(-places), context=SHOW)


def percent_of(part: Decimal, whole: Decimal) -> Decimal | None:
    """`part` in percent of `whole`, to 60 digits, for showing only; None when the whole is zero."""
    return SHOW.divide(SHOW.multiply(part, Decimal(100)), whole) if whole else None
