"""What importers say: what a file is about, and what stands in it, item by item."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, unquote

from ..domain.errors import MecrisError, PayloadRefused
from .reading import File

T = TypeVar("T")
MANUAL, REALTIME = "manual", "realtime"
WRONG_SHAPE = (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError)
"""What reading an entry raises when it is not built as its format says."""
NO_SHAPE = "the entry is not of the shape that this format has"


class Report(NamedTuple):
    """What a file is about. Files of one report overlap: their lines have natural keys, and each counts once.

    `source` is the name of the source its money is a reading of, and `type` whether that is a meter or an API (`realtime`) or
    a bill or dashboard (`manual`). `estimate` says that its money is tokens times a list price, which nobody billed.
    """

    provider: str
    source: str
    type: str = REALTIME
    account: str = ""
    estimate: bool = False

    @property
    def name(self) -> str:
        """What tells it from other reports: files that have it in common share their keys."""
        return f"{self.type}/{quote(self.provider, ' :')}/{quote(self.account, ' :')}/{self.source}"

    @classmethod
    def whose(cls, name: str) -> tuple[str, str, str]:
        """Provider, account and source from such a name."""
        _, provider, account, source = name.split("/", 3)
        return unquote(provider), unquote(account), source

    @property
    def money_of(self) -> str:
        """The provider of its readings: two accounts are two providers."""
        return f"{self.provider}:{self.account}" if self.account else self.provider

    @property
    def label(self) -> str:
        """The name of the source of its readings."""
        return f"{self.source} ({self.account})" if self.account else self.source


class Charge(NamedTuple):
    """Money of a stretch of time, from `start` to before `end`, in US dollars (a credit is negative)."""

    key: str
    start: datetime
    end: datetime
    usd: Decimal


class Call(NamedTuple):
    """Tokens of one call, or of several that a report sums up; `usd` is what the source says it cost, if it does.

    `input_tokens` are uncached ones. Of two lines with the same key the one with the greater `rank` is right, at equal ranks
    the one of the later export; the earlier `at` stays. Several calls are those from `at` to before `until`; `terms` are what their
    price depends on beside the tokens (`domain.terms.Terms`), and `provider` whose money it is, if the report is of many.
    """

    key: str
    run: str
    at: datetime
    model: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    usd: Decimal | None = None
    rank: str = ""
    until: datetime | None = None
    terms: str = ""
    provider: str = ""


class Look(NamedTuple):
    """A figure that stands for a whole cycle so far: an amount spent, or a balance left of a credit. It becomes one reading."""

    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    measured_at: datetime | None
    payload: str


class Unreadable(NamedTuple):
    """A line that cannot be read, counted from 1, and why. It is kept with the evidence and can be tried again."""

    line: int
    reason: str


class Remark(NamedTuple):
    """What a person should know of the file; `incomplete` says that something is missing of it, so its sum is too low."""

    text: str
    incomplete: bool = False


Item = Charge | Call | Look | Unreadable | Remark
Items = Iterator[Item]


class Importer(Protocol):
    """One file format, as a module. A greater `VERSION` reads files that an older one could not."""

    NAME: str
    VERSION: int
    recognises: Callable[[File], bool]
    report: Callable[[File], Report]
    read: Callable[[File], Items]


def each(entries: Iterable[T], read_one: Callable[[T], Iterable[Item]]) -> Items:
    """Read entry by entry; one that cannot be read is told with its number, and the others count."""
    return each_of(enumerate(entries, 1), read_one)


def each_of(numbered: Iterable[tuple[int, T]], read_one: Callable[[T], Iterable[Item]]) -> Items:
    """The same, for entries that have numbers, such as those of their lines."""
    for number, entry in numbered:
        try:
            yield from list(read_one(entry))
        except MecrisError as refused:
            yield Unreadable(number, refused.message)
        except WRONG_SHAPE:
            yield Unreadable(number, NO_SHAPE)


class Once:
    """The keys of a file that should name one entry each; remembers digests, as there may be a million."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def require(self, key: str, *said: object) -> None:
        """Refuse an entry that says otherwise than one before it under the same key: which of them is right?"""
        if self._seen.setdefault(hash(key), hash(said)) != hash(said):
            raise PayloadRefused(f"{key[:60]!r} stands here twice and says two things: only the first counts")


def text_of(value: Any) -> str:
    """A part of a natural key: what is null is told from what is empty."""
    return "-" if value is None else str(value).replace("|", "/")
