"""Runs and their bills as a person likes to read them."""

from collections.abc import Sequence
from typing import Any

import click

from .show import table, when

CLASSES = ("in", "out", "cache_read", "cache_write")
COLOURS = {"matched": "green", "pending": "yellow", "discrepancy": "red"}


def tokens(count: int | None) -> str:
    """A count with its thousands set apart."""
    return "-" if count is None else f"{count:,}"


def status(name: str | None) -> str:
    """What a comparison found, in its colour."""
    return "-" if name is None else click.style(name, fg=COLOURS[name], bold=True)


def delta(count: int | None) -> str:
    """A difference with its sign."""
    return "-" if count is None else f"{count:+,}" if count else "0"


def recorded(answer: dict[str, Any]) -> str:
    """What came of recording one dispatch."""
    name = answer["dispatch_id"]
    if not answer["dispatches"]:
        return f"dispatch {name} reported exactly this before: nothing was recorded"
    return f"dispatch {name} is {'corrected' if answer['corrected'] else 'recorded'}"


def reported(run: dict[str, Any]) -> str:
    """A run in one line."""
    figures = ", ".join(
        f"{tokens(run[f'reported_{name}'])} {name.replace('_', ' ')}" for name in CLASSES if run[f"reported_{name}"]
    )
    running = f", {run['running_count']} running" if run["running_count"] else ""
    many = run["dispatches"]
    return f"run {run['run_id']}: {many:,} dispatch{'' if many == 1 else 'es'}{running}; {figures or 'no tokens'}"


def reconciled(answer: dict[str, Any]) -> str:
    """What a comparison found."""
    whose = f"dispatch {answer['dispatch_id']} of run" if answer["dispatch_id"] is not None else "run"
    lines = [f"{whose} {answer['run_id']}, billed by {answer['source']}: {status(answer['status'])}"]
    lines.append(
        table(
            ("", *(name.replace("_", " ") for name in CLASSES)),
            [(side, *(tokens(answer.get(f"{side}_{name}")) for name in CLASSES)) for side in ("billed", "reported")]
            + [("delta", *(delta(answer.get(f"delta_{name}")) for name in CLASSES))],
            "lrrrr",
        )
    )
    if answer["status"] == "discrepancy":
        lines.append(answer["reason"])
    if answer["status"] == "pending":
        more = answer["running_count"] - len(answer["running"])
        names = ", ".join(answer["running"]) + (f" and {more:,} more" if more else "")
        lines.append(f"still running, and may report the rest: {names}")
    if answer["outside_tokens"]:
        lines.append(
            f"{tokens(answer['outside_tokens'])} cache tokens were reported and not compared: the bill names none"
        )
    if not answer["recorded"]:
        lines.append("compared before with the same outcome: nothing was recorded")
    return "\n".join(lines)


def reconciliations(rows: Sequence[dict[str, Any]]) -> str:
    """Every comparison."""
    if not rows:
        return "nothing was compared yet: `mecris cost reconcile` does"
    cells = [
        (
            str(r["id"]),
            when(r["created_at"]),
            r["dispatch_id"] or "(run)",
            r["source"],
            f"{tokens(r['billed_in'])} / {tokens(r['billed_out'])}",
            f"{tokens(r['reported_in'])} / {tokens(r['reported_out'])}",
            f"{delta(r['delta_in'])} / {delta(r['delta_out'])}",
            status(r["status"]),
        )
        for r in rows
    ]
    return table(
        ("id", "compared at", "dispatch", "source", "billed in / out", "reported", "delta", ""), cells, "rlllrrrl"
    )


def runs(rows: Sequence[dict[str, Any]]) -> str:
    """Every run."""
    if not rows:
        return "no run yet: `mecris cost record` makes one"
    cells = [
        (
            r["run_id"],
            tokens(r["dispatches"]),
            tokens(r["running_count"]),
            *(tokens(r[f"reported_{c}"]) for c in CLASSES),
        )
        for r in rows
    ]
    return table(("run", "dispatches", "running", "in", "out", "cache read", "cache write"), cells, "lrrrrrr")


def run(answer: dict[str, Any]) -> str:
    """One run: its sum, its bills, and the first of its dispatches."""
    head = ("", "in", "out", "cache read", "cache write", "")
    rows = [("reported", *(tokens(answer[f"reported_{c}"]) for c in CLASSES), _dispatches(answer))]
    for bill in answer["bills"]:
        rows += _bill(bill)
    lines = [click.style(f"Run {answer['run_id']}", bold=True), "", table(head, rows, "lrrrr")]
    if answer["first"]:
        lines += ["", _listed(answer)]
    if answer["as_of"]:
        lines += ["", click.style(f"as of {answer['as_of']}, position {answer['position']}", dim=True)]
    return "\n".join(lines)


def _dispatches(answer: dict[str, Any]) -> str:
    many, running = answer["dispatches"], answer["running_count"]
    told = f"{many:,} dispatch{'' if many == 1 else 'es'}"
    return f"{told}, {running:,} running" if running else told


def _bill(bill: dict[str, Any]) -> list[tuple[str, ...]]:
    """The bill of the run, the bills of its dispatches, and the rest between them."""
    rows: list[tuple[str, ...]] = []
    if bill["status"]:
        whole = (tokens(bill[f"billed_{c}"]) for c in CLASSES)
        rows.append((f"{bill['source']}: the run", *whole, status(bill["status"])))
    if bill["dispatches_billed"]:
        parts = (tokens(bill[f"dispatches_{c}"]) for c in CLASSES)
        rows.append((f"{bill['source']}: its dispatches", *parts, f"{bill['dispatches_billed']:,} billed one by one"))
    if len(rows) == 2:
        rows.append((f"{bill['source']}: the rest", *(delta(bill[f"rest_{c}"]) for c in CLASSES), ""))
    return rows


def _listed(answer: dict[str, Any]) -> str:
    cells = [
        (
            d["dispatch_id"],
            *(tokens(d[f"reported_{c}"]) for c in CLASSES),
            d["model"] or "-",
            "running" if d["running"] else "",
        )
        for d in answer["first"]
    ]
    listed = table(("dispatch", "in", "out", "cache read", "cache write", "model", ""), cells, "lrrrr")
    more = answer["dispatches"] - len(cells)
    return listed + (f"\nand {more:,} more: --limit lists more of them" if more else "")
