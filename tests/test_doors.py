"""One hall, many doors: the founding story through each of them ends in the same books, and each says the same of them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import ElicitResult
from served import serving

from mecris.books import Books
from mecris.books.answers import to_json
from mecris.books.applying import to_line
from mecris.domain.commands import ApplyPlug, Command, OpenCycle, RecordSource

NINE, FIVE_PAST = "2025-09-10T09:00:00Z", "2025-09-10T09:05:00Z"
ORDERS: list[Command] = [
    OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96"),
    RecordSource(cycle_id=1, source="session log", type="realtime", provider="claude", amount="0.11", measured_at=NINE),
    RecordSource(
        cycle_id=1, source="console", type="manual", provider="claude", balance="19.54", measured_at=FIVE_PAST
    ),
    ApplyPlug(cycle_id=1, square=True, yes=True, reason="another workspace"),
]
CLOCK_ALONE = ("last_reconciled_at",)


def mecris(path: Path, *words: str, given: str | None = None) -> str:
    """What a command prints, in a process of its own."""
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60).stdout


def by_command_line(path: Path) -> None:
    claude = ("--cycle", "1", "--provider", "claude")
    mecris(path, "budget", "cycle", "create", "--start", "2025-08-06", "--end", "2025-09-30", "--target", "24.96")
    mecris(
        path,
        "budget",
        "add-source",
        *claude,
        "--name",
        "session log",
        "--type",
        "realtime",
        "--amount",
        "0.11",
        "--measured-at",
        NINE,
    )
    mecris(
        path,
        "budget",
        "add-source",
        *claude,
        "--name",
        "console",
        "--type",
        "manual",
        "--remaining",
        "19.54",
        "--measured-at",
        FIVE_PAST,
    )
    mecris(path, "budget", "plug", "--cycle", "1", "--square", "--yes", "--reason", "another workspace")  # fmt: skip


def by_python(path: Path) -> None:
    with Books.open(path) as books:
        for order in ORDERS:
            books.handle(order)


def by_lines(path: Path) -> None:
    mecris(path, "apply", "-", given="\n".join(to_line(order, f"key {n}") for n, order in enumerate(ORDERS)))


def by_rest(path: Path) -> None:
    Books.open(path).close()
    with serving(path, tokens=_one_writer(path)) as server, server.client() as client:
        claude = {"cycle_id": 1, "provider": "claude"}
        for where, body in [
            ("cycle", {"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": 24.96}),
            ("source", {**claude, "name": "session log", "type": "realtime", "amount_usd": 0.11, "measured_at": NINE}),
            ("source", {**claude, "name": "console", "type": "manual", "balance": 19.54, "measured_at": FIVE_PAST}),
            ("cycle/1/plugs", {"square": True, "yes": True, "reason": "another workspace"}),
        ]:
            client.post(f"/budget/{where}", json=body).raise_for_status()


def by_mcp(path: Path) -> None:
    async def yes(_: object, __: object) -> ElicitResult:
        return ElicitResult(action="accept", content={"confirm": True})

    async def story() -> None:
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "mecris.cli", "--books", str(path), "mcp"], env=dict(os.environ)
        )
        async with Client(command, elicitation_callback=yes) as client:
            claude = {"cycle_id": 1, "provider": "claude"}
            for tool, arguments in [
                ("create_cycle", {"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": 24.96}),
                ("record_source", {**claude, "name": "session log", "type": "realtime", "amount_usd": 0.11, "measured_at": NINE}),
                ("record_balance_reading", {**claude, "name": "console", "balance": 19.54, "measured_at": FIVE_PAST}),
                ("apply_plug", {"cycle_id": 1, "square": True, "reason": "another workspace"}),
            ]:  # fmt: skip
                assert not (await client.call_tool(tool, arguments)).is_error

    asyncio.run(asyncio.wait_for(story(), 60))


def _one_writer(path: Path) -> dict[str, str]:
    with Books.open(path) as books:
        return {"write": books.create_token("ci", "write")["token"]}


@pytest.mark.parametrize("door", [by_command_line, by_python, by_lines, by_rest, by_mcp], ids=lambda d: d.__name__)
def test_the_founding_story_ends_the_same_through_every_door(door: Callable[[Path], None], tmp_path: Path) -> None:
    path, straight = tmp_path / "books.db", tmp_path / "straight.db"
    door(path)
    by_python(straight)
    with Books.open(path) as books, Books.open(straight) as expected:
        mine, theirs = books.status(1), expected.status(1)
        for name in ("tie_out", "totals", "providers", "grade", "diff_usd", "percent", "cycle", "health", "burn"):
            assert mine[name] == theirs[name], name
        assert to_json(mine["tie_out"]) == (
            '{"tracked_usd": 0.11, "plugged_usd": 5.31, "unexplained_usd": 0, "spent_usd": 5.42, "remaining_usd": 19.54, '
            '"coverage_percent": 2.0295, "verified_percent": 100}'
        )
        assert [e["event"] for e in books.log(1)] == [e["event"] for e in expected.log(1)]
        assert books.replay().differences == 0


def test_the_status_as_of_a_position_is_the_same_to_the_byte_at_every_door(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    by_python(path)
    tokens = _one_writer(path)
    for position in range(1, 8):
        with Books.open(path) as books:
            expected = to_json(books.status(1, as_of=position)) + "\n"
            if position == 5:
                assert '"grade": "POOR", "diff_usd": 5.31, "percent": 97.9705' in expected
        assert mecris(path, "budget", "status", "--cycle", "1", "--as-of", str(position), "--json") == expected
        assert asyncio.run(_by_mcp(path, position)) == expected
    with serving(path, tokens=tokens) as server, server.client() as client:
        for position in range(1, 8):
            with Books.open(path) as books:
                expected = to_json(books.status(1, as_of=position)) + "\n"
            assert client.get("/budget/cycle/1", params={"as_of": position}).text == expected
    with serving(path, "--http", door="mcp", tokens=tokens) as server:
        assert asyncio.run(_by_mcp_over_http(server.url, tokens["write"])) == expected


async def _by_mcp(path: Path, position: int) -> str:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "mecris.cli", "--books", str(path), "mcp"], env=dict(os.environ)
    )
    async with Client(command) as client:
        return await _read(client, position)


async def _by_mcp_over_http(url: str, token: str) -> str:
    from mcp.client.streamable_http import streamable_http_client

    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
    async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http), cache=None) as client:
        return await _read(client, 7)


async def _read(client: Client, position: int) -> str:
    (content,) = (await client.read_resource(f"mecris://cycle/1/as-of/{position}")).contents
    text: str = content.text  # type: ignore[union-attr]
    status = await client.call_tool("get_budget_status", {"cycle_id": 1, "as_of": position})
    nested = status.content[0].text  # type: ignore[union-attr]
    assert text.rstrip("\n") in nested, "the tool's text has the same status in it"
    assert json.loads(nested)["status"] == json.loads(text)
    return text
