"""Generate the reference pages from the code: `python -m docs.generate`."""

import inspect
import json
import sqlite3
import textwrap
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

from mecris.books import Books, settings
from mecris.cli.exits import EXITS, FAULT, INTERRUPTED
from mecris.cli.main import mecris
from mecris.domain import commands as c
from mecris.domain import errors, events, run_events
from mecris.domain.event import Event
from mecris.domain.figures import Figure
from mecris.domain.health import Limits
from mecris.domain.lines import Line
from mecris.domain.money import plain
from mecris.domain.old_shapes import OLD
from mecris.domain.period import as_text
from mecris.notifiers.delivery import Patience
from mecris.projections.follow import VIEWS
from mecris.servers.rest.app import application
from mecris.store import chain, schema
from mecris.store.names import EVENTS

ROOT = Path(__file__).parent.parent
FOLDER = Path("docs/reference")
GENERATED = "<!-- Made by `make docs` from the code: change the code, not this page. -->"


def pages() -> dict[Path, str]:
    """Every generated page and what it says; the same at every run."""
    return {
        FOLDER / "cli.md": _cli(),
        FOLDER / "orders.md": _orders(),
        FOLDER / "events.md": _events(),
        FOLDER / "openapi.json": _openapi(),
    }


def _orders() -> str:
    """Every order with its fields, as `mecris apply` and Python take them."""
    offered = {name: kind for name, kind in sorted(c.NAMED.items()) if name not in c.INNER}
    parts = [
        "# Orders",
        "What one may ask the books to do, as a line of JSON (`mecris apply`) and as an object in Python (`mecris.domain.commands`).\n"
        'A line has `"command"` with the name of the order, perhaps `"key"` (an idempotency key), and these fields.\n'
        "Amounts are numbers or text of digits; moments are a date or a date-time. Where two names are given, either will do.",
        _table(["order", "class"], [[f"[`{n}`](#{n})", f"`{k.__name__}`"] for n, k in offered.items()]),
    ]
    for name, kind in offered.items():
        parts += [f"## {name}", inspect.getdoc(kind) or "", _order_fields(kind)]
    told = "One of the `dispatches` of [`record-dispatches`](#record-dispatches)."
    return _page(*parts, "## dispatch", told, inspect.getdoc(c.Dispatch) or "", _order_fields(c.Dispatch))


def _order_fields(kind: type[BaseModel]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        aliases = getattr(field.validation_alias, "choices", [name])
        needed = "needed" if field.is_required() else _otherwise(field.default).removeprefix(", ")
        rows.append([" or ".join(f"`{alias}`" for alias in aliases), _order_type(field.annotation), needed])
    return _table(["field", "what", ""], rows)


def _order_type(annotation: Any) -> str:
    if annotation == c.When or annotation == c.When | None:
        return "moment"
    origin, inner = get_origin(annotation), [a for a in get_args(annotation) if a not in (type(None), ...)]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType, Annotated):
        return _order_type(inner[0])
    if origin is tuple:
        return f"list of [{inner[0].__name__.lower()}](#{inner[0].__name__.lower()})"
    return {Decimal: "number", int: "whole number", str: "text", bool: "true or false"}[annotation]


def _openapi() -> str:
    """What the REST door offers, as it describes itself."""
    with TemporaryDirectory() as folder, Books.open(Path(folder) / "books.db") as books:
        described = application(books).openapi()
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _page(*parts: str) -> str:
    return "\n\n".join([GENERATED, *parts]) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# -- the command line ---------------------------------------------------------------------------------------------


def _cli() -> str:
    return _page(
        "# Command line",
        "Answers go to standard output; hints, warnings and refusals go to standard error. Colours are for terminals, "
        "and `NO_COLOR` turns them off.",
        *(part for path, command in _commands(mecris, "mecris") for part in _command(path, command)),
        "## What people type",
        WORDS,
        "## Settings",
        _settings(),
        "## Exit codes",
        _exits(),
        "## Errors in Python",
        _fenced("text", inspect.cleandoc(str(errors.__doc__))),
    )


