"""Large logs to import, of every size and always the same: what a coding agent and a proxy write."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 8, 1, tzinfo=UTC)
MODELS = ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5")
TEXT = 'The parser now reads each block, "quoted" or not,\n\tand says where it stopped: def read(line): return {"a": [1]}\n'


def claude_code_log(path: Path, lines: int) -> None:
    """Sessions in which a message has a line for each of its blocks, 1.8 on average, and every ninth line is a person's."""
    chance = random.Random(lines)
    made = _session_lines(chance)
    with path.open("w", encoding="utf-8") as log:
        for number in range(lines):
            entry = _asked(number) if number % 9 == 8 else next(made)
            log.write(json.dumps(entry, separators=(",", ":")) + "\n")


def _session_lines(chance: random.Random) -> Iterator[dict[str, Any]]:
    message = 0
    while True:
        message += 1
        blocks = chance.choice((1, 1, 1, 2, 4))
        for block in range(blocks):
            yield _answered(message, block + 1, blocks, chance)


def _answered(message: int, block: int, blocks: int, chance: random.Random) -> dict[str, Any]:
    usage = {
        "input_tokens": 4,
        "cache_creation_input_tokens": 900 + message % 700,
        "cache_read_input_tokens": 20_000 + message % 9_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 900 + message % 700, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1 if block < blocks else 350,
        "service_tier": "standard",
    }
    return _line(message, "assistant") | {
        "requestId": f"req_011C{message:020d}",
        "message": {
            "id": f"msg_01X{message:021d}",
            "type": "message",
            "role": "assistant",
            "model": MODELS[message % 3],
            "content": [{"type": "text", "text": TEXT[: chance.randrange(20, 100)]}],
            "stop_reason": None,
            "usage": usage,
        },
        "uuid": f"{message:08x}-{block:04x}-4000-8000-000000000000",
    }


def _asked(number: int) -> dict[str, Any]:
    return _line(number, "user") | {"message": {"role": "user", "content": TEXT * 3}, "uuid": f"{number:08x}-user"}


def _line(number: int, kind: str) -> dict[str, Any]:
    return {
        "parentUuid": f"{number:08x}-0000-4000-8000-000000000000",
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ada/project",
        "sessionId": f"{number // 400:08x}-5e55-4000-8000-000000000000",
        "version": "2.1.30",
        "gitBranch": "main",
        "type": kind,
        "timestamp": _text(START + timedelta(seconds=number * 11)),
    }


def litellm_rows(path: Path, rows: int, *, random_ids: bool = False) -> None:
    """Rows of a spend log, one a line, as a copy of the table has them; their ids grow, or are random."""
    chance = random.Random(rows)
    with path.open("w", encoding="utf-8") as log:
        for number in range(rows):
            log.write(json.dumps(_row(number, chance.getrandbits(128) if random_ids else number)) + "\n")


def _row(number: int, id: int) -> dict[str, Any]:
    at, tokens, read = START + timedelta(seconds=number), 1_200 + number % 977, 1_000 if number % 3 else 0
    return {
        "request_id": f"chatcmpl-{id:032x}",
        "call_type": "acompletion",
        "api_key": f"{number % 40:064x}",
        "spend": tokens * 3e-06 + 0.00045,
        "total_tokens": tokens + 30,
        "prompt_tokens": tokens,
        "completion_tokens": 30,
        "startTime": _text(at),
        "endTime": _text(at + timedelta(milliseconds=900)),
        "model": MODELS[number % 3],
        "model_group": "smart",
        "custom_llm_provider": "anthropic",
        "user": "default_user_id",
        "metadata": {
            "user_api_key_alias": f"key-{number % 40}",
            "usage_object": {"prompt_tokens": tokens, "completion_tokens": 30, "cache_read_input_tokens": read},
        },
        "cache_hit": "False",
        "request_tags": ["User-Agent: openai"],
        "team_id": f"team-{number % 7}",
        "end_user": "",
        "session_id": f"session-{number // 50:08x}",
        "status": "success",
        "messages": {},
        "response": {},
    }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
