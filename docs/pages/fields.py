"""The fields of events: their types, and what each says."""

import json
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

MEANING = {
    "account": "whose account at the provider, if there are several",
    "cycle_id": "the cycle that the file was imported for, if for one alone",
    "estimate": "is its money tokens times a list price, which nobody billed?",
    "exported_at": "when the file was exported: of two that disagree, the later is right",
    "figures": "the figures, each a list of its values in the order given above",
    "file_name": "the name of the file",
    "format": "the format of the file",
    "incomplete": "is something missing of the file, so that its sum is too low?",
    "items": "lines and figures that were read",
    "lines": "the lines that are new, each a list of its values in the order given above",
    "prices": "the version of the prices, where money is an estimate",
    "remarks": "what a person should know of the file",
    "report": "the report, by provider, account and source",
    "restated": "the lines that say something else, each followed by what stood there before",
    "elsewhere": "run and key of calls that are nothing in a run, as they belong to another",
    "terms": "key of each call whose price depends on more than its tokens, and on what",
    "whose": "whose money each of the lines and restated lines is; empty, it is all that of the report's own provider",
    "repriced": "key, price and earlier price of calls that cost otherwise by another list of prices",
    "confirmed": "key and rank of the lines that say again what they said",
    "sha256": "the SHA-256 of the file, in hex",
    "size": "bytes of the file",
    "unreadable": "line and reason of those that could not be read, of the first thousand",
    "unreadable_count": "lines that could not be read",
    "version": "the version of the importer",
    "digest": "the SHA-256 of its secret part, in hex",
    "expires_at": "from when on it opens nothing",
    "handle": "its public part, by which it is found",
    "scope": "`read`, `write` or `admin`",
    "accepted": "what stood against closing it, sentence by sentence",
    "alert": "its number in the cycle",
    "attempts": "how often the target was tried",
    "billed": "what was billed",
    "cache_read_tokens": "tokens read from a cache",
    "cache_write_tokens": "tokens written to a cache",
    "change_usd": "by how much the month changed, signed",
    "delta_cache_read": "cache reads billed less reported",
    "delta_cache_write": "cache writes billed less reported",
    "delta_in": "input tokens billed less reported",
    "delta_out": "output tokens billed less reported",
    "discrepancy_percent": "how far apart the cycle's figures were",
    "dispatch_id": "the dispatch; left out: the whole run",
    "dispatches": "what each dispatch reported",
    "error": "why it was not reached, without addresses",
    "fed_cycle": "the number of the cycle",
    "first_day": "the first day of the cycle",
    "input_stated": "what was said of input, caches included, if it was said so",
    "input_tokens": "input tokens, without those of caches",
    "kind": "`discrepancy` or `health`",
    "last_day": "the last day of the cycle",
    "level": "WARNING or CRITICAL",
    "message": "what was over its threshold, in words",
    "model": "which model it was",
    "month": "YYYY-MM",
    "output_tokens": "output tokens",
    "outside_tokens": "tokens of caches that were reported and not compared, because the bill does not name them",
    "read_at": "when the counter was read",
    "reported": "what was reported",
    "retry_at": "when it is tried again",
    "rolled_over_from": "the closed cycle whose remainder it is",
    "run_id": "the run",
    "running": "is more to be expected?",
    "running_count": "how many dispatches were still running",
    "status": "`matched`, `pending` or `discrepancy`",
    "target": "who was told: scheme and host of a webhook, or the name of a service, with a digest of the address",
    "targets": "who is to be told, by label",
    "threshold_percent": "the threshold it was over",
    "to_cycle": "the cycle that got it",
    "tolerance_percent": "so many percent of the bill apart are within",
    "tolerance_tokens": "so many tokens apart are within",
    "until": "the end of the cool-down",
    "adjustment": "its number in the cycle",
    "amount": "what was spent, as stated",
    "amount_a_usd": "what the realtime source had said at the moment of the manual one",
    "amount_b_usd": "what the manual source said",
    "amount_usd": "the amount; in a reading never negative",
    "analysis": "one sentence for people",
    "at": "the moment from which it counts",
    "clock_at": "what the clock showed, where the log was ahead of it",
    "balance": "what was left, as stated",
    "balance_usd": "what was left",
    "base_usd": "the larger of the two figures compared: `diff_usd / base_usd` is the percentage",
    "budget_usd": "target and adjustments",
    "counted": "false: compare-only",
    "credit": "what it was left of, as stated",
    "credit_usd": "what it was left of, if that was stated",
    "currency": "three letters",
    "current": "the reading that is current in the source from now on",
    "cycle": "its number",
    "diff_usd": "the difference, not negative",
    "end_date": "the last day",
    "evidence": "where it can be looked up",
    "excellent": "percent",
    "fair": "percent",
    "first": "the reading that is the first of the source from now on",
    "good": "percent",
    "grade": "EXCELLENT, GOOD, FAIR, POOR or UNVERIFIED",
    "measured_at": "when it was measured",
    "name": "what the source is called",
    "notes": "what the cycle is for",
    "observed_usd": "what its manual sources said",
    "pairs": "every realtime source with every manual source of its provider",
    "payload": "the raw text, to the byte",
    "plug": "its number in the cycle",
    "plugged_usd": "what its plugs explain",
    "provider": "whose spend; empty: the unnamed one (of an adjustment: anybody's)",
    "providers": "the tie-out of each",
    "rate": "USD for one unit",
    "reading": "its number in the cycle",
    "reason": "why",
    "record": "the figures",
    "recorded_at": "when it was recorded; never goes backwards within the log",
    "recorded_by": "who recorded it",
    "remaining_usd": "what was left",
    "rests_on": "when the newest manual reading it rests on was measured",
    "retracted": "the reading that was taken back",
    "source": "the number of the source in its cycle; its id in the tables is `cycle * 1000 + source`",
    "source_a": "the number of the realtime source",
    "source_b": "the number of the manual source",
    "start_date": "the first day",
    "stated": "was its time stated, or assumed to be that of recording?",
    "stated_as": "what was said in another currency",
    "target_usd": "what may be spent",
    "timezone": "IANA name of the zone its days are in",
    "tracked_then_usd": "what meters had said at the moment of the look",
    "tracked_usd": "what meters say; where there is none, what was read by hand",
    "type": "`realtime` or `manual`",
    "unexplained_usd": "what neither meters nor plugs explain",
    "via": "through which door: cli, rest, mcp, python, import",
}


