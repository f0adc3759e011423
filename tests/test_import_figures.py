"""Figures that were imported: which one is right, and which of several sources of the same money counts."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from exports import Put, both_ways, cost_report, csv, jsonl, page, readings, september

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import MecrisError, RuleRefused


def test_a_figure_is_counted_before_sums_of_lines_and_estimates_whichever_came_first(tmp_path: Path, put: Put) -> None:
    bill = put("bill.csv", csv("2025-09-01,5.5,a,claude,bill,manual"))
    seen = put("page.html", page("5.42"), "2025-09-10T09:00:00Z")
    for books in both_ways(tmp_path, [(bill, {}), (seen, {"provider": "claude"})]):
        told = {(s["name"], s["counted"], str(s["amount_usd"])) for s in books.sources(1)}
        assert told == {("claude dashboard", True, "5.42"), ("bill", False, "5.5")}
        assert books.status(1)["totals"]["manual_usd"] == Decimal("5.42")
        assert books.replay().differences == 0


def test_of_two_figures_of_one_moment_the_later_export_is_right_whichever_came_first(tmp_path: Path, put: Put) -> None:
    def api(usd: str, exported: str) -> Path:
        said = {"project_id": "p", "spent_usd": float(usd), "timestamp": "2025-09-10T09:00:00Z"}
        return put(f"{usd}.json", json.dumps(said).encode(), exported)

    for number, (earlier, later) in enumerate([("0.85", "0.8"), ("0.8", "0.85")]):
        (tmp_path / str(number)).mkdir()
        files = [(api(earlier, "2025-09-11T00:00:00Z"), {}), (api(later, "2025-09-12T00:00:00Z"), {})]
        for books in both_ways(tmp_path / str(number), files):
            assert readings(books) == [("groq api", "2025-09-10T09:00:00Z", later)]


def test_of_two_figures_saved_at_the_same_moment_one_is_right_whichever_came_first(tmp_path: Path, put: Put) -> None:
    files = [
        (put(f"{usd}.html", page(usd), "2025-09-10T09:00:00Z"), {"provider": "claude"}) for usd in ("5.42", "5.40")
    ]
    one, other = (readings(books) for books in both_ways(tmp_path, files))
    assert one == other
    assert len(one) == 1


def test_a_figure_that_no_cycle_would_take_is_refused_whichever_came_first(tmp_path: Path, put: Put) -> None:
    for number, (name, bad) in enumerate(
        [
            ("negative.html", page("5.42").replace(b"$", b"-$")),
            ("more.json", b'{"data": {"total_credits": 1, "total_usage": -2}}'),
        ]
    ):
        books = september(tmp_path / f"{number}.db")
        for usd in ("5.42", "5.43", "5.44"):
            books.import_file(put(f"{usd}.html", page(usd), "2025-09-10T09:00:00Z"), provider="claude")
            before = books.position
            with pytest.raises(MecrisError):
                books.import_file(put(name, bad, "2025-09-10T09:00:00Z"), provider="claude")
            assert books.position == before


def test_a_balance_stays_a_balance_of_its_credit(books: Books, put: Put) -> None:
    books.import_file(
        put("credits.json", b'{"data": {"total_credits": 25, "total_usage": 5.5}}', "2025-09-10T09:00:00Z")
    )
    (recorded,) = [e for e in books.log() if e["event"] == "source-recorded.v1"]
    assert (recorded["balance_usd"], recorded["credit_usd"]) == (Decimal("19.5"), 25)
    assert books.status(1)["totals"]["manual_usd"] == Decimal("5.5")


def test_a_balance_beside_another_provider_is_left_of_what_was_said(books: Books, put: Put) -> None:
    books.handle(c.RecordSource(cycle_id=1, source="meter", type="realtime", provider="groq", amount=2))
    seen = put("page.html", b"<html><p>$19.54 USD remaining</p></html>", "2025-09-10T09:00:00Z")
    with pytest.raises(RuleRefused, match="say with --of what it is left of"):
        books.import_file(seen, provider="claude")
    assert books.import_file(seen, provider="claude", of="25")["readings"] == 1
    assert books.import_file(seen, provider="claude", of="25")["recorded"] is False
    assert books.status(1)["totals"]["manual_usd"] == Decimal("5.46")


def test_of_two_balances_of_one_moment_that_with_a_credit_is_right_whichever_came_first(
    tmp_path: Path, put: Put
) -> None:
    for left in range(5):
        (tmp_path / str(left)).mkdir()
        seen = put(f"{left}.html", b"<html><p>$%d USD remaining</p></html>" % left, "2025-09-10T09:00:00Z")
        files = [(seen, {"provider": "claude"}), (seen, {"provider": "claude", "of": 10})]
        for books in both_ways(tmp_path / str(left), files):
            assert readings(books) == [("claude dashboard", "2025-09-10T09:00:00Z", str(10 - left))]


@pytest.mark.parametrize(
    "content",
    [page("5.42"), b'{"data": {"total_credits": 25, "total_usage": 5.5}}', csv("2025-09-01,5,a,groq,bill,manual")],
)
def test_what_is_no_balance_is_not_left_of_anything(books: Books, put: Put, content: bytes) -> None:
    before = books.position
    with pytest.raises(RuleRefused, match="x has no balance that does not say what it is left of"):
        books.import_file(put("x", content, "2025-09-10T09:00:00Z"), of=30)
    assert books.position == before


def test_a_page_joins_what_a_person_recorded_under_its_name_and_retracts_nothing_of_it(books: Books, put: Put) -> None:
    by_hand = {"cycle_id": 1, "source": "claude dashboard", "type": "manual", "provider": "claude", "counted": False}
    books.handle(c.RecordSource(**by_hand, amount=5, measured_at="2025-09-09T09:00:00Z"))
    for usd, exported in (
        ("5.42", "2025-09-10T09:00:00Z"),
        ("5.40", "2025-09-10T09:00:00Z"),
        ("6", "2025-09-11T09:00:00Z"),
    ):
        books.import_file(put(f"{usd}.html", page(usd), exported), provider="claude")
    assert [r[1] for r in readings(books)] == [f"2025-09-{day}T09:00:00Z" for day in ("09", "10", "11")]
    (source,) = books.sources(1)
    assert (source["counted"], source["amount_usd"]) == (False, 6)


def test_a_meter_that_a_person_named_comes_before_figures_too(books: Books, put: Put) -> None:
    books.import_file(put("page.html", page("5.42"), "2025-09-10T09:00:00Z"), provider="claude")
    books.handle(c.RecordSource(cycle_id=1, source="console", type="manual", provider="claude", amount=5))
    books.import_file(put("later.html", page("5.50"), "2025-09-11T09:00:00Z"), provider="claude")
    assert {(s["name"], s["counted"]) for s in books.sources(1)} == {("console", True), ("claude dashboard", False)}


def test_what_a_person_took_back_is_not_said_again(books: Books, put: Put) -> None:
    seen = put("page.html", page("5.42"), "2025-09-10T09:00:00Z")
    books.import_file(seen, provider="claude")
    books.handle(c.RetractReading(cycle_id=1, reading=1, reason="the page of another account"))
    assert books.import_file(seen, provider="claude")["recorded"] is False
    books.import_file(put("later.html", page("6"), "2025-09-11T09:00:00Z"), provider="claude")
    assert readings(books) == [("claude dashboard", "2025-09-11T09:00:00Z", "6")]


def test_a_page_that_is_saved_again_is_seen_again(books: Books, put: Put) -> None:
    for exported in ("2025-09-10T09:00:00Z", "2025-09-12T09:00:00Z", "2025-09-11T09:00:00Z", "2025-09-12T09:00:00Z"):
        books.import_file(put("page.html", page("5.42"), exported), provider="claude")
    assert [r[1] for r in readings(books)] == [f"2025-09-{day}T09:00:00Z" for day in (10, 11, 12)]
    assert len([e for e in books.log() if e["event"] == "figures-imported.v1"]) == 3


def test_a_look_is_one_reading_however_often_the_page_is_imported(books: Books, put: Put) -> None:
    page = put("page.html", b"<html><body><div>$5.42 USD</div></body></html>", "2025-09-10T09:05:00Z")
    assert books.import_file(page, provider="claude")["readings"] == 1
    assert books.import_file(page, provider="claude")["recorded"] is False
    (source,) = books.sources(1)
    assert (source["type"], source["measured_at"], source["amount_usd"]) == (
        "manual",
        "2025-09-10T09:05:00Z",
        Decimal("5.42"),
    )


def test_pages_of_two_providers_are_two_sources(books: Books, put: Put) -> None:
    for provider, amount in (("claude", "1"), ("groq", "2")):
        page = f"<html><p>${amount}.00 USD</p></html>".encode()
        books.import_file(put(f"{provider}.html", page, "2025-09-10T09:00:00Z"), provider=provider)
    assert {(s["name"], s["provider"]) for s in books.sources(1)} == {
        ("claude dashboard", "claude"),
        ("groq dashboard", "groq"),
    }


# -- reports beside other sources ----------------------------------------------------------------------------------


def test_an_estimate_beside_the_report_of_the_provider_is_compared_only_whichever_came_first(
    books: Books, put: Put, tmp_path: Path
) -> None:
    ccusage = json.dumps(
        {"daily": [{"date": "2025-09-01", "totalCost": 0.9, "modelBreakdowns": []}], "totals": {}}
    ).encode()
    files = [put("c.json", ccusage), put("a.json", cost_report({1: "100"}))]
    other = september(tmp_path / "other.db")
    for one in files:
        books.import_file(one)
    for one in reversed(files):
        other.import_file(one)
    for each in (books, other):
        assert {(s["name"], s["counted"]) for s in each.sources(1)} == {
            ("anthropic cost report", True),
            ("ccusage", False),
        }
        assert each.status(1)["totals"]["realtime_usd"] == 1


def test_a_report_beside_a_meter_that_a_person_named_is_compared_only(books: Books, put: Put) -> None:
    books.handle(c.RecordSource(cycle_id=1, source="meter", type="realtime", provider="claude", amount=2))
    books.import_file(put("a.json", cost_report({1: "100"})))
    assert [(s["name"], s["counted"]) for s in books.sources(1)] == [("meter", True), ("anthropic cost report", False)]


def test_two_accounts_are_two_providers(books: Books, put: Put) -> None:
    books.import_file(put("a.json", cost_report({1: "100"})), provider="claude:work")
    books.import_file(put("b.json", cost_report({1: "300"})), provider="claude:home")
    assert {p["provider"]: p["tracked_usd"] for p in books.status(1)["providers"]} == {
        "claude:work": 1,
        "claude:home": 3,
    }


def test_credits_that_exceed_the_spend_are_nothing_spent_and_that_is_said(books: Books, put: Put) -> None:
    rows = csv("2025-09-01,5,a,groq,export,realtime", "2025-09-02,-7,b,groq,export,realtime")
    answer = books.import_file(put("a.csv", rows))
    assert [r[2] for r in readings(books)] == ["5", "0"]
    assert any("credits exceed what was spent" in remark for remark in answer["remarks"])
    assert answer["report_usd"] == -2


def test_the_log_of_a_proxy_comes_after_what_the_provider_says_also_where_it_is_said_whose_it_is(
    tmp_path: Path, put: Put
) -> None:
    row = {"request_id": "1", "spend": 0.01, "startTime": "2025-09-02T10:00:00+00:00"}
    costs = {"data": [{"start_time": 1756771200, "end_time": 1756857600, "results": [{"object": "organization.costs.result", "amount": {"value": 0.3, "currency": "usd"}}]}]}  # fmt: skip
    files = [
        (put("spend.jsonl", jsonl(row)), {"provider": "openai"}),
        (put("costs.json", json.dumps(costs).encode()), {}),
    ]
    for books in both_ways(tmp_path, files):
        assert {s["name"]: s["counted"] for s in books.sources(1)} == {"openai costs": True, "litellm spend log": False}


def test_a_report_that_is_only_compared_from_now_on_is_named_and_not_said_to_be_added_up(
    books: Books, put: Put
) -> None:
    books.import_file(put("cost.json", cost_report({1: "100"})))
    figure = b'{"used_credits": 0, "total_credits": 5, "cost_usd": 1.12}'
    answer = books.import_file(put("claude.json", figure, "2025-09-10T00:00:00Z"), format="payload")
    told = "'anthropic cost report' is only compared in cycle 1 from now on: 'claude api' counts"
    assert (told in answer["remarks"], "added up" in str(answer["remarks"])) == (True, False)
    again = books.import_file(put("later.json", figure, "2025-09-11T00:00:00Z"), format="payload")
    assert told not in again["remarks"]
