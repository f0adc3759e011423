"""Usage that was imported: dispatches of runs, and what they cost by list price."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from exports import NOW, Put, both_ways, claude_line, cost_report, csv, jsonl, mecris, readings, september
from hypothesis import given
from hypothesis import strategies as st

from mecris.books import Books
from mecris.books.pricing import Prices
from mecris.domain import commands as c
from mecris.domain.lines import Line, changed_by
from mecris.domain.period import MOMENT, as_text, from_text, time_text
from mecris.domain.terms import Terms


def test_a_session_log_becomes_dispatches_and_an_estimate_that_says_so(books: Books, put: Put) -> None:
    log = jsonl(claude_line("m1", 10), claude_line("m1", 200), claude_line("m2", 300))
    answer = books.import_file(put("log.jsonl", log))
    assert (answer["new"], answer["dispatches"], answer["readings"]) == (2, 2, 1)
    assert (
        books.run(
            "claude-code s1" if "claude-code s1" in [r["run_id"] for r in books.runs()] else books.runs()[0]["run_id"]
        )["reported_out"]
        == 500
    )
    (imported,) = [e for e in books.log() if e["event"] == "lines-imported.v1"]
    assert imported["estimate"] is True
    assert imported["prices"].startswith("genai-prices ")
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("0.0225"), "2,000 in at $5, 500 out at $25 a million"


def test_a_call_that_stands_in_two_sessions_counts_once(books: Books, put: Put) -> None:
    books.import_file(put("b.jsonl", jsonl(claude_line("m1", 200, session="s2"))))
    books.import_file(put("a.jsonl", jsonl(claude_line("m1", 200, session="s1"))))
    assert sum(run["reported_out"] for run in books.runs()) == 200


@pytest.mark.parametrize("timezone", ["Asia/Kathmandu", "America/Los_Angeles", "UTC"])
def test_calls_count_on_the_days_of_the_cycle_in_its_own_zone(tmp_path: Path, put: Put, timezone: str) -> None:
    from mecris.domain.period import Period

    with Books.open(tmp_path / "zone.db", recorded_by="ada", clock=Clock(NOW)) as books:
        books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-02", target_usd=1, timezone=timezone))
        days = Period(date(2025, 9, 1), date(2025, 9, 2), timezone)
        edges = [days.begins - MOMENT, days.begins, days.midnight(date(2025, 9, 2)), days.ends, days.ends + MOMENT]
        calls = [claude_line(f"m{n}", 200, at=as_text(at)) for n, at in enumerate(edges)]
        answer = books.import_file(put("log.jsonl", jsonl(*calls)))
        assert readings(books) == [
            ("claude code", time_text(days.midnight(date(2025, 9, 2)) - MOMENT), "0.01"),
            ("claude code", time_text(days.ends), "0.03"),
        ]
        (told,) = [remark for remark in answer["remarks"] if "in no cycle" in remark]
        assert told.startswith("2 days with $0.02 in no cycle (2025-0")


def test_a_call_of_two_sessions_leaves_the_same_runs_whichever_came_first(tmp_path: Path, put: Put) -> None:
    logs = [(put(f"{s}.jsonl", jsonl(claude_line("m1", 200, session=s))), {}) for s in ("s1", "s2")]
    for books in both_ways(tmp_path, logs):
        told = sorted((r["run_id"], r["dispatches"], r["reported_out"]) for r in books.runs())
        assert told == [("claude-code s1", 1, 200), ("claude-code s2", 1, 0)]


def test_a_copied_call_is_priced_at_the_time_of_the_first_copy() -> None:
    first, second = "2025-09-01T00:00:00.000000Z", "2025-09-05T00:00:00.000000Z"
    copies = [Line("a", rank, at, at, None, "r", "m", 1) for rank, at in (("1", first), ("2", second))]

    def price(line: Line) -> Decimal:
        return Decimal(line.start[8:10])

    for order in (copies, copies[::-1]):
        known: dict[str, Line] = {}
        for copy in order:
            changed = changed_by([copy], known, price)
            for line in (*changed.new, *(now for now, _ in changed.restated), *changed.confirmed):
                known[line.key] = line
        assert (known["a"].usd, known["a"].rank, known["a"].estimated) == ("1", "2", True)


def test_what_a_file_says_that_a_call_cost_is_right_before_an_estimate_of_it(tmp_path: Path, put: Put) -> None:
    logs = [
        (put(f"{n}.jsonl", jsonl(claude_line("m1", 200, **more))), {})
        for n, more in enumerate(({"costUSD": 0.001}, {}))
    ]
    for books in both_ways(tmp_path, logs):
        assert books.status(1)["totals"]["realtime_usd"] == Decimal("0.001")


def test_a_model_without_a_price_is_reported_and_not_free(books: Books, put: Put) -> None:
    answer = books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10, model="claude-unheard-of-99"))))
    assert "1 line of claude-unheard-of-99 has no price: what it cost is unknown, not nothing" in answer["remarks"]
    assert (answer["dispatches"], answer["readings"]) == (1, 0)


# -- prices ------------------------------------------------------------------------------------------------------

MILLION = 10**6
DAY = "2026-09-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("model", "tokens", "terms", "usd"),
    [
        ("claude-opus-4-6", (MILLION, 0, 0, 0), Terms(summed=True), "5"),
        ("claude-opus-4-6", (0, MILLION, 0, 0), Terms(summed=True), "25"),
        ("claude-opus-4-6", (0, 0, MILLION, 0), Terms(summed=True), "0.5"),
        ("claude-opus-4-6", (0, 0, 0, MILLION), Terms(summed=True), "6.25"),
        ("claude-opus-4-6", (0, 0, 0, MILLION), Terms(summed=True, hour=400_000), "7.75"),
        ("claude-opus-4-6", (0, 0, 0, MILLION), Terms(hour=MILLION), "10"),
        ("claude-opus-4-6", (1000, 0, 0, 1000), Terms(hour=1000), "0.015"),
        ("claude-opus-4-6", (MILLION, 0, 0, 0), Terms(batch=True, us=True), "2.75"),
        ("claude-opus-5", (MILLION, MILLION, 0, 0), Terms(fast=True), "60"),
        ("claude-opus-5", (MILLION, 0, 0, 0), Terms(fast=True, batch=True), None),
        ("claude-opus-4-6", (MILLION, 0, 0, 0), Terms(fast=True), None),
        ("claude-opus-4-6", (1000, 0, 0, 0), Terms(batch=True, searches=1000), "10.0025"),
        ("claude-sonnet-4-5", (1000, 0, 0, 0), Terms(us=True), None),
        ("claude-haiku-5-5", (110_000, 1000, 0, 0), Terms(), "0.0575"),
        ("claude-opus-4-6", (MILLION, 0, 0, 0), Terms(other="tier priority"), None),
        ("claude-sonnet-4-5", (MILLION, 0, 0, 0), Terms(), "6"),
        ("claude-sonnet-4-5", (MILLION, 0, 0, 0), Terms(summed=True), "3"),
        ("claude-sonnet-4-5", (MILLION, 0, 0, 0), Terms(summed=True, long=True), "6"),
        ("claude-sonnet-4-5", (0, MILLION, 0, 0), Terms(summed=True, long=True), "22.5"),
        ("claude-unheard-of-99", (MILLION, 0, 0, 0), Terms(summed=True), None),
        ("claude-unheard-of-99", (0, 0, 0, 0), Terms(summed=True), "0"),
    ],
)
def test_tokens_cost_what_their_terms_say(
    model: str, tokens: tuple[int, int, int, int], terms: Terms, usd: str | None
) -> None:
    line = Line("a", "", DAY, DAY, None, "r", model, *tokens, terms=str(terms))
    assert Prices().of("claude", line) == (None if usd is None else Decimal(usd))


@given(
    st.builds(
        Terms, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**40), st.integers(0, 9),
        st.none() | st.sampled_from(["tier priority", "context window 1M, audio", "region 1h=5 batch"]),
    )
)  # fmt: skip
def test_terms_are_read_as_they_are_written(terms: Terms) -> None:
    assert Terms.of(str(terms)) == terms


def usage_report(day: int, *results: dict[str, Any]) -> bytes:
    """A page of Anthropic's usage report, of one day of September."""
    bucket = {"starting_at": f"2025-09-{day:02}T00:00:00Z", "ending_at": f"2025-09-{day + 1:02}T00:00:00Z"}
    found = [{"model": "claude-sonnet-4-5", "service_tier": "standard"} | result for result in results]
    return json.dumps({"data": [bucket | {"results": found}], "has_more": False}).encode()