IN = {
    ("TokenCreated", "name"): "whose it is: what it records is recorded by this name",
    ("TokenRevoked", "name"): "whose it was",
    ("AlertDelivered", "alert"): "the alert that reached it",
    ("AlertSuppressed", "alert"): "the alert whose cool-down holds",
    ("OdometerRead", "amount_usd"): "what the counter shows",
    ("OdometerCorrected", "amount_usd"): "what the month comes to",
    ("MonthFinalized", "amount_usd"): "the figure somebody relied on",
    ("RemainderCarried", "amount_usd"): "how much went over now",
    ("RemainderCarried", "remaining_usd"): "what was left of the cycle when it was closed",
    ("DispatchReported", "dispatch_id"): "the dispatch",
    ("TokensReconciled", "running"): "the first dispatches that were still running, by name",
    ("TokensReconciled", "source"): "who billed it: manual, anthropic, openai ...",
    ("TokenDiscrepancyDetected", "source"): "who billed it",
    ("OdometerRead", "provider"): "whose counter it is",
    ("OdometerCorrected", "provider"): "whose counter it is",
    ("MonthFinalized", "provider"): "whose counter it is",
    ("MonthReopened", "provider"): "whose counter it is",
    ("FeedBegun", "provider"): "whose counter it is",
    ("FeedEnded", "provider"): "whose counter it is",
    ("OdometerRead", "notes"): "anything worth knowing",
    ("OdometerCorrected", "notes"): "anything worth knowing",
}
"""What a field says in one event, where that is not what it says elsewhere."""


def rows(model: type[BaseModel], without: set[str]) -> list[list[str]]:
    fields = {name: field for name, field in model.model_fields.items() if name not in without and not field.exclude}
    return [
        [f"`{name}`", _type(f.annotation) + ("" if f.is_required() else otherwise(f.default)), _meaning(model, name)]
        for name, f in fields.items()
    ]


def _meaning(model: type[BaseModel], field: str) -> str:
    return IN.get((model.__name__, field)) or MEANING[field]


def otherwise(default: Any) -> str:
    return ", optional" if default is None else f", default `{json.dumps(default, default=str)}`"


TYPES = {
    Any: "value",
    Decimal: "decimal text",
    datetime: "moment",
    date: "day",
    int: "integer",
    str: "text",
    bool: "true or false",
}


def _type(annotation: Any) -> str:
    if annotation in TYPES:
        return TYPES[annotation]
    origin, inner = get_origin(annotation), [a for a in get_args(annotation) if a not in (type(None), ...)]
    if origin in (Union, UnionType, Annotated):
        return _type(inner[0])
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
