"""Rules 1 to 4: what a source may say, and what it means."""

from decimal import Decimal

import pytest
from story import adjusted, at, given, metered, opened, read_off, recorded, retracted, said

from mecris.domain import commands as c
from mecris.domain import events as e
from mecris.domain.errors import AmountRefused, Refused
from mecris.domain.money import shown
from mecris.domain.payload import read_payload

pytestmark = pytest.mark.own_store  # these need no store, so they run once


def test_a_reading_is_recorded_with_what_was_left_out_filled_in() -> None:
    given(opened()).when(metered("0.11"), at("10:00")).then(
        recorded(
            reading=1, source=1, name="meter", type="realtime", provider="", counted=True, amount_usd="0.11",
            measured_at=at("10:00"), stated=False, stated_as=None, payload=None,
        )
    )  # fmt: skip


def test_a_source_keeps_its_type_and_provider_and_says_nothing_of_them_again() -> None:
    story = given(opened(), metered("1", provider="claude", counted=False))
    story.when(said("meter", amount="2")).then(
        recorded(type="realtime", provider="claude", counted=False, amount_usd="2")
    )


@pytest.mark.parametrize(
    ("again", "code"),
    [
        (said("meter", "manual", amount="2"), "type-changed"),
        (said("meter", amount="2", provider="groq"), "provider-changed"),
        (said("meter", amount="2", provider=""), "provider-changed"),
        (said("meter", amount="2", counted=False), "counted-changed"),
    ],
)
def test_a_source_that_says_it_is_something_else_is_refused(again: c.RecordSource, code: str) -> None:
    given(opened(), metered("1", provider="claude")).when(again).refused(code, "another name")


def test_a_new_source_must_say_its_type() -> None:
    given(opened()).when(said("meter", amount="1")).refused("no-type", "--type")


@pytest.mark.parametrize("name", ["", "   ", "two\nlines", "x" * 201])
def test_a_source_needs_a_name_that_can_be_shown(name: str) -> None:
    given(opened()).when(metered("1", source=name)).refused("name")


def test_a_back_dated_reading_is_history_and_does_not_become_current() -> None:
    story = given(opened(), metered("5", measured_at=at("09:00")))
    story.when(metered("3", measured_at=at("08:00")))
    assert story.cycle.state.sources["meter"].current.number == 1
    assert story.cycle.state.sources["meter"].first.number == 2
    assert "is history" in story.answer["warnings"][0]


def test_at_equal_times_the_later_recorded_reading_is_current_and_first() -> None:
    story = given(opened(), metered("5", measured_at=at("08:00")), metered("6", measured_at=at("08:00")))
    assert story.cycle.state.sources["meter"].current.number == 2
    assert story.cycle.state.sources["meter"].first.number == 2


def test_measured_more_than_five_minutes_in_the_future_is_refused() -> None:
    story = given(opened())
    story.when(metered("1", measured_at="2025-09-10T10:05:00.000001Z"), at("10:00")).refused("time", "has not come yet")
    story.when(metered("1", measured_at="2025-09-10T10:05:00Z"), at("10:00")).then(recorded(stated=True))


def test_measured_before_the_first_day_is_refused() -> None:
    story = given(opened())
    story.when(metered("1", measured_at="2025-08-05T23:59:59Z")).refused("time", "before the cycle begins")
    story.when(metered("1", measured_at="2025-08-06T00:00:00Z")).then(recorded())


def test_the_first_day_begins_where_the_cycle_is() -> None:
    story = given(opened(timezone="America/New_York"))
    story.when(metered("1", measured_at="2025-08-06T03:59:59Z")).refused("time")
    story.when(metered("1", measured_at="2025-08-06T00:00:00")).then(recorded(measured_at=at("2025-08-06T04:00:00Z")))


def test_measured_after_the_last_day_is_fine() -> None:
    given(opened()).when(metered("1"), at("2025-10-09T09:00:00Z")).then(
        recorded(measured_at=at("2025-10-09T09:00:00Z"))
    )


def test_a_day_means_its_end_and_today_means_now() -> None:
    story = given(opened())
    story.when(metered("1", measured_at="2025-09-01")).then(recorded(measured_at=at("2025-09-01T23:59:59.999999Z")))
    story.when(metered("2", measured_at="2025-09-10"), at("12:00")).then(recorded(measured_at=at("12:00")))


