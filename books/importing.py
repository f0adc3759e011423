"""Files that people have: read by their importer, kept as evidence, and turned into readings and dispatches in one write."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..domain import commands as c
from ..domain.errors import NotFound, PayloadRefused, RuleRefused, TimeRefused, Unavailable
from ..domain.figures import Figure, rank_of
from ..domain.lines import Changed, Line
from ..domain.period import LATE, as_text, from_text, time_text
from ..domain.terms import Terms
from ..domain.text import name_of
from ..importers.ahead import LARGE, collecting_seldom, read_ahead
from ..importers.batches import Batch, batches, not_of, writable
from ..importers.formats import FORMATS, recognised, refusal, require_export
from ..importers.jsonl import CUT
from ..importers.kinds import WRONG_SHAPE, Look, Report, Unreadable
from ..importers.reading import File
from ..projections import follow, imports, ledger
from ..store.connection import Connection
from .answers import Answer
from .packing import PART, Packing, is_kept, unpack
from .telling import Told, cycle_of, tell_cycles

if TYPE_CHECKING:
    from .books import Books
    from .pricing import Prices
    from .writing import Hand

NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a pipe waits for somebody to write into it, unless one says so."""
NAMED = 1_000
"""Unreadable lines that are kept on record one by one; the rest is counted."""
MODELS = 50
"""Models without a price that are named."""
Progress = Callable[[int], None]
Ahead = tuple[str, Iterator[Batch]]
"""What another process reads, and the rank that it gives to what it reads."""


class Asked(NamedTuple):
    """How a file is to be imported: what is None follows from the file."""

    format: str | None = None
    cycle_id: int | None = None
    provider: str | None = None
    exported_at: datetime | None = None
    dry_run: bool = False
    tell: bool = True
    piped: bool = False
    """Did it come through a pipe? Then the same bytes again are the same statement, unless they hold figures without a moment."""
    credit: Decimal | None = None


class _Rehearsed(Exception):
    """What a dry run would have come to; raised so that nothing of it is written."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def import_file(books: "Books", path: str, asked: Asked, by: str | None, progress: Progress | None) -> Answer:
    """Import one file; the same file again records nothing."""
    now = books.now()
    if asked.exported_at is not None and asked.exported_at > now:
        raise TimeRefused(
            f"{time_text(asked.exported_at)} has not come yet: say when the file was exported, at the latest now"
        )
    with _opened(path) as (stream, mtime, require_unchanged), Packing(path, stream) as packing:
        file = File(writable(Path(path).name), stream)
        exported = asked.exported_at or _exported_by(file, mtime, now)
        importer = _importer_of(file, asked.format)
        with _reading_ahead(importer, file, packing, as_text(exported)) as ahead:
            work = _Work(file, importer, *_digest(stream), exported, now, asked)
            work.packing, work.ahead, work.progress = packing, ahead, progress
            return _done(books, work, by, require_unchanged)


def retry(books: "Books", kept: imports.Kept, by: str | None) -> Answer:
    """Read a file again that is kept as evidence: a newer importer may read what an older one could not."""
    with TemporaryFile() as unpacked:
        with books.file.reading() as connection:
            unpack(connection, kept.sha256, unpacked)
        asked = Asked(format=kept.format, cycle_id=kept.cycle_id)
        said = Report.whose(kept.report)
        at = from_text(kept.exported_at)
        file = File(kept.name, unpacked)
        work = _Work(file, _importer_of(file, kept.format), kept.sha256, kept.size, at, books.now(), asked)
        work.said = said
        return _done(books, work, by)


def tell(books: "Books", report: str, by: str | None) -> Answer:
    """Tell cycles what the files of a report come to that were taken in before."""

    def work(connection: Connection, hand: "Hand") -> Answer:
        return Answer(report=report, **tell_cycles(connection, hand, report, books.now()).shown())

    return books.together(work, by)


def _done(
    books: "Books", work: "_Work", by: str | None, require_unchanged: Callable[[], None] = lambda: None
) -> Answer:
    work.recognise()  # which may take a while, and needs no pen

    def checked(connection: Connection, hand: "Hand") -> Answer:
        answer = work(connection, hand)
        require_unchanged()  # while nothing of it is written yet
        return answer

    try:
        with collecting_seldom() if work.size >= LARGE else nullcontext():
            return books.together(checked, by)
    except _Rehearsed as rehearsed:
        return rehearsed.answer


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], datetime, Callable[[], None]]]:
    """A regular file, when it was changed last, and what refuses it if it has changed since."""
    try:
        with open(os.open(path, os.O_RDONLY | NEVER_WAIT), "rb") as stream:  # noqa: PTH123  # a pipe would not be opened
            before = os.fstat(stream.fileno())
            if stat.S_ISFIFO(before.st_mode):
                raise Unavailable(f"{path} is not a file but a pipe: `mecris import -` reads what comes through one")
            if not stat.S_ISREG(before.st_mode):
                raise Unavailable(f"{path} is not a file: name the files, or watch the folder with --watch")

            def require_unchanged() -> None:
                after = os.fstat(stream.fileno())
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise Unavailable(f"{path} changed while it was read: import it again")

            yield stream, datetime.fromtimestamp(before.st_mtime, UTC), require_unchanged
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror or error}): check the path") from error


def _exported_by(file: File, mtime: datetime, now: datetime) -> datetime:
    """The file's own time; one that has not come yet would be right before every export to come."""
    if mtime > now + LATE:
        raise TimeRefused(
            f"{file.name} was changed last at {time_text(mtime)}, which has not come yet: say when it was exported with --exported-at"
        )
    return min(mtime, now)


