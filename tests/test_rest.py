"""The REST door: the endpoints of the original design, every other order and question, the past, and the same request twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest
from receiver import receiving
from served import Server, done, events_of, opened, problem, said, serving

from mecris.books import Books

MORNING = "2025-09-10T09:00:00Z"


# -- the endpoints of the original design --------------------------------------------------------------------------


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


# -- the rest of commands and questions ----------------------------------------------------------------------------


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


# -- questions about the past --------------------------------------------------------------------------------------


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


# -- twice, and not quite the same ---------------------------------------------------------------------------------


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
