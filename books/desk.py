"""The desk: the aggregates that one order is about, taken in hand, and put back as they were if it is refused.

There are two. The first attempt decides on what is remembered, without asking the file at all; whatever it cannot
be sure of (a refusal, a no-op, a look into the past, a second aggregate) is decided again on the desk of the one who
holds the pen, while no one else can write.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NoReturn, Protocol, cast

from eventsourcing.application import AggregateNotFoundError

from ..domain.access import Access
from ..domain.aggregate import Aggregate, Mark, Stamp
from ..domain.alerts import Alerts
from ..domain.counter import Said
from ..domain.cycle import BudgetCycle
from ..domain.errors import NotFound
from ..domain.history import Past
from ..domain.ids import ACCESS, alerts_key, cycle_key, odometer_key, run_key
from ..domain.imports import Imported, Reports
from ..domain.odometer import Odometer, Readings
from ..domain.period import Period
from ..domain.run import Dispatches, Run
from ..projections import follow, imports, ledger, odometers, runs
from ..projections.ledger import AsOf
from ..store import positions
from ..store.connection import Connection
from ..store.log import Log

Read = dict[str, Aggregate]
"""Aggregates that were read with the pen in hand, by name: no one else can write, so one look is enough."""


class Unsure(Exception):
    """What is remembered does not suffice to decide: ask again with the pen in hand."""


class Unread:
    """The past of an attempt that has not asked the file."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Unsure


class Desk(Protocol):
    """What a decision may take in hand, and what it may ask of the past."""

    stamp: Stamp

    def cycle(self, number: int) -> BudgetCycle:
        """A cycle; refuses one that is not there."""

    def next_cycle(self) -> int:
        """The number of the cycle to be opened next."""

    def opened(self, cycle: BudgetCycle) -> None:
        """Take a cycle in hand that is being opened."""

    def run(self, run_id: str) -> Run:
        """A run, which begins with what is first reported of it."""

    def odometer(self, provider: str) -> Odometer:
        """A provider's counter, which begins with its first reading or feed."""

    def odometers_feeding(self, number: int) -> list[Odometer]:
        """The counters that feed a cycle."""

    def odometers(self) -> list[str]:
        """The providers whose counters are known."""

    def alerts(self, number: int) -> Alerts:
        """The alerts of a cycle."""

    def access(self) -> Access:
        """The tokens of the books."""

    def past_of(self, cycle: BudgetCycle) -> Past:
        """The readings of a cycle."""

    def dispatches_of(self, run: Run) -> Dispatches:
        """What was reported and billed for a run."""

    def days_of(self, number: int) -> Period | None:
        """The days of a cycle."""

    def imported(self, key: str) -> Imported:
        """A report or a file, by its name in the log."""

    def lines_of(self, report: str) -> Reports:
        """What was imported of a report."""

    def readings_of(self, odometer: Odometer) -> Readings:
        """The readings of a month of a counter, asked for when they are needed."""


