"""Rules 5 to 8: plugs, adjustments, thresholds, and what is put on record when."""

from decimal import Decimal
from typing import Any

import pytest
from story import (
    Remembered,
    Story,
    adjusted,
    at,
    given,
    happened,
    metered,
    opened,
    plug,
    plugged,
    read_off,
    recorded,
    retracted,
    said,
    square,
)  # fmt: skip

from mecris.domain import commands as c
from mecris.domain import events as e
from mecris.domain.errors import AmountRefused, RuleRefused, TimeRefused
from mecris.domain.findings import NOTHING, is_stale, standings
from mecris.domain.history import Without
from mecris.domain.tie_out import TieOut, tie_out

FOUNDING = (opened("24.96"), metered("0.11"), said("console", "manual", balance="19.54"))
RECONCILE = c.Reconcile(cycle_id=1)


def records(story: Story) -> list[e.Event]:
    return [x for x in story.new if isinstance(x, e.CycleReconciled | e.DiscrepancyDetected)]


# -- opening ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"start_date": "2025-10-01"}, TimeRefused),
        ({"start_date": "2025-8-6"}, TimeRefused),
        ({"start_date": "2025-08-06T00:00:00"}, TimeRefused),
        ({"end_date": "0001-01-01"}, TimeRefused),
        ({"timezone": "Mars/Olympus"}, TimeRefused),
        ({"timezone": "../etc/passwd"}, TimeRefused),
        ({"target_usd": "-0.01"}, AmountRefused),
        ({"notes": "   "}, RuleRefused),
    ],
)
def test_a_cycle_that_makes_no_sense_is_not_opened(order: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        given(opened(**order))


def test_a_cycle_of_one_day_and_no_money_is_fine() -> None:
    story = given(opened("0", start_date="2025-09-10", end_date="2025-09-10"))
    assert story.cycle.state.target == 0


# -- plugs --------------------------------------------------------------------------------------------------------------


def test_a_plug_closes_exactly_what_is_missing() -> None:
    given(*FOUNDING).when(square()).then(plugged("5.31", plug=1, provider="", reason="another workspace"))


def test_a_plug_rests_on_the_newest_manual_reading() -> None:
    story = given(opened(), metered("1", measured_at=at("08:00")), read_off("2", measured_at=at("08:30")))
    story.when(read_off("3", source="invoice", measured_at=at("08:45")))
    story.when(square()).then(plugged("4", rests_on=at("08:45")))


def test_a_plug_does_not_rest_on_what_is_only_compared() -> None:
    story = given(opened(), metered("1", measured_at=at("08:00")), read_off("2", measured_at=at("08:30")))
    story.when(read_off("2", source="invoice", counted=False, measured_at=at("08:45")))
    story.when(square()).then(plugged("1", rests_on=at("08:30")))


def test_squaring_takes_back_what_was_explained_too_much() -> None:
    story = given(opened(), metered("1"), read_off("3"), square(), metered("2"))
    story.when(square()).then(plugged("-1", plug=2))


def test_squaring_when_nothing_is_unexplained_records_nothing() -> None:
    given(opened(), metered("1"), read_off("1")).when(square()).nothing()


def test_a_plug_over_five_dollars_needs_a_yes() -> None:
    story = given(*FOUNDING)
    story.when(plug(square=True)).refused("needs-yes", "--yes", "5.31")
    story.when(plug("5.01")).refused("needs-yes")
    story.when(plug("5")).then(plugged("5"))


def test_a_negative_plug_over_five_dollars_needs_a_yes_too() -> None:
    story = given(opened("100"), metered("1"), read_off("20"), square(), metered("20"))
    story.when(plug("-5.01")).refused("needs-yes")


def test_a_plug_that_leaves_more_unexplained_needs_a_yes() -> None:
    story = given(opened(), metered("1"), read_off("2"))
    story.when(plug("2.01")).refused("needs-yes", "more unexplained")
    story.when(plug("-0.01")).refused("needs-yes")
    story.when(plug("2.01", yes=True)).then(plugged("2.01"))


def test_a_plug_that_leaves_as_much_unexplained_needs_none() -> None:
    given(opened(), metered("1"), read_off("2")).when(plug("2")).then(plugged("2"))


def test_a_plug_of_nothing_is_refused() -> None:
    given(*FOUNDING).when(plug("0", yes=True)).refused("amount", "0 explains nothing")


def test_a_plug_is_an_amount_or_a_square() -> None:
    story = given(*FOUNDING)
    story.when(plug()).refused("plug-amount")
    story.when(square(amount_usd="1")).refused("plug-amount")


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 2001, "a\0b"])
def test_a_plug_needs_a_reason_that_can_be_kept(reason: str) -> None:
    given(*FOUNDING).when(square(reason=reason))
    story = given(*FOUNDING).when(square(reason=reason))
    assert story.refusal is not None
    assert story.refusal.code in ("no-reason", "too-long", "not-text")


