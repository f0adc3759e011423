"""The REST door, asked by a real client over a real socket: the endpoints to the letter, problems, and who may come in."""

import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from receiver import receiving
from served import Server, opened, said, serving

from mecris.books import Books
from mecris.servers.rest.app import application
from mecris.servers.rest.guard import LARGEST

MORNING = "2025-09-10T09:00:00Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of this page; each opens cycles of its own."""
    with serving(tmp_path_factory.mktemp("rest") / "books.db") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def reader(server: Server) -> Iterator[httpx.Client]:
    with server.client("read") as client:
        yield client


@pytest.fixture
def boss(server: Server) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem document, which is whole."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == f"urn:mecris:problem:{told['code']}"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["title"]
    assert len(told["detail"]) > 10
    assert "Traceback" not in answer.text
    return answer.status_code, told["code"]


# -- the endpoints of the original design ------------------------------------------------------------------------


def test_the_five_endpoints_to_the_letter(tmp_path: Path) -> None:
    with serving(tmp_path / "books.db") as server, server.client() as client:
        made = client.post(
            "/budget/cycle", json={"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": 24.96}
        )
        assert (made.status_code, made.text) == (201, '{"cycle_id": 1, "recorded": true, "position": 4}\n')
        assert made.headers["location"] == "/budget/cycle/1"
        meter = said(client, 1, "session log", "realtime", currency="USD", amount_usd=0.11, measured_at=MORNING)
        console = said(client, 1, "console", "manual", balance="19.54", measured_at="2025-09-10T09:05:00Z")
        assert (meter["source_id"], console["source_id"], console["amount_usd"]) == (1001, 1002, 5.42)

        status = client.get("/budget/cycle/1")
        assert status.headers["content-type"] == "application/json"
        assert '"totals": {"realtime_usd": 0.11, "manual_usd": 5.42, "overall_usd": 5.42}' in status.text
        assert status.json()["tie_out"]["unexplained_usd"] == 5.31
        assert status.json()["cycle"]["target_usd"] == 24.96

        differs = client.get("/budget/discrepancy/1").json()
        assert [differs[name] for name in ("grade", "diff_usd", "percent")] == ["POOR", 5.31, 97.9705]
        assert [d["analysis"] for d in differs["details"]] == [
            "realtime source 'session log' is $5.31 (97.97 %) lower than the manual entry 'console'; "
            "possible untracked usage or API-key leakage"
        ]
        queued = client.post("/budget/reconcile", json={"cycle_id": 1})
        assert (queued.status_code, queued.json()["status"]) == (202, "queued")
        assert done(client, queued.headers["location"])["outcome"]["grade"] == "POOR"


def done(client: httpx.Client, location: str) -> dict[str, Any]:
    """A job when it has come to its end."""
    for _ in range(200):
        job: dict[str, Any] = client.get(location).json()
        if job["finished_at"]:
            return job
        sleep(0.05)
    raise AssertionError(job)


def test_what_is_recorded_is_recorded_by_the_name_of_the_token(server: Server, client: httpx.Client) -> None:
    cycle = opened(client)
    with server.client("admin") as boss:
        said(boss, cycle, "console", "manual", amount_usd=1)
    events = client.get("/audit/events", params={"cycle_id": cycle}).json()["events"]
    assert [(e["event"], e["recorded_by"], e["via"]) for e in events] == [
        ("cycle-opened.v1", "write", "rest"),
        ("source-recorded.v1", "admin", "rest"),
    ]


def test_every_digit_of_an_amount_comes_back(client: httpx.Client) -> None:
    cycle = opened(client)
    exact = "123456789.123456789012"
    body = f'{{"cycle_id": {cycle}, "name": "api", "type": "realtime", "amount_usd": {exact}}}'
    answer = client.post("/budget/source", content=body, headers={"Content-Type": "application/json"})
    assert f'"amount_usd": {exact}' in answer.text
    assert f'"realtime_usd": {exact}' in client.get(f"/budget/cycle/{cycle}").text


