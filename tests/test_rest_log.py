"""The log by REST: page by page, followed as it grows, and proved."""

import httpx
from served import Server, events_of, opened, problem, said


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
