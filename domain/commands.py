"""Orders: what one may ask the books to do. Imperative, frozen, and they may be refused."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation

from .money import number, usd
from .period import When


def _usd(value: Any) -> Decimal:
    return usd(value)


def _number(value: Any) -> Decimal:
    return number(value, "number")


Usd = Annotated[Decimal, BeforeValidator(_usd)]
"""An exact amount of US dollars (or of the currency named beside it); floats are refused."""
Number = Annotated[Decimal, BeforeValidator(_number)]
Id = Annotated[int, Field(strict=True)]
"""A number that the books gave; text, decimals and flags are refused, as a slip would name something else."""
Flag = Annotated[bool, Field(strict=True)]
Provider = str
SourceType = Literal["realtime", "manual"]


class Command(BaseModel):
    """An order. `name` is what it is called in the books' memory of idempotency keys.

    `aside` are fields that say how it may be done and not what: the same order under the same key may differ in them.
    One that `opens` a cycle is followed, in the same write, by what was imported for its days before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: ClassVar[str]
    aside: ClassVar[frozenset[str]] = frozenset()
    opens: ClassVar[bool] = False


class OpenCycle(Command):
    """Open a budgeting period. Days are inclusive; `target_usd` is not negative; what is left of `roll_over_from` comes on top."""

    name: ClassVar[str] = "open-cycle"
    opens: ClassVar[bool] = True
    start_date: When
    end_date: When
    target_usd: Usd
    notes: str | None = None
    timezone: str = "UTC"
    roll_over_from: Id | None = None


class CycleCommand(Command):
    """An order about one cycle."""

    cycle_id: Id


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
    source: Annotated[str, Field(validation_alias=AliasChoices("source", "name"))]
    type: SourceType | None = None
    amount: Annotated[Usd | None, Field(validation_alias=AliasChoices("amount", "amount_usd"))] = None
    balance: Usd | None = None
    credit: Usd | None = None
    payload: Annotated[str | None, Field(validation_alias=AliasChoices("payload", "raw_payload"))] = None
    provider: Provider | None = None
    counted: Flag | None = None
    currency: str = "USD"
    rate: Number | None = None
    measured_at: When | None = None
    reconcile: Flag = True


class RetractReading(CycleCommand):
    """Take a wrong reading back; it stays in the log."""

    name: ClassVar[str] = "retract-reading"
    reading: Id
    reason: str
    reconcile: Flag = True


class ApplyPlug(CycleCommand):
    """Explain spend that no realtime source saw: an amount, or exactly what is unexplained (`square`).

    `expected_usd` is what whoever gives the order saw, and `expected_left_usd` what would be left unexplained: when it
    would be something else by now, it is refused.
    """

    name: ClassVar[str] = "apply-plug"
    aside: ClassVar[frozenset[str]] = frozenset(("yes", "expected_usd", "expected_left_usd"))
    amount_usd: Usd | None = None
    square: Flag = False
    reason: str
    provider: Provider | None = None
    evidence: str | None = None
    yes: Flag = False
    expected_usd: Usd | None = None
    expected_left_usd: Usd | None = None


class ReversePlug(CycleCommand):
    """Undo a plug by its opposite."""

    name: ClassVar[str] = "reverse-plug"
    plug: Id
    reason: str


class Reconcile(CycleCommand):
    """Put on record what anybody can derive: the tie-out and all pairs, as they stand."""

    name: ClassVar[str] = "reconcile"


class CloseCycle(CycleCommand):
    """Close a cycle and put its final figures on record; `accept` closes it in spite of what is still open."""

    name: ClassVar[str] = "close-cycle"
    accept: Flag = False
    reason: str | None = None


class ReopenCycle(CycleCommand):
    """Let a closed cycle take statements again."""

    name: ClassVar[str] = "reopen-cycle"
    opens: ClassVar[bool] = True
    reason: str


class RollOver(CycleCommand):
    """Carry what is left of a closed cycle, or what is missing, into this one; it counts from `at` (default: its beginning)."""

    name: ClassVar[str] = "roll-over"
    from_cycle: Id
    reason: str | None = None
    at: When | None = None
    provider: Provider = ""


class RunCommand(Command):
    """An order about one run."""

    run_id: str


Tokens = Annotated[int, Field(strict=True)]


class Dispatch(BaseModel):
    """What one dispatch reports, in tokens.

    `input_tokens` are uncached ones (Anthropic counts so), unless `input_includes_cache` says that cache reads and
    writes are among them (OpenAI, Groq and LiteLLM count so).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    dispatch_id: str
    input_tokens: Tokens
    output_tokens: Tokens
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    input_includes_cache: Flag = False
    model: str | None = None
    running: Flag = False


class RecordDispatches(RunCommand):
    """Set what dispatches of a run report, one or many in one write; what they reported before stays in the log."""

    name: ClassVar[str] = "record-dispatches"
    dispatches: tuple[Dispatch, ...]


class ReconcileTokens(RunCommand):
    """Compare what was billed with what a run, or one dispatch of it, reported. Within either tolerance is within."""

    name: ClassVar[str] = "reconcile-tokens"
    billed_in: Tokens
    billed_out: Tokens
    billed_cache_read: Tokens | None = None
    billed_cache_write: Tokens | None = None
    input_includes_cache: Flag = False
    dispatch_id: str | None = None
    source: str = "manual"
    tolerance_tokens: Tokens = 0
    tolerance_percent: Number = Decimal(0)


class OdometerCommand(Command):
    """An order about one provider's counter."""

    provider: Provider


