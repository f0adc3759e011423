"""Answers as a person likes to read them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from ..domain.money import cents, plain, shown

COLOURS = {"EXCELLENT": "green", "GOOD": "green", "FAIR": "yellow", "POOR": "red", "UNVERIFIED": "magenta"}


def money(amount: Decimal | None) -> str:
    """At least cents, and never fewer digits than there are."""
    return "-" if amount is None else cents(amount)


def near(amount: Decimal | None) -> str:
    """An estimate: cents, or as many digits as it takes to see anything."""
    return "-" if amount is None else cents(shown(amount, 2) or amount)


def hint(line: str) -> None:
    """Say something that is worth knowing and no warning."""
    click.echo(f"note: {line}", err=True)


def share(percent: Decimal | None) -> str:
    """A percentage, to two places."""
    return "-" if percent is None else f"{plain(shown(percent, 2))} %"


def grade(name: str) -> str:
    """A grade in its colour."""
    return click.style(name, fg=COLOURS[name], bold=True)


def on_one_line(text: str) -> str:
    """A text without line breaks and what else is no print, such as a file may have in its name."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """A table whose columns line up; those whose letter in `right` is r are set to the right."""
    cells = [[click.unstyle(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for cell, width, side in zip(row, widths, right.ljust(len(head), "l"), strict=True):
            space = " " * (width - len(click.unstyle(cell)))
            padded.append(space + cell if side == "r" else cell + space)
        return "  ".join(padded).rstrip()

    return "\n".join([click.style(line(head), bold=True), *map(line, rows)])


def days(cycle: dict[str, Any]) -> str:
    """Where a cycle stands in time."""
    if cycle["state"] != "open":
        return str(cycle["state"])
    left = cycle["days_left"]
    return "open, last day" if not left else f"open, {left} day{'s' if left > 1 else ''} left"


def when(moment: str | None) -> str:
    """A moment to the second."""
    return "-" if moment is None else moment[:19].replace("T", " ") + " UTC"


def status(s: dict[str, Any]) -> str:
    """How much is left, and why one should believe it."""
    cycle, tied = s["cycle"], s["tie_out"]
    title = f"Cycle {cycle['id']}  {cycle['start_date']} to {cycle['end_date']}  {days(cycle)}"
    if cycle["notes"]:
        title += f"\n{cycle['notes']}"
    if cycle["closed"]:
        title += f"\n{_closed(cycle)}"
    rows = [
        (
            "budget",
            money(cycle["budget_usd"]),
            "" if cycle["budget_usd"] == cycle["target_usd"] else f"target {money(cycle['target_usd'])}",
        ),
        ("tracked", money(tied["tracked_usd"]), _coverage(tied["coverage_percent"])),
        ("plugged", money(tied["plugged_usd"]), ""),
        ("unexplained", money(tied["unexplained_usd"]), ""),
        ("spent", money(tied["spent_usd"]), _verified(tied["verified_percent"])),
        ("remaining", money(tied["remaining_usd"]), ""),
    ]
    width = max(len(amount) for _, amount, _ in rows)
    lines = [click.style(title, bold=True), ""]
    for name, amount, note in rows:
        line = f"  {name:<12} {amount:>{width}}"
        line = click.style(line, bold=True) if name == "remaining" else line
        lines.append(f"{line}   {note}".rstrip())
    from .show_outlook import outlook

    lines += ["", f"  {grade(s['grade'])}  {_verdict(s)}", *outlook(s)]
    if len(s["providers"]) > 1:
        lines += ["", providers(s["providers"])]
    return "\n".join([*lines, *asked(s)])


def _closed(cycle: dict[str, Any]) -> str:
    closed, heir = cycle["closed"], cycle["rolled_over_to"]
    told = f"closed at {when(closed['at'])} by {closed['by']}"
    told += f", what is left went to cycle {heir}" if heir else ""
    return told + (f"; accepted ({closed['reason']}): {'; '.join(closed['accepted'])}" if closed["accepted"] else "")


def _coverage(percent: Decimal | None) -> str:
    return "" if percent is None else f"a meter saw {share(percent)} of what was spent"


def _verified(percent: Decimal | None) -> str:
    return "" if percent is None else f"{share(percent)} of it was compared"


def _verdict(s: dict[str, Any]) -> str:
    if s["grade"] == "UNVERIFIED":
        said = "nothing could be compared: it takes a realtime and a manual source of one provider"
    else:
        said = f"{money(s['diff_usd'])} apart ({share(s['percent'])})"
    return said + (f"; not on record yet: mecris budget reconcile --cycle {s['cycle']['id']}" if s["stale"] else "")


def asked(s: dict[str, Any]) -> list[str]:
    """As of when, where that was asked."""
    told = []
    if s["as_of"] and s["as_of"].isdecimal():
        same = s["as_of"] == str(s["position"])
        told.append(f"as of position {s['as_of']}" + ("" if same else f", whose write ended at {s['position']}"))
    elif s["as_of"]:
        told.append(f"as of {when(s['as_of'])}, position {s['position']}")
    told += [f"measured by {when(s['measured_by'])}"] if s["measured_by"] else []
    return ["", click.style("  " + "; ".join(told), dim=True)] if told else []


def providers(rows: Sequence[dict[str, Any]]) -> str:
    """The tie-out of each provider."""
    return table(
        ("  provider", "observed", "tracked", "plugged", "unexplained", "spent", "grade"),
        [
            (
                f"  {p['provider'] or '(unnamed)'}",
                *(money(p[f"{name}_usd"]) for name in ("observed", "tracked", "plugged", "unexplained", "spent")),
                grade(p["grade"]),
            )
            for p in rows
        ],
        "lrrrrr",
    )


def discrepancies(d: dict[str, Any]) -> str:
    """Every pair, and what it may mean."""
    if not d["details"]:
        return "nothing to compare: it takes a realtime and a manual source of one provider"
    rows = [
        (
            p["source_a"]["name"],
            money(p["source_a"]["amount_usd"]),
            p["source_b"]["name"],
            money(p["source_b"]["amount_usd"]),
            money(p["diff_usd"]),
            share(p["percent"]),
            grade(p["grade"]),
        )
        for p in d["details"]
    ]
    pairs = table(("realtime", "usd", "manual", "usd", "apart", "percent", "grade"), rows, "lrlrrrl")
    found = [f"- {p['analysis']}" for p in d["details"] if p["diff_usd"]]
    whole = f"cycle {d['cycle_id']}: {grade(d['grade'])}, {money(d['diff_usd'])} unexplained ({share(d['percent'])})"
    return "\n".join([pairs, *([""] if found else []), *found, "", whole])


def sources(rows: Sequence[dict[str, Any]], history: bool) -> str:
    """Every source, or every reading."""
    if not rows:
        return "no source yet: record one with `mecris budget add-source`"
    head = ["reading", "source", "type", "provider", "usd", "measured at"]
    cells = [
        [
            str(r["reading"]),
            r["name"],
            r["type"] + ("" if r["counted"] else ", compare-only"),
            r["provider"] or "-",
            money(r["amount_usd"]),
            when(r["measured_at"]) + ("" if r.get("stated", True) else " (assumed)"),
            *([click.style("retracted", fg="red") if r["retracted"] else ""] if history else []),
        ]
        for r in rows
    ]
    return table([*head, ""] if history else head, cells, "rlllrl")


def cycles(rows: Sequence[dict[str, Any]]) -> str:
    """Every cycle."""
    if not rows:
        return "no cycle yet: open one with `mecris budget cycle create`"
    return table(
        ("cycle", "from", "to", "state", "budget", "spent", "remaining", "grade"),
        [
            (
                str(c["id"]),
                c["start_date"],
                c["end_date"],
                c["state"],
                money(c["budget_usd"]),
                money(c["spent_usd"]),
                money(c["remaining_usd"]),
                grade(c["grade"]),
            )
            for c in rows
        ],
        "rlllrrrl",
    )


def adjustments(rows: Sequence[dict[str, Any]]) -> str:
    """Every adjustment of a budget."""
    if not rows:
        return "the budget was never adjusted: it is the target"
    cells = [
        (
            str(a["adjustment"]),
            money(a["amount_usd"]),
            when(a["counts_from"]),
            a["provider"] or "-",
            f"cycle {a['rolled_over_from']}" if a["rolled_over_from"] else "-",
            a["recorded_by"],
            a["reason"],
        )
        for a in rows
    ]
    return table(("adjustment", "usd", "counts from", "provider", "left of", "by", "reason"), cells, "rr")


def plugs(rows: Sequence[dict[str, Any]]) -> str:
    """Every plug of a cycle."""
    if not rows:
        return "nothing was plugged"
    cells = [
        (
            str(p["plug"]),
            money(p["amount_usd"]),
            p["provider"] or "-",
            p["recorded_by"],
            "reversed" if p["reversed"] else "stands",
            p["reason"] + (f" ({p['evidence']})" if p["evidence"] else ""),
        )
        for p in rows
    ]
    return table(("plug", "usd", "provider", "by", "", "reason"), cells, "rr")