def test_a_usage_report_is_an_estimate_at_the_end_of_its_buckets(books: Books, put: Put) -> None:
    day = usage_report(
        3,
        {
            "uncached_input_tokens": MILLION,
            "output_tokens": 100_000,
            "cache_creation": {"ephemeral_1h_input_tokens": 10},
        },
        {"service_tier": "batch", "uncached_input_tokens": MILLION, "output_tokens": 0},
    )
    answer = books.import_file(put("usage.json", day))
    # 1M at $3 (a sum of many calls is not one large call), 100k at $15, 10 kept for an hour at $6; and half of $3
    assert readings(books) == [("anthropic usage report", "2025-09-03T23:59:59.999999Z", "6.00006")]
    assert (answer["new"], answer["dispatches"]) == (2, 2)
    (imported,) = [e for e in books.log() if e["event"] == "lines-imported.v1"]
    assert imported["estimate"] is True
    assert imported["prices"].startswith("genai-prices ")
    books.import_file(put("cost.json", cost_report({3: "650"})))
    counted = {s["name"]: s["counted"] for s in books.sources(1)}
    assert counted == {"anthropic usage report": False, "anthropic cost report": True}
    assert books.replay().differences == 0


def test_what_has_a_price_of_its_own_is_named_and_not_priced_as_all_else(books: Books, put: Put) -> None:
    bucket = {"object": "bucket", "start_time": 1756684800, "end_time": 1756771200}
    result = {"object": "organization.usage.completions.result", "model": "gpt-4o-audio-preview", "input_tokens": 100,
              "output_tokens": 10, "input_audio_tokens": 50, "num_model_requests": 1, "batch": False, "service_tier": "default"}  # fmt: skip
    page = {"object": "page", "data": [bucket | {"results": [result]}], "has_more": False}
    answer = books.import_file(put("usage.json", json.dumps(page).encode()))
    assert (
        "1 line of gpt-4o-audio-preview (audio) has no price: what it cost is unknown, not nothing" in answer["remarks"]
    )
    assert readings(books) == []


