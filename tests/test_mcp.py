"""The MCP door, driven by a real client: over standard input and output, and over HTTP with tokens."""

import asyncio
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitResult, ErrorData, TextContent
from served import Server, serving

from mecris.books import Books
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.servers.mcp.app import server as door
from mecris.servers.mcp.tools import ASKS, TOOLS

ASKED_FOR = {
    "get_budget_status", "get_groq_status", "get_narrator_context", "get_unified_cost_status", "create_cycle", "record_source",
    "record_balance_reading", "apply_plug", "reverse_plug", "reconcile_budget", "get_discrepancies", "record_groq_reading",
    "record_dispatch", "reconcile_tokens", "list_token_reconciliations", "get_event_log", "get_forecast",
}  # fmt: skip
MODES = ["legacy", "auto"]
"""The handshake of 2025 and before, and the newest protocol."""
CYCLE = {"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": 24.96}


@asynccontextmanager
async def stdio(path: Path, **more: Any) -> AsyncIterator[Client]:
    """A client of a server that it starts itself."""
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "mecris.cli", "--books", str(path), "mcp"], env=dict(os.environ)
    )
    async with Client(command, **more) as client:
        yield client


@asynccontextmanager
async def over_http(server: Server, scope: str = "write", **more: Any) -> AsyncIterator[Client]:
    """A client that shows a token."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {server.tokens[scope]}"}) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, cache=None, **more) as client:
            yield client


def text(result: CallToolResult) -> str:
    """What the model reads."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def ok(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a call that is not refused; its text says the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text(result)
    assert isinstance(result.structured_content, dict)
    assert json.loads(text(result)) == result.structured_content
    return result.structured_content


