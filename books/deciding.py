"""Which aggregates an order is about, and in which order they decide. Everything that one order leads to is one write."""

from collections.abc import Iterable

from ..domain import commands as c
from ..domain.closing import carry, take_over
from ..domain.cycle import BudgetCycle
from ..domain.errors import Refused, RuleRefused
from ..domain.ids import cycle_in
from ..domain.imports import evidence_key, report_key
from ..domain.odometer import Odometer
from .answers import Answer
from .desk import Desk


def decide(order: c.Command, desk: Desk) -> Answer:
    """Do what an order says with what is on the desk, or refuse it."""
    if isinstance(order, c.RollOver):
        return _roll_over(order, desk)
    if isinstance(order, c.CycleCommand):
        cycle = desk.cycle(order.cycle_id)
        answer = Answer(cycle.decide(order, desk.stamp, desk.past_of(cycle)))
        return _caught_up(answer, desk) if isinstance(order, c.ReopenCycle) else answer
    if isinstance(order, c.RunCommand):
        run = desk.run(order.run_id)
        return Answer(run.decide(order, desk.stamp, desk.dispatches_of(run)))
    if isinstance(order, c.OdometerCommand):
        return _odometer(order, desk)
    if isinstance(order, c.AlertCommand):
        desk.cycle(order.cycle_id)
        return Answer(desk.alerts(order.cycle_id).decide(order, desk.stamp))
    if isinstance(order, c.OpenCycle):
        return _open(order, desk)
    if isinstance(order, c.ImportLines):
        changed = desk.imported(report_key(order.report)).take_in(order, desk.stamp, desk.lines_of(order.report))
        return Answer(recorded=bool(changed), changed=changed)
    if isinstance(order, c.ImportFigures):
        return Answer(desk.imported(report_key(order.report)).note(order, desk.stamp, desk.lines_of(order.report)))
    if isinstance(order, c.FileEvidence):
        return Answer(desk.imported(evidence_key(order.sha256)).file(order, desk.stamp))
    if isinstance(order, c.SettleEvidence):
        return Answer(desk.imported(evidence_key(order.sha256)).settle(order, desk.stamp))
    if isinstance(order, c.WithdrawReport):
        return Answer(desk.imported(report_key(order.report)).withdraw(order, desk.stamp))
    if isinstance(order, c.TokenCommand):
        return Answer(desk.access().decide(order, desk.stamp))
    raise RuleRefused(f"{type(order).__name__} is not an order these books know", code="unknown-order")


def _open(order: c.OpenCycle, desk: Desk) -> Answer:
    number = desk.next_cycle()
    cycle = BudgetCycle.open(order, number, desk.stamp)
    desk.opened(cycle)
    answer = Answer(cycle_id=number, recorded=True)
    if order.roll_over_from is not None:
        amount = carry(desk.cycle(order.roll_over_from), cycle, desk.stamp)
        answer |= take_over(cycle, amount, order.roll_over_from, order, desk.stamp, None) | {"recorded": True}
    return answer


def _roll_over(order: c.RollOver, desk: Desk) -> Answer:
    origin, cycle = desk.cycle(order.from_cycle), desk.cycle(order.cycle_id)
    cycle.require_open()
    amount = carry(origin, cycle, desk.stamp)
    answer = Answer(take_over(cycle, amount, order.from_cycle, order, desk.stamp, desk.past_of(cycle)))
    answer["recorded"] = bool(origin.pending_events or cycle.pending_events)
    return answer


def _odometer(order: c.OdometerCommand, desk: Desk) -> Answer:
    odometer = desk.odometer(order.provider)
    if isinstance(order, c.FeedCycle) and order.cycle_id not in odometer.state.feeds:
        desk.cycle(order.cycle_id).require_open()
    before = {reading.cycle_id: reading for reading, _ in odometer.readings_for_cycles()}
    answer = Answer(odometer.decide(order, desk.stamp, desk.days_of, desk.readings_of(odometer)))
    if not isinstance(order, c.ReadOdometer | c.FeedCycle):
        return answer
    fed: list[Answer] = []
    warnings = [
        *answer["warnings"],
        *(_look_alikes(odometer, desk) if odometer.version == len(odometer.pending_events) else ()),
    ]
    for reading, gaps in odometer.readings_for_cycles():
        number, was = reading.cycle_id, before.get(reading.cycle_id)
        if isinstance(order, c.FeedCycle):
            wanted = number == order.cycle_id
        else:  # a closed cycle was closed with its figure: another month is not its business
            wanted = answer["recorded"] and not (desk.cycle(number).state.closed and reading == was)
        if not wanted:
            continue
        told = _feed(reading, desk, warnings)
        if told:
            fed.append(told)
            warnings += gaps
    return Answer(answer | {"recorded": answer["recorded"] or bool(fed), "fed": fed, "warnings": warnings})


def _look_alikes(odometer: Odometer, desk: Desk) -> Iterable[str]:
    """Names of new counters that differ from others only in case: most often a slip."""
    for other in desk.odometers():
        if other != odometer.provider and other.casefold() == odometer.provider.casefold():
            yield f"'{odometer.provider}' is another provider than '{other}': their counters are kept apart"


def _caught_up(answer: Answer, desk: Desk) -> Answer:
    """Tell a reopened cycle what the counters that feed it show by now."""
    warnings = list(answer["warnings"])
    readings = [
        reading
        for odometer in desk.odometers_feeding(answer["cycle_id"])
        for reading, _ in odometer.readings_for_cycles()
        if reading.cycle_id == answer["cycle_id"]
    ]
    fed = [told for reading in readings if (told := _feed(reading, desk, warnings))]
    return Answer(answer | {"fed": fed, "warnings": warnings})


def _feed(reading: c.RecordSource, desk: Desk, warnings: list[str]) -> Answer | None:
    """Tell a cycle what the counter shows; what the cycle refuses does not keep the counter from being read."""
    cycle = desk.cycle(reading.cycle_id)
    before = cycle.marked()
    try:
        said = cycle.feed(reading, desk.stamp, desk.past_of(cycle))
    except Refused as refused:
        cycle.rewind(before)
        warnings.append(f"cycle {cycle_in(cycle.id)} was not told: {refused.message}")
        return None
    if said is None:
        return None
    warnings += [w for w in said["warnings"] if w not in warnings]
    names = ("reading", "amount_usd", "measured_at")
    return Answer(cycle_id=reading.cycle_id, **{name: said[name] for name in names})
