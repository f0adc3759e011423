"""What requests carry. Fields that are not named here are refused, so that a slip is seen."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ...books.answers import to_json
from ...domain.money import number, usd
from .texts import Day, Month, Name, Reason, When

_DIGITS = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": -(10**12), "exclusiveMaximum": 10**12},
        {"type": "string", "pattern": r"^[+-]?[0-9]{1,12}(\.[0-9]{1,12})?$"},
    ]
}


def _not_a_flag(value: object) -> object:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise ValueError("write an amount as a number or a text of digits, like 5.42")  # noqa: TRY004  # pydantic wants it
    return value


Usd = Annotated[
    Decimal,
    BeforeValidator(lambda v: usd(_not_a_flag(v))),
    WithJsonSchema(
        {**_DIGITS, "description": "US dollars, exact: at most 12 digits after the point", "examples": [5.42]}
    ),
]
Number = Annotated[
    Decimal, BeforeValidator(lambda v: number(_not_a_flag(v), "number")), WithJsonSchema({**_DIGITS, "examples": [5]})
]
Id = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1, examples=[1])]
Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1, examples=[3500])]
Flag = Annotated[bool, Field(strict=True)]
Payload = Annotated[
    str,
    BeforeValidator(lambda v: to_json(v) if isinstance(v, dict) else v),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 65536}, {"type": "object"}]}),
]


class Body(BaseModel):
    """What a request carries."""

    model_config = ConfigDict(extra="forbid")


class NewCycle(Body):
    """A budgeting period; days are inclusive."""

    start_date: Day
    end_date: Day
    target_usd: Annotated[Usd, Field(examples=[30])]
    notes: Reason | None = None
    timezone: Annotated[str, Field(max_length=100, examples=["UTC"])] = "UTC"
    roll_over_from: Id | None = None


class Snapshot(Body):
    """What a source says the cycle has cost so far: an amount, a balance, or a payload that names one."""

    cycle_id: Id
    name: Name
    type: Literal["realtime", "manual"] | None = None
    currency: Annotated[str, Field(min_length=3, max_length=3, examples=["USD"])] = "USD"
    amount_usd: Usd | None = None
    amount: Annotated[Usd | None, Field(description="In `currency`, where that is not USD.")] = None
    balance: Annotated[Usd | None, Field(description="What is left, instead of an amount.")] = None
    credit: Annotated[Usd | None, Field(description="What the balance is left of.")] = None
    rate: Annotated[Number | None, Field(description="USD per unit of `currency`.")] = None
    raw_payload: Annotated[
        Payload | None,
        Field(
            description="What the source said: a text, or an object, kept as its JSON.",
            examples=["<div>$0.42 USD</div>"],
        ),
    ] = None
    provider: Annotated[str | None, Field(max_length=200, examples=["claude"])] = None
    counted: Flag | None = None
    measured_at: When | None = None
    reconcile: Flag = True


class OfCycle(Body):
    """A cycle."""

    cycle_id: Id


class NewAdjustment(Body):
    """What is added to the budget, or taken away."""

    amount_usd: Usd
    reason: Reason
    at: When | None = None
    provider: Annotated[str, Field(max_length=200)] = ""


class NewRollOver(Body):
    """What is left of a closed cycle goes into this one."""

    from_cycle: Id
    reason: Reason | None = None
    at: When | None = None
    provider: Annotated[str, Field(max_length=200)] = ""


class NewThresholds(Body):
    """The inclusive upper bounds of the grades, in percent; they increase."""

    excellent: Annotated[Number, Field(examples=[1])]
    good: Number
    fair: Annotated[Number, Field(examples=[10])]


class NewPlug(Body):
    """What no realtime source saw: an amount, or exactly what is unexplained (`square`)."""

    amount_usd: Usd | None = None
    square: Flag = False
    reason: Reason
    provider: Annotated[str | None, Field(max_length=200)] = None
    evidence: Reason | None = None
    yes: Annotated[Flag, Field(description="A plug over 5 USD needs an explicit yes.")] = False
    expected_usd: Annotated[
        Usd | None, Field(description="The amount that was looked at: refused when it would be another by now.")
    ] = None
    expected_left_usd: Annotated[
        Usd | None,
        Field(description="What it was to leave unexplained: refused when that would be something else by now."),
    ] = None


class Why(Body):
    """A reason."""

    reason: Reason


class Closing(Body):
    """Close a cycle, or accept what is still open, with a reason."""

    accept: Flag = False
    reason: Reason | None = None


class Look(Body):
    """Look at discrepancy and health; who is told is a setting of the server (MECRIS_NOTIFY)."""

    threshold_percent: Annotated[Number, Field(examples=[5])]
    dry_run: Flag = False


class NewDispatch(Body):
    """What one dispatch reports, in tokens; input is uncached unless it says otherwise."""

    dispatch_id: Name
    input_tokens: Count
    output_tokens: Count
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    input_includes_cache: Flag = False
    model: Annotated[str | None, Field(max_length=200, examples=["claude-opus-4-6"])] = None
    running: Flag = False


class NewDispatches(Body):
    """What dispatches of a run report, in one write."""

    run_id: Name
    dispatches: Annotated[list[NewDispatch], Field(min_length=1, max_length=5000)]


class NewBill(Body):
    """What was billed for a run, or for one dispatch of it, in tokens."""

    run_id: Name
    billed_in: Count
    billed_out: Count
    billed_cache_read: Count | None = None
    billed_cache_write: Count | None = None
    input_includes_cache: Flag = False
    dispatch_id: Name | None = None
    source: Name = "manual"
    tolerance_tokens: Count = 0
    tolerance_percent: Number = Decimal(0)


class NewCounterReading(Body):
    """What a counter shows."""

    provider: Name
    amount_usd: Usd
    month: Month | None = None
    read_at: When | None = None
    notes: Reason | None = None
    correct: Flag = False
    reason: Reason | None = None


class OfMonth(Body):
    """A month of a counter."""

    provider: Name
    month: Month


class MonthReopened(OfMonth):
    """A final month takes readings again."""

    reason: Reason


class Feeding(Body):
    """A cycle that gets a reading with each reading of the counter."""

    provider: Name
    cycle_id: Id


class FeedingEnded(Feeding):
    """A cycle that gets no more of them."""

    reason: Reason


class NewToken(Body):
    """Whom to let in."""

    name: Name
    scope: Literal["read", "write", "admin"]
    expires: When | None = None


class Nothing(Body):
    """Nothing is needed."""


class TokenRevoked(Body):
    """Whom to let in no more."""

    name: Name
    reason: Reason | None = None
