"""What answers look like, for those who read them by a schema. Answers may get more fields; those named here stay.

Amounts are numbers with all their digits. Nothing is converted by these models: answers are written as the hall gives them.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Usd = Annotated[Decimal, WithJsonSchema({"type": "number", "description": "US dollars, exact"})]
Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2025-09-10T09:05:00Z"])]
Day = Annotated[str, Field(description="ISO 8601", examples=["2025-09-30"])]


class Shape(BaseModel):
    """Fields that stay; others may come."""

    model_config = ConfigDict(extra="allow")


class Asked(Shape):
    """As of when an answer holds."""

    position: int
    as_of: str | None
    measured_by: str | None = None


class Done(Shape):
    """What came of an order: `recorded` is false when there was nothing new to record."""

    recorded: bool
    position: int


class CycleOpened(Done):
    """A cycle was opened."""

    cycle_id: int


class SourceRecorded(Done):
    """A reading was recorded."""

    source_id: int
    source: str
    reading: int | None
    amount_usd: Usd
    measured_at: Time
    warnings: list[str]


class PlugApplied(Done):
    """A plug was applied; `plug` is null when nothing was unexplained."""

    plug: int | None
    provider: str
    amount_usd: Usd
    unexplained_usd: Usd


class Closed(Shape):
    """How a cycle was closed."""

    at: Time
    by: str
    accepted: list[str]
    reason: str | None


class Cycle(Shape):
    """A budgeting period."""

    id: int
    start_date: Day
    end_date: Day
    target_usd: Usd
    budget_usd: Usd
    state: str
    closed: Closed | None
    rolled_over_to: int | None
    notes: str | None
    timezone: str
    days_left: int


class ListedCycle(Cycle):
    """A cycle with what is left of it."""

    spent_usd: Usd
    remaining_usd: Usd
    grade: str


class Totals(Shape):
    """Plain sums by type, and what was spent."""

    realtime_usd: Usd
    manual_usd: Usd
    overall_usd: Usd


class TieOut(Shape):
    """budget = tracked + plugged + unexplained + remaining."""

    tracked_usd: Usd
    plugged_usd: Usd
    unexplained_usd: Usd
    spent_usd: Usd
    remaining_usd: Usd
    coverage_percent: Number | None
    verified_percent: Number | None


class Provider(Shape):
    """The tie-out of one provider."""

    provider: str
    observed_usd: Usd
    observed_at: Time | None
    tracked_then_usd: Usd
    tracked_usd: Usd
    plugged_usd: Usd
    unexplained_usd: Usd
    spent_usd: Usd
    grade: str
    diff_usd: Usd
    percent: Number | None


class Reason(Shape):
    """One thing that is not as it should be."""

    level: str
    code: str
    message: str
    provider: str | None


class Health(Shape):
    """GOOD, WARNING or CRITICAL, with every reason."""

    level: str
    reasons: list[Reason]


class Burn(Shape):
    """How fast money goes."""

    today_usd: Usd | None
    per_day_7d_usd: Usd | None
    per_day_cycle_usd: Usd | None


class Forecast(Shape):
    """What it comes to by the end."""

    spent_usd: Usd | None
    spent_low_usd: Usd | None
    spent_high_usd: Usd | None
    remaining_usd: Usd | None
    remaining_low_usd: Usd | None
    remaining_high_usd: Usd | None
    runs_out_on: Day | None


class Newest(Shape):
    """A provider's newest reading."""

    provider: str
    measured_at: Time
    age_days: Number


class Status(Asked):
    """How much is left, and why one should believe it."""

    cycle: Cycle
    totals: Totals
    tie_out: TieOut
    grade: str
    diff_usd: Usd
    percent: Number | None
    stale: bool | None
    last_reconciled_at: Time | None
    warnings: list[str]
    providers: list[Provider]
    health: Health
    burn: Burn
    forecast: Forecast
    newest: list[Newest]


class CycleForecast(Asked):
    """Health, burn and forecast of a cycle."""

    cycle: Cycle
    health: Health
    burn: Burn
    forecast: Forecast
    newest: list[Newest]
    grade: str
    percent: Number | None
    spent_usd: Usd
    remaining_usd: Usd
    unexplained_usd: Usd
    warnings: list[str]


class Side(Shape):
    """One side of a pair."""

    id: int
    name: str
    type: str
    amount_usd: Usd
    measured_at: Time


class Pair(Shape):
    """A realtime source beside a manual one."""

    source_a: Side
    source_b: Side
    diff_usd: Usd
    percent: Number
    grade: str
    analysis: str


class Discrepancies(Shape):
    """Every pair of a cycle, graded."""

    cycle_id: int
    grade: str
    diff_usd: Usd
    percent: Number | None
    stale: bool | None
    generated_at: Time
    details: list[Pair]


class Source(Shape):
    """A source with a reading of it."""

    id: int
    name: str
    type: str
    provider: str
    counted: bool
    amount_usd: Usd
    measured_at: Time
    reading: int


class Plug(Shape):
    """What somebody explained."""

    plug: int
    amount_usd: Usd
    provider: str
    reason: str
    evidence: str | None
    rests_on: Time
    reversed: bool
    recorded_at: Time
    recorded_by: str


