"""`mecris import` and `mecris evidence`: files that people have, and what is kept of them."""

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any

import click

from ..books import Books
from ..books.answers import Answer
from ..domain.errors import UNKNOWN_FORMAT, MecrisError, Unavailable
from . import show
from .common import JSON, USD, asked_as_of, books, tell, write_json
from .exits import FAULT, WORDS, exit_of

STANDARD_INPUT = Path("-")
QUARANTINED = 1
SHOWN = 5
"""Unreadable lines, or files that were passed over, that a summary names."""
NO_LINES = dict.fromkeys(("new", "restated", "dispatches", "unreadable"), 0)
"""What telling cycles has nothing of."""
LARGE = 5 << 20
"""Bytes from which an import shows how far it is."""


@click.command("import")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--format", "format", metavar="F", help="Of what format they are.  [default: recognised from the content]"
)
@click.option(
    "--cycle", "cycle_id", type=int, metavar="ID", help="Only this cycle.  [default: those that the days fall in]"
)
@click.option("--provider", metavar="P", help="Whose they are, like claude or claude:work.")
@click.option("--of", "of", type=USD, metavar="USD", help="What a balance is left of, if its file does not say.")
@click.option("--exported-at", metavar="WHEN", help="When they were exported.  [default: the file's own time]")
@click.option("--dry-run", is_flag=True, help="Show what would be recorded, and record nothing.")
@click.option(
    "--watch", type=click.Path(path_type=Path), metavar="DIR", help="Import what is in a folder, and what comes."
)
@JSON
def import_(
    files: tuple[Path, ...],
    format: str | None,
    cycle_id: int | None,
    provider: str | None,
    of: str | None,
    exported_at: str | None,
    dry_run: bool,
    watch: Path | None,
    as_json: bool,
) -> int:
    """Record what files say: exports, logs, saved pages. The same file again records nothing.

    A folder stands for the files in it and below, of which those of no known format are passed over, and - for the standard input. Lines that cannot be read are kept aside with their reason, and end the command
    with exit code 1; the rest of their file counts.
    """
    if files and watch:
        raise click.UsageError("name files to import, or a folder with --watch, and not both")
    if not files and not watch:
        raise click.UsageError("name the files to import, or a folder with --watch")
    if STANDARD_INPUT in files and sys.stdin is None:
        raise Unavailable("there is no standard input to read: name a file instead of -")
    how: dict[str, Any] = {"format": format, "cycle_id": cycle_id, "provider": provider, "of": of, "dry_run": dry_run}
    opened = books()
    if exported_at is not None:
        from ..domain.period import end_of

        how["exported_at"] = end_of(exported_at, opened.now())
    if watch:
        from .watching import watch as watched

        return watched(opened, watch, how, as_json)
    with _received(files) as (named, piped):
        how["piped"] = piped
        found = list(_below(named))
        if not found:
            tell(f"there are no files in {', '.join(map(str, files))}")
        return each(opened, found, how, as_json, named)


