"""One stored event of each name, from a small story told to real books."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.figures import Figure
from mecris.domain.lines import Line
from mecris.domain.period import as_text


def examples() -> dict[str, str]:
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
        c.WithdrawReport(report="manual/claude//claude dashboard", reason="that page was another team's"),
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
