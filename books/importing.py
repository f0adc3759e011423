"""Files that people have: read by their importer, kept as evidence, and turned into readings and dispatches in one write."""

import os
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, TYPE_CHECKING, NamedTuple

from ..domain import commands as c
from ..domain.errors import NotFound, PayloadRefused, Unavailable
from ..domain.lines import Changed, Line
from ..domain.period import as_text, from_text, last_moment
from ..importers.formats import FORMATS, recognised
from ..importers.kinds import WRONG_SHAPE, Call, Charge, Item, Look, Remark, Report, Unreadable
from ..importers.reading import File
from ..projections import follow, imports, ledger
from ..store.connection import Connection
from .answers import Answer
from .telling import Evidence, Told, tell_cycles, tell_look

if TYPE_CHECKING:
    from .books import Books
    from .pricing import Prices
    from .writing import Hand

BATCH = 5_000
"""Lines, and dispatches, that one event carries."""
PART = 1 << 20
"""Bytes that are read, and compressed ones that are kept, at a time."""
NAMED = 1_000
"""Unreadable lines that are kept on record one by one; the rest is counted."""
LONGEST_ID = 200
MOST_TOKENS = 10**15
"""Tokens of one call beyond which a figure is a slip, and sums would not fit."""
MOMENT = timedelta(microseconds=1)
Progress = Callable[[int], None]


class Asked(NamedTuple):
    """How a file is to be imported: what is None follows from the file."""

    format: str | None = None
    cycle_id: int | None = None
    provider: str | None = None
    exported_at: datetime | None = None
    dry_run: bool = False