@pytest.mark.parametrize(
    "when",
    [
        "soon",
        "2025-13-01",
        "2025-09-31",
        "",
        "20250910T090000",
        "20250910",
        "2025-W37-3",
        "0001-01-01",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_time_that_cannot_be_read_is_refused(when: str) -> None:
    given(opened()).when(metered("1", measured_at=when)).refused("time")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-inf", "sNaN", "1e400", "1000000000000", "0.0000000000001"])
def test_an_amount_no_ledger_can_hold_is_refused(amount: str) -> None:
    with pytest.raises(AmountRefused):
        metered(amount)


@pytest.mark.parametrize("amount", [0.1, True, 1e30])
def test_floats_and_booleans_are_no_amounts(amount: float) -> None:
    with pytest.raises(AmountRefused):
        c.RecordSource(cycle_id=1, source="meter", type="realtime", amount=amount)


def test_a_negative_amount_is_refused_and_zero_is_not() -> None:
    story = given(opened())
    story.when(metered("-0.01")).refused("amount", "negative")
    story.when(metered("0")).then(recorded(amount_usd="0"))


def test_the_identical_statement_again_records_nothing() -> None:
    first = metered("1", measured_at=at("08:00"), payload="it says $1 USD")
    story = given(opened(), first, metered("2", measured_at=at("08:30")))
    story.when(first).nothing()


@pytest.mark.parametrize(
    "other",
    [
        metered("1.01", measured_at=at("08:00")),
        metered("1", measured_at=at("08:01")),
        metered("1", measured_at=at("08:00"), payload="$1 USD"),
        metered("1", measured_at=at("08:00"), source="another meter"),
    ],
)
def test_a_statement_that_differs_in_anything_is_another_one(other: c.RecordSource) -> None:
    given(opened(), metered("1", measured_at=at("08:00"))).when(other).then(recorded())


@pytest.mark.parametrize("other", [{"balance": "4", "credit": "10"}, {"balance": "5", "credit": "9"}, {"balance": "5"}])
def test_a_balance_or_credit_that_differs_makes_another_statement(other: dict[str, str]) -> None:
    first = said("console", "manual", balance="5", credit="10", measured_at=at("08:00"))
    story = given(opened(), first).when(said("console", measured_at=at("08:00"), **other))
    story.then(recorded(reading=2)).when(first).nothing()


def test_without_a_stated_time_two_statements_are_never_identical() -> None:
    given(opened(), metered("1")).when(metered("1"), at("09:01")).then(recorded(reading=2))
    given(opened(), metered("1", measured_at=at("09:01"))).when(metered("1"), at("09:01")).then(recorded(reading=2))
    given(opened(), metered("1")).when(metered("1", measured_at=at("09:01"))).then(recorded(reading=2))


def test_a_retracted_statement_may_be_made_again() -> None:
    first = metered("1", measured_at=at("08:00"))
    given(opened(), first, metered("2"), retracted(1)).when(first).then(recorded(reading=3))


def test_a_source_whose_readings_are_all_retracted_may_come_back_as_something_else() -> None:
    story = given(opened(), metered("1"), retracted(1))
    assert story.cycle.state.sources == {}
    story.when(read_off("2", source="meter", provider="groq")).then(recorded(source=2, type="manual", provider="groq"))


def test_retracting_the_current_reading_lets_the_one_before_stand() -> None:
    story = given(opened(), metered("1"), metered("5"), metered("3"), retracted(3))
    assert story.cycle.state.sources["meter"].current.number == 2
    story.when(retracted(2))
    assert story.cycle.state.sources["meter"].current.number == 1
    assert story.cycle.state.sources["meter"].first.number == 1


def test_an_unknown_or_retracted_reading_cannot_be_retracted() -> None:
    story = given(opened(), metered("1"), metered("2"), retracted(2))
    story.when(retracted(9)).refused("reading-not-found", "--history")
    story.when(retracted(2)).refused("reading-not-found")


def test_retracting_needs_a_reason() -> None:
    given(opened(), metered("1")).when(retracted(1, reason="  ")).refused("no-reason")


# -- balances -----------------------------------------------------------------------------------------------------------


def balance(left: str, source: str = "console", **more: object) -> c.RecordSource:
    return said(source, "manual", balance=left, **more)


def test_a_balance_is_what_is_left_of_the_budget_in_force_when_it_was_measured() -> None:
    story = given(opened("20"), adjusted("10", at="2025-09-05"))
    story.when(balance("15", measured_at="2025-09-04T12:00:00Z"))
    assert story.answer["amount_usd"] == 5
    story.when(balance("15", measured_at="2025-09-05T00:00:00Z"))
    assert story.answer["amount_usd"] == 15


def test_an_identical_balance_is_recognised_even_if_it_would_be_refused_today() -> None:
    first = balance("15", measured_at=at("08:00"), provider="claude")
    given(opened("20"), first, metered("1", provider="groq")).when(first).nothing()


def test_a_balance_may_name_its_credit() -> None:
    story = given(opened("20")).when(balance("15", credit="50"))
    assert story.answer["amount_usd"] == 35


def test_a_balance_may_be_negative() -> None:
    story = given(opened("20")).when(balance("-5"))
    assert story.answer["amount_usd"] == 25


def test_a_balance_above_its_credit_is_refused() -> None:
    story = given(opened("20"))
    story.when(balance("20.01")).refused("balance-above-credit", "record the top-up first")
    story.when(balance("51", credit="50")).refused("balance-above-credit")
    story.when(balance("20")).then(recorded(balance_usd="20"))


def test_a_credit_is_not_negative() -> None:
    given(opened("20")).when(balance("-5", credit="-3")).refused("amount", "--of")


def test_a_balance_does_not_count_what_was_topped_up_for_another_provider() -> None:
    story = given(opened("20"), adjusted("10", provider="groq"), adjusted("5", provider="claude"))
    story.when(balance("15", provider="claude"))
    assert story.answer["amount_usd"] == 10


def test_a_balance_beside_other_providers_must_say_of_which_credit() -> None:
    story = given(opened("20"), metered("1", provider="groq"))
    story.when(balance("15", provider="claude")).refused("which-credit", "--of")
    story.when(balance("15", provider="claude", credit="20")).then(recorded(credit_usd="20"))
    compared = given(opened("20"), metered("1", provider="groq", counted=False))
    compared.when(balance("15", provider="claude")).refused("which-credit", "--of")


def test_an_amount_and_a_balance_together_are_refused() -> None:
    given(opened()).when(said("console", "manual", amount="1", balance="2")).refused("amount-and-balance")


def test_a_credit_without_a_balance_is_refused() -> None:
    given(opened()).when(read_off("1", credit="2")).refused("credit-without-balance")


def test_a_reading_that_says_nothing_is_refused() -> None:
    given(opened()).when(said("console", "manual")).refused("nothing-said")


# -- payloads -----------------------------------------------------------------------------------------------------------


def test_a_payload_alone_names_the_amount() -> None:
    paste = "<div class='x'>$0.42 USD</div>"
    given(opened()).when(said("console", "manual", payload=paste)).then(recorded(amount_usd="0.42", payload=paste))


def test_a_payload_that_names_other_figures_than_the_amount_is_refused_with_all_of_them() -> None:
    given(opened()).when(read_off("0.43", payload="<b>$0.42 USD</b> of US$10")).refused(
        "payload", "$0.43", "$0.42", "$10"
    )


def test_a_payload_that_names_the_amount_among_others_is_fine() -> None:
    given(opened()).when(read_off("0.42", payload="<b>$0.42 USD</b> of US$10")).then(recorded(amount_usd="0.42"))


def test_a_payload_that_names_no_amount_is_kept_beside_one() -> None:
    given(opened()).when(read_off("0.42", payload="a screenshot, see wiki")).then(
        recorded(payload="a screenshot, see wiki")
    )


def test_a_payload_must_not_contradict_a_balance() -> None:
    story = given(opened())
    story.when(said("console", "manual", balance="19.54", payload="$19.45 USD left")).refused(
        "payload", "19.54", "19.45"
    )
    story.when(said("console", "manual", balance="19.54", payload="$19.54 USD left")).then(
        recorded(balance_usd="19.54")
    )


@pytest.mark.parametrize(
    ("payload", "amount", "measured"),
    [
        ('{"used_credits": 11, "cost_usd": 0.11, "timestamp": "2025-09-09T08:00:00Z"}', "0.11", "2025-09-09T08:00:00Z"),
        (
            '{"project_id": "p", "spent_usd": "0.80", "timestamp": "2025-09-09T10:00:00+02:00"}',
            "0.8",
            "2025-09-09T08:00:00Z",
        ),
        (
            '{"display_html": "<div>$0.42 USD</div>", "extracted_usd": 0.42, "recorded_at": "2025-09-09T08:00:00Z"}',
            "0.42",
            "2025-09-09T08:00:00Z",
        ),
    ],
)
def test_the_payloads_of_the_providers_are_read_by_their_fields(payload: str, amount: str, measured: str) -> None:
    given(opened()).when(said("source", "manual", payload=payload)).then(
        recorded(amount_usd=amount, measured_at=at(measured), stated=True, payload=payload)
    )


def test_a_stated_time_goes_before_the_payload_s_own() -> None:
    payload = '{"cost_usd": 0.11, "timestamp": "2025-09-09T08:00:00Z"}'
    given(opened()).when(said("api", "realtime", payload=payload, measured_at=at("08:00"))).then(
        recorded(measured_at=at("08:00"))
    )


def test_a_dashboard_payload_that_contradicts_itself_is_refused() -> None:
    payload = '{"display_html": "<div>$0.42 USD</div>", "extracted_usd": 0.24}'
    given(opened()).when(said("console", "manual", payload=payload)).refused("payload", "$0.24", "$0.42")


@pytest.mark.parametrize(
    "payload",
    [
        "nothing here",
        "$1 USD and $2 USD",
        "<td>$1</td><td>9 USD</td><td>8 USD</td>",
        "$1.234,56 USD",
        "-$5 USD",
        '{"cost_usd": NaN}',
        '{"cost_usd": [1]}',
        '{"cost_usd": 1, "timestamp": "yesterday"}',
        "$1 USD " + "x" * (64 * 1024 - 6),
        "$1 USD " + "é" * (32 * 1024 - 3),
        "$" + "9" * 400 + " USD",
    ],
)
def test_a_payload_that_cannot_stand_alone_is_refused(payload: str) -> None:
    story = given(opened()).when(said("console", "manual", payload=payload))
    assert isinstance(story.refusal, Refused)


@pytest.mark.parametrize(
    ("payload", "amounts"),
    [
        ("$12.<sup>34</sup> USD", ["12.34"]),
        ("$<b>19</b>.<i>54</i> USD", ["19.54"]),
        ("Usage 10 Nov 2026 USD 5.00", ["2026", "5"]),
        ("total:$0.42 USD", ["0.42"]),
        ("$5.00 USD 123 calls", ["5"]),
        ("(1,000 tokens) US$0.01", ["0.01"]),
        ("<td>$1</td><td>2 USD</td>", ["2"]),
        ("<script>$9 USD</script>&#36;1,234.56&nbsp;USD", ["1234.56"]),
        ("$0.42", []),
        ("<span>$12</span><sup>34</sup> USD", []),
        ('{"cost_usd": 3.5, "currency": "EUR"}', []),
    ],
)
def test_a_page_is_read_as_the_eye_reads_it(payload: str, amounts: list[str]) -> None:
    assert [str(amount) for amount in read_payload(payload).amounts] == amounts


@pytest.mark.parametrize(
    "payload",
    [
        "US$ 1 234.56",
        "US$1'234.56",
        "1 234.56 USD",
        "<p>US$&thinsp;1&thinsp;234.56</p>",
        "$1.234,56 USD",
        "USD 1.2M",
        "&lt;$0.01 USD",
        "CA$12.34 USD",
    ],
)
def test_an_amount_that_can_be_read_in_two_ways_is_refused_even_beside_another_figure(payload: str) -> None:
    given(opened("100000")).when(read_off("1", payload=payload)).refused("payload", "two ways")


@pytest.mark.parametrize(
    "piece", ["<a ", '<a b="', "<!--", "<script>", "<", "&#", "$1 USD ", "1 ", "<sup>1</sup>", "<![x["]
)
def test_the_largest_payload_of_unfinished_markup_is_read_or_refused(piece: str) -> None:
    """In one pass: the standard library's parser took minutes for some of these."""
    payload = piece * (64 * 1024 // len(piece))
    story = given(opened()).when(said("console", "manual", payload=payload))
    assert story.refusal is None or story.refusal.code == "payload"


def test_a_payload_that_says_a_thing_twice_or_nothing_is_refused() -> None:
    story = given(opened())
    story.when(said("api", "realtime", payload='{"cost_usd": 1, "cost_usd": 2}')).refused("payload", "'cost_usd' twice")
    story.when(said("api", "realtime", payload=" \n")).refused("payload", "empty")


def test_a_meter_that_falls_a_balance_said_as_spend_and_names_alike_are_warned_about() -> None:
    story = given(opened("100"), metered("5", provider="claude"))
    story.when(metered("1", provider="claude"))
    assert story.answer["warnings"] == ["'meter' fell from $5.00 to $1.00: a meter of a cycle only rises"]
    story.when(metered("1", source="Meter", provider="Claude"))
    assert story.answer["warnings"] == [
        "'Meter' is another source than 'meter': retract this reading if they are one",
        "'Claude' is another provider than 'claude': retract this reading if they are one",
    ]
    story.when(said("console", "manual", payload="Balance: $88.00 USD remaining"))
    assert "--remaining" in story.answer["warnings"][0]


def test_the_largest_payload_is_kept_to_the_byte() -> None:
    payload = "$1 USD\r\n\0é" + "x" * (64 * 1024 - 11)
    assert len(payload.encode()) == 64 * 1024
    given(opened()).when(said("console", "manual", payload=payload)).then(recorded(payload=payload))


# -- other currencies ---------------------------------------------------------------------------------------------------


def test_another_currency_is_converted_exactly_and_kept_as_it_was_said() -> None:
    story = given(opened("100")).when(
        said("bill", "manual", balance="10.05", credit="20", currency="EUR", rate="1.0834")
    )
    story.then(recorded(balance_usd="10.88817", credit_usd="21.668"))
    event = story.new[0]
    assert isinstance(event, e.SourceRecorded)
    assert event.stated_as == e.Stated(currency="EUR", rate="1.0834", balance="10.05", credit="20")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"currency": "EUR"}, "rate"),
        ({"rate": "1.1"}, "rate"),
        ({"currency": "EUR", "rate": "0"}, "amount"),
        ({"currency": "EUR", "rate": "-1"}, "amount"),
        ({"currency": "euros", "rate": "1"}, "currency"),
        ({"currency": "EUR", "rate": "1.0000000001", "amount": "0.001"}, "amount"),
    ],
)
def test_a_currency_without_a_sensible_rate_is_refused(more: dict[str, str], code: str) -> None:
    given(opened()).when(said("bill", "manual", **{"amount": "1", **more})).refused(code)


