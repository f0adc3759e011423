"""Problems by REST: what is wrong with a request is said in a problem document, in the words of the request."""

import httpx
import pytest
from served import opened, problem, said


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"", 400, "no-body", "the body is empty: send a JSON object"),
        (b"{", 400, "not-json", "the body is not JSON: "),
        (b'{"cycle_id": 1, "cycle_id": 2}', 400, "not-json", "the body is not JSON: 'cycle_id' stands twice in one object"),
        (b'{"amount_usd": NaN}', 400, "not-json", "the body is not JSON: NaN is no number"),
        (b'{"a": ' + b"1" * 5000 + b"}", 400, "not-json", "the body is not JSON: a number has thousands of digits"),
        (b"[" * 100_000, 400, "not-json", "the body is nested too deep"),
        (b'"\xff"', 400, "not-json", "the body is not valid UTF-8 (byte 1): save it as UTF-8"),
        (b"[1]", 422, "invalid", "the request is not what this resource takes: body: give an object with named fields"),
        (
            b'{"cycle": 1}',
            422,
            "invalid",
            "the request is not what this resource takes: cycle_id: is missing; name: is missing; cycle: there is no such field here",
        ),
        (
            b'{"cycle_id": "1", "name": "x", "counted": "yes"}',
            422,
            "invalid",
            "the request is not what this resource takes: cycle_id: give a whole number; counted: give true or false",
        ),
        (b'{"cycle_id": 1, "name": "x", "amount_usd": true}', 422, "invalid", "the request is not what"),
        (b'{"cycle_id": 1, "name": "x", "amount_usd": "five"}', 422, "amount", "amount 'five' is not a number: write it like 5.42"),
        (b'{"cycle_id": 1, "name": "x", "amount_usd": 1e99999}', 422, "amount", "amount 1E+99999 is out of range"),
        (b'{"cycle_id": 99999, "name": "x", "type": "manual", "amount_usd": 1}', 404, "cycle-not-found", "there is no cycle"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:20]) if isinstance(value, bytes) else None,
)  # fmt: skip
def test_a_wrong_body_is_told_what_is_wrong(
    client: httpx.Client, body: bytes, status: int, code: str, told: str
) -> None:
    before = client.get("/audit/events", params={"limit": 1000}).json()["next"]
    answer = client.post("/budget/source", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (status, code)
    assert answer.json()["detail"].startswith(told)
    assert client.get("/audit/events", params={"cursor": before}).json()["events"] == []


def test_refusals_speak_of_fields_and_not_of_options(client: httpx.Client) -> None:
    cycle = opened(client)
    nothing = client.post("/budget/source", json={"cycle_id": cycle, "name": "x", "type": "manual"})
    assert (problem(nothing), "`amount_usd`, `balance`, or `raw_payload`" in nothing.json()["detail"]) == (
        (422, "nothing-said"),
        True,
    )
    said(client, cycle, "log", "realtime", amount_usd=1)
    said(client, cycle, "console", "manual", amount_usd=9)
    plug = client.post(f"/budget/cycle/{cycle}/plugs", json={"square": True, "reason": "x"})
    assert problem(plug) == (409, "needs-yes")
    assert plug.json()["detail"] == "a plug of $8.00 is over $5.00: confirm it with `yes: true`"


def test_names_that_people_gave_are_not_rewritten(client: httpx.Client) -> None:
    told = client.get("/cost/run", params={"run_id": "job--amount-1"}).json()["detail"]
    assert told.startswith("there is no run 'job--amount-1' ")
    bill = client.post("/cost/reconciliations", json={"run_id": "a b --of", "billed_in": 1, "billed_out": 1})
    assert bill.json()["detail"].endswith("(mecris cost record a b --of --dispatch ...)")
    assert client.get("/cost/run", params={"run_id": "mecris_nightly_build"}).status_code == 404
    euro = {
        "cycle_id": opened(client),
        "name": "x",
        "type": "manual",
        "currency": "EUR",
        "rate": 1.1,
        "raw_payload": "$5",
    }
    assert "give `amount` in the other currency" in client.post("/budget/source", json=euro).json()["detail"]


def test_a_plug_that_would_be_another_than_was_seen_is_refused(client: httpx.Client) -> None:
    cycle = opened(client)
    said(client, cycle, "log", "realtime", amount_usd=1)
    said(client, cycle, "console", "manual", amount_usd=3)
    wanted = {"square": True, "reason": "x", "expected_usd": 1}
    assert problem(client.post(f"/budget/cycle/{cycle}/plugs", json=wanted)) == (409, "plug-changed")
    assert client.post(f"/budget/cycle/{cycle}/plugs", json={**wanted, "expected_usd": 2}).json()["amount_usd"] == 2


def test_a_body_that_is_no_json_is_told_so(client: httpx.Client) -> None:
    answer = client.post("/budget/cycle", data={"start_date": "2025-09-01"})
    assert problem(answer) == (415, "not-json")
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_an_address_lists_what_it_takes(client: httpx.Client) -> None:
    answer = client.put("/budget/cycle", json={})
    assert (problem(answer), answer.headers["allow"]) == ((405, "method"), "GET, POST")
    assert problem(client.get("/nowhere")) == (404, "no-resource")
    assert client.head("/health").status_code == 200
    assert client.post("/openapi.json", json={}).headers["allow"] == "GET"


def test_a_parameter_that_is_none_is_refused(client: httpx.Client) -> None:
    assert problem(client.get(f"/budget/cycle/{opened(client)}", params={"asof": 1})) == (422, "name")


HOSTILE = [
    "'; DROP TABLE stored_events; --",
    "<script>alert(1)</script>",
    "\u202eevil",
    "𝄞" * 50,
    "a'b\"c`d$e",
    "../../x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text_in_every_field(client: httpx.Client, text: str) -> None:
    cycle = opened(client)
    answers = [
        client.post("/budget/cycle", json={"start_date": text, "end_date": text, "target_usd": text, "notes": text}),
        client.post(
            "/budget/source",
            json={"cycle_id": cycle, "name": text, "type": "realtime", "provider": text, "amount_usd": 1},
        ),
        client.post("/budget/source", json={"cycle_id": cycle, "name": "b", "type": "manual", "raw_payload": text}),
        client.post("/budget/source", json={"cycle_id": cycle, "name": "b", "currency": text, "rate": text}),
        client.post(f"/budget/cycle/{cycle}/adjustments", json={"amount_usd": 1, "reason": text, "provider": text}),
        client.post(f"/budget/cycle/{cycle}/plugs", json={"square": True, "reason": text, "evidence": text}),
        client.post(
            "/cost/dispatches",
            json={"run_id": text, "dispatches": [{"dispatch_id": text, "input_tokens": 1, "output_tokens": 1, "model": text}]},
        ),
        client.post("/cost/reconciliations", json={"run_id": text, "billed_in": 1, "billed_out": 1, "source": text}),
        client.post("/odometer/readings", json={"provider": text, "amount_usd": 1, "notes": text}),
        client.get(f"/budget/cycle/{cycle}", params={"as_of": text}),
        client.get("/cost/run", params={"run_id": text}),
        client.get("/odometer", params={"provider": text}),
        client.get("/audit/events", params={"cursor": text}),
        client.get(f"/budget/cycle/{cycle}/sources"),
    ]  # fmt: skip
    assert {a.status_code for a in answers} <= {200, 404, 409, 422}
    assert all(a.status_code == 200 or problem(a) for a in answers)
    assert client.get("/audit/verify").json()["faults"] == []
    if answers[1].status_code == 200:
        assert answers[-1].json()[0]["name"] == text