WORDS = """\
| word | means |
|---|---|
| `USD` | an exact amount in decimal digits, at most 12 of them after the point, below a trillion |
| `YYYY-MM` | a month, in UTC |
| `RUN` | any name of a run; a dispatch has a name within its run |
| `WHEN` | an ISO date-time (without an offset: in the cycle's time zone), or a date: its end, today: now. `adjust --at` takes the beginning of a date, and `--as-of` also a position in the log |
| `TEXT\\|@FILE\\|-` | the text itself, the content of a file, or standard input; `@@` stands for a text that begins with `@` |
| `ID`, `N` | numbers, as `cycle list`, `sources --history` and `audit log` show them |"""


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, f"{path} {name}")


def _command(path: str, command: click.Command) -> Iterator[str]:
    yield f"## {path}"
    yield inspect.cleandoc(str(command.help))
    yield _fenced("text", _usage(path, command))
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        yield _table(["option", "what it says"], [[_names(o), _help(o)] for o in options])


def _usage(path: str, command: click.Command) -> str:
    words = [path, *(_word(p) for p in command.params)]
    if isinstance(command, click.Group):
        words.append("COMMAND ...")
    return "\n".join(
        textwrap.wrap(" ".join(w.replace(" ", "\0") for w in words), 100, subsequent_indent="    ")
    ).replace("\0", " ")


