"""Rules broken on purpose, one at a time: the simulation must find each of them, or it proves nothing.

Each is a change of a few words in one function of the product, made for as long as a test takes.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from mecris.books import writing
from mecris.domain import state
from mecris.projections import budget, follow, ledger
from mecris.store import log, positions
from mecris.store.file import File


class Change(NamedTuple):
    """Words of a function, and what is put in their place."""

    where: Any
    function: str
    words: str
    instead: str


BROKEN: dict[str, list[Change]] = {
    "a stale decision is written": [
        Change(
            log,
            "append",
            '"INSERT INTO stored_events VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"',
            '"INSERT INTO stored_events SELECT ?1, ?2, max(ifnull(max(originator_version), 0) + 1, ?3), ?4, ?5 '
            'FROM stored_events WHERE originator_id = ?2"',
        )
    ],
    "a write that failed half-way is kept": [
        Change(File, "_put_pen_down", "if written:", "if connection.in_transaction:")
    ],
    "a key is not kept": [Change(writing.Writer, "_write", "if given.key is None:", "if True:")],
    "a key is kept before its order is done": [
        Change(
            writing.Writer,
            "_at_first_attempt",
            "return self._write(connection, desk, answer, given, {})",
            "return self._write(connection, desk, answer, given, {}) if given.key is None else "
            '(self._write(connection, desk, answer, given, {}), connection.execute("COMMIT"), connection.execute("BEGIN"))[0]',
        )
    ],
    "the same key with another content is answered": [
        Change(writing, "_given_before", "if kept[0] not in _fingerprints(given.order):", "if False:")
    ],
    "recorded_at goes back with the clock": [
        Change(writing.Writer, "_stamp", "now if last is None or now > last else last", "now"),
        Change(log, "append", "if recorded_at < before:", "if False:"),
    ],
    "a failed write is remembered": [Change(writing.Writer, "_held", "self.log.forget_all()", "pass")],
    "a first attempt that failed is remembered": [
        Change(writing.Writer, "_at_first_attempt", "desk.put_back()", "pass")
    ],
    "a rehearsal is remembered": [
        Change(writing.Writer, "rehearse", "desk.put_back()\n            self.log.forget_all()", "pass")
    ],
    "a plug that was reversed still counts when deciding": [
        Change(state.CycleState, "ledger", "if not plug.reversed:", "if True:")
    ],
    "a plug that was reversed still counts when asked": [
        Change(ledger, "plugs", "AND (reversed IS NULL OR reversed > ?)", "AND (1 OR ?)"),
    ],
    "catching up leaves an event out": [
        Change(follow, "fold", "events_after(connection, start)", "events_after(connection, start + (start > 4))")
    ],
    "how far a read model has seen is not what it has seen": [
        Change(follow, "fold", "(view.name, view.version, position) for", "(view.name, view.version, start) for")
    ],
    "the middle of a write can be asked": [
        Change(positions, "end_of_write", "return int(found[0])", "return position")
    ],
    "a retraction brings back another reading": [
        Change(
            budget.Fold,
            "reading_retracted",
            'source.current, source.current_at = self._place(id, event.get("current"))',
            'source.current, source.current_at = self._place(id, event.get("first"))',
        )
    ],
    "positions have a gap": [
        Change(
            log,
            "append",
            "enumerate(stored_events, position + 1)",
            "enumerate(stored_events, position + 1 + (position == 9))",
        )
    ],
}
"""What is broken, by name."""
SEEDS = 400
"""Among so many seeds each is found; most are among the first ten."""


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The product with a rule broken."""
    before = [(change.where, change.function, getattr(change.where, change.function)) for change in BROKEN[name]]
    try:
        for change in BROKEN[name]:
            setattr(change.where, change.function, _changed(change))
        yield
    finally:
        for where, function, original in before:
            setattr(where, function, original)


def _changed(change: Change) -> Any:
    """A function made anew from its changed source, in the names of its module."""
    function = getattr(change.where, change.function)
    source = textwrap.dedent(inspect.getsource(function))
    words = textwrap.dedent(change.words)
    if words not in source:
        raise LookupError(f"{change.function} does not say {words!r} any more: break this rule another way")
    made: dict[str, Any] = {}
    exec(
        compile(source.replace(words, change.instead), f"<broken {change.function}>", "exec"),
        vars(sys.modules[function.__module__]),
        made,
    )
    return made[change.function]