class _Rehearsed(Exception):
    """What a dry run would have come to; raised so that nothing of it is written."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def import_file(books: "Books", path: str, asked: Asked, by: str | None, progress: Progress | None) -> Answer:
    """Import one file; the same file again records nothing."""
    with _opened(path) as (stream, mtime):
        now = books.now()
        exported_at = asked.exported_at or mtime
        with TemporaryFile() as packed:
            digest, size = _pack(stream, packed)
            file = _Counted(_writable(Path(path).name), stream, progress)
            work = _Work(file, digest, size, packed, exported_at, now, asked)
            return _done(books, work, by)


def retry(books: "Books", kept: imports.Kept, by: str | None) -> Answer:
    """Read a file again that is kept as evidence: a newer importer may read what an older one could not."""
    with TemporaryFile() as unpacked, TemporaryFile() as packed:
        _unpack(books, kept.sha256, unpacked)
        unpacked.seek(0)
        digest, size = _pack(unpacked, packed)
        asked = Asked(format=kept.format, cycle_id=kept.cycle_id)
        said = Report.whose(kept.report)
        at = from_text(kept.exported_at)
        work = _Work(File(kept.name, unpacked), digest, size, packed, at, books.now(), asked, said=said)
        return _done(books, work, by)


def _done(books: "Books", work: "_Work", by: str | None) -> Answer:
    try:
        return books.together(work, by)
    except _Rehearsed as rehearsed:
        return rehearsed.answer


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], datetime]]:
    """A regular file, and when it was changed last; refuses one that changes while it is read."""
    try:
        with Path(path).open("rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise Unavailable(f"{path} is not a file: name the files, or watch the folder with --watch")
            yield stream, datetime.fromtimestamp(before.st_mtime, UTC)
            after = os.fstat(stream.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Unavailable(f"{path} changed while it was read: import it again")
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror or error}): check the path") from error


def _pack(stream: IO[bytes], packed: IO[bytes]) -> tuple[str, int]:
    """Compress a file; returns its SHA-256 and size."""
    digest, size, packing = sha256(), 0, zlib.compressobj(1)
    stream.seek(0)
    while part := stream.read(PART):
        digest.update(part)
        size += len(part)
        packed.write(packing.compress(part))
    packed.write(packing.flush())
    return digest.hexdigest(), size


def _unpack(books: "Books", digest: str, into: IO[bytes]) -> None:
    unpacking = zlib.decompressobj()
    with books.file.reading() as connection:
        parts = connection.execute("SELECT content FROM evidence WHERE sha256 = ? ORDER BY part", (digest,))
        for (content,) in parts:
            rest = content
            while rest:
                into.write(unpacking.decompress(rest, PART))
                rest = unpacking.unconsumed_tail
    into.write(unpacking.flush())


def _items(importer: ModuleType, file: File) -> Iterator[Item]:
    """What an importer reads; a file that was said to be of its format and is of another shape is refused."""
    try:
        yield from importer.read(file)
    except WRONG_SHAPE as error:
        raise _not_of(importer, file) from error


def _not_of(importer: ModuleType, file: File) -> PayloadRefused:
    return PayloadRefused(f"{file.name} is not of the format {importer.NAME}: say another with --format")


class _Counted(File):
    """A file that tells how far it was read."""

    def __init__(self, name: str, stream: IO[bytes], progress: Progress | None) -> None:
        super().__init__(name, stream)
        self.progress = progress

    def told(self) -> None:
        """Say where the reading stands."""
        if self.progress:
            self.progress(self._stream.tell())


class _Work:
    """The import of one file, done with the pen in hand."""

    def __init__(
        self,
        file: File,
        digest: str,
        size: int,
        packed: IO[bytes],
        exported_at: datetime,
        now: datetime,
        asked: Asked,
        *,
        said: tuple[str, str, str] | None = None,
    ) -> None:
        self.file, self.digest, self.size, self.packed = file, digest, size, packed
        self.exported_at, self.now, self.asked = exported_at, now, asked
        self.said = said
        """Of a file that is read again: whose it was said to be, and under which name."""
        self.counts = Counter[str]()
        self.unpriced = Counter[str]()
        self.unreadable: list[tuple[int, str]] = []
        self.remarks: list[str] = []
        self.incomplete = False
        self.told = Told()
        self._prices: Prices | None = None

    def __call__(self, connection: Connection, hand: "Hand") -> Answer:
        """Do it, and say what came of it."""
        follow.catch_up(connection)
        self._require_cycle(connection)
        importer = self._importer()
        report = self._report(importer)
        kept = imports.kept(connection, self.digest, report.name)
        is_new = kept is None or kept.version < importer.VERSION or self.said is not None
        if is_new:
            self._take_in(connection, hand, importer, report)
            self._keep(connection, hand, importer, report)
        evidence = Evidence(self.digest, self.incomplete)
        self.told.add(tell_cycles(connection, hand, report.name, self.asked.cycle_id, evidence, self.now))
        answer = self._answer(importer, report, is_new)
        if self.asked.dry_run:
            raise _Rehearsed(answer)
        return answer

    def _require_cycle(self, connection: Connection) -> None:
        if self.asked.cycle_id is not None and ledger.cycle(connection, self.asked.cycle_id) is None:
            raise NotFound(
                f"there is no cycle {self.asked.cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            )

    def _importer(self) -> ModuleType:
        if self.asked.format is not None:
            if self.asked.format not in FORMATS:
                raise NotFound(
                    f"there is no format '{self.asked.format}' (there are: {', '.join(FORMATS)})", code="format"
                )
            return FORMATS[self.asked.format]
        found = recognised(self.file)
        if len(found) != 1:
            names = ", ".join(importer.NAME for importer in found)
            told = f"may be of several formats ({names})" if found else "is of no format that is known"
            raise PayloadRefused(f"{self.file.name} {told}: say which with --format, of {', '.join(FORMATS)}")
        return found[0]

    def _report(self, importer: ModuleType) -> Report:
        try:
            report: Report = importer.report(self.file)
        except WRONG_SHAPE as error:
            raise _not_of(importer, self.file) from error
        if self.said is not None:
            provider, account, source = self.said
            return report._replace(provider=provider, account=account, source=source)
        if self.asked.provider is None:
            return report
        provider, _, account = self.asked.provider.partition(":")
        if report.provider and report.provider != provider:
            self.remarks.append(f"the file is of '{report.provider}': taken for '{provider}', as was said")
        source = report.source if report.provider else f"{provider} {report.source}"  # a page does not say whose it is
        return report._replace(provider=provider, account=account, source=source)

    # -- lines ----------------------------------------------------------------------------------------------------

    def _take_in(self, connection: Connection, hand: "Hand", importer: ModuleType, report: Report) -> None:
        items = self._told_apart(_items(importer, self.file), connection, hand, report)
        while batch := list(islice(items, BATCH)):
            order = c.ImportLines(
                report=report.name,
                provider=report.provider,
                account=report.account,
                source=report.source,
                type=report.type,
                estimate=report.estimate,
                prices=self._prices.version if self._prices else None,
                evidence=self.digest,
                exported_at=self.exported_at,
                lines=tuple(batch),
            )
            changed: Changed = hand(order)["changed"]
            self.counts["lines"] += len(batch)
            self.counts["new"] += changed.new
            self.counts["restated"] += len(changed.restated)
            self._record_dispatches(hand, changed)
            if isinstance(self.file, _Counted):
                self.file.told()

    def _told_apart(
        self, items: Iterator[Item], connection: Connection, hand: "Hand", report: Report
    ) -> Iterator[Line]:
        """The lines among what a file says; the rest is taken down on the way."""
        exported = as_text(self.exported_at)
        for number, item in enumerate(items, 1):
            wrong = _wrong_with(item)
            if wrong is not None:
                self._set_aside(number, wrong)
            elif isinstance(item, Charge):
                yield Line(item.key, f"|{exported}", item.start, item.end - MOMENT, item.usd)
            elif isinstance(item, Call):
                yield self._line(item, report, exported)
            elif isinstance(item, Look):
                self.counts["lines"] += 1
                at = item.measured_at or min(self.exported_at, self.now)
                self.told.add(tell_look(connection, hand, report, item, at, self.asked.cycle_id))
            elif isinstance(item, Unreadable):
                self._set_aside(item.line, item.reason)
            elif isinstance(item, Remark):
                self.remarks.append(_writable(item.text))
                self.incomplete |= item.incomplete

    def _set_aside(self, line: int, reason: str) -> None:
        self.counts["unreadable"] += 1
        if len(self.unreadable) < NAMED:
            self.unreadable.append((line, _writable(reason)))

    def _line(self, call: Call, report: Report, exported: str) -> Line:
        tokens = (call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cache_write_tokens)
        usd = call.usd
        if usd is None and report.estimate:
            usd = self._priced(report.provider, call, tokens)
        end = last_moment(call.at.date())
        return Line(
            call.key, f"{call.rank}|{exported}", call.at, end, usd, _named(call.run, "run"), call.model, *tokens
        )

    def _priced(self, provider: str, call: Call, tokens: tuple[int, int, int, int]) -> Decimal | None:
        if self._prices is None:
            from .pricing import Prices

            self._prices = Prices()
        usd = self._prices.of(provider, call.model, call.at, tokens)
        if usd is None:
            self.unpriced[call.model or "(no model)"] += 1
        return usd

    def _record_dispatches(self, hand: "Hand", changed: Changed) -> None:
        """Calls are dispatches of their runs; one that is found in another run by now is nothing in the old one."""
        by_run: dict[str, dict[str, c.Dispatch]] = {}
        for now, was in changed.lines:
            if now.run is None or (was is not None and now.says_the_same_as(was)):
                continue
            by_run.setdefault(now.run, {})[now.key] = _dispatch(now)
            if was is not None and was.run is not None and was.run != now.run:
                nothing = was._replace(input_tokens=0, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0)
                by_run.setdefault(was.run, {})[was.key] = _dispatch(nothing)
        for run_id, dispatches in by_run.items():
            answer = hand(c.RecordDispatches(run_id=run_id, dispatches=tuple(dispatches.values())))
            self.counts["dispatches"] += answer["dispatches"]

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
            remarks=tuple(dict.fromkeys([*self.remarks, *self._unpriced()])),
            incomplete=self.incomplete,
            cycle_id=self.asked.cycle_id,
        )
        hand(order)
        self.packed.seek(0)
        parts = iter(lambda: self.packed.read(PART), b"")
        connection.executemany(
            "INSERT INTO evidence VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((self.digest, number, part) for number, part in enumerate(parts)),
        )

    def _unpriced(self) -> list[str]:
        return [
            f"{count:,} calls of {model} have no price: what they cost is unknown, not nothing"
            for model, count in sorted(self.unpriced.items())
        ]

    def _answer(self, importer: ModuleType, report: Report, is_new: bool) -> Answer:
        told = self.told
        return Answer(
            file=self.file.name,
            sha256=self.digest,
            format=importer.NAME,
            provider=report.money_of,
            source=report.label,
            recorded=is_new or told.readings + told.retracted > 0,
            lines=self.counts["lines"],
            new=self.counts["new"],
            restated=self.counts["restated"],
            report_usd=told.report_usd,
            unreadable=self.counts["unreadable"],
            dispatches=self.counts["dispatches"],
            readings=told.readings,
            retracted=told.retracted,
            cycles=sorted(told.cycles),
            incomplete=self.incomplete,
            remarks=list(dict.fromkeys([*self.remarks, *self._unpriced(), *told.remarks])),
            quarantine=[{"line": line, "reason": reason} for line, reason in self.unreadable],
        )


def _wrong_with(item: Item) -> str | None:
    """Why an item cannot be kept, although its importer could read it."""
    if isinstance(item, Charge) and item.end <= item.start:
        return "it ends before it begins"
    if isinstance(item, Call) and max(item[4:8]) > MOST_TOKENS:
        return "the tokens of one call are not that many"
    said = (
        (item.key, *((item.run, item.model or "") if isinstance(item, Call) else ()))
        if isinstance(item, Charge | Call)
        else ()
    )
    return None if all(text == _writable(text) for text in said) else "it holds characters that no text can have"


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _named(text: str, what: str) -> str:
    """A name as the books take them; one that is too long or not printable has its digest for a name."""
    if text == text.strip() and text.isprintable() and 0 < len(text) <= LONGEST_ID:
        return text
    return f"{what} sha256:{sha256(text.encode()).hexdigest()}"


def _dispatch(line: Line) -> c.Dispatch:
    id = _named(line.key, "call")
    return c.Dispatch(
        dispatch_id=id,
        input_tokens=line.input_tokens,
        output_tokens=line.output_tokens,
        cache_read_tokens=line.cache_read_tokens,
        cache_write_tokens=line.cache_write_tokens,
        model=line.model,
    )
