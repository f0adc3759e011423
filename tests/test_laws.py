"""Laws: what is always true of the books, whatever the orders were."""

import html
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from story import lasting
from strategies import FIRST, LAST, Scene, Told, World, amounts, stories

from mecris.books import Books
from mecris.books.answers import to_json
from mecris.domain import commands as c
from mecris.domain.errors import AmountRefused, KeyReused, Refused, TimeRefused
from mecris.domain.grading import Thresholds, grade_of
from mecris.domain.money import plain, usd
from mecris.domain.payload import read_payload
from mecris.domain.period import Period, day, zone
from mecris.projections import follow

Story = tuple[Scene, list[tuple[timedelta, Told]]]
MANY = settings(max_examples=settings.default.max_examples * 8)
"""Laws of one function are quick."""
MANY_DAYS = Period(date(2025, 9, 1), date(2025, 9, 30), "Europe/Berlin")


@contextmanager
def opened(world: World) -> Iterator[Books]:
    """Real books in a scratch folder, with the cycle of the story."""
    with tempfile.TemporaryDirectory() as folder, Books.open(Path(folder) / "books.db", clock=world) as books:
        books.handle(world.opening())
        yield books


def told(books: Books, world: World, told_orders: list[tuple[timedelta, Told]]) -> Iterator[c.CycleCommand]:
    """Tell a story order by order; yields those that were not refused, right after they were done."""
    for move, words in told_orders:
        world.now += move
        order = world.command(words)
        try:
            world.heard(books.handle(order))
        except Refused:
            continue
        yield order


def figures(books: Books, **when: Any) -> dict[str, Any]:
    """The tie-out of the cycle."""
    tie_out: dict[str, Any] = books.status(1, **when)["tie_out"]
    return tie_out


# -- the books ---------------------------------------------------------------------------------------------------------


@given(stories)
def test_the_parts_add_up_to_the_budget_after_every_order(story: Story) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            status = books.status(1)
            parts = status["tie_out"]
            total = sum(parts[f"{name}_usd"] for name in ("tracked", "plugged", "unexplained", "remaining"))
            assert total == status["cycle"]["budget_usd"]
            assert status["totals"]["overall_usd"] == parts["spent_usd"]
            for name in ("tracked", "plugged", "unexplained", "spent"):
                assert sum(p[f"{name}_usd"] for p in status["providers"]) == parts[f"{name}_usd"]


@given(stories)
def test_as_of_the_last_position_is_now(story: Story) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            now, then = books.status(1), books.status(1, as_of=books.position)
            assert lasting(then) == lasting(now)
            assert books.sources(1, as_of=books.position) == books.sources(1)
            assert books.sources(1, history=True, as_of=books.position) == books.sources(1, history=True)
            pairs = books.discrepancies(1) | {"generated_at": None}
            assert books.discrepancies(1, as_of=books.position) | {"generated_at": None} == pairs


@given(stories, st.data())
def test_a_plug_or_its_reversal_never_changes_what_is_left(story: Story, data: st.DataObject) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            pass
        before = figures(books)
        amount = data.draw(st.one_of(st.none(), amounts, amounts.map(lambda a: -a)), "plug")
        provider = data.draw(st.sampled_from(["", "a", "b"]), "provider")
        order = c.ApplyPlug(
            cycle_id=1, amount_usd=amount, square=amount is None, provider=provider, reason="why", yes=True
        )
        try:
            answer = books.handle(order)
        except Refused:
            return
        after = figures(books)
        assert (after["remaining_usd"], after["spent_usd"]) == (before["remaining_usd"], before["spent_usd"])
        assert after["unexplained_usd"] - before["unexplained_usd"] == before["plugged_usd"] - after["plugged_usd"]
        if answer["plug"]:
            books.handle(c.ReversePlug(cycle_id=1, plug=answer["plug"], reason="undone"))
        assert figures(books) == before


