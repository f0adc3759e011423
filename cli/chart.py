"""A burn-down chart in the terminal, drawn by plotille."""

import shutil
import sys
from decimal import Decimal
from typing import Any

import click

from ..domain.errors import Unavailable
from .show import near

LINES = (
    ("budget", "budget_usd", "green", None),
    ("spent", "spent_usd", "cyan", None),
    ("plugged", "plugged_usd", "magenta", "+"),
    ("forecast", "forecast_usd", "yellow", "."),
)
ROOM = 14
"""Columns that the scale takes."""


def drawn(answer: dict[str, Any], width: int | None, height: int) -> str:
    """The chart of a cycle."""
    try:
        import plotille
    except ImportError:
        raise Unavailable(
            "charts are drawn by plotille, which is not installed: pip install 'mecris[charts]'"
        ) from None
    points = answer["points"]
    figure = plotille.Figure()
    figure.width = max((width or shutil.get_terminal_size((80, 24)).columns) - ROOM, 10)
    figure.height = height
    figure.color_mode = "names"
    figure.with_colors = sys.stdout.isatty()
    figure.set_x_limits(0, max(len(points) - 1, 1))
    figure.set_y_limits(0, float(_highest(points)))
    figure.x_label, figure.y_label = "day", "USD"
    figure.x_ticks_fkt = lambda at, _: points[min(max(round(at), 0), len(points) - 1)]["day"][5:]
    figure.y_ticks_fkt = lambda at, _: f"{at:.2f}"
    for _, field, colour, marker in LINES:
        known = [(x, float(p[field])) for x, p in enumerate(points) if p[field] is not None]
        if known and any(y for _, y in known):
            xs, ys = zip(*known, strict=True)
            figure.plot(list(xs), list(ys), lc=colour, marker=marker, interp=None if marker else "linear")
    return "\n".join([_title(answer), str(figure.show()), "", *_legend(points)])


def _highest(points: list[dict[str, Any]]) -> Decimal:
    values = [p[field] for p in points for _, field, _, _ in LINES if p[field] is not None]
    return max(max(values, default=Decimal(1)), Decimal("0.01")) * Decimal("1.1")


def _title(answer: dict[str, Any]) -> str:
    return click.style(f"Cycle {answer['cycle_id']}  {answer['start_date']} to {answer['end_date']}", bold=True)


def _legend(points: list[dict[str, Any]]) -> list[str]:
    """What each line comes to in the end."""
    told = []
    for name, field, colour, marker in LINES:
        last = next((p for p in reversed(points) if p[field] is not None), None)
        if last is not None and (last[field] or name != "plugged"):
            sign = click.style(marker or "\u2812\u2812", fg=colour)
            told.append(f"  {sign:<2} {name}: {near(last[field])} on {last['day']}")
    return told
