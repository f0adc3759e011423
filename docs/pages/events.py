"""Events and tables: everything that is stored, and what is read from it."""

import inspect
import json
from collections.abc import Iterator

from pydantic import BaseModel

from mecris.domain import events, run_events
from mecris.domain.event import Event
from mecris.domain.old_shapes import OLD
from mecris.store import chain, schema
from mecris.store.names import EVENTS

from .fields import rows
from .markdown import fenced, page, table
from .story import examples
from .tables import read_models, statements

INSIDE = (
    events.Stated,
    events.StandingReading,
    events.Record,
    events.ProviderFigures,
    events.PairFigures,
    run_events.DispatchReported,
    run_events.TokenCounts,
)


def text() -> str:
    told = examples()
    return page(
        "# Events and tables",
        "Everything that happened is an event, stored once and for good in the table `stored_events`: `topic` is its name, "
        "`state` its fields as plain JSON, `position` its place in the log. A field that says nothing is left out. "
        "Amounts are text in decimal digits, so that no reader rounds them; moments are UTC with six digits of fraction.",
        "Every event has these fields:",
        table(["field", "type", "what it says"], rows(Event, set())),
        *(part for name in sorted(EVENTS) for part in _event(name, told[name])),
        "## Inside events",
        *(part for model in INSIDE for part in _inside(model)),
        "## Old shapes",
        "Names that are only read: "
        + (", ".join(f"`{old}` as `{now}`" for old, (now, _) in sorted(OLD.items())) or "none so far")
        + ".",
        "## The chain",
        fenced("text", inspect.cleandoc(str(chain.__doc__))),
        "`mecris audit verify` does this over the whole log.",
        "## Tables",
        "Read models: they follow the log, and `mecris audit rebuild` makes them again from it. Money is text in decimal "
        "digits, times are text in UTC, and yes or no is 1 or 0.",
        *read_models(),
        "## Tables of the log",
        "These are the books themselves.",
        *statements(schema.LOG),
        "## Tables of servers",
        "Work that was asked for, and when tokens were used last: no statements, so no rebuild makes them again.",
        *statements(schema.DESK),
        "## Files",
        "Imported files as they came, compressed with zlib, in parts.",
        *statements(schema.EVIDENCE),
    )


def _event(name: str, example: str) -> Iterator[str]:
    model = EVENTS[name]
    yield f"## {name}"
    yield inspect.cleandoc(str(model.__doc__))
    yield table(["field", "type", "what it says"], rows(model, set(Event.model_fields)))
    yield fenced("json", json.dumps(json.loads(example), indent=2, ensure_ascii=False))


def _inside(model: type[BaseModel]) -> Iterator[str]:
    yield f"### {model.__name__}"
    yield inspect.cleandoc(str(model.__doc__))
    yield table(["field", "type", "what it says"], rows(model, set()))
