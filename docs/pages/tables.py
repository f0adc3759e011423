"""The tables of read models: what each holds, its columns and indexes."""

import sqlite3
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import closing

from mecris.projections.follow import VIEWS

from .markdown import fenced, table

TABLE = {
    "import_bucket": "What the lines of a report come to that end together; an empty `start` stands for the calls of a quarter of an hour.",
    "import_file": "Files that were imported, each time they were read; `id` is the position in the log.",
    "import_figure": "Figures of reports that stand for a whole cycle; of two of one cycle and moment the one with the greater `rank` is right.",
    "import_line": "The lines of reports in their best copy; `rank` tells which of two copies is right. A line of a call has the id of its "
    "`run` in `cost_run`, and `stands` while it is what that dispatch reported last; `position` is where it was said so.",
    "import_share": "The providers whose money a report is or was of; an empty one is the report's own.",
    "import_report": "Reports: files that have lines in common. `exported_at` is that of the newest file.",
    "import_withdrawal": "From which position to before which one a report counted no more, and why.",
    "import_unreadable": "Lines that could not be read, by the `id` of their file.",
    "access_token": "Tokens: who may come through the doors of a server; `handle` is the public part.",
    "budget_alert": "What was over its threshold and was told; `id` is its position in the log, `targets` who was to hear of it, as JSON.",
    "budget_alert_delivery": "Each attempt to reach somebody; no `error` means that it was delivered.",
    "budget_closing": "Each time a cycle was closed, with what was left and what was accepted (as JSON), or reopened.",
    "budget_roll_over": "What was left of a closed cycle and went over to another, and later differences.",
    "cost_billed": "What a source billed for single dispatches of a run, summed up; a row for each bill that changed it. `run` is "
    "the id in `cost_run`, `*_named` how many of these bills name the class.",
    "cost_dispatch": "What dispatches reported, each time, but for what a line of a report says of them now (`import_line`); "
    "`superseded` is the position at which one reported something else, `line` the line that said it.",
    "cost_reconciliations": "Each comparison of a bill with what was reported; `id` is its position in the log, `delta_*` is billed less "
    "reported, `running` names dispatches as JSON.",
    "cost_reported": "A view: what each dispatch reported, each time, whoever said it.",
    "cost_run": "Runs; `report` is the first report that spoke of the run, and `shared` is 1 if anybody else does.",
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


def read_models() -> Iterator[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for view in VIEWS:
            for kept, columns in view.tables.items():
                connection.execute(f"CREATE TABLE {kept} {columns}")
            for statement in view.indexes:
                connection.execute(statement)
        named = connection.execute("SELECT name, type FROM sqlite_master WHERE type <> 'index' ORDER BY name")
        for name, kind in named.fetchall():
            yield f"### {name}"
            yield TABLE[name]
            yield from _columns(connection, name) if kind == "table" else _columns_of_view(connection, name)


def statements(made: Iterable[str]) -> Iterator[str]:
    """The statements that make tables, as they are."""
    for statement in made:
        yield fenced("sql", textwrap.dedent(" " * 4 + statement).strip())


def _columns(connection: sqlite3.Connection, whose: str) -> Iterator[str]:
    found = connection.execute(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{whose}')")
    rows = [[f"`{name}`", type, "key" if key else "" if filled else "may be NULL"] for name, type, filled, key in found]
    yield table(["column", "type", ""], rows)
    indexes = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL ORDER BY name",
        (whose,),
    ).fetchall()
    if indexes:
        yield "Indexes: " + ", ".join(f"`{name}`" for (name,) in indexes) + "."


def _columns_of_view(connection: sqlite3.Connection, view: str) -> Iterator[str]:
    names = [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]
    yield "Columns: " + ", ".join(f"`{name}`" for name in names) + "."
