"""Questions about runs: what their dispatches reported, what was billed, and what is left between the two."""

import json
from decimal import Decimal
from typing import Any

from ..domain.errors import NotFound
from ..domain.period import When, from_text, time_text
from ..domain.tokens import CLASSES, Reported, Tokens, deltas_of, reason_of
from ..projections import runs
from ..projections.runs import Known
from ..store import positions
from .answers import Answer
from .moments import Asked, Moment, Since


class Costs(Asked):
    """Answers about runs from the read models."""

    def run(self, run_id: str, as_of: When | int | None) -> tuple[runs.Dispatches, Moment]:
        """A run as it was known, or a refusal."""
        found = runs.run(self.connection, run_id)
        if found is None:
            known = ", ".join(repr(r.run_id) for r in runs.runs(self.connection, self.position, 5)) or "none"
            raise NotFound(
                f"there is no run '{run_id}' (the newest: {known}): `mecris cost record` makes one",
                code="run-not-found",
            )
        began = positions.recorded_at(self.connection, found.position)
        since = Since(found.position, began, "it was first heard of", "before-run")
        moment = self.known(f"run '{run_id}'", since, as_of)
        return runs.Dispatches(self.connection, run_id, moment.position), moment

    def show(self, dispatches: runs.Dispatches, moment: Moment, limit: int) -> Answer:
        """What a run reported in all, what was billed for it, and the first of its dispatches."""
        total = dispatches.sum()
        return Answer(
            run_id=dispatches.run_id,
            dispatches=total.dispatches,
            running_count=total.running,
            running=dispatches.running(limit) if total.running else [],
            **_figures("reported", total.tokens),
            bills=[self._billed(dispatches, source) for source in dispatches.sources()],
            first=[_dispatch(id, reported) for id, reported in dispatches.first(limit)],
            position=moment.position,
            as_of=moment.as_of,
        )

    def _billed(self, dispatches: runs.Dispatches, source: str) -> dict[str, Any]:
        """The bill of the run, what the bills of its dispatches come to, and the rest between them."""
        whole = dispatches.last_bill(None, source)
        single = runs.billed_by(self.connection, dispatches.run, source, dispatches.position)
        parts = single.named if single else (0, 0, None, None)
        bill: dict[str, Any] = {"source": source, "status": whole.status if whole else None}
        for name, billed, part in zip(CLASSES, whole.billed if whole else (None,) * 4, parts, strict=True):
            bill[f"billed_{name}"] = billed
            bill[f"dispatches_{name}"] = part
            bill[f"rest_{name}"] = None if billed is None or part is None else billed - part
        bill["dispatches_billed"] = single.dispatches if single else 0
        return bill

    def reconciliations(self, dispatches: runs.Dispatches, limit: int) -> list[dict[str, Any]]:
        """What was compared, the newest first."""
        return [_reconciliation(row) for row in dispatches.reconciliations(limit)]

    def runs(self, limit: int, as_of: When | int | None) -> list[dict[str, Any]]:
        """Runs, the newest first."""
        moment = self.known("any run", Since(0, self.now, "", ""), as_of)
        return [self._listed(known, moment) for known in runs.runs(self.connection, moment.position, limit)]

    def _listed(self, known: Known, moment: Moment) -> dict[str, Any]:
        total = runs.total_of(self.connection, known.id, moment.position)
        return {
            "run_id": known.run_id,
            "dispatches": total.dispatches,
            "running_count": total.running,
            **_figures("reported", total.tokens),
        }


def _figures(side: str, tokens: Tokens) -> dict[str, int]:
    return {f"{side}_{name}": count for name, count in zip(CLASSES, tokens, strict=True)}


def _dispatch(id: str, reported: Reported) -> dict[str, Any]:
    return {
        "dispatch_id": id,
        **_figures("reported", reported.tokens),
        "stated_in": reported.stated,
        "model": reported.model,
        "running": reported.running,
    }


def _reconciliation(row: dict[str, Any]) -> dict[str, Any]:
    """A comparison under the names that `cost reconcile` answers with."""
    billed = [row[f"billed_{name}"] for name in CLASSES]
    reported = [None if b is None else row[f"reported_{name}"] for name, b in zip(CLASSES, billed, strict=True)]
    sides = {"reported": reported, "billed": billed, "delta": deltas_of(reported, billed)}
    figures = {
        f"{side}_{name}": count
        for side, counts in sides.items()
        for name, count in zip(CLASSES, counts, strict=True)
        if count is not None
    }
    discrepancy = row["status"] == "discrepancy"
    return {
        "id": row["id"],
        "created_at": time_text(from_text(row["created_at"])),
        "recorded_by": row["recorded_by"],
        "run_id": row["run_id"],
        "dispatch_id": row["dispatch_id"],
        "source": row["source"],
        **figures,
        "discrepancy": discrepancy,
        "status": row["status"],
        "reason": reason_of(row["dispatch_id"], reported, billed) if discrepancy else None,
        "tolerance_tokens": row["tolerance_tokens"],
        "tolerance_percent": Decimal(row["tolerance_percent"]),
        "outside_tokens": row["outside_tokens"],
        "running": json.loads(row["running"]),
        "running_count": row["running_count"],
    }