class InHand:
    """Aggregates with their marks, in the order in which they were taken."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self.held: dict[str, tuple[Aggregate, Mark]] = {}

    def take(self, aggregate: Aggregate) -> None:
        """Mark where a decision begins, once."""
        if aggregate.id not in self.held:
            self.held[aggregate.id] = (aggregate, aggregate.marked())

    def put_back(self) -> None:
        """Forget what was triggered since: none of it is in the log."""
        for aggregate, mark in self.held.values():
            aggregate.rewind(mark)

    @property
    def changed(self) -> list[Aggregate]:
        """What has events to be written."""
        return [aggregate for aggregate, _ in self.held.values() if aggregate.pending_events]


class Remembered(InHand):
    """The desk of the first attempt: cycles as we last saw them; another process may have moved on since."""

    def __init__(self, log: Log, stamp: Stamp) -> None:
        super().__init__(stamp)
        self.log = log

    def cycle(self, number: int) -> BudgetCycle:
        """A cycle that is remembered."""
        cycle = self.log.remembered(cycle_key(number))
        if not isinstance(cycle, BudgetCycle):
            raise Unsure
        self.take(cycle)
        return cycle

    def past_of(self, cycle: BudgetCycle) -> Past:
        """Nothing that was asked."""
        return cast("Past", Unread())

    def __getattr__(self, name: str) -> NoReturn:
        raise Unsure


class Held(InHand):
    """The desk of the one who holds the pen."""

    def __init__(self, log: Log, connection: Connection, stamp: Stamp, read: Read) -> None:
        super().__init__(stamp)
        self.log, self.connection, self.read = log, connection, read

    def cycle(self, number: int) -> BudgetCycle:
        """A cycle at the end of the log."""
        found = self._take(cycle_key(number), None)
        if not isinstance(found, BudgetCycle):
            raise NotFound(
                f"there is no cycle {number}: `mecris budget cycle list` shows those there are", code="cycle-not-found"
            )
        return found

    def next_cycle(self) -> int:
        """The number after the last one."""
        return self.log.next_cycle()

    def opened(self, cycle: BudgetCycle) -> None:
        """Remember a cycle from its first event on."""
        self.log.keep(cycle)
        self.read[cycle.id] = cycle
        self.held[cycle.id] = (cycle, (0, cycle.state))  # put back, not even its first event is left to be written

    def run(self, run_id: str) -> Run:
        """A run, which need not be read: it remembers nothing."""
        key = run_key(run_id)
        run = self.read.get(key) or Run.at_version(key, self.log.version_of(key))
        return cast("Run", self._held(run))

    def imported(self, key: str) -> Imported:
        """A report or a file, which need not be read: it remembers nothing."""
        found = self.read.get(key) or Imported.at_version(key, self.log.version_of(key))
        return cast("Imported", self._held(found))

    def lines_of(self, report: str) -> Reports:
        """The lines and figures of a report, brought up to date."""
        follow.catch_up(self.connection)
        return imports.Lines(self.connection, report)

    def odometer(self, provider: str) -> Odometer:
        """A counter at the end of the log, or a new one."""
        return cast("Odometer", self._take(odometer_key(provider), Odometer))

    def odometers_feeding(self, number: int) -> list[Odometer]:
        """The counters at the end of the log that feed a cycle."""
        follow.catch_up(self.connection)
        feeds = odometers.feeds(self.connection, positions.head(self.connection).position)
        return [self.odometer(provider) for provider, cycle in feeds if cycle == number]

    def odometers(self) -> list[str]:
        """The providers whose counters were known before this order."""
        follow.catch_up(self.connection)
        return odometers.providers(self.connection, positions.head(self.connection).position)

    def alerts(self, number: int) -> Alerts:
        """The alerts at the end of the log, or the first."""
        return cast("Alerts", self._take(alerts_key(number), Alerts))

    def access(self) -> Access:
        """The tokens at the end of the log, or none."""
        return cast("Access", self._take(ACCESS, Access))

    def _take(self, key: str, kind: type[Aggregate] | None) -> Aggregate | None:
        found = self.read.get(key)
        if found is None:
            try:
                found = cast("Aggregate", self.log.repository.get(key, deepcopy_from_cache=False))
            except AggregateNotFoundError:
                if kind is None:
                    return None
                found = kind.blank(key)
        return self._held(found)

    def _held(self, aggregate: Aggregate) -> Aggregate:
        self.read[aggregate.id] = aggregate
        self.take(aggregate)
        return aggregate

    def past_of(self, cycle: BudgetCycle) -> Past:
        """The readings, brought up to date only if the decision asks; most orders never look back."""
        return cast("Past", CaughtUp(self.connection, cycle))

    def dispatches_of(self, run: Run) -> Dispatches:
        """The reports and bills, brought up to date."""
        follow.catch_up(self.connection)
        return runs.Dispatches(
            self.connection, run.id.removeprefix(run_key("")), positions.head(self.connection).position
        )

    def days_of(self, number: int) -> Period | None:
        """The days of a cycle, if there is one."""
        try:
            return self.cycle(number).state.period
        except NotFound:
            return None

    def readings_of(self, odometer: Odometer) -> Readings:
        """The readings of a month, brought up to date only if the decision asks."""

        def said(month: str) -> Iterable[Said]:
            follow.catch_up(self.connection)
            return odometers.said(self.connection, odometer.provider, month)

        return said


class CaughtUp:
    """The past of a cycle at exactly the version that is decided on: no one else can write meanwhile."""

    def __init__(self, connection: Connection, cycle: BudgetCycle) -> None:
        self._connection, self._cycle = connection, cycle

    @cached_property
    def _readings(self) -> ledger.Readings:
        follow.catch_up(self._connection)
        cycle = ledger.cycle(self._connection, self._cycle.state.cycle)
        assert cycle is not None  # its events have just been folded
        return ledger.Readings(self._connection, cycle, AsOf(positions.head(self._connection).position))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._readings, name)
