"""Exports, logs and pages as people have them, and books of one month to import them into."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock

from mecris.books import Books
from mecris.domain import commands as c

NOW = "2025-10-05T12:00:00Z"
SAMPLES = Path(__file__).parent / "samples"
Put = Callable[..., Path]


def putting(folder: Path) -> Put:
    """Writes files into a folder that were exported at some time."""

    def write(name: str, content: bytes, exported: str = "2025-10-01T08:00:00Z") -> Path:
        path = folder / name
        path.write_bytes(content)
        moment = datetime.fromisoformat(exported).timestamp()
        os.utime(path, (moment, moment))
        return path

    return write


def september(path: Path) -> Books:
    books = Books.open(path, recorded_by="ada", clock=Clock(NOW))
    books.handle(c.OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=100))
    return books


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Books with September open."""
    return september(tmp_path / "books.db")


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file that was exported at some time."""
    return putting(tmp_path)


def cost_report(days: dict[int, str], *, more: bool = False, description: str = "tokens") -> bytes:
    """A page of Anthropic's cost report: cents by day of September."""
    data = [
        {
            "starting_at": f"2025-09-{day:02}T00:00:00Z",
            "ending_at": (datetime(2025, 9, day, tzinfo=UTC) + timedelta(days=1)).isoformat(),
            "results": [{"amount": cents, "currency": "USD", "description": description}],
        }
        for day, cents in days.items()
    ]
    return json.dumps({"data": data, "has_more": more, "next_page": "x" if more else None}).encode()


def csv(*rows: str) -> bytes:
    """Our own plain CSV."""
    return "\n".join(["date,usd,id,provider,source,type", *rows]).encode()


def readings(books: Books) -> list[tuple[str, str, str]]:
    """What stands of every source, by time."""
    rows = [r for r in books.sources(1, history=True) if not r["retracted"]]
    return sorted((r["name"], r["measured_at"], str(r["amount_usd"])) for r in rows)


def page(usd: str, more: str = "") -> bytes:
    """A saved page of a dashboard."""
    return f"<html><body><div>${usd} USD</div>{more}</body></html>".encode()


def both_ways(tmp_path: Path, files: Sequence[tuple[Path, dict[str, Any]]]) -> list[Books]:
    """Books that took some files in this order, and books that took them in the other one."""
    found = []
    for name, order in (("this.db", files), ("other.db", files[::-1])):
        books = september(tmp_path / name)
        for path, how in order:
            books.import_file(path, **how)
        found.append(books)
    return found


def claude_line(
    id: str, output: int, at: str = "2025-09-10T10:00:00Z", session: str = "s1", **more: Any
) -> dict[str, Any]:
    """A line of a session log."""
    usage = {
        "input_tokens": 1000,
        "output_tokens": output,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
    }
    message = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": more.pop("model", "claude-opus-4-6"),
        "usage": usage,
    }
    return {"type": "assistant", "uuid": f"u{id}{output}", "sessionId": session, "timestamp": at, "requestId": f"r{id}", "message": message, **more}  # fmt: skip


def jsonl(*lines: Any) -> bytes:
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


def mecris(path: Path, *words: str, input: str | None = None) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "mecris.cli", "--books", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=input)
    return done.returncode, done.stdout, done.stderr