@pytest.mark.parametrize(
    "orders",
    [
        (opened(),),
        (opened(), metered("1")),
        (opened(), read_off("1")),
        (opened(), metered("1", counted=False), read_off("1")),
        (opened(), metered("1", provider="claude"), read_off("1", provider="groq")),
    ],
)
def test_a_plug_needs_something_observed_and_a_realtime_source(orders: tuple[c.Command, ...]) -> None:
    given(*orders).when(plug("1")).refused("nothing-to-plug")


def test_a_plug_names_its_provider_when_there_are_several() -> None:
    two = [
        x
        for p in ("claude", "groq")
        for x in (metered("1", source=f"m{p}", provider=p), read_off("2", source=f"d{p}", provider=p))
    ]
    story = given(opened(), *two)
    story.when(square()).refused("which-provider", "'claude'", "'groq'")
    story.when(square(provider="openai")).refused("nothing-to-plug", "'claude'")
    story.when(square(provider="groq")).then(plugged("1", provider="groq"))


def test_a_plug_is_undone_by_its_opposite_once() -> None:
    story = given(*FOUNDING, square())
    story.when(c.ReversePlug(cycle_id=1, plug=1, reason="wrong month")).then(
        happened(e.PlugReversed, plug=1, amount_usd="-5.31", reason="wrong month")
    )
    story.when(c.ReversePlug(cycle_id=1, plug=1, reason="again")).refused("plug-reversed")
    story.when(c.ReversePlug(cycle_id=1, plug=2, reason="unknown")).refused("plug-not-found")


def test_a_plug_that_a_retraction_left_behind_explains_too_much() -> None:
    story = given(opened("100"), metered("1"), read_off("3"), square(), retracted(2))
    record = next(x for x in reversed(story.cycle.pending_events) if isinstance(x, e.CycleReconciled)).record
    assert (record.unexplained_usd, record.plugged_usd, record.tracked_usd) == (-2, 2, 1)
    assert record.remaining_usd == 99


# -- adjustments --------------------------------------------------------------------------------------------------------


def test_an_adjustment_counts_from_now_or_from_the_beginning_of_a_day() -> None:
    story = given(opened())
    story.when(adjusted("1"), at("10:00")).then(
        happened(e.BudgetAdjusted, adjustment=1, amount_usd="1", at=at("10:00"))
    )
    story.when(adjusted("1", at="2025-09-01")).then(happened(e.BudgetAdjusted, at=at("2025-09-01T00:00:00Z")))


def test_an_adjustment_may_count_from_before_the_first_day_and_not_from_the_future() -> None:
    story = given(opened())
    story.when(adjusted("1", at="2025-01-01")).then(happened(e.BudgetAdjusted, at=at("2025-01-01T00:00:00Z")))
    story.when(adjusted("1", at="2025-09-11")).refused("time", "not come")


def test_an_adjustment_of_nothing_or_without_a_reason_is_refused() -> None:
    story = given(opened())
    story.when(adjusted("0")).refused("amount")
    story.when(adjusted("1", reason="")).refused("no-reason")


