"""The read models as people query them with their own tools: names, columns, indexes, exact sums."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import adjusted, metered, opened, plug, read_off, retracted, said

from mecris.books import Books
from mecris.domain.commands import Command
from mecris.domain.money import plain

pytestmark = pytest.mark.sqlite


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The tables after a small story, through a connection that knows nothing of us."""
    story: list[Command] = [
        opened("24.96"),
        metered("0.11", provider="claude"),
        said("console", "manual", balance="19.54", provider="claude", payload="<b>$19.54 USD</b>"),
        plug("0.3", provider="claude"),
        read_off("3", source="invoice", provider="claude", counted=False),
        adjusted("0.04", at="2025-08-06"),
        read_off("99", source="slip", provider="groq"),
        retracted(4),
    ]
    with Books.open(tmp_path / "books.db") as books:
        for order in story:
            books.handle(order)
        books.status(1)
    connection = sqlite3.connect(tmp_path / "books.db")
    yield connection
    connection.close()


def test_the_tables_have_the_columns_of_the_original_design(tables: sqlite3.Connection) -> None:
    original = {
        "budget_cycle": "id start_date end_date target_usd notes",
        "budget_source": "id cycle_id name type currency amount_usd last_updated raw_payload",
        "budget_discrepancy": "id cycle_id source_a_id source_b_id diff_usd percent_diff grade analysis generated_at",
    }
    for table, columns in original.items():
        there = [row[1] for row in tables.execute(f"PRAGMA table_info({table})")]
        assert set(columns.split()) <= set(there)


@pytest.mark.parametrize(
    ("table", "columns"), [("budget_source", ["cycle_id", "name"]), ("budget_discrepancy", ["cycle_id"])]
)
def test_the_original_indexes_are_there(tables: sqlite3.Connection, table: str, columns: list[str]) -> None:
    indexes = [row[1] for row in tables.execute(f"PRAGMA index_list({table})")]
    assert columns in [[row[2] for row in tables.execute(f"PRAGMA index_info({name})")] for name in indexes]


def test_a_source_shows_what_it_says_now(tables: sqlite3.Connection) -> None:
    rows = tables.execute(
        "SELECT id, name, type, currency, amount_usd, raw_payload FROM budget_source ORDER BY id"
    ).fetchall()
    assert rows == [
        (1001, "meter", "realtime", "USD", "0.11", None),
        (1002, "console", "manual", "USD", "5.46", "<b>$19.54 USD</b>"),
        (1003, "invoice", "manual", "USD", "3", None),
        (1004, "slip", "manual", None, None, None),
    ]


def test_every_pair_of_every_record_has_a_row(tables: sqlite3.Connection) -> None:
    rows = tables.execute(
        "SELECT source_a_id, source_b_id, diff_usd, percent_diff, grade FROM budget_discrepancy"
    ).fetchall()
    assert rows[0] == (1001, 1002, "5.31", "97.9705", "POOR")
    records = tables.execute("SELECT count(*) FROM budget_reconciliation").fetchone()[0]
    assert records == 6
    assert tables.execute("SELECT id FROM budget_discrepancy ORDER BY id").fetchall() == [
        (n,) for n in range(1, len(rows) + 1)
    ]


def test_the_budget_is_the_target_and_its_adjustments(tables: sqlite3.Connection) -> None:
    assert tables.execute("SELECT target_usd, budget_usd FROM budget_cycle").fetchall() == [("24.96", "25")]


def test_totals_are_exact_and_leave_out_what_was_retracted(tables: sqlite3.Connection) -> None:
    rows = tables.execute("SELECT type, provider, counted, amount_usd FROM budget_total ORDER BY 1, 3").fetchall()
    assert rows == [("manual", "claude", 0, "3"), ("manual", "claude", 1, "5.46"), ("realtime", "claude", 1, "0.11")]


AMOUNTS = st.decimals(min_value=-(10**12) + 1, max_value=10**12 - 1, places=12, allow_nan=False)


@given(st.lists(AMOUNTS, min_size=1, max_size=30))
def test_the_exact_total_is_the_sum_of_the_decimals(amounts: list[Decimal]) -> None:
    from mecris.projections import budget

    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE budget_source {budget.TABLES['budget_source']}")
    connection.executemany(
        "INSERT INTO budget_source (cycle_id, name, type, provider, counted, amount_usd, position) VALUES (1, ?, 'manual', '', 1, ?, 1)",
        [(str(n), plain(amount)) for n, amount in enumerate(amounts)],
    )
    connection.execute(next(statement for statement in budget.INDEXES if "CREATE VIEW" in statement))
    (total,) = connection.execute("SELECT amount_usd FROM budget_total").fetchone()
    connection.close()
    assert Decimal(total) == sum(amounts, Decimal(0))
