"""Calls of which nobody said what they cost, priced again: a list of prices knows models later than people use them."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from ..domain import commands as c
from ..domain.lines import Line
from ..domain.period import from_text
from ..projections import follow, imports
from ..store.connection import Connection
from .answers import Answer
from .intake import what_is_priced, without_price
from .telling import Told, tell_cycles

if TYPE_CHECKING:
    from .books import Books
    from .pricing import Prices
    from .writing import Hand


def reprice(books: "Books", by: str | None) -> Answer:
    """Price every call again of which nobody said what it cost, and tell the cycles what that changes."""
    from .pricing import Prices

    prices = Prices()

    def work(connection: Connection, hand: "Hand") -> Answer:
        follow.catch_up(connection)
        told, repriced, unpriced = Told(), 0, Counter[str]()
        for report in imports.reports(connection):
            if not report.estimate or report.share or report.withdrawn:
                continue
            changed = [hand(order)["changed"] for order in _orders(connection, report, prices, unpriced)]
            if any(changed):
                repriced += sum(len(one.repriced) for one in changed)
                told.add(tell_cycles(connection, hand, report.name, books.now()))
        return Answer(
            prices=prices.version,
            repriced=repriced,
            readings=told.readings,
            retracted=told.retracted,
            cycles=sorted(told.cycles),
            remarks=list(dict.fromkeys([*without_price(unpriced), *told.remarks])),
            recorded=repriced > 0,
        )

    return books.together(work, by)


def _orders(
    connection: Connection, report: imports.Report, prices: "Prices", unpriced: Counter[str]
) -> Iterator[c.ImportLines]:
    """Orders to price the calls of a report again, in the name of its newest file."""

    def price(line: Line) -> Decimal | None:
        usd = prices.of(report.provider, line)
        if usd is None:
            unpriced[what_is_priced(line)] += 1
        return usd

    file = imports.newest(connection, report.name)
    for lines in imports.unpriced_or_estimated(connection, report.id):
        yield c.ImportLines(
            report=report.name,
            provider=report.provider,
            account=report.account,
            source=report.source,
            type=report.type,
            estimate=True,
            prices=prices.version,
            evidence=file.sha256,
            exported_at=from_text(file.exported_at),
            price=price,
            again=True,
            lines=tuple(lines),
        )
