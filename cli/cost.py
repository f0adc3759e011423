"""`mecris cost`: what agents report in tokens, beside what was billed."""

from typing import Any

import click

from . import show_cost
from .common import JSON, KEY, TOKENS, USD, asked_as_of, books, order, warn, write_json

MISMATCH = 1
RUN = click.argument("run_id", metavar="RUN")
CACHED = click.option(
    "--in-includes-cache",
    "inclusive",
    is_flag=True,
    help="Input as OpenAI, Groq and LiteLLM count it: cached tokens are among it. Anthropic's is without them.",
)


@click.group()
def cost() -> None:
    """Tokens that runs report, beside the tokens that were billed."""


@cost.command("record")
@RUN
@click.option("--dispatch", "dispatch_id", required=True, metavar="ID", help="The dispatch; again: a correction.")
@click.option("--in", "input_tokens", type=TOKENS, required=True, metavar="N", help="Input tokens, uncached.")
@click.option("--out", "output_tokens", type=TOKENS, required=True, metavar="N", help="Output tokens.")
@click.option("--cache-read", type=TOKENS, default=0, metavar="N", help="Tokens read from a cache.")
@click.option("--cache-write", type=TOKENS, default=0, metavar="N", help="Tokens written to a cache.")
@CACHED
@click.option("--model", metavar="M", help="Which model it was.")
@click.option("--running", is_flag=True, help="It is not finished: more may be reported.")
@KEY
@JSON
def record(
    run_id: str,
    dispatch_id: str,
    input_tokens: int,
    output_tokens: int,
    cache_read: int,
    cache_write: int,
    inclusive: bool,
    model: str | None,
    running: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Set what a dispatch of a run reports; what it reported before stays in the log."""
    from ..domain.commands import Dispatch, RecordDispatches

    dispatch = Dispatch(
        dispatch_id=dispatch_id,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        input_includes_cache=inclusive,
        model=model,
        running=running,
    )
    opened, answer = order(RecordDispatches(run_id=run_id, dispatches=(dispatch,)), key)
    if as_json:
        return write_json(answer)
    click.echo(show_cost.recorded(answer))
    click.echo(show_cost.reported(opened.run(run_id, limit=0)))
    warn(answer.get("warnings", ()))


@cost.command("reconcile")
@RUN
@click.option("--billed-in", type=TOKENS, required=True, metavar="N", help="Input tokens billed, uncached.")
@click.option("--billed-out", type=TOKENS, required=True, metavar="N", help="Output tokens billed.")
@click.option("--billed-cache-read", type=TOKENS, metavar="N", help="Cache reads billed; left out: not compared.")
@click.option("--billed-cache-write", type=TOKENS, metavar="N", help="Cache writes billed; left out: not compared.")
@CACHED
@click.option("--dispatch", "dispatch_id", metavar="ID", help="Only this dispatch.  [default: the whole run]")
@click.option("--source", default="manual", show_default=True, metavar="S", help="Who billed it: anthropic, openai ...")
@click.option("--tolerance-tokens", type=TOKENS, default=0, metavar="N", help="So many tokens apart are within.")
@click.option(
    "--tolerance-percent", type=USD, default="0", metavar="P", help="So many percent of the bill apart are within."
)
@KEY
@JSON
def reconcile(
    run_id: str,
    billed_in: int,
    billed_out: int,
    billed_cache_read: int | None,
    billed_cache_write: int | None,
    inclusive: bool,
    dispatch_id: str | None,
    source: str,
    tolerance_tokens: int,
    tolerance_percent: Any,
    key: str | None,
    as_json: bool,
) -> int:
    """Compare what was billed with what was reported; exits with 1 when they differ by more than is tolerated."""
    from ..domain.commands import ReconcileTokens

    _, answer = order(
        ReconcileTokens(
            run_id=run_id,
            billed_in=billed_in,
            billed_out=billed_out,
            billed_cache_read=billed_cache_read,
            billed_cache_write=billed_cache_write,
            input_includes_cache=inclusive,
            dispatch_id=dispatch_id,
            source=source,
            tolerance_tokens=tolerance_tokens,
            tolerance_percent=tolerance_percent,
        ),
        key,
    )
    if as_json:
        write_json(answer)
    else:
        click.echo(show_cost.reconciled(answer))
        warn(answer.get("warnings", ()))
    return MISMATCH if answer["discrepancy"] else 0


@cost.command("list")
@RUN
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="At most so many.")
@asked_as_of
@JSON
def list_(run_id: str, limit: int, as_of: str | None, as_json: bool) -> None:
    """What was billed beside what was reported, the newest comparison first."""
    rows = books().reconciliations(run_id, limit=limit, as_of=as_of)
    write_json(rows) if as_json else click.echo(show_cost.reconciliations(rows))


@cost.command("show")
@RUN
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, metavar="N", help="List so many dispatches."
)
@asked_as_of
@JSON
def show_(run_id: str, limit: int, as_of: str | None, as_json: bool) -> None:
    """What a run reported in all, what was billed for it, and what is left between the two."""
    answer = books().run(run_id, limit=limit, as_of=as_of)
    write_json(answer) if as_json else click.echo(show_cost.run(answer))


@cost.command("runs")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="At most so many.")
@asked_as_of
@JSON
def runs(limit: int, as_of: str | None, as_json: bool) -> None:
    """Every run, the newest first."""
    rows = books().runs(limit=limit, as_of=as_of)
    write_json(rows) if as_json else click.echo(show_cost.runs(rows))
