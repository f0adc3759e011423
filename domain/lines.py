"""Lines of reports: each has a key of its own and counts once, however often and in whatever order files say it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from .period import end_of_quarter


class Line(NamedTuple):
    """One line of a report, in its best copy so far.

    `rank` tells which of two copies is right: the greater one, as text. `usd` is None where nobody said or knows what it cost.
    A line of a call has a `run` and tokens, and ends with its quarter of an hour; a line of money has neither.
    """

    key: str
    rank: str
    start: datetime
    end: datetime
    usd: Decimal | None
    run: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    """Did nobody say what it cost, and it is the price of its tokens?"""

    @property
    def tokens(self) -> tuple[int, int, int, int]:
        """Its tokens by class."""
        return self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens

    def says_the_same_as(self, other: "Line") -> bool:
        """Does it say the same, whichever of the two is better known?"""
        return self._replace(rank="", usd=None) == other._replace(rank="", usd=None) and _same(self.usd, other.usd)


def _same(a: Decimal | None, b: Decimal | None) -> bool:
    return a == b


def better(a: Line, b: Line) -> Line:
    """What two copies of a line say together: the same whichever comes first, and however often.

    The copy of the greater rank is right, at equal ranks the one that says more; the earlier time stays, and of two runs the
    first by name, so that a call that stands in two sessions is found in one.
    """
    right = max(a, b, key=_weight)
    if right.run is None:
        return right
    start = min(a.start, b.start)
    return right._replace(start=start, end=end_of_quarter(start), run=min(a.run or right.run, b.run or right.run))


def _weight(line: Line) -> tuple[str, tuple[int, int, int, int], Decimal, str, datetime, datetime]:
    usd = Decimal(-1) if line.usd is None or line.estimated else line.usd
    return line.rank, line.tokens, usd, line.model or "", line.start, line.end


class Changed(NamedTuple):
    """What a file changes: lines as they are now, each with what stood there before."""

    lines: list[tuple[Line, Line | None]]
    unchanged: int
    elsewhere: frozenset[tuple[str, str]] = frozenset()
    """Runs and keys of calls that were found in a run and belong to another."""

    @property
    def new(self) -> int:
        """Lines that were not known."""
        return sum(before is None for _, before in self.lines)

    @property
    def restated(self) -> list[tuple[Line, Line]]:
        """Lines that say something else than before."""
        return [(now, was) for now, was in self.lines if was is not None and not now.says_the_same_as(was)]


Price = Callable[[Line], Decimal | None]
"""What a call costs of which nobody said it."""


def changed_by(lines: Iterable[Line], known: Mapping[str, Line], price: Price | None = None) -> Changed:
    """What lines change of what is known; a later copy of the same is noted too, so that one in between cannot win later.

    Calls are priced once it is known which copy is right, and when it was made.
    """
    found: dict[str, Line] = {}
    elsewhere: set[tuple[str, str]] = set()
    seen = 0
    for line in lines:
        seen += 1
        before = found.get(line.key) or known.get(line.key)
        if before is None:
            found[line.key] = line
            continue
        found[line.key] = better(before, line)
        if before.run != line.run and before.run and line.run:
            elsewhere.add((max(before.run, line.run), line.key))
    differ = ((line, known.get(key)) for key, line in found.items() if line != known.get(key))
    changed = [(_priced(line, price) if price else line, was) for line, was in differ]
    same = sum(1 for line, was in changed if was is not None and line.says_the_same_as(was))
    return Changed(changed, seen - len(changed) + same, frozenset(elsewhere))


def _priced(line: Line, price: Price) -> Line:
    if line.run is None or not (line.usd is None or line.estimated):
        return line
    return line._replace(usd=price(line), estimated=True)