def _importer_of(file: File, format: str | None) -> ModuleType:
    """The importer of a format, or the one that takes the file for its own."""
    if format is not None:
        if format not in FORMATS:
            raise NotFound(f"there is no format '{format}' (there are: {', '.join(FORMATS)})", code="format")
        require_export(file)
        return FORMATS[format]
    found = recognised(file)
    if not found:
        require_export(file)
        raise refusal(file)
    if len(found) > 1:
        names = ", ".join(importer.NAME for importer in found)
        raise PayloadRefused(f"{file.name} may be of several formats: say which with --format, of {names}")
    return found[0]


@contextmanager
def _reading_ahead(importer: ModuleType, file: File, packing: Packing, exported: str) -> Iterator[Ahead | None]:
    """A large file is read by another process from now on, while it is found out whether it is known."""
    if file.size < LARGE:
        yield None
    else:
        with read_ahead(importer, file, packing.opened_again(), exported) as found:
            yield exported, found


def _digest(stream: IO[bytes]) -> tuple[str, int]:
    """The SHA-256 of a file, and its size."""
    digest, size = sha256(), 0
    stream.seek(0)
    while part := stream.read(PART):
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size


class _Work:
    """The import of one file, done with the pen in hand."""

    packing: Packing | None = None
    ahead: Ahead | None = None
    progress: Progress | None = None
    said: tuple[str, str, str] | None = None
    """Of a file that is read again there is nothing to pack, and it is known whose it was said to be."""

    def __init__(
        self,
        file: File,
        importer: ModuleType,
        digest: str,
        size: int,
        exported_at: datetime,
        now: datetime,
        asked: Asked,
    ) -> None:
        self.file, self.importer, self.digest, self.size = file, importer, digest, size
        self.exported_at, self.now, self.asked = exported_at, now, asked
        self.is_said = False
        """Was it said whose money all of it is?"""
        self.counts = Counter[str]()
        self.unpriced = Counter[str]()
        self.providers: set[str] = set()
        self.unreadable: list[Unreadable] = []
        self.remarks: list[str] = []
        self.incomplete = False
        self.told = Told()
        self.figures: list[Figure] = []
        self.before: list[imports.Kept] = []
        """The same bytes, each time they were noted for this report as of this format."""
        self.changed = self.is_read = self.is_packed = self.is_withdrawn = False
        self._prices: Prices | None = None

    def recognise(self) -> None:
        """Find out what the file is about."""
        self.report = self._report(self.importer)

    def __call__(self, connection: Connection, hand: "Hand") -> Answer:
        """Do it, and say what came of it."""
        importer, report = self.importer, self.report
        follow.catch_up(connection)
        self._require_cycle(connection)
        self.before = imports.kept(connection, self.digest, report.name, importer.NAME)
        if self.asked.piped and self.before and not imports.has_figures(connection, report.name):
            self.exported_at = from_text(max(file.exported_at for file in self.before))
        self.is_packed = is_kept(connection, self.digest, 0)
        self.is_withdrawn = imports.is_withdrawn(connection, report.name)
        if not self.before:
            self.remarks += [
                f"the same bytes were imported before as '{other}', which counts too: if that was a slip, "
                f"`mecris evidence withdraw '{other}' --reason TEXT`"
                for other in imports.others(connection, self.digest, report.name)
            ]
        is_new = False
        if self._may_say_more(connection, importer, report):
            self.is_read = True
            if self.packing and not self.is_packed:
                self.packing.start()
            self._take_in(connection, hand, importer, report)
            is_new = self._says_more(importer)
        if is_new:
            self._keep(connection, hand, importer, report)
        if self.asked.tell or self.asked.dry_run or self.figures:
            self.told = tell_cycles(connection, hand, report.name, self.now)
        answer = self._answer(importer, report, is_new)
        if self.asked.dry_run:
            raise _Rehearsed(answer)
        return answer

    def _may_say_more(self, connection: Connection, importer: ModuleType, report: Report) -> bool:
        """Can anything new come of reading the file? The same bytes under a later time are a later statement.

        A figure that names no moment is of the moment at which its file was saved, also of an earlier one, and of the cycle that was named.
        """
        if self.said is not None or self._is_noted_anew(importer):
            return True
        if self.asked.credit is not None:
            return True
        known = {(file.exported_at, file.cycle_id) for file in self.before}
        return (as_text(self.exported_at), self.asked.cycle_id) not in known and imports.has_figures(
            connection, report.name
        )

    def _is_noted_anew(self, importer: ModuleType) -> bool:
        """Is the file unknown, or read by a newer importer, for another cycle, exported later than we knew, or withdrawn?"""
        return (
            not self.before
            or self.is_withdrawn
            or max(file.version for file in self.before) < importer.VERSION
            or as_text(self.exported_at) > max(file.exported_at for file in self.before)
            or self.asked.cycle_id not in {file.cycle_id for file in self.before}
        )

    def _says_more(self, importer: ModuleType) -> bool:
        """Did reading it bring anything that is not on record?"""
        if self.changed or self._is_noted_anew(importer):
            return True
        return self.counts["unreadable"] != self.before[-1].unreadable

    def _require_cycle(self, connection: Connection) -> None:
        if self.asked.cycle_id is not None and ledger.cycle(connection, self.asked.cycle_id) is None:
            raise NotFound(
                f"there is no cycle {self.asked.cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            )

    def _report(self, importer: ModuleType) -> Report:
        report = self._said(importer)
        name_of(report.money_of, "the provider")
        name_of(report.label, "the source")
        return report

    def _said(self, importer: ModuleType) -> Report:
        try:
            report: Report = importer.report(self.file)
        except WRONG_SHAPE as error:
            raise not_of(importer, self.file) from error
        if self.said is not None:
            provider, account, source = self.said
            self.is_said = (provider, account) != (report.provider, report.account)
            return report._replace(provider=provider, account=account, source=source)
        if self.asked.provider is None:
            if not report.provider:
                self.remarks.append("nobody said whose this is, so it is the unnamed provider's: say with --provider")
            return report
        self.is_said = True
        provider, _, account = self.asked.provider.partition(":")
        if report.provider and report.provider != provider:
            self.remarks.append(f"the file is of '{report.provider}': taken for '{provider}', as was said")
        source = report.source if report.provider else f"{provider} {report.source}"  # a page does not say whose it is
        return report._replace(provider=provider, account=account, source=source)

    # -- lines ----------------------------------------------------------------------------------------------------

    def _take_in(self, connection: Connection, hand: "Hand", importer: ModuleType, report: Report) -> None:
        exported = max(as_text(self.exported_at), *(file.exported_at for file in self.before), "")
        self._prices = _price_list() if report.estimate else None
        with self._batches(importer, exported) as batches:
            for batch in batches:
                self._note(connection, batch)
                if batch.lines:
                    self._take_in_lines(hand, report, batch.lines)
                if self.progress:
                    self.progress(batch.place)
        if self.asked.credit is not None and all(figure.credit != self.asked.credit for figure in self.figures):
            raise RuleRefused(
                f"{self.file.name} has no balance that does not say what it is left of: import it without --of",
                code="no-balance",
            )
        if self.figures:
            self._note_figures(hand, report)

    @contextmanager
    def _batches(self, importer: ModuleType, exported: str) -> Iterator[Iterator[Batch]]:
        """What the file says; while the first of a large one is read, there is time to read the prices."""
        if self.ahead and self.ahead[0] == exported:
            if self._prices:
                self._prices.load()
            yield self.ahead[1]
        else:
            with closing(batches(importer, self.file, exported)) as found:
                yield found

    def _note(self, connection: Connection, batch: Batch) -> None:
        """Take down what is not a line."""
        self.counts["lines"] += len(batch.lines) + len(batch.looks)
        self.counts["unreadable"] += len(batch.unreadable)
        self.unreadable += batch.unreadable[: NAMED - len(self.unreadable)]
        self.figures += [self._figure(connection, look) for look in batch.looks]
        self.remarks += [remark.text for remark in batch.remarks][: NAMED - len(self.remarks)]
        self.incomplete |= any(remark.incomplete for remark in batch.remarks)
        self.incomplete |= any(reason == CUT for _, reason in batch.unreadable)

    def _take_in_lines(self, hand: "Hand", report: Report, lines: list[Line]) -> None:
        if self.is_said:
            lines = [line._replace(provider="") if line.provider else line for line in lines]
        self.providers |= {line.provider for line in lines}
        if report.estimate and self._prices is None:
            _require_said(lines)
        prices = self._prices if any(line.run is not None for line in lines) else None
        order = c.ImportLines(
            **self._said_by(report),
            estimate=report.estimate,
            prices=prices.version if prices else None,
            price=partial(self._priced, report.provider) if prices else None,
            lines=tuple(lines),
        )
        answer = hand(order)
        changed: Changed = answer["changed"]
        self.changed |= answer["recorded"]
        self.counts["new"] += len(changed.new)
        self.counts["restated"] += len(changed.restated)
        self.counts["passed"] += changed.passed
        self.counts["dispatches"] += changed.dispatches
        if not report.estimate:
            self.unpriced.update(what_is_priced(line) for line in lines if _has_no_price(line))

    def _note_figures(self, hand: "Hand", report: Report) -> None:
        order = c.ImportFigures(
            **self._said_by(report),
            figures=tuple(self.figures),
        )
        self.changed |= hand(order)["recorded"]

    def _said_by(self, report: Report) -> dict[str, Any]:
        """Of which report something is, and which file says it."""
        return {
            "report": report.name,
            "provider": report.provider,
            "account": report.account,
            "source": report.source,
            "type": report.type,
            "evidence": self.digest,
            "exported_at": self.exported_at,
        }

    def _figure(self, connection: Connection, look: Look) -> Figure:
        at = look.measured_at or min(self.exported_at, self.now)
        is_said = look.balance is not None and look.credit is None and self.asked.credit is not None
        said = look.amount, look.balance, self.asked.credit if is_said else look.credit, look.payload
        rank = rank_of(self.exported_at, said, is_said=is_said)
        return Figure(cycle_of(connection, at, self.asked.cycle_id), at, rank, *said)

    def _priced(self, provider: str, line: Line) -> Decimal | None:
        assert self._prices is not None  # nothing is priced without a list of prices
        usd = self._prices.of(provider, line)
        if usd is None:
            self.unpriced[what_is_priced(line)] += 1
        return usd

    # -- evidence -------------------------------------------------------------------------------------------------

    def _keep(self, connection: Connection, hand: "Hand", importer: ModuleType, report: Report) -> None:
        order = c.FileEvidence(
            sha256=self.digest,
            size=self.size,
            file_name=self.file.name,
            format=importer.NAME,
            version=importer.VERSION,
            report=report.name,
            exported_at=self.exported_at,
            items=self.counts["lines"],
            unreadable_count=self.counts["unreadable"],
            unreadable=tuple(self.unreadable),
            remarks=tuple(dict.fromkeys([*self.remarks, *without_price(self.unpriced)])),
            incomplete=self.incomplete,
            cycle_id=self.asked.cycle_id,
        )
        hand(order)
        parts = self.packing.parts() if self.packing and not self.is_packed else ()
        connection.executemany(
            "INSERT INTO evidence VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((self.digest, number, part) for number, part in enumerate(parts)),
        )

    def _passed(self) -> Iterator[str]:
        """Say of lines that they are not what counts."""
        if n := self.counts["passed"]:
            yield f"{n:,} {'line says' if n == 1 else 'lines say'} otherwise than a better or later copy, which stands"

    def _answer(self, importer: ModuleType, report: Report, is_new: bool) -> Answer:
        told = self.told.shown()
        remarks = [*self.remarks, *self._passed(), *without_price(self.unpriced), *told.pop("remarks")]
        return Answer(
            **told,
            file=self.file.name,
            sha256=self.digest,
            format=importer.NAME,
            report=report.name,
            provider=", ".join(sorted({provider or report.money_of for provider in self.providers or ("",)})),
            source=report.label,
            recorded=is_new or self.told.readings + self.told.retracted > 0,
            lines=self.counts["lines"],
            new=self.counts["new"],
            restated=self.counts["restated"],
            unreadable=self.counts["unreadable"] if self.is_read else self.before[-1].missing,
            dispatches=self.counts["dispatches"],
            incomplete=self.incomplete,
            remarks=list(dict.fromkeys(remarks)),
            quarantine=[{"line": line, "reason": reason} for line, reason in self.unreadable],
            **({"dry_run": True} if self.asked.dry_run else {}),
        )


def _has_no_price(line: Line) -> bool:
    return line.run is not None and line.usd is None


def _price_list() -> "Prices | None":
    """The list of prices, if it is there."""
    from .pricing import Prices

    try:
        return Prices()
    except Unavailable:
        return None


def _require_said(lines: Iterable[Line]) -> None:
    """Refuse calls of which nobody says what they cost, where there is no list of prices."""
    from .pricing import Prices

    if any(_has_no_price(line) for line in lines):
        Prices()


def what_is_priced(line: Line) -> str:
    """What has a price or not: a model, with the terms that have none of their own."""
    other = Terms.of(line.terms).other
    return f"{line.model or 'no model'} ({other})" if other else line.model or "no model"


def without_price(unpriced: Counter[str]) -> list[str]:
    """What a person should know of calls, or sums of calls, that have no price."""
    found = sorted(unpriced.items())
    told = [
        f"{count:,} {'line' if count == 1 else 'lines'} of {what} {'has' if count == 1 else 'have'} no price: what "
        f"{'it' if count == 1 else 'they'} cost is unknown, not nothing"
        for what, count in found[:MODELS]
    ]
    return told if len(found) <= MODELS else [*told, f"{len(found) - MODELS:,} more models have no price"]