def test_a_payload_in_dollars_must_agree_with_the_converted_amount() -> None:
    story = given(opened())
    story.when(read_off("2", currency="EUR", rate="1.5", payload="$3 USD")).then(recorded(amount_usd="3"))
    story.when(read_off("2", currency="EUR", rate="1.6", payload="$3 USD")).refused("payload")
    story.when(said("bill", "manual", currency="EUR", rate="1.5", payload="$3 USD")).refused("payload", "--amount")


# -- warnings -----------------------------------------------------------------------------------------------------------


def test_a_second_counted_source_of_a_provider_is_accepted_with_a_warning() -> None:
    story = given(opened(), read_off("5")).when(read_off("5", source="invoice"))
    assert "--compare-only" in story.answer["warnings"][0]
    story.when(read_off("5", source="a third", counted=False))
    assert story.answer["warnings"] == []


def test_a_cycle_holds_999_sources() -> None:
    story = given(opened())
    story.cycle.state.sources_ever = 999
    story.when(metered("1")).refused("too-many-sources")


@pytest.mark.parametrize(
    ("amount", "places", "told"), [("0.00005", 4, "0.0001"), ("-0.00005", 4, "-0.0001"), ("2.665", 2, "2.67")]
)
def test_what_is_shown_is_rounded_half_away_from_zero(amount: str, places: int, told: str) -> None:
    assert shown(Decimal(amount), places) == Decimal(told)
