"""`mecris budget`: the questions and orders about cycles, each imported when it is used."""

import click

from .lazy import Lazy


@click.group(
    cls=Lazy,
    modules={
        "status": ("asking", "How much is left, and why one should believe it."),
        "discrepancies": ("asking", "Every realtime source beside every manual source of its provider, graded."),
        "sources": ("asking", "Every source with its current reading, or every reading."),
        "add-source": ("recording", "Record what a source says the cycle has cost so far."),
        "retract": ("recording", "Take a wrong reading back."),
        "plug": ("recording", "Explain spend that no realtime source saw."),
        "unplug": ("recording", "Reverse a plug."),
        "reconcile": ("recording", "Put the comparison on record, as it stands."),
        "cycle": ("cycle", "Budgeting periods: open, list, top up, set their grades."),
    },
)
def budget() -> None:
    """Cycles, what meters and dashboards say, plugs, and what is left."""