class ReadOdometer(OdometerCommand):
    """Record what the counter of a month shows; `correct` replaces a figure that was wrong, with a reason."""

    name: ClassVar[str] = "read-odometer"
    amount_usd: Usd
    month: str | None = None
    read_at: When | None = None
    notes: str | None = None
    correct: Flag = False
    reason: str | None = None


class FinalizeMonth(OdometerCommand):
    """Say that a month is over and its figure will not change."""

    name: ClassVar[str] = "finalize-month"
    month: str


class ReopenMonth(OdometerCommand):
    """Let a final month take readings again."""

    name: ClassVar[str] = "reopen-month"
    month: str
    reason: str


class FeedCycle(OdometerCommand):
    """Give a cycle a reading with each reading of the counter, in the same write."""

    name: ClassVar[str] = "feed-cycle"
    cycle_id: Id


class StopFeeding(OdometerCommand):
    """Give a cycle no more readings of the counter."""

    name: ClassVar[str] = "stop-feeding"
    cycle_id: Id
    reason: str


class AlertCommand(Command):
    """An order about the alerts of a cycle."""

    cycle_id: Id


class RaiseAlert(AlertCommand):
    """Say that something is over its threshold; the answer tells which targets are to hear of it now."""

    name: ClassVar[str] = "raise-alert"
    kind: Literal["discrepancy", "health"]
    level: Literal["WARNING", "CRITICAL"]
    message: str
    threshold_percent: Number
    discrepancy_percent: Number | None = None
    targets: tuple[str, ...] = ()
    cool_down_hours: Number


class NoteDelivery(AlertCommand):
    """Say what came of an attempt to reach a target; no `error` means that it was reached."""

    name: ClassVar[str] = "note-delivery"
    alert: Id
    target: str
    attempts: int
    error: str | None = None


class TokenCommand(Command):
    """An order about the access token of that name."""

    token_name: str


class CreateToken(TokenCommand):
    """Let somebody in: `handle` is the public part of the token, `digest` the SHA-256 of its secret part, in hex."""

    name: ClassVar[str] = "create-token"
    scope: Literal["read", "write", "admin"]
    handle: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    expires: When | None = None


class RevokeToken(TokenCommand):
    """Let a token open nothing any more."""

    name: ClassVar[str] = "revoke-token"
    reason: str | None = None


class ImportCommand(Command):
    """An order of an import: what files say, given once they were read."""


class ImportLines(ImportCommand):
    """Take in lines of a report; those that are known and not better are passed over.

    `price` says what a call costs of which nobody said it. With `again` the lines are those on record, and only their prices change.
    """

    name: ClassVar[str] = "import-lines"
    report: str
    provider: str
    account: str
    source: str
    type: SourceType
    estimate: bool
    prices: str | None
    evidence: str
    exported_at: datetime
    price: Annotated[Any, SkipValidation] = None
    again: bool = False
    lines: Annotated[tuple[Any, ...], SkipValidation]


class ImportFigures(ImportCommand):
    """Take in figures of a report that stand for whole cycles; those that are known are passed over."""

    name: ClassVar[str] = "import-figures"
    report: str
    provider: str
    account: str
    source: str
    type: SourceType
    evidence: str
    exported_at: datetime
    figures: Annotated[tuple[Any, ...], SkipValidation]


class FileEvidence(ImportCommand):
    """Keep a file on record, and what could not be read of it."""

    name: ClassVar[str] = "file-evidence"
    sha256: str
    size: int
    file_name: str
    format: str
    version: int
    report: str
    exported_at: datetime
    items: int
    unreadable_count: int
    unreadable: tuple[tuple[int, str], ...]
    remarks: tuple[str, ...]
    incomplete: bool
    cycle_id: int | None = None


class SettleEvidence(ImportCommand):
    """Say that nothing is missing any more of the lines of a file that could not be read."""

    name: ClassVar[str] = "settle-evidence"
    sha256: str
    reason: str


class WithdrawReport(ImportCommand):
    """Say that a report should not count; one more import of any of its files lets it count again."""

    name: ClassVar[str] = "withdraw-report"
    report: str
    reason: str


def _named(kind: type[Command]) -> dict[str, type[Command]]:
    here = {kind.name: kind} if "name" in vars(kind) else {}
    return here | {name: order for below in kind.__subclasses__() for name, order in _named(below).items()}


NAMED = _named(Command)
"""Every order by its name."""
INNER = frozenset(
    (
        "raise-alert",
        "note-delivery",
        "create-token",
        "import-lines",
        "import-figures",
        "file-evidence",
        "settle-evidence",
        "withdraw-report",
    )
)
"""Orders that only Mecris itself gives: what they say was not said by a person."""