@pytest.mark.parametrize(
    ("payload", "kind", "amount"),
    [
        ({"used_credits": 542, "cost_usd": 5.42, "timestamp": MORNING}, "realtime", 5.42),
        ({"project_id": "p1", "spent_usd": 0.8, "timestamp": MORNING}, "realtime", 0.8),
        ({"display_html": "<div>$0.42 USD</div>", "extracted_usd": 0.42, "recorded_at": MORNING}, "manual", 0.42),
        ("<div>$0.42 USD</div>", "manual", 0.42),
    ],
)
def test_the_payloads_of_the_original_design_as_objects_and_as_text(
    client: httpx.Client, payload: object, kind: str, amount: float
) -> None:
    cycle = opened(client)
    assert said(client, cycle, "source", kind, raw_payload=payload)["amount_usd"] == amount
    if isinstance(payload, dict):
        assert said(client, cycle, "other", kind, raw_payload=json.dumps(payload))["amount_usd"] == amount


# -- the rest of commands and questions --------------------------------------------------------------------------


def test_a_month_end_by_rest_alone(client: httpx.Client) -> None:
    cycle = opened(client)
    one = f"/budget/cycle/{cycle}"

    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    said(client, cycle, "log", "realtime", amount_usd=0.11, measured_at=MORNING)
    wrong = said(client, cycle, "console", "manual", amount_usd=50, measured_at=MORNING)
    post(f"{one}/readings/{wrong['reading']}/retraction", reason="read the wrong page")
    said(client, cycle, "console", "manual", balance=19.54, measured_at="2025-09-10T09:05:00Z")
    plug = post(f"{one}/plugs", amount_usd=1, reason="a guess")
    post(f"{one}/plugs/{plug['plug']}/reversal", reason="it was a guess")
    post(f"{one}/plugs", square=True, yes=True, expected_usd=5.31, reason="another workspace")
    post(f"{one}/adjustments", amount_usd=0.04, reason="a credit", at="2025-09-11")
    post(f"{one}/thresholds", excellent=1, good=2, fair=3)
    post(f"{one}/close")
    heir = client.post(
        "/budget/cycle",
        json={"start_date": "2025-10-01", "end_date": "2025-10-31", "target_usd": 10, "roll_over_from": cycle},
    ).json()["cycle_id"]
    post(f"{one}/reopen", reason="a late bill")
    assert client.get(f"/budget/cycle/{heir}").json()["cycle"]["budget_usd"] == 29.58
    assert [p["reversed"] for p in client.get(f"{one}/plugs").json()] == [True, False]
    assert len(client.get(f"{one}/adjustments").json()) == 1
    assert len(client.get(f"{one}/sources", params={"history": True}).json()) == 3
    assert client.get(f"{one}/forecast").json()["health"]["level"] in ("GOOD", "WARNING")
    assert client.get(f"{one}/narrative").json()["summary"]
    assert client.get(f"{one}/chart").json()["points"][0]["day"] == "2025-08-06"


def test_runs_and_counters_by_rest(client: httpx.Client) -> None:
    sent = client.post(
        "/cost/dispatches",
        json={"run_id": "night/ly", "dispatches": [{"dispatch_id": "d", "input_tokens": 3000, "output_tokens": 500}]},
    )
    assert sent.json()["dispatches"] == 1
    bill = client.post("/cost/reconciliations", json={"run_id": "night/ly", "billed_in": 3500, "billed_out": 600})
    assert bill.json()["reason"] == "token discrepancy: in=+500 out=+100 (reported=3000/500, billed=3500/600)"
    assert client.get("/cost/run", params={"run_id": "night/ly"}).json()["reported_in"] == 3000
    assert client.get("/cost/reconciliations", params={"run_id": "night/ly"}).json()[0]["delta_in"] == 500
    assert client.get("/cost/runs").json()[0]["run_id"] == "night/ly"

    read = client.post("/odometer/readings", json={"provider": "groq", "amount_usd": 0.8, "read_at": "2025-08-31"})
    assert read.json()["month"] == "2025-08"
    client.post("/odometer/finalize", json={"provider": "groq", "month": "2025-08"}).raise_for_status()
    client.post("/odometer/reopen", json={"provider": "groq", "month": "2025-08", "reason": "again"}).raise_for_status()
    cycle = opened(client)
    client.post("/odometer/feed", json={"provider": "groq", "cycle_id": cycle}).raise_for_status()
    client.post("/odometer/feed/end", json={"provider": "groq", "cycle_id": cycle, "reason": "x"}).raise_for_status()
    months = client.get("/odometer", params={"provider": "groq"}).json()["odometers"][0]["months"]
    assert months[0] == {
        "month": "2025-08",
        "amount_usd": 0.8,
        "state": "due",
        "read_at": "2025-08-31T23:59:59.999999Z",
    }