def test_an_adjustment_for_one_provider_is_held_against_its_balances_alone() -> None:
    story = given(opened("20"), said("console", "manual", balance="15", provider="claude"))
    story.when(adjusted("-6", provider="groq", at=at("08:00"))).then(happened(e.BudgetAdjusted))
    story.when(adjusted("-6", provider="claude", at=at("08:00"))).refused("balance-above-credit", "'console'")


def test_an_adjustment_must_not_put_a_standing_balance_above_its_credit() -> None:
    story = given(opened("20"), said("console", "manual", balance="15", measured_at=at("08:00")))
    story.when(adjusted("-5.01", at=at("08:00"))).refused("balance-above-credit", "'console'")
    story.when(adjusted("-5.01", at=at("08:01"))).then(happened(e.BudgetAdjusted))
    story.when(adjusted("-5", at=at("08:00"))).then(happened(e.BudgetAdjusted))


def test_an_older_balance_that_still_stands_must_not_come_above_its_credit_either() -> None:
    older = said("console", "manual", balance="20", measured_at="2025-09-05")
    story = given(opened("25"), older, said("console", "manual", balance="10", measured_at="2025-09-08"))
    story.when(adjusted("-10", at="2025-09-01")).refused("balance-above-credit", "reading 1")
    story.when(adjusted("-10", at="2025-09-07")).then(happened(e.BudgetAdjusted))
    given(*story_orders(older), retracted(1)).when(adjusted("-10", at="2025-09-01")).then(happened(e.BudgetAdjusted))


def story_orders(older: c.Command) -> tuple[c.Command, ...]:
    return opened("25"), older, said("console", "manual", balance="10", measured_at="2025-09-08")


def test_an_adjustment_for_another_provider_leaves_a_balance_alone() -> None:
    story = given(opened("20"), said("console", "manual", balance="15", provider="claude"))
    story.when(adjusted("-10", at="2025-08-06", provider="groq")).then(happened(e.BudgetAdjusted, provider="groq"))


# -- thresholds ---------------------------------------------------------------------------------------------------------


def thresholds(excellent: str, good: str, fair: str) -> c.ChangeThresholds:
    return c.ChangeThresholds(cycle_id=1, excellent=excellent, good=good, fair=fair)


def test_thresholds_change_the_grade_of_what_follows() -> None:
    story = given(opened("1000"), metered("95"), read_off("100")).when(thresholds("0.5", "1", "4.99"))
    story.then({"event": e.ThresholdsChanged, "excellent": Decimal("0.5")})
    story.when(RECONCILE)
    assert story.answer["grade"] == "POOR"


@pytest.mark.parametrize("bounds", [("5", "5", "10"), ("5", "1", "10"), ("-1", "5", "10")])
def test_thresholds_must_increase_from_zero(bounds: tuple[str, str, str]) -> None:
    given(opened()).when(thresholds(*bounds)).refused("thresholds", "increase")


def test_thresholds_that_are_set_already_record_nothing() -> None:
    given(opened()).when(thresholds("1", "5", "10")).nothing()


# -- the record ---------------------------------------------------------------------------------------------------------


def test_a_manual_reading_puts_the_comparison_on_record_in_the_same_write() -> None:
    story = given(opened("24.96"), metered("0.11")).when(read_off("5.42"))
    assert [type(x) for x in story.new] == [e.SourceRecorded, e.CycleReconciled, e.DiscrepancyDetected]
    found = story.new[2]
    assert isinstance(found, e.DiscrepancyDetected)
    assert (found.diff_usd, found.grade) == (Decimal("5.31"), "POOR")
    assert found.analysis == (
        "realtime source 'meter' is $5.31 (97.97 %) lower than the manual entry 'console'; "
        "possible untracked usage or API-key leakage"
    )


@pytest.mark.parametrize(
    "order",
    [
        read_off("7"),
        said("invoice", "manual", amount="1", counted=False),
        retracted(2),
        square(),
        c.ReversePlug(cycle_id=1, plug=1, reason="no"),
        adjusted("1"),
    ],
)
def test_orders_that_change_what_is_known_reconcile(order: c.CycleCommand) -> None:
    story = given(opened("100"), metered("1"), read_off("6"), plug("1")).when(order)
    assert any(isinstance(x, e.CycleReconciled) for x in story.new)