@given(stories, amounts, st.integers(6, 600))
def test_a_meter_that_goes_on_counting_raises_spent_by_its_growth(story: Story, growth: Decimal, later: int) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            pass
        world.now = max([world.now, *world.seen]) + timedelta(minutes=later)
        before = books.status(1)
        meters = [s for s in books.sources(1) if s["type"] == "realtime" and s["counted"]]
        assume(meters and world.now < world.ends)
        meter = meters[-1]
        grown = meter["amount_usd"] + growth
        assume(grown >= 0 and not fell(before, meter["name"]))
        books.handle(c.RecordSource(cycle_id=1, source=meter["name"], amount=grown))
        after = books.status(1)
        assert after["tie_out"]["spent_usd"] - before["tie_out"]["spent_usd"] == growth
        for kept in ("unexplained_usd", "plugged_usd"):
            assert after["tie_out"][kept] == before["tie_out"][kept]
        assert after["grade"] == before["grade"]


def fell(status: dict[str, Any], meter: str) -> bool:
    """A meter below its counterpart must first climb back: only then is there anything new."""
    return any(f"'{meter}'" in w and ("fell" in w or "began after" in w) for w in status["warnings"])


@given(stories, st.data())
def test_an_order_repeated_under_its_key_changes_nothing(story: Story, data: st.DataObject) -> None:
    world = World(story[0])
    done: list[tuple[str, c.CycleCommand, dict[str, Any]]] = []
    with opened(world) as books:
        for number, (move, words) in enumerate(story[1]):
            world.now += move
            order, key = world.command(words), f"key {number}"
            try:
                first = books.handle(order, idempotency_key=key)
            except Refused:
                continue
            assert not first.replayed
            world.heard(first)
            done.append((key, order, first))
            again_key, again, answer = data.draw(st.sampled_from(done), "again")
            position, rows = books.position, tables(books)
            replayed = books.handle(again, idempotency_key=again_key)
            assert replayed.replayed
            assert replayed == answer
            other = c.AdjustBudget(cycle_id=1, amount_usd="0.07", reason="another content")
            with pytest.raises(KeyReused):
                books.handle(other, idempotency_key=again_key)
            assert books.position == position
            assert tables(books) == rows


@given(stories, st.lists(st.integers(1, 7), min_size=1, max_size=20), st.integers(1, 4))
def test_catching_up_in_steps_is_rebuilding_in_one(story: Story, steps: list[int], batch: int) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            pass
        books.status(1)
        live = tables(books)
        events = log_rows(books)
        with patch.object(follow, "BATCH", batch):
            stepwise = followed(events, steps)
            books.rebuild()
        assert stepwise == live
        assert tables(books) == live
        assert followed(events, [len(events)]) == live


def tables(books: Books) -> dict[str, list[tuple[Any, ...]]]:
    """Every read model row for row, brought up to date."""
    books.status(1)
    with books.file.reading() as connection:
        return contents(connection)


def contents(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table that follows the log."""
    names = [*(table for view in follow.VIEWS for table in view.tables), "view_positions"]
    return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


def log_rows(books: Books) -> list[tuple[Any, ...]]:
    """The stored events."""
    with books.file.reading() as connection:
        return connection.execute("SELECT * FROM stored_events ORDER BY position").fetchall()


def followed(events: list[tuple[Any, ...]], steps: list[int]) -> dict[str, list[tuple[Any, ...]]]:
    """The read models of a log that arrives in steps."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(
            "CREATE TABLE stored_events (position INTEGER PRIMARY KEY, originator_id, originator_version, topic, state)"
        )
        connection.execute("CREATE TABLE view_positions (view TEXT PRIMARY KEY, version INTEGER, position INTEGER)")
        left = list(events)
        for step in [*steps, len(events)]:
            connection.executemany("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?)", left[:step])
            left = left[step:]
            follow.catch_up(connection)
        return contents(connection)
    finally:
        connection.close()


@given(stories, st.data())
def test_an_answer_of_the_past_never_changes(story: Story, data: st.DataObject) -> None:
    world = World(story[0])
    remembered: dict[int, dict[str, Any]] = {}
    with opened(world) as books:
        for _ in told(books, world, story[1]):
            position = books.position
            remembered[position] = lasting(books.status(1))
            earlier = data.draw(st.sampled_from(sorted(remembered)), "as of")
            assert lasting(books.status(1, as_of=earlier)) == remembered[earlier]


