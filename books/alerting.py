"""Alerts: look at a cycle, raise what is over its threshold, deliver it, and put down what came of that."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.alerts import level_of
from ..domain.commands import NoteDelivery, RaiseAlert
from ..domain.errors import AmountRefused
from ..domain.health import CRITICAL, GOOD, LEVELS, Limits, Reason
from ..domain.money import dollars, number, plain, shown
from ..notifiers.delivery import Notice, Patience, deliver, require_apprise
from ..notifiers.targets import Target, targets
from .answers import Answer, percent, to_json
from .outlook import Outlook
from .questions import Book

if TYPE_CHECKING:
    from .books import Books


TOLD = 5
"""Reasons that one message names."""


class Finding(NamedTuple):
    """Something over its threshold; kind is `discrepancy` or `health`, level WARNING or CRITICAL."""

    kind: str
    level: str
    message: str


def threshold_of(value: str | int | Decimal) -> Decimal:
    """Read a threshold in percent."""
    read = number(value, "the threshold")
    if read < 0:
        raise AmountRefused(f"the threshold {plain(read)} is negative: give a percentage of 0 or more, like 5")
    return read


def findings(book: Book, outlook: Outlook, closed: bool, threshold: Decimal, limits: Limits) -> Iterable[Finding]:
    """What is over its threshold; a closed cycle is settled or was accepted as it is."""
    compared = book.figures.compared
    if closed:
        return
    level = level_of(compared, threshold, limits.critical_discrepancy_percent)
    if level:
        apart = plain(shown(compared.percent or Decimal(0), 2))
        yield Finding(
            "discrepancy",
            level,
            f"cycle {book.cycle.id}: {dollars(compared.diff)} apart ({apart} %), over the threshold of {plain(threshold)} %; "
            f"see mecris budget discrepancies --cycle {book.cycle.id}",
        )
    reasons = [r for r in outlook.health.reasons if r.code != "poor"]  # discrepancies have a threshold of their own
    worst = max((r.level for r in reasons), key=LEVELS.index, default=GOOD)
    if worst != GOOD:
        yield Finding("health", worst, f"cycle {book.cycle.id}: {_told(reasons)}")


def _told(reasons: Sequence[Reason]) -> str:
    """The reasons in one message, the worst first, as many as anybody reads."""
    first = "; ".join(r.message for r in reasons[:TOLD])
    return first if len(reasons) <= TOLD else f"{first}; and {len(reasons) - TOLD} more (mecris budget status)"


def alert(
    books: "Books",
    book: Book,
    found: Sequence[Finding],
    told: Answer,
    notify: Sequence[str],
    patience: Patience,
    by: str | None,
) -> Answer:
    """Raise what was found, and deliver it to whoever has not heard of it yet."""
    to = targets(notify)
    for target in to:
        require_apprise(target)
    alerts = [_raise(books, book, finding, told, to, patience, by) for finding in found]
    return Answer(told | {"alerts": alerts})


def dry_run(found: Sequence[Finding], told: Answer, notify: Sequence[str]) -> Answer:
    """What would be raised, and who would hear of it unless a cool-down holds."""
    labels = [target.label for target in targets(notify)]
    return Answer(told | {"alerts": [f._asdict() | {"alert": None, "raised": False, "targets": labels} for f in found]})


def _raise(
    books: "Books",
    book: Book,
    finding: Finding,
    told: Answer,
    to: Sequence[Target],
    patience: Patience,
    by: str | None,
) -> dict[str, Any]:
    limits = books.limits
    cool_down = limits.critical_cool_down_hours if finding.level == CRITICAL else limits.warning_cool_down_hours
    order = RaiseAlert.model_validate(
        {
            "cycle_id": book.cycle.id,
            "kind": finding.kind,
            "level": finding.level,
            "message": finding.message,
            "threshold_percent": told["threshold_percent"],
            "discrepancy_percent": told["percent"],
            "targets": tuple(target.label for target in to),
            "cool_down_hours": cool_down,
        }
    )
    raised = books.handle(order, recorded_by=by)
    notice = _notice(book, finding, told, raised["alert"])
    delivered = [_deliver(books, raised, t, notice, patience, by) for t in to if t.label in raised["deliver"]]
    return finding._asdict() | {
        "alert": raised["alert"],
        "raised": raised["raised"],
        "suppressed_until": None if raised["raised"] or delivered or raised["waiting"] else raised["until"],
        "deliveries": delivered,
        "waiting": [{"target": target, "until": until} for target, until in raised["waiting"].items()],
    }


def _notice(book: Book, finding: Finding, told: Answer, alert: int) -> Notice:
    title = f"Mecris {finding.level}: {finding.kind} of cycle {book.cycle.id}"
    body = {
        "title": title,
        "message": finding.message,
        "cycle_id": book.cycle.id,
        "alert": alert,
        "kind": finding.kind,
        "level": finding.level,
        "threshold_percent": told["threshold_percent"],
        "discrepancy_percent": told["percent"],
        "grade": told["grade"],
    }
    return Notice(title, finding.message, finding.level, to_json(body))


def _deliver(
    books: "Books", raised: Answer, target: Target, notice: Notice, patience: Patience, by: str | None
) -> dict[str, Any]:
    outcome = deliver(target, notice, patience)
    noted = books.handle(
        NoteDelivery(
            cycle_id=raised["cycle_id"],
            alert=raised["alert"],
            target=target.label,
            attempts=outcome.attempts,
            error=outcome.error,
        ),
        recorded_by=by,
    )
    return {
        "target": target.label,
        "delivered": outcome.error is None,
        "attempts": outcome.attempts,
        "error": outcome.error,
        "retry_at": noted["retry_at"],
    }


def told_of(book: Book, outlook: Outlook, threshold: Decimal, *, closed: bool, dry: bool) -> Answer:
    """What was looked at."""
    compared = book.figures.compared
    return Answer(
        cycle_id=book.cycle.id,
        threshold_percent=threshold,
        percent=percent(compared.percent),
        diff_usd=compared.diff,
        grade=compared.grade,
        health=outlook.health.level,
        closed=closed,
        dry_run=dry,
    )