def _word(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return _values(parameter) or str(parameter.name).upper()
    word = f"{parameter.opts[0]} {_values(parameter)}".strip()
    return word if parameter.required else f"[{word}]"


def _values(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return ""
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    return str(parameter.metavar or "")


def _names(option: click.Option) -> str:
    names = "`, `".join([*option.opts, *option.secondary_opts])
    values = _values(option)
    return f"`{names}{' ' + values if values else ''}`".replace("|", "\\|")


def _help(option: click.Option) -> str:
    default = f"  [default: {option.default}]" if option.show_default else ""
    return f"{option.help}{default}" + (" Required." if option.required else "")


def _settings() -> str:
    """The environment variables; defaults come from the code."""
    said = {
        "stale_days": "a provider's newest reading is stale when it is older than so many days",
        "warning_percent": "percent of the budget spent from which health is WARNING",
        "critical_days": "health is CRITICAL when the budget runs out within so many days and before the last day",
        "critical_discrepancy_percent": "a discrepancy above so many percent is alerted as CRITICAL",
        "warning_cool_down_hours": "hours between two WARNING alerts of one kind",
        "critical_cool_down_hours": "hours between two CRITICAL alerts of one kind",
    }
    defaults, patience = Limits()._asdict(), Patience()
    assert set(said) == set(defaults) == set(settings.LIMITS)
    rows = [
        [f"`{settings.LOCATION}`", "in your data directory", "the file of the books, where `--books` does not name it"],
        *([f"`{settings.LIMITS[name]}`", plain(defaults[name]), text] for name, text in said.items()),
        ["`MECRIS_NOTIFY`", "nobody", "who is told of alerts, where `--notify` does not say: URLs with spaces between"],
        ["`MECRIS_DELIVERY_ATTEMPTS`", str(patience.attempts), "how often one look tries to reach a target"],
        ["`MECRIS_DELIVERY_TIMEOUT_SECONDS`", f"{patience.timeout:g}", "how long one attempt may take"],
        ["`NO_COLOR`", "", "any value: no colours"],
        ["`MECRIS_DEBUG`", "", "any value: a fault of ours shows where it happened"],
    ]
    return "Environment variables.\n\n" + _table(["variable", "default", "what it says"], rows)


def _exits() -> str:
    meaning = {
        0: "done; nothing to report against it",
        1: "the answer is printed, and it is bad news: `--fail-under` was not met (UNVERIFIED never meets it), `cost reconcile` found a "
        "discrepancy, `alert` has something to tell",
        2: "wrong usage",
        3: "refused by a rule, or not found",
        4: "conflict: another writer held the books too long, or a key was used for something else",
        5: "the books are damaged, or the replay differs",
        6: "could not be done: disk, permission, an extra that is not installed, or a fault of ours (never a bare traceback)",
        130: "interrupted",
    }
    classes = {code: f"`{kind.__name__}`" for kind, code in EXITS}
    assert {0, 1, 2, FAULT, INTERRUPTED, *classes} == set(meaning)
    rows = [[str(code), said, classes.get(code, "")] for code, said in meaning.items()]
    return _table(["exit", "meaning", "in Python"], rows)


# -- events and tables --------------------------------------------------------------------------------------------


def _events() -> str:
    examples = _examples()
    return _page(
        "# Events and tables",
        "Everything that happened is an event, stored once and for good in the table `stored_events`: `topic` is its name, "
        "`state` its fields as plain JSON, `position` its place in the log. A field that says nothing is left out. "
        "Amounts are text in decimal digits, so that no reader rounds them; moments are UTC with six digits of fraction.",
        "Every event has these fields:",
        _table(["field", "type", "what it says"], _rows(Event, set())),
        *(part for name in sorted(EVENTS) for part in _event(name, examples[name])),
        "## Inside events",
        *(part for model in INSIDE for part in _inside(model)),
        "## Old shapes",
        "Names that are only read: "
        + (", ".join(f"`{old}` as `{now}`" for old, (now, _) in sorted(OLD.items())) or "none so far")
        + ".",
        "## The chain",
        _fenced("text", inspect.cleandoc(str(chain.__doc__))),
        "`mecris audit verify` does this over the whole log.",
        "## Tables",
        "Read models: they follow the log, and `mecris audit rebuild` makes them again from it. Money is text in decimal "
        "digits, times are text in UTC, and yes or no is 1 or 0.",
        *_read_models(),
        "## Tables of the log",
        "These are the books themselves.",
        *(_fenced("sql", textwrap.dedent(" " * 4 + statement).strip()) for statement in schema.LOG),
        "## Tables of servers",
        "Work that was asked for, and when tokens were used last: no statements, so no rebuild makes them again.",
        *(_fenced("sql", textwrap.dedent(" " * 4 + statement).strip()) for statement in schema.DESK),
        "## Files",
        "Imported files as they came, compressed with zlib, in parts.",
        *(_fenced("sql", textwrap.dedent(" " * 4 + statement).strip()) for statement in schema.EVIDENCE),
    )


INSIDE = (
    events.Stated,
    events.StandingReading,
    events.Record,
    events.ProviderFigures,
    events.PairFigures,
    run_events.DispatchReported,
    run_events.TokenCounts,
)

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


def _event(name: str, example: str) -> Iterator[str]:
    model = EVENTS[name]
    yield f"## {name}"
    yield inspect.cleandoc(str(model.__doc__))
    yield _table(["field", "type", "what it says"], _rows(model, set(Event.model_fields)))
    yield _fenced("json", json.dumps(json.loads(example), indent=2, ensure_ascii=False))


def _inside(model: type[BaseModel]) -> Iterator[str]:
    yield f"### {model.__name__}"
    yield inspect.cleandoc(str(model.__doc__))
    yield _table(["field", "type", "what it says"], _rows(model, set()))


def _rows(model: type[BaseModel], without: set[str]) -> list[list[str]]:
    fields = {name: field for name, field in model.model_fields.items() if name not in without and not field.exclude}
    return [
        [f"`{name}`", _type(f.annotation) + ("" if f.is_required() else _otherwise(f.default)), _meaning(model, name)]
        for name, f in fields.items()
    ]


def _meaning(model: type[BaseModel], field: str) -> str:
    return IN.get((model.__name__, field)) or MEANING[field]


def _otherwise(default: Any) -> str:
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


def _examples() -> dict[str, str]:
    """One stored event of each name, from a small story told to real books."""
    begun = datetime(2025, 9, 10, 9, tzinfo=UTC)
    clock = (begun + timedelta(minutes=2 * n) for n in count())
    moment = [next(clock)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        with Books.open(path, recorded_by="somebody", via="cli", clock=lambda: moment[0]) as books:
            for order in _story():
                books.handle(order)
                moment[0] = next(clock)
            with books.file.reading() as connection:
                rows = connection.execute("SELECT topic, CAST(state AS TEXT) FROM stored_events ORDER BY position DESC")
                return dict(rows.fetchall())


_NOON = datetime(2025, 9, 1, 12, tzinfo=UTC)


def _story() -> list[c.Command]:
    meter = {"cycle_id": 1, "source": "session log", "type": "realtime", "provider": "claude"}
    console = {"cycle_id": 1, "source": "console", "type": "manual", "provider": "claude"}
    return [
        c.OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96", notes="credit of August"),
        c.RecordSource(**meter, amount="0.1", currency="EUR", rate="1.1", measured_at="2025-09-10T08:55:00Z"),
        c.RecordSource(**console, balance="19.54", measured_at="2025-09-10T08:58:00Z", payload="$19.54 USD left"),
        c.ApplyPlug(cycle_id=1, square=True, reason="usage outside the workspace", evidence="usage export", yes=True),
        c.ReversePlug(cycle_id=1, plug=1, reason="the export was of another month"),
        c.AdjustBudget(cycle_id=1, amount_usd="0.04", reason="25.00 were paid", at="2025-08-06", provider="claude"),
        c.ChangeThresholds(cycle_id=1, excellent="0.5", good="2", fair="5"),
        c.CreateToken(
            token_name="ci", scope="write", handle="0123456789abcdef", digest="ab" * 32, expires="2026-09-30"
        ),
        c.RevokeToken(token_name="ci", reason="the laptop was lost"),
        c.RecordSource(**console, balance="1.954", measured_at="2025-09-10T09:10:00Z"),
        c.RetractReading(cycle_id=1, reading=3, reason="typed 1.954 in place of 19.54"),
        c.CloseCycle(cycle_id=1, accept=True, reason="the export will show it"),
        c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=0),
        c.RollOver(cycle_id=2, from_cycle=1),
        c.ReopenCycle(cycle_id=1, reason="the export came"),
        c.FeedCycle(provider="groq", cycle_id=2),
        c.ReadOdometer(provider="groq", amount_usd="0.85", read_at="2025-09-10T09:20:00Z", notes="console"),
        c.ReadOdometer(provider="groq", amount_usd="0.80", correct=True, reason="misread"),
        c.FinalizeMonth(provider="groq", month="2025-09"),
        c.ReopenMonth(provider="groq", month="2025-09", reason="it is not over"),
        c.StopFeeding(provider="groq", cycle_id=2, reason="the bill is recorded by hand"),
        c.RecordDispatches(run_id="nightly", dispatches=(_dispatch("d1", 1000, 200), _dispatch("d2", 2000, 300))),
        c.ReconcileTokens(run_id="nightly", billed_in=3500, billed_out=600, billed_cache_read=100),
        c.ImportLines(
            report="claude//anthropic cost report",
            provider="claude",
            account="",
            source="anthropic cost report",
            type="realtime",
            estimate=False,
            prices=None,
            evidence="ab" * 32,
            exported_at=_NOON,
            lines=(
                Line(
                    "2025-09-01|tokens",
                    f"|{as_text(_NOON)}",
                    as_text(_NOON),
                    as_text(_NOON + timedelta(hours=12)),
                    "1.2378",
                ),
            ),
        ),
        c.ImportFigures(
            report="manual/claude//claude dashboard",
            provider="claude",
            account="",
            source="claude dashboard",
            type="manual",
            evidence="ab" * 32,
            exported_at=_NOON,
            figures=(Figure(1, _NOON, f"{_NOON.isoformat()}|ab", Decimal("5.42"), None, None, "<p>$5.42 USD</p>"),),
        ),
        c.FileEvidence(
            sha256="ab" * 32,
            size=1234,
            file_name="cost.json",
            format="anthropic-cost",
            version=1,
            report="claude//anthropic cost report",
            exported_at=_NOON,
            items=1,
            unreadable_count=1,
            unreadable=((3, "amount 'none' is no amount"),),
            remarks=("there are more pages",),
            incomplete=True,
        ),
        c.SettleEvidence(sha256="ab" * 32, reason="the export was mended and imported"),
        alert := c.RaiseAlert(
            cycle_id=2,
            kind="health",
            level="WARNING",
            message="cycle 2: nothing could be compared",
            threshold_percent=5,
            targets=("https://hooks.example.org",),
            cool_down_hours=6,
        ),
        c.NoteDelivery(cycle_id=2, alert=1, target=alert.targets[0], attempts=3, error="HTTP 500"),
        c.NoteDelivery(cycle_id=2, alert=1, target=alert.targets[0], attempts=1),
        alert,
    ]


def _dispatch(id: str, input_tokens: int, output_tokens: int) -> c.Dispatch:
    return c.Dispatch(
        dispatch_id=id,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=50,
        model="claude-opus-4-6",
        running=False,
    )


TABLE = {
    "import_bucket": "What the lines of a report come to that end together; an empty `start` stands for the calls of a quarter of an hour.",
    "import_file": "Files that were imported, each time they were read; `id` is the position in the log.",
    "import_figure": "Figures of reports that stand for a whole cycle; of two of one cycle and moment the one with the greater `rank` is right.",
    "import_line": "The lines of reports in their best copy; `rank` tells which of two copies is right.",
    "import_share": "The providers whose money a report is or was of; an empty one is the report's own.",
    "import_report": "Reports: files that have lines in common. `exported_at` is that of the newest file.",
    "import_unreadable": "Lines that could not be read, by the `id` of their file.",
    "access_token": "Tokens: who may come through the doors of a server; `handle` is the public part.",
    "budget_alert": "What was over its threshold and was told; `id` is its position in the log, `targets` who was to hear of it, as JSON.",
    "budget_alert_delivery": "Each attempt to reach somebody; no `error` means that it was delivered.",
    "budget_closing": "Each time a cycle was closed, with what was left and what was accepted (as JSON), or reopened.",
    "budget_roll_over": "What was left of a closed cycle and went over to another, and later differences.",
    "cost_billed": "What a source billed for single dispatches of a run, summed up; a row for each bill that changed it. `run` is "
    "the id in `cost_run`, `*_named` how many of these bills name the class.",
    "cost_dispatch": "What each dispatch reported, each time; `superseded` is the position at which it reported something else.",
    "cost_reconciliations": "Each comparison of a bill with what was reported; `id` is its position in the log, `delta_*` is billed less "
    "reported, `running` names dispatches as JSON.",
    "cost_run": "Runs; `report` is the report that alone speaks of the run, if there is one.",
    "cost_total": "What all dispatches of a run reported together; a row for each event that changed it.",
    "odometer_feed": "Each time a cycle was begun or ended to be fed by a counter.",
    "odometer_month": "Each time a month was made final or reopened.",
    "odometer_reading": "Every reading of a counter; `change_usd` and `reason` are those of a correction. The latest `read_at` is current.",
    "budget_adjustment": "Top-ups, credits and corrections, and what is left of closed cycles (`rolled_over_from`); `position` is the place in the log a row comes from, here and everywhere.",
    "budget_cycle": "Cycles as they were opened; `budget_usd` is the target with all adjustments, `closed_at` is NULL while a cycle is open.",
    "budget_discrepancy": "Every pair of every comparison on record, also pairs that agree. `source_a_id` is the realtime side.",
    "budget_plug": "Plugs; `reversed` is the position of the reversal, if there was one.",
    "budget_reading": "Every reading. `current` and `first` are the positions of the readings that were so in its source once it was "
    "recorded; `retracted` is the position of its retraction.",
    "budget_reconciliation": "Each time a comparison was put on record; `id` is its position in the log, `providers` its tie-outs as JSON.",
    "budget_retraction": "Readings that were taken back, and which readings stood in their place.",
    "budget_source": "Sources with what they say now; all figures are NULL when every reading was retracted.",
    "budget_threshold": "Bounds of the grades, in percent, each time they were set.",
    "budget_total": "A view: sums over `budget_source`, exact to the last digit.",
}


def _read_models() -> Iterator[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for view in VIEWS:
            for table, columns in view.tables.items():
                connection.execute(f"CREATE TABLE {table} {columns}")
            for statement in view.indexes:
                connection.execute(statement)
        named = connection.execute("SELECT name, type FROM sqlite_master WHERE type <> 'index' ORDER BY name")
        for name, kind in named.fetchall():
            yield f"### {name}"
            yield TABLE[name]
            yield from _columns(connection, name) if kind == "table" else _columns_of_view(connection, name)


def _columns(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    found = connection.execute(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')")
    rows = [[f"`{name}`", type, "key" if key else "" if filled else "may be NULL"] for name, type, filled, key in found]
    yield _table(["column", "type", ""], rows)
    indexes = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL ORDER BY name",
        (table,),
    ).fetchall()
    if indexes:
        yield "Indexes: " + ", ".join(f"`{name}`" for (name,) in indexes) + "."


def _columns_of_view(connection: sqlite3.Connection, view: str) -> Iterator[str]:
    names = [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]
    yield "Columns: " + ", ".join(f"`{name}`" for name in names) + "."


def _fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"


if __name__ == "__main__":
    for place, text in pages().items():
        (ROOT / place).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / place).write_text(text, "utf-8")
        print(f"wrote {place}")
