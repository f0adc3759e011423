"""Orders: what one may ask the books to do. Imperative, frozen, and they may be refused."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from .money import number, usd
from .period import When


def _usd(value: Any) -> Decimal:
    return usd(value)


def _number(value: Any) -> Decimal:
    return number(value, "number")


Usd = Annotated[Decimal, BeforeValidator(_usd)]
"""An exact amount of US dollars (or of the currency named beside it); floats are refused."""
Number = Annotated[Decimal, BeforeValidator(_number)]
Provider = str
SourceType = Literal["realtime", "manual"]


class Command(BaseModel):
    """An order. `name` is what it is called in the books' memory of idempotency keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]


class OpenCycle(Command):
    """Open a budgeting period. Days are inclusive; `target_usd` is not negative."""

    name: ClassVar[str] = "open-cycle"
    start_date: When
    end_date: When
    target_usd: Usd
    notes: str | None = None
    timezone: str = "UTC"


class CycleCommand(Command):
    """An order about one cycle."""

    cycle_id: int


class AdjustBudget(CycleCommand):
    """Add to the budget or take from it; `at` is when it counts from (default now, a day means its beginning)."""

    name: ClassVar[str] = "adjust-budget"
    amount_usd: Usd
    reason: str
    at: When | None = None
    provider: Provider = ""


class ChangeThresholds(CycleCommand):
    """Set the inclusive upper bounds of the grades, in percent."""

    name: ClassVar[str] = "change-thresholds"
    excellent: Number
    good: Number
    fair: Number


class RecordSource(CycleCommand):
    """Record what a source says the cycle has cost so far.

    At least one of `amount`, `balance` (what is left) and `payload`; `credit` is what the balance is left of.
    All three are in `currency`; another one than USD needs `rate` (USD per unit). `type`, `provider` and
    `counted` may be left out once the source is known. `measured_at` left out means now.
    """

    name: ClassVar[str] = "record-source"
    source: str
    type: SourceType | None = None
    amount: Usd | None = None
    balance: Usd | None = None
    credit: Usd | None = None
    payload: str | None = None
    provider: Provider | None = None
    counted: bool | None = None
    currency: str = "USD"
    rate: Number | None = None
    measured_at: When | None = None
    reconcile: bool = True


class RetractReading(CycleCommand):
    """Take a wrong reading back; it stays in the log."""

    name: ClassVar[str] = "retract-reading"
    reading: int
    reason: str
    reconcile: bool = True


class ApplyPlug(CycleCommand):
    """Explain spend that no realtime source saw: an amount, or exactly what is unexplained (`square`)."""

    name: ClassVar[str] = "apply-plug"
    amount_usd: Usd | None = None
    square: bool = False
    reason: str
    provider: Provider | None = None
    evidence: str | None = None
    yes: bool = False


class ReversePlug(CycleCommand):
    """Undo a plug by its opposite."""

    name: ClassVar[str] = "reverse-plug"
    plug: int
    reason: str


class Reconcile(CycleCommand):
    """Put on record what anybody can derive: the tie-out and all pairs, as they stand."""

    name: ClassVar[str] = "reconcile"