@pytest.mark.parametrize("order", [metered("2"), read_off("7", reconcile=False), retracted(2, reconcile=False)])
def test_a_meter_does_not_reconcile_nor_does_who_is_told_not_to(order: c.CycleCommand) -> None:
    assert records(given(opened("100"), metered("1"), read_off("6")).when(order)) == []


def test_reconciling_again_with_nothing_new_records_nothing() -> None:
    story = given(*FOUNDING).when(RECONCILE).nothing()
    assert story.answer["grade"] == "POOR"


def test_growth_after_the_look_is_new_to_the_record() -> None:
    story = given(opened("100"), metered("1"), read_off("6")).when(metered("2"), at("10:00"))
    story.when(RECONCILE)
    assert len(records(story)) == 2


def test_without_both_kinds_there_is_nothing_to_put_on_record() -> None:
    given(opened(), metered("1")).when(RECONCILE).nothing()
    assert records(given(opened()).when(read_off("1"))) == []


def test_no_discrepancy_is_detected_in_a_provider_that_ties_out() -> None:
    story = given(*FOUNDING).when(square())
    assert [type(x) for x in story.new] == [e.PlugApplied, e.CycleReconciled]
    pair = story.new[1].record.pairs[0]  # type: ignore[attr-defined]
    assert (pair.diff_usd, pair.grade) == (Decimal("5.31"), "POOR")


def test_a_discrepancy_is_detected_only_for_pairs_that_differ() -> None:
    story = given(opened("100"), metered("1"), metered("2", source="second")).when(read_off("2"))
    found = [x for x in story.new if isinstance(x, e.DiscrepancyDetected)]
    assert [(x.source_a, x.diff_usd) for x in found] == [(1, 1)]


def test_the_record_of_a_retraction_is_made_without_the_retracted_reading() -> None:
    story = given(opened(), metered("1", measured_at=at("07:00")), metered("2", measured_at=at("07:30")))
    story.when(metered("9", measured_at=at("08:30"))).when(read_off("5", measured_at=at("08:00"))).when(retracted(2))
    record = story.cycle.state.record
    assert record is not None
    assert (record.providers[0].tracked_then_usd, record.unexplained_usd) == (1, 4)


@pytest.mark.parametrize("other", [{"observed": 4}, {"plugged": 1}, {"unexplained": 1}, {"grade": "FAIR"}])
def test_a_record_is_stale_once_any_standing_of_a_provider_differs(other: dict[str, Any]) -> None:
    figures = tied_out(given(opened(), metered("1"), read_off("3")))
    now = standings(figures)
    assert not is_stale(figures, now)
    assert is_stale(figures, {"": now[""]._replace(**other)})
    assert is_stale(figures, now | {"groq": NOTHING._replace(**other)}), "also of one that is gone"


def test_a_refused_order_leaves_no_trace() -> None:
    story = given(*FOUNDING)
    before = story.cycle.state.ledger()
    story.when(plug(square=True)).refused("needs-yes")
    story.when(read_off("-1")).refused("amount")
    assert story.cycle.state.ledger() == before


def test_recording_continues_over_budget() -> None:
    story = given(opened("1"), metered("5")).when(read_off("7"))
    assert story.cycle.state.record is not None
    assert story.cycle.state.record.remaining_usd == -6


def test_reading_while_a_plug_stands_is_recorded_as_usual() -> None:
    given(*FOUNDING, square()).when(metered("0.2")).then(recorded(amount_usd="0.2"))


# -- meters that begin after the look -----------------------------------------------------------------------------------


def tied_out(story: Story) -> TieOut:
    past = Remembered(story.cycle.pending_events, story.cycle.state.period.ends)
    return tie_out(story.cycle.state.ledger(), Without(past))