def test_alerts_go_to_whom_the_server_is_set_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("MECRIS_NOTIFY", receiver.url)
        with serving(tmp_path / "books.db") as server, server.client() as client:
            cycle = opened(client)
            said(client, cycle, "log", "realtime", amount_usd=1)
            said(client, cycle, "console", "manual", amount_usd=9)
            one = f"/budget/cycle/{cycle}/alerts"
            looked = client.post(one, json={"threshold_percent": 5}, headers={"Idempotency-Key": "look"})
            again = client.post(one, json={"threshold_percent": 5}, headers={"Idempotency-Key": "look"})
            assert (looked.text, again.headers["idempotency-replayed"]) == (again.text, "true")
            assert {a["kind"] for a in client.get(one).json()} == {a["kind"] for a in looked.json()["alerts"]}
            assert sorted(r["kind"] for r in receiver.received) == sorted(a["kind"] for a in looked.json()["alerts"])


def test_a_target_that_hangs_keeps_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, ThreadPoolExecutor(50) as crowd:
        receiver.answers("hang")
        monkeypatch.setenv("MECRIS_NOTIFY", receiver.url)
        with serving(tmp_path / "books.db") as server, server.client(limits=httpx.Limits(max_connections=60)) as client:
            cycle = opened(client)
            said(client, cycle, "log", "realtime", amount_usd=1)
            said(client, cycle, "console", "manual", amount_usd=9)
            path = f"/budget/cycle/{cycle}/alerts"
            looks = [crowd.submit(client.post, path, json={"threshold_percent": n}) for n in range(45)]
            sleep(0.5)
            assert client.get("/ready").status_code == 200
            assert client.get(f"/budget/cycle/{cycle}").status_code == 200
            said(client, cycle, "log", "realtime", amount_usd=2)
            assert client.get("/audit/verify").json()["faults"] == []
            with client.stream("GET", "/audit/events/stream", params={"since": 0}) as stream:
                assert events_of(stream.iter_lines(), 1)
            assert not all(look.done() for look in looks)
            server.process.kill()
            receiver.released.set()


# -- questions about the past ------------------------------------------------------------------------------------


def test_every_question_can_be_asked_as_of_a_moment_but_for_those_about_the_server(reader: httpx.Client) -> None:
    described = reader.get("/openapi.json").json()
    takes = {
        path: {p["name"] for p in operations["get"].get("parameters", ())}
        for path, operations in described["paths"].items()
        if "get" in operations
    }
    without = {path for path, names in takes.items() if "as_of" not in names}
    assert without == {"/health", "/ready", "/jobs/{job_id}", "/audit/verify", "/audit/events/stream", "/metrics"}


def test_the_past_is_answered_as_it_was_known(client: httpx.Client) -> None:
    cycle = opened(client)
    before = said(client, cycle, "api", "realtime", amount_usd=1)["position"]
    said(client, cycle, "api", "realtime", amount_usd=2)
    for path in (f"/budget/cycle/{cycle}", f"/budget/cycle/{cycle}/forecast"):
        asked = client.get(path, params={"as_of": before}).json()
        assert (asked["position"], asked["as_of"]) == (before, str(before))
    assert client.get(f"/budget/cycle/{cycle}/sources", params={"as_of": before}).json()[0]["amount_usd"] == 1
    events = client.get("/audit/events", params={"cycle_id": cycle, "as_of": before}).json()["events"]
    assert [e["position"] for e in events] == [before - 1, before]


