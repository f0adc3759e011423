"""The stored names of events by what they are about, for the views that ignore them by name."""

CYCLES = frozenset(
    (
        "cycle-opened.v1",
        "budget-adjusted.v2",
        "thresholds-changed.v1",
        "source-recorded.v1",
        "reading-retracted.v1",
        "plug-applied.v1",
        "plug-reversed.v1",
        "cycle-reconciled.v1",
        "discrepancy-detected.v1",
        "cycle-closed.v1",
        "cycle-reopened.v1",
        "remainder-carried.v1",
    )
)
RUNS = frozenset(("dispatches-recorded.v1", "tokens-reconciled.v1", "cost.reconciliation_discrepancy"))
ODOMETERS = frozenset(
    (
        "odometer-read.v1",
        "odometer-corrected.v1",
        "month-finalized.v1",
        "month-reopened.v1",
        "odometer-feed-begun.v1",
        "odometer-feed-ended.v1",
    )
)
ALERTS = frozenset(("alert-raised.v1", "alert-suppressed.v1", "alert-delivered.v1", "alert-failed.v1"))
ACCESS = frozenset(("token-created.v1", "token-revoked.v1"))
IMPORTS = frozenset(
    ("evidence-filed.v1", "evidence-settled.v1", "report-withdrawn.v1", "lines-imported.v1", "figures-imported.v1")
)
