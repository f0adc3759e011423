"""The description of the REST door is true: Schemathesis sends what it allows and what it does not, and holds the answers against it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from served import opened, said, serving

from mecris.books import Books

pytestmark = pytest.mark.sqlite

HERE = Path(__file__).parent
ENDLESS = "/audit/events/stream"
"""A stream has no end, so no answer of it can be held against the description; `test_rest_log` follows it."""


def test_every_answer_is_as_it_is_described_whatever_is_asked(tmp_path: Path) -> None:
    plenty = "1000000/minute"
    with serving(tmp_path / "books.db", "--rate-limit", plenty, "--wrong-token-limit", plenty) as server:
        with server.client() as client:
            cycle = opened(client)
            said(client, cycle, "api", "realtime", amount_usd=1)
            said(client, cycle, "console", "manual", amount_usd=2)
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"),
            "run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {server.tokens['admin']}",
            "--checks", "all", "--max-examples", "10", "--seed", "7", "--request-timeout", "10", "--no-color",
            "--exclude-path", ENDLESS, "--generation-database", "none",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-5000:]
        found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert found, done.stdout[-2000:]
        assert int(found[1]) == int(found[2]) > 1500
        assert "Traceback" not in "".join(server.lines)
    with Books.open(tmp_path / "books.db") as books:
        assert books.verify().faults == []
        assert books.replay().differences == 0