@pytest.mark.parametrize("moment", ["9" * 5000, "9" * 19, "0", "yesterday", "2025-13-01", "", "-1", "1e9"])
def test_a_moment_that_is_none_is_refused(client: httpx.Client, moment: str) -> None:
    answer = client.get(f"/budget/cycle/{opened(client)}", params={"as_of": moment})
    assert problem(answer)[0] in (404, 422)


# -- twice, and not quite the same -------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_same_bytes_and_records_nothing(client: httpx.Client) -> None:
    cycle = opened(client)
    body = {"cycle_id": cycle, "name": "api", "type": "realtime", "amount_usd": 1.1}
    first = client.post("/budget/source", json=body, headers={"Idempotency-Key": "twice"})
    again = client.post("/budget/source", json=body, headers={"Idempotency-Key": "twice"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert len(client.get("/audit/events", params={"cycle_id": cycle}).json()["events"]) == 2


def test_another_request_under_the_same_key_is_refused(client: httpx.Client) -> None:
    cycle = opened(client)
    head = {"Idempotency-Key": "other"}
    client.post("/budget/reconcile", json={"cycle_id": cycle}, headers=head).raise_for_status()
    other = client.post(f"/budget/cycle/{cycle}/close", json={"accept": True, "reason": "x"}, headers=head)
    assert problem(other) == (422, "key-reused")
    assert client.get(f"/budget/cycle/{cycle}").json()["cycle"]["state"] == "ended"


def test_thirty_at_once_under_one_key_are_one(client: httpx.Client) -> None:
    cycle = opened(client)
    body = {"cycle_id": cycle, "name": "api", "type": "realtime", "amount_usd": 1}

    def send(_: int) -> tuple[bytes, str | None]:
        answer = client.post("/budget/source", json=body, headers={"Idempotency-Key": "crowd"})
        return answer.content, answer.headers.get("idempotency-replayed")

    with ThreadPoolExecutor(30) as crowd:
        answers = list(crowd.map(send, range(30)))
    assert len({content for content, _ in answers}) == 1
    assert [replayed for _, replayed in answers].count(None) == 1


def test_a_key_that_a_client_took_does_not_stand_in_the_way_of_a_job(client: httpx.Client) -> None:
    cycle = opened(client)
    said(client, cycle, "log", "realtime", amount_usd=1)
    number = client.post("/budget/reconcile", json={"cycle_id": cycle}).json()["job_id"]
    head = {"Idempotency-Key": f"job {number + 1}"}
    client.post(f"/budget/cycle/{cycle}/adjustments", json={"amount_usd": 1, "reason": "x"}, headers=head)
    queued = client.post("/budget/reconcile", json={"cycle_id": cycle})
    assert done(client, queued.headers["location"])["status"] == "done"


def test_a_job_survives_the_server_that_took_it(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with serving(path) as server, server.client() as client:
        cycle = opened(client)
        said(client, cycle, "log", "realtime", amount_usd=1)
        said(client, cycle, "console", "manual", amount_usd=2, reconcile=False)
        tokens = server.tokens
    with Books.open(path) as books:  # nobody serves: the job waits
        job = books.jobs.reconcile(cycle, by="ada")["job_id"]
        assert books.jobs.get(job)["status"] == "queued"
    with serving(path, tokens=tokens) as server, server.client() as client:
        assert done(client, f"/jobs/{job}")["outcome"]["recorded"] is True
        assert client.get(f"/budget/cycle/{cycle}").json()["stale"] is False


# -- problems ----------------------------------------------------------------------------------------------------


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


# -- the log -----------------------------------------------------------------------------------------------------


def test_the_log_is_read_page_by_page_and_goes_on_later(client: httpx.Client) -> None:
    cycle = opened(client)
    for amount in range(1, 6):
        said(client, cycle, "api", "realtime", amount_usd=amount)
    seen, cursor = [], None
    while page := client.get("/audit/events", params={"cycle_id": cycle, "limit": 2} | ({"cursor": cursor} if cursor else {})).json():  # fmt: skip
        cursor = page["next"]
        if not page["events"]:
            break
        seen += [e["position"] for e in page["events"]]
    assert len(seen) == 6
    assert seen == sorted(set(seen))
    later = said(client, cycle, "api", "realtime", amount_usd=9)["position"]
    found = client.get("/audit/events", params={"cycle_id": cycle, "cursor": cursor}).json()["events"]
    assert [e["position"] for e in found] == [later]
    assert problem(client.get("/audit/events", params={"cursor": "nonsense"})) == (422, "cursor")


def events_of(lines: Iterator[str], count: int) -> list[dict[str, Any]]:
    """The next events of a stream."""
    found: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
        if len(found) == count:
            break
    return found


def test_the_log_is_followed_and_goes_on_after_a_break(client: httpx.Client) -> None:
    cycle = opened(client)
    first = said(client, cycle, "api", "realtime", amount_usd=1)["position"]
    with client.stream("GET", "/audit/events/stream", params={"since": first - 1}) as stream:
        lines = stream.iter_lines()
        assert [e["position"] for e in events_of(lines, 1)] == [first]
        second = said(client, cycle, "api", "realtime", amount_usd=2)["position"]
        assert [e["amount_usd"] for e in events_of(lines, 1)] == [2]
    said(client, cycle, "api", "realtime", amount_usd=3)
    with client.stream("GET", "/audit/events/stream", headers={"Last-Event-ID": str(second)}) as stream:
        assert [e["amount_usd"] for e in events_of(stream.iter_lines(), 1)] == [3]
    assert problem(client.get("/audit/events/stream", params={"since": 10**9})) == (404, "position-not-found")
    assert problem(client.get("/audit/events/stream", headers={"Last-Event-ID": "9" * 20}))[0] == 422


def test_a_stream_ends_with_its_token(server: Server, boss: httpx.Client) -> None:
    token = boss.post("/tokens", json={"name": "short", "scope": "read"}).json()["token"]
    with server.client(None, headers={"Authorization": f"Bearer {token}"}) as guest:
        with guest.stream("GET", "/audit/events/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": the log of the books"
            boss.post("/tokens/revocation", json={"name": "short"}).raise_for_status()
            for line in lines:  # the stream may still tell that the token was revoked, and then it ends
                assert line != ": still here", "a stream that outlives its token"
        assert problem(guest.get("/audit/events")) == (401, "token-revoked")


def test_the_proof_by_rest(boss: httpx.Client, reader: httpx.Client) -> None:
    verdict = reader.get("/audit/verify").json()
    assert verdict["faults"] == []
    assert reader.get("/audit/verify", params={"expect": verdict["head"]}).json()["faults"] == []
    wrong = verdict["head"][:-1] + ("0" if verdict["head"][-1] != "0" else "1")
    assert len(reader.get("/audit/verify", params={"expect": wrong}).json()["faults"]) == 1
    assert boss.post("/audit/replay", json={}).json()["differences"] == 0
    assert problem(reader.post("/audit/replay", json={})) == (403, "scope")


# -- who may come in ---------------------------------------------------------------------------------------------


def test_only_health_is_asked_without_a_token(tmp_path: Path) -> None:
    plenty = ("--wrong-token-limit", "100000/minute")
    with serving(tmp_path / "books.db", *plenty) as server, server.client(None) as stranger:
        described = application(Books.open(server.path)).openapi()
        open_to_all = set()
        for path, operations in described["paths"].items():
            for method in operations:
                answer = stranger.request(method.upper(), path.format(**dict.fromkeys(("cycle_id", "reading", "plug", "job_id"), 1)))  # fmt: skip
                if answer.status_code == 401:
                    assert problem(answer) == (401, "no-token")
                    assert answer.headers["www-authenticate"] == 'Bearer realm="mecris"'
                else:
                    open_to_all.add(path)
        assert open_to_all == {"/health", "/ready"}


@pytest.mark.parametrize("shown", ["", "Bearer", "Basic YTpi", "Bearer mecris_x", "bearer x y", "Token x"])
def test_what_is_no_token_opens_nothing(server: Server, shown: str) -> None:
    with server.client(None, headers={"Authorization": shown}) as stranger:
        assert stranger.get("/budget/cycle").status_code in (401, 429)


def test_a_scope_that_is_too_small_is_told_which_is_needed(server: Server, reader: httpx.Client) -> None:
    answer = reader.post("/budget/cycle", json={"start_date": "2025-09-01", "end_date": "2025-09-30", "target_usd": 1})
    assert problem(answer) == (403, "scope")
    assert answer.json()["detail"].startswith("the token 'read' may read, this needs one that may write")
    with server.client("write") as writer:
        assert problem(writer.get("/tokens")) == (403, "scope")
        assert problem(writer.post("/tokens", json={"name": "x", "scope": "admin"})) == (403, "scope")


def test_tokens_by_rest_are_shown_once(boss: httpx.Client, server: Server) -> None:
    made = boss.post("/tokens", json={"name": "guest", "scope": "read", "expires": "2099-01-01"})
    assert (made.status_code, sorted(made.json())) == (201, ["expires_at", "name", "position", "scope", "token"])
    with server.client(None, headers={"Authorization": f"Bearer {made.json()['token']}"}) as guest:
        assert guest.get("/budget/cycle").status_code == 200
        assert boss.post("/tokens/revocation", json={"name": "guest"}).json()["recorded"] is True
        assert problem(guest.get("/budget/cycle")) == (401, "token-revoked")
    listed = {t["name"]: t for t in boss.get("/tokens").json()}["guest"]
    assert (listed["state"], "token" in listed, "digest" in listed) == ("revoked", False, False)
    assert problem(boss.post("/tokens", json={"name": "guest", "scope": "read"})) == (409, "token-exists")


def test_an_expired_token_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with Books.open(path) as books:
        soon = books.create_token("soon", "read", expires=None)["token"]
    with serving(path) as server, server.client("admin") as boss:
        moment = httpx.get(f"{server.url}/health").headers  # the server is up: from now on its clock counts
        assert moment
        from datetime import UTC, datetime, timedelta

        ends = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
        short = boss.post("/tokens", json={"name": "short", "scope": "read", "expires": ends}).json()["token"]
        with server.client(None, headers={"Authorization": f"Bearer {short}"}) as guest:
            assert guest.get("/budget/cycle").status_code == 200
            sleep(4.1)
            assert problem(guest.get("/budget/cycle")) == (401, "token-expired")
        with server.client(None, headers={"Authorization": f"Bearer {soon}"}) as guest:
            assert guest.get("/budget/cycle").status_code == 200


@pytest.mark.parametrize("where", ["?token={}", "?access_token={}", "?x={}", "?{}", "/{}"])
def test_a_token_in_a_url_is_refused_and_does_not_reach_the_log(
    server: Server, reader: httpx.Client, where: str
) -> None:
    secret = server.tokens["read"]
    answer = reader.get("/budget/cycle" + where.format(secret))
    assert problem(answer) == (400, "token-in-url")
    line = server.logged(answer.headers["x-request-id"])
    assert secret not in json.dumps(line)


def test_who_comes_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path / "books.db", "--rate-limit", "3/minute", "--wrong-token-limit", "2/minute") as server:
        with server.client("read") as reader:
            assert [reader.get("/budget/cycle").status_code for _ in range(4)] == [200, 200, 200, 429]
            last = reader.get("/budget/cycle")
            assert problem(last) == (429, "too-often")
            assert 1 <= int(last.headers["retry-after"]) <= 60
        with server.client("write") as writer:
            assert writer.get("/budget/cycle").status_code == 200
        with server.client(None) as stranger:
            seen = [
                stranger.get("/budget/cycle", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(4)
            ]
            assert seen == [401, 401, 429, 429]


def test_a_log_line_says_who_and_what_and_nothing_of_what_was_sent(server: Server, client: httpx.Client) -> None:
    cycle = opened(client)
    answer = client.post(
        "/budget/source",
        json={"cycle_id": cycle, "name": "hush-hush", "type": "manual", "amount_usd": 1.2345},
        headers={"X-Request-ID": f"mine-{cycle}"},
    )
    assert answer.headers["x-request-id"] == f"mine-{cycle}"
    line = server.logged(f"mine-{cycle}")
    assert (line["method"], line["path"], line["status"], line["token"]) == ("POST", "/budget/source", 200, "write")
    assert line["bytes"] == len(answer.content)
    assert not any(secret in json.dumps(line) for secret in ("hush-hush", "1.2345", server.tokens["write"]))


# -- bodies and heads that are too large or too slow -------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(client: httpx.Client) -> None:
    head = {"Content-Type": "application/json"}
    assert problem(client.post("/budget/source", content=b" " * (LARGEST + 1), headers=head)) == (413, "too-large")

    def drops() -> Iterator[bytes]:
        for _ in range(LARGEST // 65536 + 2):
            yield b" " * 65536

    assert problem(client.post("/budget/source", content=drops(), headers=head)) == (413, "too-large")
    assert problem(client.post("/budget/source", content=b" " * (LARGEST - 2) + b"{}", headers=head))[0] == 422


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    from mecris.servers.rest.guard import Guard, Limits

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def asked() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        with Books.open(tmp_path / "books.db") as books:
            token = books.create_token("ci", "write")["token"]
            guard = Guard(None, books, Limits(body_seconds=0.05), log=lambda _: None)  # type: ignore[arg-type]
            head = [(b"authorization", f"Bearer {token}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/budget/cycle", "query_string": b"", "headers": head}
            await guard(scope, never, send)
        return sent

    start, body = asyncio.run(asked())
    assert (start["status"], json.loads(body["body"])["code"]) == (408, "too-slow")


def test_a_head_that_drips_or_never_ends_is_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as flood:
        sent = 0
        with pytest.raises(OSError):  # noqa: PT011, PT012  # reset or broken, as the system has it
            flood.sendall(b"GET /health HTTP/1.1\r\nX: ")
            while sent < 64 << 20:
                flood.sendall(b"x" * 65536)
                sent += 65536
        assert sent < 64 << 20
    begun = monotonic()
    with ExitStack() as stack:
        slow, idle = (stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(2))
        slow.sendall(b"GET /health HTTP/1.1\r\nX: ")
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with idle.makefile("rb") as answer:
            while answer.readline() != b"\r\n":
                pass
            assert b"alive" in answer.readline()
        idle.sendall(b"\r\n")  # begins no request, and keeps no connection
        for _ in range(3):
            slow.sendall(b"y")
            sleep(1)
        assert slow.recv(1000) == b""
        assert idle.recv(1000) == b""
    assert monotonic() - begun < 25  # 10 s and a machine that is busy
    with server.client("read") as reader:
        assert reader.get("/ready").status_code == 200


def test_a_connection_that_breaks_off_in_the_middle_leaves_nothing(server: Server, client: httpx.Client) -> None:
    cycle = opened(client)
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"cycle_id": cycle, "name": "half", "type": "manual", "amount_usd": 1}).encode()
    with socket.create_connection((host, int(port)), timeout=10) as half:
        half.sendall(
            b"POST /budget/source HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {server.tokens['write']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body[:-5]
        )
    sleep(0.1)
    assert client.get(f"/budget/cycle/{cycle}/sources").json() == []


def test_a_server_without_a_token_listens_to_nobody_but_this_machine(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "mecris.cli", "--books", str(tmp_path / "new.db"), "serve", "--host", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 3
    assert "nobody has a token" in refused.stderr
    assert "token create --name me --scope write" in refused.stderr
