"""The guard of the REST door: who may come in and how often, and bodies and heads that are too large or too slow."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from served import Server, opened, problem, serving

from mecris.books import Books
from mecris.servers.rest.app import application
from mecris.servers.rest.guard import LARGEST

# -- who may come in -----------------------------------------------------------------------------------------------


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


def test_a_server_without_a_token_listens_to_nobody_but_this_machine(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "mecris.cli", "--books", str(tmp_path / "new.db"), "serve", "--host", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 3
    assert "nobody has a token" in refused.stderr
    assert "token create --name me --scope write" in refused.stderr


# -- bodies and heads that are too large or too slow ---------------------------------------------------------------


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