@contextmanager
def _received(paths: tuple[Path, ...]) -> Iterator[tuple[tuple[Path, ...], Path | None]]:
    """The same paths, and which of them is a file into which the standard input was put, since it is read more than once."""
    if STANDARD_INPUT not in paths:
        yield paths, None
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what came may hold prompts: it does not stay behind
    with TemporaryDirectory(prefix="mecris-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as taken:
            copyfileobj(sys.stdin.buffer, taken)
        yield tuple(path if given == STANDARD_INPUT else given for given in paths), path


def _below(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files, and those in folders, in order; links in folders are not followed."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, below, names in os.walk(path):
            below.sort()
            yield from (Path(folder, name) for name in sorted(names) if not Path(folder, name).is_symlink())


def each(opened: Books, files: Sequence[Path], how: dict[str, Any], as_json: bool, named: Collection[Path] = ()) -> int:
    """Import file by file; returns the exit code of the worst that happened."""
    done = batch(opened, files, how, as_json, named)
    if as_json:
        write_json([answer for _, answer, _ in done])
    return max((code for _, _, code in done), default=0)


Done = tuple[Path, Answer, int]
"""A file, what came of it, and its exit code."""


def batch(
    opened: Books, files: Sequence[Path], how: dict[str, Any], as_json: bool, named: Collection[Path] = ()
) -> list[Done]:
    """Import file by file, each in a write of its own; of many files the cycles are told once, after the last one.

    A file of no known format that nobody named is passed over: a folder may hold anything.
    """
    done: list[Done] = []
    notes: set[str] = set()
    passed: list[str] = []
    for path in files:
        answer, code = one(opened, path, how | {"tell": len(files) == 1, "piped": path == how.get("piped")})
        if answer.get("code") == UNKNOWN_FORMAT and path not in named:
            answer["passed_over"], code = True, 0
            passed.append(f"{path.parent / answer['detail'].rpartition(': ')[0]}")
        elif not as_json:
            summary(answer, code, notes, dry_run=how["dry_run"])
        done.append((path, answer, code))
    _tell_passed(passed)
    return done if len(files) == 1 or how["dry_run"] else _told(opened, done, notes, as_json)


def _tell_passed(passed: Sequence[str]) -> None:
    """Name what was passed over, or some of it and how many."""
    for told in passed if len(passed) <= SHOWN else passed[: SHOWN - 1]:
        tell(show.on_one_line(f"passed over: {told}"))
    if len(passed) > SHOWN:
        tell(f"passed over: {len(passed) - SHOWN + 1:,} more files, empty or of no format that is known")


def _told(opened: Books, done: list[Done], notes: set[str], as_json: bool) -> list[Done]:
    """Tell the cycles of each report; what came of it stands in the answer of its last file."""
    last = {answer["report"]: place for place, (_, answer, _) in enumerate(done) if "code" not in answer}
    for report, place in last.items():
        path, answer, code = done[place]
        told, worst = _answered(path, partial(opened.tell_cycles, report))
        if "code" in told:
            told["detail"] += (
                f"; its lines are kept: import any of its files again after that, or, before they get another name, "
                f"`mecris evidence withdraw {answer['sha256'][:12]} --reason TEXT`"
            )
        if not as_json:
            _tell_of(answer, told, worst, notes)
        if "code" in told:
            answer |= told | {"recorded": answer["recorded"]}
        else:
            answer |= _together(answer, told)
        done[place] = path, answer, max(code, worst)
    return done


def _together(answer: Answer, told: Answer) -> dict[str, Any]:
    """What came of a file, with what came of telling the cycles."""
    counts = {name: answer[name] + told[name] for name in ("readings", "retracted")}
    return {
        **counts,
        "recorded": answer["recorded"] or told["readings"] + told["retracted"] > 0,
        "report_usd": told["report_usd"],
        "cycles": sorted({*answer["cycles"], *told["cycles"]}),
        "remarks": list(dict.fromkeys([*answer["remarks"], *told["remarks"]])),
    }


def _tell_of(answer: Answer, told: Answer, code: int, notes: set[str]) -> None:
    """What cycles were told of a report, in words."""
    if "code" in told:
        tell(f"{WORDS[code]}: {_named(answer)}: {told['detail']}")
    elif told["readings"] + told["retracted"]:
        click.echo(f"{_named(answer)}: recorded {', '.join(_counts(Answer(NO_LINES | told)))}")
    _note(told.get("remarks", ()), notes)


def one(opened: Books, path: Path, how: dict[str, Any]) -> tuple[Answer, int]:
    """Import a file: what came of it, and its exit code; a refusal has a `code` and a `detail`."""
    with _shown(path) as progress:
        answer, code = _answered(path, partial(opened.import_file, path, **how, progress=progress))
    if how["dry_run"]:
        answer["dry_run"] = True  # also of a refusal
    return answer, QUARANTINED if answer.get("unreadable") else code


def _answered(path: Path, ask: Callable[[], Answer]) -> tuple[Answer, int]:
    try:
        return ask(), 0
    except MecrisError as error:
        return Answer(file=path.name, recorded=False, code=error.code, detail=error.message), exit_of(error)
    except Exception as fault:  # noqa: BLE001  # the other files are not to suffer for it
        told = f"a fault of Mecris ({fault!r}): please report it"
        return Answer(file=path.name, recorded=False, code="fault", detail=told), FAULT


@contextmanager
def _shown(path: Path) -> Iterator[Any]:
    """A progress bar for a large file, where somebody looks."""
    size = path.stat().st_size if path.is_file() else 0
    if size < LARGE or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=size, label=path.name, file=sys.stderr) as bar:
        yield lambda at: bar.update(max(0, at - bar.pos))


def summary(answer: Answer, code: int, notes: set[str], *, dry_run: bool) -> None:
    """What came of a file, in words; a note that was told before is not told again."""
    if "code" in answer:
        named = "" if answer["file"] in answer["detail"] else f"{answer['file']}: "
        tell(show.on_one_line(f"{WORDS[code]}: {named}{answer['detail']}"))
        return
    file = show.on_one_line(answer["file"])
    if not answer["recorded"]:
        left = f"; {_of(answer['unreadable'], 'line')} of it cannot be read" if answer["unreadable"] else ""
        click.echo(f"{file}: nothing new{left}")
        return
    would = "would record" if dry_run else "recorded"
    click.echo(f"{file}: {answer['format']}, {_named(answer)}; {would} {', '.join(_counts(answer))}")
    _note(answer["remarks"], notes)
    for row in answer["quarantine"][:SHOWN]:
        tell(f"  line {row['line']} cannot be read: {row['reason']}")
    if answer["unreadable"] > SHOWN:
        tell(f"  and {answer['unreadable'] - SHOWN:,} more: mecris evidence quarantine lists them")


def _note(remarks: Iterable[str], notes: set[str]) -> None:
    for remark in remarks:
        if remark not in notes:
            tell(f"  note: {show.on_one_line(remark)}")
    notes.update(remarks)


def _named(answer: Answer) -> str:
    whose = answer["provider"] or "the unnamed provider"
    return f"'{answer['source']}' of {whose}"


def _of(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 'es' if what.endswith('ch') else 's'}"


def _counts(answer: Answer) -> list[str]:
    told = [(answer["new"], "new line"), (answer["restated"], "restated line"), (answer["dispatches"], "dispatch")]
    told += [
        (answer["readings"], "reading"),
        (answer["retracted"], "retraction"),
        (answer["unreadable"], "unreadable line"),
    ]
    found = [_of(n, what) for n, what in told if n]
    cycles = ", ".join(map(str, answer["cycles"]))
    return [*(found or ["the file as evidence"]), *([f"in cycle {cycles}"] if cycles else [])]


@click.group()
def evidence() -> None:
    """Files that were imported: kept as they came, and what of them could not be read."""


@evidence.command("list")
@asked_as_of
@JSON
def listed(as_of: str | None, as_json: bool) -> None:
    """Every file that is kept."""
    rows = books().evidence(as_of=as_of)
    if as_json:
        return write_json(rows)
    head = ("sha256", "file", "report", "format", "lines", "unreadable", "exported at")
    cells = [
        (
            r["sha256"][:12],
            show.on_one_line(r["file"]),
            show.on_one_line(r["report"]) + (" (withdrawn)" if r["withdrawn"] is not None else ""),
            r["format"],
            f"{r['lines']:,}",
            f"{r['unreadable']:,}{' (settled)' if r['settled'] is not None else ''}",
            show.when(r["exported_at"]),
        )
        for r in rows
    ]
    click.echo(show.table(head, cells, "llllrr") if rows else "no file was imported yet")


@evidence.command("quarantine")
@click.option(
    "--retry", is_flag=True, help="Read these files again: a newer version may read what an older one could not."
)
@JSON
def quarantine(retry: bool, as_json: bool) -> int:
    """Lines that could not be read, and why; exit code 1 while there are any."""
    opened = books()
    if retry:
        for answer in opened.retry_quarantine():
            tell(
                f"{show.on_one_line(answer['file'])} was read again: {_of(answer['unreadable'], 'line')} cannot be read"
            )
    rows = opened.quarantine()
    if as_json:
        write_json(rows)
    else:
        for row in rows:
            click.echo(show.on_one_line(f"{row['file']} ({row['sha256'][:12]}), line {row['line']}: {row['reason']}"))
    return QUARANTINED if rows else 0


@evidence.command("settle")
@click.argument("sha256")
@click.option(
    "--reason", required=True, metavar="T", help="Why nothing is missing, as when a mended file was imported."
)
@JSON
def settle(sha256: str, reason: str, as_json: bool) -> None:
    """The unreadable lines of a file were seen to; SHA256 is how its digest begins, as `evidence quarantine` shows it."""
    answer = books().settle_evidence(sha256, reason)
    if as_json:
        return write_json(answer)
    click.echo(f"{answer['sha256'][:12]} is settled" if answer["recorded"] else "it was settled before")


@evidence.command("withdraw")
@click.argument("which", metavar="WHICH")
@click.option("--reason", required=True, metavar="T", help="Why it should not count, as when the provider was wrong.")
@JSON
def withdraw(which: str, reason: str, as_json: bool) -> None:
    """Let a report count no more, with all its files; WHICH is how the digest of one begins, or the report's name.

    Its readings are retracted. The files are kept, and one more import of any of them lets the report count again.
    """
    answer = books().withdraw_report(which, reason)
    if as_json:
        return write_json(answer)
    if not answer["recorded"]:
        return click.echo(f"'{answer['report']}' was withdrawn before")
    counts = (
        _counts(Answer(NO_LINES | answer)) if answer["readings"] + answer["retracted"] else ["no reading rested on it"]
    )
    click.echo(f"'{answer['report']}' counts no more: {', '.join(counts)}")
    _note(answer["remarks"], set())


@evidence.command("reprice")
@JSON
def reprice(as_json: bool) -> None:
    """Price calls again of which no file says what they cost: a newer list of prices knows more models."""
    answer = books().reprice_evidence()
    if as_json:
        return write_json(answer)
    calls = f"{answer['repriced']:,} {'call has' if answer['repriced'] == 1 else 'calls have'} another price"
    told = _counts(Answer(NO_LINES | answer)) if answer["readings"] + answer["retracted"] else []
    click.echo(f"by {answer['prices']}, {', '.join([calls, *told])}" if answer["recorded"] else "no price is new")
    _note(answer["remarks"], set())