# -- money --------------------------------------------------------------------------

kept = st.one_of(
    st.decimals(0, Decimal("999999999999.999999999999"), places=12),
    st.decimals(0, Decimal(999999999999), places=0),
    st.sampled_from([Decimal("1E-12"), Decimal("999999999999.999999999999"), Decimal("0E-12"), Decimal("1E+11")]),
)


@given(kept, kept, st.booleans())
def test_money_survives_every_round_trip(metered: Decimal, observed: Decimal, rebuilt: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        with Books.open(path) as books:
            books.handle(c.OpenCycle(start_date="2020-01-01", end_date="2100-12-31", target_usd=observed))
            books.handle(c.RecordSource(cycle_id=1, source="m", type="realtime", amount=metered))
            books.handle(c.RecordSource(cycle_id=1, source="d", type="manual", amount=plain(observed)))
            plugged = books.handle(c.ApplyPlug(cycle_id=1, square=True, reason="why", yes=True))
        with Books.open(path) as books:
            if rebuilt:
                books.rebuild()
            said = {s["name"]: s for s in parsed(books.sources(1))}
            assert (said["m"]["amount_usd"], said["d"]["amount_usd"]) == (metered, observed)
            status = parsed(books.status(1))
            assert status["cycle"]["target_usd"] == observed
            assert status["tie_out"]["plugged_usd"] == Fraction(observed) - Fraction(metered)
            assert parsed(plugged)["amount_usd"] == Fraction(observed) - Fraction(metered)
            events = [e for e in parsed(list(books.log(1))) if e["event"] == "source-recorded.v1"]
            assert [e["amount_usd"] for e in events] == [metered, observed]
            assert [e["amount_usd"] for e in books.log(1) if "plug" in e] == (
                [plugged["amount_usd"]] * bool(plugged["plug"])
            )


def parsed(answer: Any) -> Any:
    """An answer as a program reads it."""
    return json.loads(to_json(answer), parse_float=Decimal, parse_int=Decimal)


@MANY
@given(st.one_of(kept, kept.map(lambda a: -a)))
def test_an_amount_reads_back_as_it_was_written(amount: Decimal) -> None:
    assert usd(plain(amount)) == amount
    assert plain(usd(plain(amount))) == plain(amount)
    assert "E" not in plain(usd(str(amount)))


@MANY
@example("1." + "1" * 150)
@example("1e-99999999")
@example("0e-999999999")
@given(
    st.one_of(
        st.text(),
        st.text("0123456789.,-+eE_ \u0663", max_size=40),
        st.decimals(),
        st.integers(),
        st.from_regex(r"-?[0-9]{0,200}\.?[0-9]{0,200}([eE]-?[0-9]{1,12})?", fullmatch=True),
    )
)
def test_whatever_is_said_for_an_amount_is_kept_exactly_or_refused(said: str | Decimal | int) -> None:
    try:
        amount = usd(said)
    except AmountRefused as refusal:
        assert len(refusal.message) < 2000
        return
    assert amount == Decimal(said)
    assert abs(amount) < 10**12
    assert (Fraction(amount) * 10**12).denominator == 1


@MANY
@given(kept, kept, st.tuples(st.integers(0, 300), st.integers(1, 300), st.integers(1, 300)))
def test_grades_by_multiplication_are_grades_by_exact_fractions(
    a: Decimal, b: Decimal, steps: tuple[int, int, int]
) -> None:
    bounds = [Decimal(sum(steps[: n + 1])) / 10 for n in range(3)]
    base, diff = max(a, b), min(a, b)
    percent = Fraction(diff) / Fraction(base) * 100 if base else Fraction(0)
    expected = next(
        (g for g, bound in zip(("EXCELLENT", "GOOD", "FAIR"), bounds, strict=True) if percent <= Fraction(bound)),
        "POOR",
    )
    assert grade_of(diff, base, Thresholds(*bounds)) == expected


@MANY
@given(kept, st.sampled_from([Decimal(1), Decimal(5), Decimal(10)]), st.integers(-1, 1))
def test_the_bounds_of_a_grade_are_inclusive_to_the_last_digit(base: Decimal, bound: Decimal, off: int) -> None:
    with_bound = Fraction(base) * Fraction(bound) / 100 + Fraction(off, 10**14)
    diff = Decimal(with_bound.numerator * (10**14 // with_bound.denominator)).scaleb(-14)
    assume(base and diff >= 0 and Fraction(diff) == with_bound)
    at_bound = {Decimal(1): "EXCELLENT", Decimal(5): "GOOD", Decimal(10): "FAIR"}[bound]
    assert (grade_of(diff, base, Thresholds()) == at_bound) == (off <= 0)


# -- payloads --------------------------------------------------------------------

INLINE = ("b", "span", 'span class="cents"', "u", "EM", "small", "strong")
BLOCKS = ("div", "td", "p", "li", "tr", "br")


@st.composite
def rendered(draw: st.DrawFn) -> tuple[Decimal, str]:
    """An amount and one of the ways in which pages write it."""
    amount = draw(st.decimals(0, Decimal("99999999.99"), places=draw(st.integers(0, 6))))
    digits = f"{amount:,f}" if draw(st.booleans()) else f"{amount:f}"
    if draw(st.booleans()):
        digits = _with_tags(digits, draw)
    dollar = draw(st.sampled_from(["$", "&#36;", "&#x24;", "&dollar;"]))
    gap = draw(st.sampled_from([" ", "", "&nbsp;", "&#160;", "\n", "\u202f"]))
    form = draw(st.sampled_from(["${d}{g}USD", "US${d}", "US${d}{g}USD", "USD {d}", "{d}{g}USD", "USD ${d}"]))
    return amount, form.replace("$", dollar).format(d=digits, g=gap)


def _with_tags(digits: str, draw: st.DrawFn) -> str:
    """Put inline tags inside or around a number."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(digits))] * 2)))
    tag = draw(st.sampled_from(INLINE))
    return f"{digits[:start]}<{tag}>{digits[start:end]}</{tag.split()[0]}>{digits[end:]}"


@MANY
@given(
    rendered(),
    st.sampled_from(["", "Spent: ", "Total (Sep 2025) ", "<p>So far ", "4 calls<br>"]),
    st.sampled_from(["", ".", " so far", ", of 30 calls", "</p>", " (12 %)"]),
)
def test_an_amount_is_found_in_every_notation(written: tuple[Decimal, str], before: str, after: str) -> None:
    amount, text = written
    assert read_payload(before + text + after).amounts == (amount,)
    assert read_payload(f"<script>$9.99 USD</script>{text} <!-- $8.88 USD -->").amounts == (amount,)
    assert read_payload(json.dumps({"display_html": text})).amounts == (amount,)


@MANY
@given(rendered(), rendered(), st.sampled_from(BLOCKS))
def test_amounts_in_two_blocks_are_two(one: tuple[Decimal, str], two: tuple[Decimal, str], block: str) -> None:
    text = f"<{block}>{one[1]}</{block}><{block}>{two[1]}</{block}>"
    assert read_payload(text).amounts == tuple(dict.fromkeys([one[0], two[0]]))


@MANY
@given(st.decimals(0, Decimal("999999.99"), places=2))
def test_the_original_rule_works(amount: Decimal) -> None:
    assert read_payload(f"Groq says ${amount:f} USD").amount_alone() == amount
    assert read_payload(html.escape(f"Groq says ${amount:f} USD")).amount_alone() == amount


pieces = st.sampled_from(
    [
        "$",
        "US$",
        "USD",
        " ",
        "\xa0",
        "1",
        "12",
        ",",
        ".",
        "345",
        "-",
        "\u2212",
        "<b>",
        "</b>",
        "<td>",
        "<!",
        "<![",
        "[",
        "<!--",
        "-->",
        "&",
        "&#",
        "36;",
        "&#x",
        "&nbsp;",
        "<script>",
        "</",
        ">",
        "<a href='",
        '"',
        "{",
        "}",
        '"cost_usd":',
        "NaN",
        "1e9",
        "\u0663",
        "\u00bd",
        "\ud800",
        "\0",
        "<?",
        "?>",
        "CDATA[",
        "DOCTYPE",
        "<!DOCTYPE x [",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.decimals().map(str),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    ["cost_usd", "spent_usd", "extracted_usd", "display_html", "timestamp", "recorded_at", "other"]
)
numerals = st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,8})?", fullmatch=True)


@MANY
@example('{"cost_usd": 1e1000000000000000000000}')
@example('{"cost_usd": 1.' + "1" * 150 + "}")
@example('{"cost_usd": 1e-9999999}')
@example("<![x[ $5 USD")
@given(
    st.one_of(
        st.text(),
        st.lists(pieces, max_size=15).map("".join),
        st.dictionaries(fields, json_values, max_size=4).map(json.dumps),
        st.builds('{{"{}": {}}}'.format, fields, numerals),
    )
)
def test_no_text_breaks_the_reading_of_payloads(text: str) -> None:
    try:
        read = read_payload(text)
    except Refused:
        return
    assert all(usd(amount) == amount for amount in read.amounts)


@given(st.integers(1, 10**6))
def test_a_time_of_a_million_digits_is_refused_before_it_is_worked_out(exponent: int) -> None:
    with pytest.raises(Refused):
        read_payload(f'{{"cost_usd": 1, "timestamp": 1e{exponent + 15}}}')


# -- time --------------------------------------------------------------------

moments = st.one_of(
    st.text(),
    st.text("0123456789-:TZ+. ", max_size=30),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-][0-2][0-9]:[0-9]{2})?)?",
        fullmatch=True,
    ),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
)


@MANY
@given(moments)
def test_whatever_is_said_for_a_moment_is_understood_or_refused(said: Any) -> None:
    now = datetime(2025, 9, 10, 9, tzinfo=UTC)
    for understand in (lambda: MANY_DAYS.end_of(said, now), lambda: MANY_DAYS.beginning_of(said)):
        try:
            read = understand()
        except TimeRefused:
            continue
        assert read.tzinfo is UTC


@MANY
@given(moments)
def test_whatever_is_said_for_a_day_is_understood_or_refused(said: Any) -> None:
    try:
        read = day(said)
    except TimeRefused:
        return
    period = Period(read, read, "Pacific/Auckland")
    assert period.begins < period.ends


@MANY
@example("")
@example(".")
@example("America")
@example("\ud800")
@example("zone.tab")
@example("a" * 5000)
@given(st.one_of(st.text(), st.text("abcEurope/.-_+0123", max_size=20)))
def test_whatever_is_said_for_a_time_zone_is_known_or_refused(name: str) -> None:
    try:
        found = zone(name)
    except TimeRefused:
        return
    assert datetime(2025, 9, 1, tzinfo=UTC).astimezone(found)


@MANY
@given(st.dates(FIRST, LAST), st.timezones().map(str))
def test_a_day_ends_just_before_the_next_begins(of: date, timezone: str) -> None:
    period = Period(of, of, timezone)
    following = Period(of + timedelta(days=1), of + timedelta(days=1), timezone)
    assert period.ends == following.begins - timedelta(microseconds=1)
    assert period.end_of(of, following.ends + timedelta(days=2)) == period.ends
    assert period.beginning_of(of) == period.begins


@given(stories, st.lists(st.one_of(st.text(max_size=12), moments, st.integers()), min_size=1, max_size=5))
def test_whatever_is_asked_for_a_time_is_answered_or_refused(story: Story, said: list[Any]) -> None:
    world = World(story[0])
    with opened(world) as books:
        for _ in told(books, world, story[1][:5]):
            pass
        for when in said:
            for question in ({"as_of": when}, {"measured_by": when} if not isinstance(when, int) else {}):
                try:
                    status = books.status(1, **question)
                except Refused:
                    continue
                parts = status["tie_out"]
                assert status["cycle"]["budget_usd"] - parts["spent_usd"] == parts["remaining_usd"]