async def no(client: Client, tool: str, **arguments: Any) -> str:
    """The sentence of a refusal."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text(result)
    return text(result)


def answers(action: str, before: Callable[[str], None] | None = None, **content: Any) -> Any:
    """A person who is asked, and answers so."""

    async def callback(_: Any, params: Any) -> ElicitResult:
        if before is not None:
            before(params.message)
        return ElicitResult(action=action, content=content or None)  # type: ignore[arg-type]

    return callback


def run(story: Coroutine[Any, Any, None]) -> None:
    """Tell a story that waits."""
    asyncio.run(asyncio.wait_for(story, 60))


def founded(path: Path, spent: str = "5.42") -> None:
    """The founding story up to the look at the console."""
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd="24.96"))
        at = {"provider": "claude", "measured_at": "2025-09-10T09:05:00Z"}
        books.handle(RecordSource(cycle_id=1, source="session log", type="realtime", amount="0.11", **at))
        books.handle(RecordSource(cycle_id=1, source="console", type="manual", amount=spent, **at))


# -- the test the user asked for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_founding_story_by_a_real_client_over_stdio(tmp_path: Path, mode: str) -> None:
    path, asked = tmp_path / "books.db", []

    async def story() -> None:
        person = answers("accept", asked.append, confirm=True)
        async with stdio(path, mode=mode, elicitation_callback=person) as client:
            await ok(client, "create_cycle", **CYCLE)
            await ok(client, "record_source", cycle_id=1, name="session log", type="realtime", provider="claude",
                     amount_usd=0.11, measured_at="2025-09-10T09:00:00Z")  # fmt: skip
            console = await ok(client, "record_balance_reading", cycle_id=1, name="console", provider="claude",
                               balance=19.54, measured_at="2025-09-10T09:05:00Z")  # fmt: skip
            assert console["amount_usd"] == 5.42
            before = await ok(client, "get_budget_status", cycle_id=1)
            assert (before["status"]["grade"], before["status"]["tie_out"]["unexplained_usd"]) == ("POOR", 5.31)
            pairs = await ok(client, "get_discrepancies", cycle_id=1)
            assert [d["percent"] for d in pairs["details"]] == [97.9705]
            assert (await ok(client, "reconcile_budget", cycle_id=1))["recorded"] is False
            plug = await ok(client, "apply_plug", cycle_id=1, square=True, reason="usage outside the workspace")
            assert plug["amount_usd"] == 5.31
            await ok(client, "close_cycle", cycle_id=1)
            after = await ok(client, "get_budget_status", cycle_id=1)
            assert {name: after[name] for name in ("total_budget", "remaining_budget", "used_budget", "period_end")} == {
                "total_budget": 24.96, "remaining_budget": 19.54, "used_budget": 5.42, "period_end": "2025-09-30",
            }  # fmt: skip
            tied = after["status"]["tie_out"]
            assert [tied[name] for name in ("tracked_usd", "plugged_usd", "unexplained_usd")] == [0.11, 5.31, 0]
            log = await ok(client, "get_event_log", cycle_id=1)
            assert [e["event"] for e in log["events"]] == [
                "cycle-opened.v1", "source-recorded.v1", "source-recorded.v1", "cycle-reconciled.v1",
                "discrepancy-detected.v1", "plug-applied.v1", "cycle-reconciled.v1", "cycle-closed.v1",
            ]  # fmt: skip
            assert {e["via"] for e in log["events"]} == {"mcp"}

    run(story())
    assert asked == [
        "Cycle 1: a plug of $5.31 is over $5.00. It leaves $0.00 unexplained. "
        "The reason given is: 'usage outside the workspace'. Apply it?"
    ]
    with Books.open(path) as books:
        assert books.status(1)["tie_out"]["remaining_usd"] == Decimal("19.54")
        assert books.replay().differences == 0


# -- what is listed can be called, everywhere --------------------------------------------------------------------


def test_what_is_listed_is_what_can_be_called_on_every_transport(tmp_path: Path) -> None:
    async def listed(client: Client) -> dict[str, Any]:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in tools:
            refused = await client.call_tool(name, {"no such argument": 1})
            assert "there is no such field here [invalid]" in text(refused), name
        assert "Unknown tool" in text(await client.call_tool("get_everything", {}))
        prompts = [p.name for p in (await client.list_prompts()).prompts]
        templates = [t.uri_template for t in (await client.list_resource_templates()).resource_templates]
        return {"tools": tools, "prompts": prompts, "resources": sorted(templates)}

    async def story() -> None:
        founded(tmp_path / "a.db")
        async with stdio(tmp_path / "a.db") as client:
            there = await listed(client)
        with serving(tmp_path / "b.db", "--http", door="mcp") as server:
            for mode in MODES:
                async with over_http(server, mode=mode) as client:
                    here = await listed(client)
                    assert {n: t.input_schema for n, t in here["tools"].items()} == {
                        n: t.input_schema for n, t in there["tools"].items()
                    }
                    assert (here["prompts"], here["resources"]) == (there["prompts"], there["resources"])
        assert set(there["tools"]) == {tool.__name__ for tool, _ in TOOLS} >= ASKED_FOR
        assert there["prompts"] == ["month_end"]
        assert there["resources"] == [
            "mecris://cycle/{cycle_id}", "mecris://cycle/{cycle_id}/as-of/{when}", "mecris://cycle/{cycle_id}/events",
        ]  # fmt: skip
        for name, tool in there["tools"].items():
            assert tool.description, name
            assert tool.output_schema, name
            assert tool.annotations.read_only_hint is name.startswith(("get_", "list_", "verify_")), name

    run(story())


def test_a_tool_that_only_asks_records_nothing(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")
    needs = {"run_id": "nightly", "cycle_id": 1}

    async def story() -> None:
        async with stdio(tmp_path / "books.db") as client:
            await ok(client, "record_dispatch", run_id="nightly", dispatch_id="d", input_tokens=1, output_tokens=1)
            with Books.open(tmp_path / "books.db") as books:
                before = books.position
                for tool in (await client.list_tools()).tools:
                    if tool.annotations and tool.annotations.read_only_hint:
                        takes = {n: v for n, v in needs.items() if n in tool.input_schema["properties"]}
                        await ok(client, tool.name, **takes)
                assert books.position == before

    assert sum(annotations is ASKS for _, annotations in TOOLS) >= 14
    run(story())


def test_the_names_that_the_original_tools_had_are_there(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")

    async def story() -> None:
        async with stdio(tmp_path / "books.db") as client:
            status = await ok(client, "get_budget_status", cycle_id=1)
            assert {
                "total_budget", "remaining_budget", "used_budget", "days_remaining", "today_spend", "daily_burn_rate",
                "projected_spend", "period_end", "alerts", "budget_health",
            } <= set(status)  # fmt: skip
            assert {"claude", "groq", "summary"} <= set(await ok(client, "get_unified_cost_status"))
            told = await ok(client, "get_narrator_context", cycle_id=1)
            assert {"summary", "urgent_items", "budget_status", "recommendations"} <= set(told)
            assert told["budget_status"] == status
            assert (await ok(client, "get_groq_status"))["known"] is False
            await ok(client, "record_groq_reading", amount_usd=0.8, read_at="2025-08-31")
            assert (await ok(client, "get_groq_status"))["months"][0]["amount_usd"] == 0.8

    run(story())


# -- a person is asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("person", "told"),
    [
        (answers("decline"), "the person did not say yes: nothing was plugged [declined]"),
        (answers("cancel"), "the person did not say yes: nothing was plugged [declined]"),
        (answers("accept", confirm=False), "the person did not say yes: nothing was plugged [declined]"),
        (answers("accept", confirm="perhaps"), "no yes of a person came back: nothing was plugged."),
        (None, "A person can confirm it in a terminal: `mecris budget plug --cycle 1 --square --reason '...' --yes` [needs-yes]"),
    ],
)  # fmt: skip
def test_without_a_yes_nothing_is_plugged(tmp_path: Path, mode: str, person: Any, told: str) -> None:
    path = tmp_path / "books.db"
    founded(path)

    async def story() -> None:
        async with stdio(path, mode=mode, elicitation_callback=person) as client:
            said = await no(client, "apply_plug", cycle_id=1, square=True, reason="x")
            assert told.lower() in said.lower()
            assert not said.startswith("Error executing")

    run(story())
    with Books.open(path) as books:
        assert books.plugs(1) == []


def test_a_client_that_fails_to_ask_is_told_how_a_person_confirms(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")

    async def broken(_: Any, __: Any) -> ErrorData:
        return ErrorData(code=-32000, message="no screen")

    async def story() -> None:
        async with stdio(tmp_path / "books.db", mode="legacy", elicitation_callback=broken) as client:
            told = await no(client, "apply_plug", cycle_id=1, square=True, reason="x")
            assert "mecris budget plug --cycle ID --square" in told

    run(story())


@pytest.mark.parametrize("mode", MODES)
def test_a_yes_is_for_the_amount_that_was_asked_about(tmp_path: Path, mode: str) -> None:
    path, asked = tmp_path / "books.db", []
    founded(path)

    def look_again(message: str) -> None:
        asked.append(message)
        if len(asked) == 1:  # while the person thinks, the console is read again
            with Books.open(path) as books:
                books.handle(RecordSource(cycle_id=1, source="console", amount="20"))

    async def story() -> None:
        person = answers("accept", look_again, confirm=True)
        async with stdio(path, mode=mode, elicitation_callback=person) as client:
            result = await client.call_tool("apply_plug", {"cycle_id": 1, "square": True, "reason": "x"})
            if result.is_error:
                assert "the plug would be $19.89 by now, and not $5.31" in text(result)
                assert "[plug-changed]" in text(result)
            else:  # the newest protocol asks again
                assert "$19.89" in asked[-1]

    run(story())
    with Books.open(path) as books:
        assert all(f"${plug['amount_usd']}" in asked[-1] for plug in books.plugs(1))


def test_a_yes_is_for_what_it_would_leave_too(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    founded(path)

    def look_again(_: str) -> None:
        with Books.open(path) as books:
            books.handle(RecordSource(cycle_id=1, source="console", amount="2"))

    async def story() -> None:
        person = answers("accept", look_again, confirm=True)
        async with stdio(path, mode="legacy", elicitation_callback=person) as client:
            told = await no(client, "apply_plug", cycle_id=1, amount_usd=5.31, reason="x")
            assert told.startswith("the plug would leave unexplained -$3.42 by now, and not $0.00")

    run(story())
    with Books.open(path) as books:
        assert books.plugs(1) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_plug_again_under_its_key_is_the_first_answer_and_asks_nobody(tmp_path: Path, mode: str) -> None:
    path, asked = tmp_path / "books.db", []
    founded(path)
    order = {"cycle_id": 1, "square": True, "reason": "x", "idempotency_key": "plug"}

    async def story() -> None:
        async with stdio(path, mode=mode, elicitation_callback=answers("accept", asked.append, confirm=True)) as client:
            assert await ok(client, "apply_plug", **order) == await ok(client, "apply_plug", **order)

    run(story())
    assert len(asked) == 1
    with Books.open(path) as books:
        assert len(books.plugs(1)) == 1


def test_a_small_plug_that_leaves_less_asks_nobody(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")

    async def story() -> None:
        async with stdio(tmp_path / "books.db") as client:
            assert (await ok(client, "apply_plug", cycle_id=1, amount_usd=1, reason="x"))["unexplained_usd"] == 4.31

    run(story())


# -- wrong calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("record_source", {"amount_usd": True}, "amount_usd: a flag is no amount"),
        ("record_source", {"amount_usd": 123456789.12345679}, "amount_usd: a number of over 15 digits does not arrive as it was sent"),
        ("record_source", {"amount_usd": "five"}, "amount_usd: amount 'five' is not a number: write it like 5.42"),
        ("record_source", {"cycle_id": "1"}, "cycle_id: give a whole number"),
        ("record_source", {"cycle_id": True}, "cycle_id: give a whole number"),
        ("record_source", {"amount": 1}, "amount: there is no such field here"),
        ("record_source", {}, "give `amount_usd`, `balance`, or `raw_payload`"),
        ("record_source", {"amount_usd": 1, "cycle_id": 9}, "there is no cycle 9"),
        ("close_cycle", {"accept": "yes"}, "accept: give true or false"),
        ("record_dispatch", {"run_id": "r", "dispatch_id": "d", "input_tokens": True, "output_tokens": "1"}, "input_tokens: give a whole number"),
        ("get_budget_status", {"as_of": "9" * 5000}, "is not a moment we can keep"),
        ("get_budget_status", {"cycle_id": 10**30}, "cycle_id: it should be less than or equal to 9223372036854775807"),
        ("apply_plug", {"square": True, "reason": "x", "evidence": ""}, "the evidence is empty"),
        ("apply_plug", {"square": True, "reason": "x", "evidence": "e" * 5000}, "the evidence has 5000 characters"),
        ("elicitation", {}, "Unknown tool: elicitation"),
        ("get_budget_status", {"as_of": 99}, "there is no position 99"),
        ("create_cycle", {"start_date": "2025-09-01", "end_date": "2025-09-30", "target_usd": 1e300}, "target_usd: amount 1E+300 is out of range"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_in_a_sentence(tmp_path: Path, tool: str, arguments: dict[str, Any], told: str) -> None:
    founded(tmp_path / "books.db")
    base = {
        "record_source": {"cycle_id": 1, "name": "api", "type": "realtime"},
        "close_cycle": {"cycle_id": 1},
        "get_budget_status": {"cycle_id": 1},
        "apply_plug": {"cycle_id": 1},
    }

    async def story() -> None:
        with Books.open(tmp_path / "books.db") as books:
            async with Client(door(books)) as client:
                said = await no(client, tool, **{**base.get(tool, {}), **arguments})
                assert told in said
                assert "Traceback" not in said
                assert "pydantic" not in said

    run(story())


def test_every_digit_sent_as_text_is_kept(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")

    async def story() -> None:
        with Books.open(tmp_path / "books.db") as books:
            async with Client(door(books)) as client:
                exact = "123456789.123456789012"
                arguments = {"cycle_id": 1, "name": "api", "type": "realtime", "amount_usd": exact}
                assert f'"amount_usd": {exact}' in text(await client.call_tool("record_source", arguments))

    run(story())


def test_resources_and_the_prompt_say_what_they_are_about(tmp_path: Path) -> None:
    founded(tmp_path / "books.db")

    async def story() -> None:
        async with stdio(tmp_path / "books.db") as client:
            cycle = (await client.read_resource("mecris://cycle/1")).contents[0]
            assert json.loads(cycle.text)["tie_out"]["remaining_usd"] == 19.54  # type: ignore[union-attr]
            events = (await client.read_resource("mecris://cycle/1/events")).contents[0]
            assert len(json.loads(events.text)) == 5  # type: ignore[union-attr]
            for uri in ("mecris://cycle/9", "mecris://cycle/x", "mecris://cycle/1/as-of/yesterday"):
                with pytest.raises(MCPError) as refused:
                    await client.read_resource(uri)
                assert "Traceback" not in refused.value.message
            prompt = await client.get_prompt("month_end", {"cycle_id": "1"})
            assert "close_cycle" in prompt.messages[0].content.text  # type: ignore[union-attr]
            for name, arguments, told in [
                ("month_end", {}, "the prompt month_end needs cycle_id"),
                ("month_end", {"cycle_id": "9"}, "there is no cycle 9"),
                ("year_end", {}, "there is no prompt 'year_end'"),
            ]:
                with pytest.raises(MCPError, match=told):
                    await client.get_prompt(name, arguments)

    run(story())


# -- over HTTP ---------------------------------------------------------------------------------------------------


def test_over_http_a_token_says_who_and_how_much(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    founded(path)

    async def story() -> None:
        with serving(path, "--http", door="mcp") as server:
            assert httpx.post(f"{server.url}/mcp", json={}).status_code == 401
            assert httpx.get(f"{server.url}/health").json() == {"status": "alive"}
            assert httpx.get(f"{server.url}/ready").json() == {"status": "ready"}
            for mode in MODES:
                async with over_http(server, "read", mode=mode) as reader:
                    await ok(reader, "get_budget_status", cycle_id=1)
                    told = await no(reader, "record_source", cycle_id=1, name="console", amount_usd=1)
                    assert told == "the token 'read' may read, this needs one that may write [scope]"
                async with over_http(server, "write", mode=mode) as writer:
                    await ok(writer, "record_source", cycle_id=1, name="console", amount_usd=6)
            with Books.open(path) as books:
                assert [e["recorded_by"] for e in books.log(1)][-1] == "write"
            server.stop()
            with Books.open(path) as books:
                assert all(t["last_used_at"] for t in books.tokens() if t["name"] in ("read", "write"))

    run(story())


def test_nobody_goes_on_with_the_session_of_another_token(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    founded(path)
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
    }  # fmt: skip
    with serving(path, "--http", door="mcp") as server:
        accept = {"Accept": "application/json, text/event-stream"}
        with server.client("write", headers=accept) as writer, server.client("read", headers=accept) as reader:
            session = {"Mcp-Session-Id": writer.post("/mcp", json=hello).headers["mcp-session-id"]}
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            assert writer.post("/mcp", json=ping, headers=session).status_code == 200
            assert reader.post("/mcp", json=ping, headers=session).status_code == 404
            assert reader.delete("/mcp", headers=session).status_code == 404
            assert writer.post("/mcp", json=ping, headers=session).status_code == 200
            evil = writer.post("/mcp", json=ping, headers={**session, "Host": "evil.example"})
            assert evil.status_code == 421


# -- calls nobody thought of -------------------------------------------------------------------------------------

_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["1", "9" * 30, "2025-09-10", "-0.01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
_SENSIBLE = st.sampled_from([1, 0, 2, 0.5, "5.42", "claude", "groq", "realtime", "manual", "2025-09-10", "2025-09", "nightly", True, False, None])  # fmt: skip


_TAKES = {
    tool.__name__: [n for n in inspect.signature(tool).parameters if n not in ("ctx", "looked", "answered")]
    for tool, _ in TOOLS
}
_CALLS = st.sampled_from(sorted(_TAKES)).flatmap(
    lambda tool: st.tuples(
        st.just(tool), st.fixed_dictionaries({}, optional=dict.fromkeys(_TAKES[tool], _SENSIBLE | _ANYTHING))
    )
)


@given(calls=st.lists(_CALLS, min_size=1, max_size=8))
@settings(max_examples=settings.default.max_examples * 2)
def test_whatever_is_called_nothing_crashes_and_nothing_is_half_written(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "books.db"
    founded(path)

    async def story(books: Books) -> None:
        async with Client(door(books)) as client:
            for tool, arguments in calls:
                before = books.position
                result = await client.call_tool(tool, arguments)
                said = text(result)
                assert not said.startswith("Error executing tool"), said
                assert "Traceback" not in said
                if result.is_error:
                    assert books.position == before

    with Books.open(path) as books:
        run(story(books))
        assert books.verify().faults == []
        assert books.replay().differences == 0
