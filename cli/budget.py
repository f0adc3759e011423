"""`mecris budget`: the questions and orders about cycles, each imported when it is used."""

import click

from .lazy import Lazy


@click.group(
    cls=Lazy,
    modules={
        "status": ("asking", "How much is left, and why one should believe it."),
        "discrepancies": ("asking", "Every realtime source beside every manual source of its provider, graded."),
        "sources": ("asking", "Every source with its current reading, or every reading."),
        "forecast": ("outlook", "How fast money goes, and what that comes to by the end."),
        "chart": ("outlook", "Draw budget, spend, plugs and forecast over the days of a cycle."),
        "narrate": ("outlook", "One line to act on, and what to do next."),
        "unified": ("outlook", "All current cycles and odometers together."),
        "alert": ("alert", "Warn when something is over its threshold, and tell whoever should know."),
        "add-source": ("recording", "Record what a source says the cycle has cost so far."),
        "retract": ("recording", "Take a wrong reading back."),
        "plug": ("recording", "Explain spend that no realtime source saw."),
        "unplug": ("recording", "Reverse a plug."),
        "plugs": ("asking", "Every plug, reversed ones too."),
        "reconcile": ("recording", "Put the comparison on record, as it stands."),
        "cycle": ("cycle", "Budgeting periods: open, list, top up, close, roll over."),
    },
)
def budget() -> None:
    """Cycles, what meters and dashboards say, plugs, and what is left."""