class Adjustment(Shape):
    """What was added to the budget, or taken away."""

    adjustment: int
    amount_usd: Usd
    counts_from: Time
    provider: str
    reason: str
    rolled_over_from: int | None
    recorded_at: Time
    recorded_by: str


class Advice(Shape):
    """What to do, and why."""

    why: str
    command: str


class Narrative(Asked):
    """One line to act on, and the facts behind it."""

    cycle_id: int
    summary: str
    health: str
    urgent_items: list[str]
    warnings: list[str]
    notes: list[str]
    recommendations: list[Advice]
    facts: dict[str, Any]


class Point(Shape):
    """One day of a chart."""

    day: Day
    budget_usd: Usd
    spent_usd: Usd | None
    plugged_usd: Usd
    forecast_usd: Usd | None


class Chart(Asked):
    """Budget, spend, plugs and forecast, day by day."""

    cycle_id: int
    start_date: Day
    end_date: Day
    today: Day
    newest: Time | None
    points: list[Point]


class Unified(Asked):
    """All current cycles and odometers together."""

    cycles: list[dict[str, Any]]
    odometers: list[dict[str, Any]]
    summary: dict[str, Usd]
    notes: list[str]


class Month(Shape):
    """What a counter showed for a month: `no_data`, `open`, `due` or `final`."""

    month: str
    amount_usd: Usd | None
    state: str
    read_at: Time | None


class Reminder(Shape):
    """What a person should do about a counter."""

    urgency: str
    month: str
    message: str


class Odometer(Shape):
    """A provider's month-to-date counter."""

    provider: str
    month: str
    month_ends: Day
    amount_usd: Usd | None
    state: str
    months: list[Month]
    last_read_at: Time | None
    age_days: Number | None
    resets_on: Day
    days_until_reset: int
    daily_average_usd: Usd | None
    projected_usd: Usd | None
    feeds: list[int]
    reminders: list[Reminder]


class Odometers(Asked):
    """Every odometer, or one provider's."""

    odometers: list[Odometer]
    warnings: list[str]


class ReadingTaken(Done):
    """A counter was read; `fed` are the cycles that were told."""

    provider: str
    month: str
    amount_usd: Usd
    warnings: list[str]
    fed: list[dict[str, Any]]


class RunListed(Shape):
    """What a run reported in all, in tokens."""

    run_id: str
    dispatches: int
    running_count: int
    reported_in: int
    reported_out: int
    reported_cache_read: int
    reported_cache_write: int


class Run(RunListed):
    """What a run reported and what was billed for it."""

    running: list[str]
    bills: list[dict[str, Any]]
    first: list[dict[str, Any]]
    position: int
    as_of: str | None


class DispatchesRecorded(Done):
    """Dispatches of a run reported."""

    run_id: str
    dispatches: int
    corrected: int
    unchanged: int


class Comparison(Shape):
    """What was billed beside what was reported, in tokens; a delta is billed less reported."""

    run_id: str
    dispatch_id: str | None
    source: str
    reported_in: int
    reported_out: int
    billed_in: int
    billed_out: int
    delta_in: int
    delta_out: int
    discrepancy: bool
    status: str
    reason: str | None


class ComparisonMade(Comparison, Done):
    """A comparison that was put on record."""


class ComparisonListed(Comparison):
    """A comparison on record."""

    id: int
    created_at: Time
    recorded_by: str


class Delivery(Shape):
    """What came of telling somebody."""

    target: str
    delivered: bool
    attempts: int
    error: str | None
    retry_at: Time | None


class Alert(Shape):
    """What was over its threshold."""

    alert: int
    kind: str
    level: str
    message: str
    deliveries: list[Delivery]


class AlertsLooked(Shape):
    """What a look at discrepancy and health found."""

    cycle_id: int
    threshold_percent: Number
    percent: Number | None
    diff_usd: Usd
    grade: str
    health: str
    closed: bool
    dry_run: bool
    alerts: list[dict[str, Any]]


class Event(Shape):
    """An event as it stands in the log, beside its own fields."""

    position: int
    recorded_at: Time
    recorded_by: str
    via: str
    event: str
    cycle_id: int | None


class Events(Shape):
    """Events in order, and the cursor that goes on after them; it stays null-free, so that one can come back later."""

    events: list[Event]
    next: str


class Verdict(Shape):
    """What recomputing the chain found."""

    events: int
    head: str
    faults: list[dict[str, Any]]


class Replay(Verdict):
    """What rebuilding every read model beside the live ones found."""

    differences: int
    examples: list[dict[str, Any]]


class Job(Shape):
    """Work that was asked for."""

    job_id: int
    kind: str
    cycle_id: int
    status: str
    requested_at: Time
    requested_by: str
    started_at: Time | None
    finished_at: Time | None
    outcome: dict[str, Any] | None


class Queued(Shape):
    """Work that will be done."""

    status: str
    job_id: int
    cycle_id: int
    requested_at: Time


class TokenMade(Shape):
    """A token; its secret is shown this once."""

    name: str
    scope: str
    token: str
    expires_at: Time | None


class TokenListed(Shape):
    """A token; its secret is nowhere."""

    name: str
    scope: str
    state: str
    created_at: Time
    created_by: str
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None
