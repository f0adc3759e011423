"""The command line: every command with its help and options, settings and exit codes."""

import inspect
import textwrap
from collections.abc import Iterator

import click

from mecris.books import settings
from mecris.cli.exits import EXITS, FAULT, INTERRUPTED
from mecris.cli.main import mecris
from mecris.domain import errors
from mecris.domain.health import Limits
from mecris.domain.money import plain
from mecris.notifiers.delivery import Patience

from .markdown import fenced, page, table


def text() -> str:
    return page(
        "# Command line",
        "Answers go to standard output; hints, warnings and refusals go to standard error. Colours are for terminals, "
        "and `NO_COLOR` turns them off.",
        *(part for path, command in _commands(mecris, "mecris") for part in _command(path, command)),
        "## What people type",
        WORDS,
        "## Settings",
        _settings(),
        "## Exit codes",
        _exits(),
        "## Errors in Python",
        fenced("text", inspect.cleandoc(str(errors.__doc__))),
    )


WORDS = """\
| word | means |
|---|---|
| `USD` | an exact amount in decimal digits, at most 12 of them after the point, below a trillion |
| `YYYY-MM` | a month, in UTC |
| `RUN` | any name of a run; a dispatch has a name within its run |
| `WHEN` | an ISO date-time (without an offset: in the cycle's time zone), or a date: its end, today: now. `adjust --at` takes the beginning of a date, and `--as-of` also a position in the log |
| `TEXT\\|@FILE\\|-` | the text itself, the content of a file, or standard input; `@@` stands for a text that begins with `@` |
| `ID`, `N` | numbers, as `cycle list`, `sources --history` and `audit log` show them |"""


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, f"{path} {name}")


def _command(path: str, command: click.Command) -> Iterator[str]:
    yield f"## {path}"
    yield inspect.cleandoc(str(command.help))
    yield fenced("text", _usage(path, command))
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        yield table(["option", "what it says"], [[_names(o), _help(o)] for o in options])


def _usage(path: str, command: click.Command) -> str:
    words = [path, *(_word(p) for p in command.params)]
    if isinstance(command, click.Group):
        words.append("COMMAND ...")
    return "\n".join(
        textwrap.wrap(" ".join(w.replace(" ", "\0") for w in words), 100, subsequent_indent="    ")
    ).replace("\0", " ")


def _word(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return _values(parameter) or str(parameter.name).upper()
    word = f"{parameter.opts[0]} {_values(parameter)}".strip()
    return word if parameter.required else f"[{word}]"


def _values(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return ""
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    return str(parameter.metavar or "")


def _names(option: click.Option) -> str:
    names = "`, `".join([*option.opts, *option.secondary_opts])
    values = _values(option)
    return f"`{names}{' ' + values if values else ''}`".replace("|", "\\|")


def _help(option: click.Option) -> str:
    default = f"  [default: {option.default}]" if option.show_default else ""
    return f"{option.help}{default}" + (" Required." if option.required else "")


def _settings() -> str:
    """The environment variables; defaults come from the code."""
    said = {
        "stale_days": "a provider's newest reading is stale when it is older than so many days",
        "warning_percent": "percent of the budget spent from which health is WARNING",
        "critical_days": "health is CRITICAL when the budget runs out within so many days and before the last day",
        "critical_discrepancy_percent": "a discrepancy above so many percent is alerted as CRITICAL",
        "warning_cool_down_hours": "hours between two WARNING alerts of one kind",
        "critical_cool_down_hours": "hours between two CRITICAL alerts of one kind",
    }
    defaults, patience = Limits()._asdict(), Patience()
    assert set(said) == set(defaults) == set(settings.LIMITS)
    rows = [
        [f"`{settings.LOCATION}`", "in your data directory", "the file of the books, where `--books` does not name it"],
        *([f"`{settings.LIMITS[name]}`", plain(defaults[name]), text] for name, text in said.items()),
        ["`MECRIS_NOTIFY`", "nobody", "who is told of alerts, where `--notify` does not say: URLs with spaces between"],
        ["`MECRIS_DELIVERY_ATTEMPTS`", str(patience.attempts), "how often one look tries to reach a target"],
        ["`MECRIS_DELIVERY_TIMEOUT_SECONDS`", f"{patience.timeout:g}", "how long one attempt may take"],
        ["`NO_COLOR`", "", "any value: no colours"],
        ["`MECRIS_DEBUG`", "", "any value: a fault of ours shows where it happened"],
    ]
    return "Environment variables.\n\n" + table(["variable", "default", "what it says"], rows)


def _exits() -> str:
    meaning = {
        0: "done; nothing to report against it",
        1: "the answer is printed, and it is bad news: `--fail-under` was not met (UNVERIFIED never meets it), `cost reconcile` found a "
        "discrepancy, `alert` has something to tell",
        2: "wrong usage",
        3: "refused by a rule, or not found",
        4: "conflict: another writer held the books too long, or a key was used for something else",
        5: "the books are damaged, or the replay differs",
        6: "could not be done: disk, permission, an extra that is not installed, or a fault of ours (never a bare traceback)",
        130: "interrupted",
    }
    classes = {code: f"`{kind.__name__}`" for kind, code in EXITS}
    assert {0, 1, 2, FAULT, INTERRUPTED, *classes} == set(meaning)
    rows = [[str(code), said, classes.get(code, "")] for code, said in meaning.items()]
    return table(["exit", "meaning", "in Python"], rows)