def figures_of(story: Story) -> tuple[Any, list[str]]:
    story.when(RECONCILE)
    return story.cycle.state.record, list(tied_out(story).warnings)


def test_a_pair_shows_the_first_reading_of_a_meter_that_began_after_the_look() -> None:
    story = given(opened("100"), metered("1"), read_off("5"))
    story.when(metered("1", source="new key"), at("10:00")).when(metered("3", source="new key"), at("11:00"))
    record, _ = figures_of(story)
    assert [(p.source_a, p.amount_a_usd) for p in record.pairs] == [(1, 1), (3, 1)]


def test_of_several_meters_that_began_later_the_one_that_began_first_is_served_first() -> None:
    story = given(opened("100"), metered("1"), read_off("5"))
    story.when(metered("4", source="second"), at("12:00"))
    story.when(metered("4", source="first", measured_at=at("11:00")), at("12:01"))
    record, warnings = figures_of(story)
    assert record.unexplained_usd == 0
    later = [w for w in warnings if "began after" in w]
    assert later[0].startswith("'first' began after 'console' was read: of its $4.00, $4.00 are taken")
    assert later[1].startswith("'second' began after 'console' was read: of its $4.00, $0.00 are taken")


def test_a_meter_that_began_later_is_taken_to_have_seen_at_most_its_first_reading() -> None:
    story = given(opened("100"), metered("1"), read_off("5"))
    story.when(metered("2", source="new key"), at("10:00")).when(metered("9", source="new key"), at("11:00"))
    record, _ = figures_of(story)
    assert (record.unexplained_usd, record.tracked_usd) == (2, 10)


def test_looks_more_than_a_day_apart_are_warned_about() -> None:
    story = given(opened("100"), read_off("1", measured_at=at("2025-09-08T08:00:00Z")))
    story.when(read_off("2", source="bill", measured_at=at("2025-09-09T08:00:00Z")))
    assert not any("more than a day" in warning for warning in figures_of(story)[1])
    story.when(read_off("3", source="bill", measured_at=at("2025-09-09T08:00:00.000001Z")))
    assert "'console' was read more than a day before 'bill': read it again" in figures_of(story)[1]


# -- what is compared, what is added, and what is said about it ---------------------------------------------------------


def test_a_meter_that_is_only_compared_is_paired_and_neither_added_nor_coverage() -> None:
    story = given(opened("100"), metered("4", counted=False), read_off("5"))
    figures = tied_out(story)
    assert [(p.meter.name, p.meter_amount, p.compared.diff) for p in figures.pairs] == [("meter", 4, 1)]
    assert (figures.tracked, figures.coverage_percent, figures.compared.grade) == (5, 0, "UNVERIFIED")


def test_a_meter_that_fell_after_the_look_is_named() -> None:
    story = given(opened("100"), metered("5"), read_off("5")).when(metered("2"), at("12:00"))
    assert tied_out(story).warnings == ("'meter' fell from $5.00 to $2.00: a meter of a cycle only rises",)


def test_sources_that_are_added_up_are_named_as_long_as_they_are() -> None:
    story = given(opened("100"), metered("1"), metered("2", source="key"), read_off("3"))
    (warning,) = tied_out(story).warnings
    assert warning.startswith("'meter' and 'key' are added up as realtime sources of one provider")


def test_a_balance_of_the_whole_budget_is_doubted_once_another_provider_spends_of_it() -> None:
    story = given(opened("100"), said("console", "manual", balance="95", provider="claude"))
    assert tied_out(story).warnings == ()
    (warning,) = tied_out(story.when(metered("1", provider="groq"))).warnings
    assert warning.startswith("the balance of 'console' is taken to be left of the whole budget")


def test_a_plug_outlives_every_source_of_its_provider_and_explains_too_much() -> None:
    story = given(opened("100"), metered("1"), read_off("3"), square(), retracted(1), retracted(2))
    figures = tied_out(story)
    assert (figures.tracked, figures.plugged, figures.unexplained, figures.remaining) == (0, 2, -2, 100)
