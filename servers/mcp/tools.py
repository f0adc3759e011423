"""Every tool of agents: each asks one question or gives one order, and answers with fields that are typed.

The text of an answer is the JSON of the hall, with every digit; its structured twin has floats, as JSON readers have.
Refusals are sentences that say what to do.
"""

from collections.abc import Callable
from typing import Any

from mcp_types import ToolAnnotations

from . import orders, questions
from .plugging import apply_plug

ASKS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
RECORDS = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=False, open_world_hint=False)
SETTLES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
UNDOES = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=True, open_world_hint=False)

TOOLS: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
    (questions.get_budget_status, ASKS),
    (questions.get_groq_status, ASKS),
    (questions.get_narrator_context, ASKS),
    (questions.get_unified_cost_status, ASKS),
    (questions.get_discrepancies, ASKS),
    (questions.list_cycles, ASKS),
    (questions.get_sources, ASKS),
    (questions.get_plugs, ASKS),
    (questions.get_odometers, ASKS),
    (questions.get_run, ASKS),
    (questions.verify_books, ASKS),
    (questions.get_forecast, ASKS),
    (questions.list_token_reconciliations, ASKS),
    (questions.get_event_log, ASKS),
    (orders.create_cycle, RECORDS),
    (orders.record_source, RECORDS),
    (orders.record_balance_reading, RECORDS),
    (apply_plug, RECORDS),
    (orders.reverse_plug, UNDOES),
    (orders.retract_reading, UNDOES),
    (orders.adjust_budget, RECORDS),
    (orders.reopen_cycle, UNDOES),
    (orders.reconcile_budget, SETTLES),
    (orders.close_cycle, UNDOES),
    (orders.record_groq_reading, RECORDS),
    (orders.record_odometer_reading, RECORDS),
    (orders.record_dispatch, SETTLES),
    (orders.reconcile_tokens, SETTLES),
)
"""Every tool: what is listed, and what can be called."""
