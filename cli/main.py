"""`mecris`: the root of the command line, and the one place where an error becomes an exit code."""

import os
import sys
from typing import Any, NoReturn

import click

from ..domain.errors import MecrisError, NotFound
from .exits import FAULT, INTERRUPTED, WORDS, Stopped, exit_of
from .lazy import Lazy

_GROUPS = {
    "audit": ("audit", "The log as it is, the chain recomputed, the read models rebuilt."),
    "budget": ("budget", "Cycles, what meters and dashboards say, plugs, and what is left."),
    "books": ("moving", "The books as a whole: copied elsewhere, backed up, restored, set up on PostgreSQL."),
    "apply": ("apply", "Do what a stream of orders says, one JSON object a line."),
    "completion": ("completion", "Print the shell completion for bash, zsh or fish."),
    "cost": ("cost", "Tokens that runs report, beside the tokens that were billed."),
    "odometer": ("odometer", "Month-to-date counters that reset on the 1st, read off by a person."),
    "evidence": ("importing", "Files that were imported, and lines that could not be read."),
    "import": ("importing", "Record what files say: exports, logs, saved pages."),
    "demo": ("demo", "Play the founding story on a scratch file."),
    "mcp": ("serving", "Open the door for agents: the Model Context Protocol, over standard input and output or HTTP."),
    "serve": ("serving", "Open the door for programs: REST over HTTP."),
    "token": ("token", "Who may come through the doors of a server."),
}


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"mecris {version('mecris')}")
        ctx.exit()


@click.group(
    cls=Lazy, modules=_GROUPS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--books",
    metavar="LOCATION",
    help="The books: a file, or postgresql://...  [env: MECRIS_BOOKS; default: in your data directory]",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
@click.pass_context
def mecris(ctx: click.Context, books: str | None) -> None:
    """How much budget is left for LLM providers, and why should I believe it?

    Mecris keeps what meters, dashboards and people say about spend as events, compares and grades it, and
    ties it out: budget = tracked + plugged + unexplained + remaining.
    """
    ctx.obj = books
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> NoReturn:
    """Run the command line and exit with the code that `design` gives the outcome."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        code: Any = mecris.main(arguments, prog_name="mecris", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (click.Abort, KeyboardInterrupt) as stopped:
        click.echo(
            f"interrupted: {stopped.message if isinstance(stopped, Stopped) else 'nothing more was recorded'}", err=True
        )
        return INTERRUPTED
    except MecrisError as error:
        click.echo(f"{_kind(error)}: {error.message}", err=True)
        return exit_of(error)
    except SystemExit:  # how click takes it when the reader has seen enough and closes the pipe
        return 0
    except OSError as error:  # a full disk behind a pipe, say
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"could not be done: {where}{error.strerror or error}", err=True)
        return FAULT
    except Exception as fault:  # the last line of defence: a person never sees a bare traceback
        return _our_fault(fault)


def _kind(error: MecrisError) -> str:
    if isinstance(error, NotFound):
        return "not found"
    return WORDS[exit_of(error)]


def _our_fault(fault: Exception) -> int:
    if os.environ.get("MECRIS_DEBUG"):
        raise fault
    what = f"{type(fault).__name__}: {fault}".splitlines()[0]
    click.echo(
        f"could not be done: {what}\nThis is a fault of Mecris; MECRIS_DEBUG=1 shows where. Please report it.", err=True
    )
    return FAULT
