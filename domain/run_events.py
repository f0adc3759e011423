"""Events of a run: what its dispatches reported, what was billed for them, and where the two differ. Figures are tokens."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .event import Event, Usd


class RunEvent(Event):
    """Something that happened to a run; the first one makes it."""

    def first_of(self) -> Any:
        """Nothing has happened to it yet."""
        from .run import Run

        return Run.blank(self.originator_id)


class DispatchReported(BaseModel):
    """What one dispatch reported. `input_tokens` are uncached ones; `input_stated` is what was said of input, caches included.

    Figures that are 0 and a model that was not named are left out of the log.
    """

    model_config = ConfigDict(frozen=True)
    dispatch_id: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    input_stated: int | None = None
    model: str | None = None
    running: bool | None = None


class DispatchesRecorded(RunEvent):
    """Dispatches of a run reported their tokens; one that reported before is corrected."""

    stored_as: ClassVar[str] = "dispatches-recorded.v1"
    run_id: str
    dispatches: tuple[DispatchReported, ...]


class TokenCounts(BaseModel):
    """Tokens by class; a class of caches that was not named in a bill is left out."""

    model_config = ConfigDict(frozen=True)
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


class TokensReconciled(RunEvent):
    """Somebody compared what was billed with what was reported, for a run or for one dispatch of it.

    `status` is `matched`, `pending` (dispatches in `running` may still report the rest) or `discrepancy`.
    `outside_tokens` were reported for caches and not compared, because the bill did not name them.
    """

    stored_as: ClassVar[str] = "tokens-reconciled.v1"
    run_id: str
    dispatch_id: str | None = None
    source: str
    reported: TokenCounts
    billed: TokenCounts
    tolerance_tokens: int
    tolerance_percent: Usd
    status: str
    running: tuple[str, ...] = ()
    running_count: int = 0
    outside_tokens: int = 0


class TokenDiscrepancyDetected(RunEvent):
    """What was billed and what was reported differ by more than was tolerated; deltas are billed less reported."""

    stored_as: ClassVar[str] = "cost.reconciliation_discrepancy"
    run_id: str
    dispatch_id: str | None = None
    source: str
    delta_in: int
    delta_out: int
    delta_cache_read: int | None = None
    delta_cache_write: int | None = None
    reason: str


RUN_EVENTS: tuple[type[Event], ...] = (DispatchesRecorded, TokensReconciled, TokenDiscrepancyDetected)
"""Everything that can happen to a run."""