@pytest.mark.parametrize(
    ("batch", "tier", "usd"), [(False, "default", "3.249999"), (True, None, "1.6249995"), (False, "flex", "1.6249995")]
)
def test_openai_tokens_cost_half_in_a_batch(books: Books, put: Put, batch: bool, tier: str | None, usd: str) -> None:
    result = {"object": "organization.usage.completions.result", "model": "gpt-4.1", "input_tokens": MILLION, "output_tokens": 200_000,
              "input_cached_tokens": 233_334, "batch": batch, "service_tier": tier}  # fmt: skip
    bucket = {"object": "bucket", "start_time": 1756684800, "end_time": 1756771200, "results": [result]}
    books.import_file(put("usage.json", json.dumps({"object": "page", "data": [bucket]}).encode()))
    # 766,666 at $2, 233,334 from a cache at $0.50, 200,000 at $8
    assert readings(books) == [("openai usage", "2025-09-01T23:59:59.999999Z", usd)]


def test_a_model_that_gets_its_price_later_is_priced_again(
    books: Books, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = put("log.jsonl", jsonl(claude_line("m1", 1000), claude_line("m2", 1000, model="claude-sonnet-4-5")))
    with monkeypatch.context() as before:  # a list of prices that does not know the one model yet
        known = Prices.of
        before.setattr(
            Prices, "of", lambda self, provider, line: None if "opus" in line.model else known(self, provider, line)
        )
        assert (
            "1 line of claude-opus-4-6 has no price: what it cost is unknown, not nothing"
            in books.import_file(log)["remarks"]
        )
    assert [said for _, _, said in readings(books)] == ["0.018"]
    books.handle(
        c.RecordDispatches(
            run_id="claude-code s1", dispatches=[{"dispatch_id": "m1", "input_tokens": 5, "output_tokens": 5}]
        )
    )
    runs = books.runs()
    answer = books.reprice_evidence()
    assert (answer["repriced"], answer["recorded"], answer["cycles"], answer["remarks"]) == (1, True, [1], [])
    assert [said for _, _, said in readings(books)] == ["0.048"]
    assert books.runs() == runs, "what runs report is another matter"
    position = books.position
    again = books.reprice_evidence()
    assert (again["repriced"], again["recorded"], books.position) == (0, False, position)
    (event,) = [e for e in books.log() if e["event"] == "lines-imported.v1" and "repriced" in e]
    assert (event["repriced"], event["prices"]) == ([["m1", "0.03", None]], answer["prices"])
    assert books.replay().differences == 0
    assert books.import_file(log)["recorded"] is False


def test_prices_are_looked_up_again_by_the_command_line(tmp_path: Path, put: Put) -> None:
    where = tmp_path / "told.db"
    with september(where) as books:
        books.import_file(put("log.jsonl", jsonl(claude_line("m1", 10, model="claude-unheard-of-99"))))
    code, out, err = mecris(where, "evidence", "reprice")
    assert (code, out) == (0, "no price is new\n")
    assert err == "  note: 1 line of claude-unheard-of-99 has no price: what it cost is unknown, not nothing\n"


# -- one report of many providers --------------------------------------------------------------------------------


def spend_row(id: str, provider: str | None, spend: float, day: int = 2) -> dict[str, Any]:
    """A row of LiteLLM's spend log."""
    return {"request_id": id, "spend": spend, "startTime": f"2025-09-{day:02}T10:00:00+00:00", "model": "m", "team_id": "t",
            "custom_llm_provider": provider, "prompt_tokens": 10, "completion_tokens": 5}  # fmt: skip


def counted(books: Books) -> dict[str, tuple[str, bool, str]]:
    """Whose money each source sees, whether it counts, and how much it is."""
    return {s["name"]: (s["provider"], s["counted"], str(s["amount_usd"])) for s in books.sources(1)}


def test_what_a_proxy_noted_is_the_money_of_the_providers_and_compared_with_what_they_say(
    books: Books, put: Put
) -> None:
    rows = [
        spend_row("1", "anthropic", 1.5),
        spend_row("2", "openai", 0.25),
        spend_row("3", None, 0.125),
        spend_row("4", "anthropic", 0.5),
    ]
    answer = books.import_file(put("spend.jsonl", jsonl(*rows)))
    assert (answer["provider"], answer["report_usd"], answer["new"]) == ("claude, litellm, openai", Decimal("2.375"), 4)
    assert counted(books) == {
        "litellm spend log": ("litellm", True, "0.125"),
        "litellm spend log (claude)": ("claude", True, "2"),
        "litellm spend log (openai)": ("openai", True, "0.25"),
    }
    costs = {"object": "page", "data": [{"start_time": 1756771200, "end_time": 1756857600, "results": [{"object": "organization.costs.result", "amount": {"value": 0.3, "currency": "usd"}}]}]}  # fmt: skip
    books.import_file(put("openai.json", json.dumps(costs).encode()))
    assert counted(books)["openai costs"] == ("openai", True, "0.3")
    assert counted(books)["litellm spend log (openai)"] == ("openai", False, "0.25")
    assert books.status(1)["totals"]["realtime_usd"] == Decimal("2.425"), "not 2.675: OpenAI's money is counted once"
    assert books.run("litellm t")["dispatches"] == 4
    assert books.replay().differences == 0


def test_second_hand_figures_stay_behind_whatever_file_of_their_report_came_last(books: Books, put: Put) -> None:
    books.import_file(put("log.jsonl", jsonl(spend_row("r", "openai", 0.5))))
    books.import_file(put("own.csv", csv("2025-09-02,0.5,y,openai,z own meter,realtime")))
    books.import_file(put("more.csv", csv("2025-09-03,2,x,litellm,litellm spend log,realtime"), "2025-10-04T00:00:00Z"))
    told = counted(books)
    assert told["z own meter"] == ("openai", True, "0.5")
    assert told["litellm spend log (openai)"] == ("openai", False, "0.5")


def test_figures_that_nobody_priced_name_no_list_of_prices(books: Books, put: Put) -> None:
    days = {"daily": [{"date": "2025-09-01", "totalCost": 1.5, "modelBreakdowns": []}], "totals": {}}
    books.import_file(put("daily.json", json.dumps(days).encode()))
    (imported,) = [event for event in books.events(limit=50) if event["event"] == "lines-imported.v1"]
    assert imported.get("prices") is None


def test_a_call_of_the_first_day_there_is_does_not_keep_the_others_out(books: Books, put: Put) -> None:
    zero = spend_row("zero", "openai", 1) | {"startTime": "0001-01-01T00:00:00Z"}
    books.import_file(put("log.jsonl", jsonl(zero, spend_row("r", "openai", 0.5))))
    assert counted(books) == {"litellm spend log (openai)": ("openai", True, "0.5")}


def test_a_row_that_turns_out_to_be_another_providers_counts_there_alone(books: Books, put: Put) -> None:
    books.import_file(put("a.jsonl", jsonl(spend_row("1", None, 1), spend_row("2", "groq", 1)), "2025-10-01T00:00:00Z"))
    books.import_file(
        put("b.jsonl", jsonl(spend_row("1", "openai", 1), spend_row("2", "openai", 2)), "2025-10-02T00:00:00Z")
    )
    assert counted(books) == {"litellm spend log (openai)": ("openai", True, "3")}
    assert books.run("litellm t")["dispatches"] == 2
    assert books.replay().differences == 0


def test_a_log_of_many_that_is_said_to_be_of_one_is_of_that_one(books: Books, put: Put) -> None:
    log = put("a.jsonl", jsonl(spend_row("1", "anthropic", 1), spend_row("2", "openai", 2), {"request_id": "3"}))
    answer = books.import_file(log, provider="claude:proxy")
    said = {"litellm spend log (proxy)": ("claude:proxy", True, "3")}
    assert (answer["provider"], answer["unreadable"], counted(books)) == ("claude:proxy", 1, said)
    books.retry_quarantine()
    assert counted(books) == said


@pytest.mark.parametrize("name", ["a:b", "../x", "A B", "", "x" * 61])
def test_a_provider_of_no_name_is_the_proxys_own(books: Books, put: Put, name: str) -> None:
    books.import_file(put("a.jsonl", jsonl(spend_row("1", name, 1))))
    assert counted(books) == {"litellm spend log": ("litellm", True, "1")}


def test_no_tier_of_the_list_of_prices_is_passed_over() -> None:
    from genai_prices import Usage, calc_price
    from genai_prices.data import providers

    ours, prices = {"anthropic": "claude", "openai": "openai", "groq": "groq"}, Prices()
    asked = 0
    for provider in (provider for provider in providers if provider.id in ours):
        for model in provider.models:
            for tokens in (1_000, 90_000, 127_000, 130_000, 250_000, 600_000):
                line = Line("a", "", DAY, DAY, None, "r", model.id, tokens, 500, tokens // 3, tokens // 5)
                told = prices.of(ours[provider.id], line)
                usage = Usage(
                    input_tokens=tokens + tokens // 3 + tokens // 5,
                    output_tokens=500,
                    cache_read_tokens=tokens // 3,
                    cache_write_tokens=tokens // 5,
                )
                if told is None:
                    continue
                asked += 1
                exact = calc_price(
                    usage, model_ref=model.id, provider_id=provider.id, genai_request_timestamp=from_text(DAY)
                ).total_price
                assert told == exact, (model.id, tokens)
    assert asked > 300


@pytest.mark.parametrize("order", [0, 1])
def test_a_call_whose_day_moves_is_priced_of_that_day_also_by_a_copy_that_says_its_cost(
    tmp_path: Path, put: Put, order: int
) -> None:
    day = {"costUSD": 0.001, "isSidechain": True, "at": "2025-09-02T10:00:00Z"}
    files = [put("a.jsonl", jsonl(claude_line("m1", 300, **day))), put("b.jsonl", jsonl(claude_line("m1", 300)))]
    with september(tmp_path / "moved.db") as books:
        for file in files[:: 1 - 2 * order]:
            books.import_file(file)
        assert [(at, said) for _, at, said in readings(books)] == [("2025-09-02T23:59:59.999999Z", "0.0125")]


def test_calls_of_which_no_report_says_what_they_cost_are_counted(books: Books, put: Put) -> None:
    answer = books.import_file(
        put("a.jsonl", jsonl(spend_row("1", "groq", 1) | {"spend": None}, spend_row("2", "groq", 1)))
    )
    assert "1 line of groq/m has no price: what it cost is unknown, not nothing" in answer["remarks"]
