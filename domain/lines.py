"""Lines of reports: each has a key of its own and counts once, however often and in whatever order files say it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from .money import plain
from .period import end_of_quarter


class Line(NamedTuple):
    """One line of a report, in its best copy so far. Moments and amounts are texts as they are stored: a file has a million of them.

    `rank` tells which of two copies is right: the greater one, as text. `usd` is None where nobody said or knows what it cost.
    A line of a call has a `run` and tokens, and ends with its quarter of an hour, or with the stretch of time whose calls it
    sums up; a line of money has neither.
    """

    key: str
    rank: str
    start: str
    end: str
    usd: str | None
    run: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    """Did nobody say what it cost, and it is the price of its tokens?"""
    terms: str = ""
    """What that price depends on beside the tokens (`Terms`)."""
    provider: str = ""
    """Whose money it is, where the report is of many; else it is that of the report's own provider."""

    @property
    def tokens(self) -> tuple[int, int, int, int]:
        """Its tokens by class."""
        return self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens

    def says_the_same_as(self, other: "Line") -> bool:
        """Does it say the same, whichever of the two is better known?"""
        return self._replace(rank="") == other._replace(rank="")


def _says_otherwise(line: Line, before: Line) -> bool:
    """Does a line contradict another? One that does not say what it cost does not contradict an estimate."""
    if line.usd is None and before.estimated:
        line = line._replace(usd=before.usd, estimated=True)
    return not line.says_the_same_as(before)


def better(a: Line, b: Line) -> Line:
    """What two copies of a line say together: the same whichever comes first, and however often.

    The copy of the greater rank is right, at equal ranks the one that says more; the earlier time stays, and of two runs the
    first by name, so that a call that stands in two sessions is found in one.
    """
    right = max(a, b, key=_weight)
    if right.run is None:
        return right
    start = min(a.start, b.start)
    end = right.end if _is_sum(right) else end_of_quarter(start)
    return right._replace(start=start, end=end, run=min(a.run or right.run, b.run or right.run))


def _weight(line: Line) -> tuple[Any, ...]:
    usd = Decimal(-1) if line.usd is None or line.estimated else Decimal(line.usd)
    return line.rank, line.tokens, usd, line.model or "", line.terms, line.provider, _is_sum(line), line.end, line.start


def _is_sum(line: Line) -> bool:
    """Does it sum up the calls of a stretch of time?"""
    return line.end != end_of_quarter(line.start)


class Changed(NamedTuple):
    """What a file changes of a report."""

    new: list[Line]
    """Lines that were not known."""
    restated: list[tuple[Line, Line]]
    """Lines that say something else than before, each with what stood there."""
    confirmed: list[Line]
    """Lines that a better copy says again: it is noted, so that one in between cannot win later."""
    elsewhere: frozenset[tuple[str, str]] = frozenset()
    """Runs and keys of calls that were found in a run and belong to another."""
    repriced: Sequence[tuple[Line, Line]] = ()
    """Calls that have another price than before, each with what stood there; nothing else of them changed."""
    passed: int = 0
    """Lines that say something else than what is on record, which is right."""

    def __bool__(self) -> bool:
        return any(self[:5])

    @property
    def lines(self) -> list[Line]:
        """Lines that say something new."""
        return [*self.new, *(now for now, _ in self.restated)]

    @property
    def dispatches(self) -> int:
        """How many dispatches report something by it."""
        return sum(line.run is not None for line in self.lines) + len(self.elsewhere)


Price = Callable[[Line], Decimal | None]
"""What a call costs of which nobody said it."""


def changed_by(lines: Iterable[Line], known: Mapping[str, Line], price: Price | None = None) -> Changed:
    """What lines change of what is known. Calls are priced once it is known which copy is right, and when it was made."""
    found: dict[str, Line] = {}
    elsewhere: set[tuple[str, str]] = set()
    passed = 0
    for line in lines:
        key = line.key
        before = found.get(key) or known.get(key)
        if before is None:
            found[key] = line
            continue
        found[key] = better(before, line)
        passed += key in known and found[key] == known[key] and _says_otherwise(line, before)
        if before.run != line.run and before.run and line.run:
            elsewhere.add((max(before.run, line.run), key))
    new = [line for key, line in found.items() if key not in known] if known else list(found.values())
    differ = [(found[key], was) for key, was in known.items() if found[key] != was]
    pairs = [(_priced(line, price), was) for line, was in differ]
    return Changed(
        [_priced(line, price) for line in new] if price else new,
        [(now, was) for now, was in pairs if not now.says_the_same_as(was)],
        [now for now, was in pairs if now.says_the_same_as(was)],
        frozenset(elsewhere),
        passed=passed,
    )


def repriced(lines: Iterable[Line], price: Price) -> Changed:
    """What other prices change of lines that are known."""
    pairs = [(_priced(line, price), line) for line in lines]
    return Changed([], [], [], repriced=[(now, was) for now, was in pairs if now.usd != was.usd])


def _priced(line: Line, price: Price | None) -> Line:
    if price is None or line.run is None or not (line.usd is None or line.estimated):
        return line
    usd = price(line)
    return Line._make((*line[:4], None if usd is None else plain(usd), *line[5:11], True, *line[12:]))
