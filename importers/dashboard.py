"""A saved HTML page of a dashboard or bill: the one amount of US dollars that it names, however often.

The page is read in blocks: the text between two tags that begin a new line, which no amount reaches across. What stands for
the reading is the block with the figure and its neighbours, without attributes, scripts and comments.

A figure is an amount spent, unless its own block says `remaining`, `balance` or `left`: then it is a balance. Nothing is
guessed: a block that says so of something used or due, one that says nothing beside one that says so (as a heading does), and
blocks that say both of one figure are refused. A "$" alone may be any dollar, so it names no amount.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, islice
from typing import NamedTuple

from ..domain.errors import PayloadRefused
from ..domain.money import dollars
from ..domain.payload import INLINE, LIMIT, SHIFTED, amounts_in, read_payload
from .kinds import MANUAL, Items, Look, Report, each
from .reading import File

NAME, VERSION = "dashboard", 1
NEIGHBOURS = 4
"""Blocks to keep before and after the one with the figure."""
MOST = 5
"""Amounts to tell of a page that has many."""
SILENT = frozenset(["script", "style", "template"])

_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body|main|section|article|div|table|p|span)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"""(?is)<!--(?:-?>|.*?(?:--!?>|\Z))"""
    r"""|<(?P<end>/?)(?P<tag>[a-z][^\s/>]*+)(?:[^"'>]++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+(?:>|\Z)"""
    r"""|<[!?/][^>]*+(?:>|\Z)"""
)
"""Comments, tags, and what else a browser does not show. Each match goes on where the last ended, so time is linear in the page:
the standard library's parser takes hours for a large page of tags that do not end."""
_LEFT = re.compile(r"\b(?:remaining|balance|left)\b", re.IGNORECASE)
_SPENT = re.compile(r"\b(?:used|usage|spent|spend|cost|charged|due|owed|outstanding)\b", re.IGNORECASE)


def recognises(file: File) -> bool:
    """A text that begins with a tag of HTML."""
    utf_16 = file.head[:2] in (b"\xff\xfe", b"\xfe\xff")
    head = file.head.decode("utf-16" if utf_16 else "utf-8-sig", "replace").lstrip()
    return head.startswith("<") and _PAGE.search(head) is not None


def report(file: File) -> Report:
    """What a person saw; whose page it is, it does not say in a way that can be relied on."""
    return Report("", "dashboard", MANUAL)


def read(file: File) -> Items:
    """The figure, as an amount or a balance. The page does not say when it was saved."""
    yield from each([file], _look)


class Naming(NamedTuple):
    """A block that names amounts, its place on the page, and the blocks beside it."""

    place: int
    block: str
    amounts: list[Decimal]
    beside: str


def _look(file: File) -> Iterator[Look]:
    naming = list(_naming(file.text))
    figure = _figure(amount for block in naming for amount in block.amounts)
    is_balance = _is_balance(figure, naming)
    part = _part(file.text, naming[0])
    kept = read_payload(part).amount_alone()  # what the part says is what counts: nobody sees the page again
    yield Look(None if is_balance else kept, kept if is_balance else None, None, None, part)


def _naming(page: str) -> Iterator[Naming]:
    before, block = "", ""
    for place, after in enumerate(chain(_blocks(page), [""]), -1):
        amounts = amounts_in(block) if re.search(r"\d", block) else []
        if amounts:
            yield Naming(place, block, amounts, f"{before}\n{after}")
        before, block = block, after


def _figure(amounts: Iterable[Decimal]) -> Decimal:
    named = list(dict.fromkeys(amounts))
    if not named:
        raise PayloadRefused("the page names no amount of USD (like $0.42 USD, or US$0.42): record its figure by hand")
    if len(named) > 1:
        told = ", ".join(map(dollars, named[:MOST])) + (f" and {len(named) - MOST} more" if len(named) > MOST else "")
        raise PayloadRefused(
            f"the page names several amounts ({told}): save only the part with the figure, or record it by hand"
        )
    return named[0]


def _is_balance(figure: Decimal, naming: list[Naming]) -> bool:
    said = {_says_left(block) for block in naming}
    if len(said) > 1 or None in said:
        raise PayloadRefused(
            f"the page does not say clearly whether {dollars(figure)} was spent or is left: record it by hand"
        )
    return True in said


def _says_left(naming: Naming) -> bool | None:
    """Is the figure said to be left? None if that is unclear."""
    spent = _SPENT.search(naming.block) is not None
    if _LEFT.search(naming.block):
        return None if spent else True
    return None if not spent and _LEFT.search(naming.beside) else False


def _part(page: str, naming: Naming) -> str:
    """The block with the figure, and its neighbours if there is room for them."""
    near = islice(_blocks(page), max(0, naming.place - NEIGHBOURS), naming.place + NEIGHBOURS + 1)
    part = "\n".join(f"<p>{block}</p>" for block in near)
    return part if len(part.encode()) <= LIMIT else f"<p>{naming.block}</p>"


def _blocks(page: str) -> Iterator[str]:
    """Each block that has text; raised text stays marked, because 12<sup>34</sup> may mean 12.34."""
    block: list[str] = []
    for text, tag in _pieces(page):
        block.append(text.replace("<", "&lt;"))
        if tag.lstrip("/") in SHIFTED:
            block.append(f"<{tag}>")
        elif tag.lstrip("/") not in INLINE:
            if whole := "".join(block).strip():
                yield whole
            block.clear()
    if whole := "".join(block).strip():
        yield whole


def _pieces(page: str) -> Iterator[tuple[str, str]]:
    """Each piece of text, and the tag after it; a comment is like a tag within a line."""
    place = 0
    while found := _MARKUP.search(page, place):
        tag = (found["tag"] or "").lower()
        yield page[place : found.start()], "span" if found[0].startswith("<!--") else (found["end"] or "") + tag
        place = _end_of(tag, page, found.end()) if tag in SILENT and not found["end"] else found.end()
    yield page[place:], ""


def _end_of(tag: str, page: str, place: int) -> int:
    """Where the content of a silent element ends."""
    end = re.compile(rf"</{tag}\b", re.IGNORECASE).search(page, place)
    return end.start() if end else len(page)
