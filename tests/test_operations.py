"""What the page about operations says beside its commands: its messages are real, its figures too, its standby takes over."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import yaml
from postgres import Postgres, _free_port, own

from mecris.books import Books
from mecris.domain.commands import OpenCycle
from mecris.servers.queue import Queue
from mecris.servers.rest.metrics import Metrics

pytestmark = pytest.mark.own_store  # these have servers of their own

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
BLOCKS: list[Any] = [
    yaml.safe_load(found) for found in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]


def test_every_message_of_the_table_is_one_that_mecris_says() -> None:
    told = re.findall(r"^\| `([^`]+)` \| ", PAGE.partition("## When something is wrong")[2], re.MULTILINE)
    assert len(told) >= 15
    rooms = ("store", "store/postgres", "books", "servers", "domain")
    said = "\n".join(path.read_text("utf-8") for room in rooms for path in (ROOT / room).glob("*.py"))
    assert [t for t in told if not re.search(t.replace("...", r"\{\w+\}"), said)] == []


def test_every_figure_that_is_named_is_one_that_is_counted(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books:
        metrics = Metrics(books, Queue(books))
        counted = {family.name for family in metrics.registry.collect()}
    named = set(re.findall(r"mecris_[a-z_]+", PAGE)) - {"mecris_views"}
    assert {re.sub(r"_(total|bucket|info)$", "", name) for name in named} <= counted
    assert {re.sub(r"_(total|info)$", "", name) for name in named} >= counted


def test_the_rules_for_prometheus_are_rules() -> None:
    scraped, ruled = BLOCKS
    assert scraped["scrape_configs"][0]["authorization"] == {"credentials_file": "/etc/prometheus/mecris.token"}
    rules = ruled["groups"][0]["rules"]
    assert all(set(rule) <= {"alert", "expr", "for"} and "mecris" in rule["expr"] for rule in rules)


@pytest.fixture
def primary() -> Iterator[Postgres]:
    """The server that takes orders."""
    with Postgres.start() as server:
        yield server


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    """One that follows, made as the page says."""
    folder = Path(tempfile.mkdtemp(prefix="mecris-standby-"))
    folder.chmod(0o755)
    own(folder)
    server = Postgres(folder, primary.programs, _free_port())
    try:
        primary.sql("CREATE ROLE replica LOGIN REPLICATION")
        source = f"postgresql://replica@127.0.0.1:{primary.port}"
        primary.do("pg_basebackup", "-d", source, "-D", str(server.data), "-R", "-C", "-S", "standby1", "-c", "fast")
        server.configure({"hot_standby": "on"})
        server.run()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def until(asked: Any, wanted: Any, seconds: float = 20) -> None:
    """Wait until an answer is the one that is wanted."""
    end = monotonic() + seconds
    while asked() != wanted:
        assert monotonic() < end, asked()
        sleep(0.1)


def test_a_standby_takes_over_with_all_that_was_acknowledged(primary: Postgres, standby: Postgres) -> None:
    until(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication"), [("sync",)])
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    address = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write&gssencmode=disable"
    with Books.open(address) as books:
        for month in (1, 2, 3):
            order = OpenCycle(start_date=f"2025-0{month}-01", end_date=f"2025-0{month}-28", target_usd=month)
            books.handle(order, idempotency_key=f"month {month}")
        head = books.verify().head
        primary.kill()
        standby.sql("SELECT pg_promote()")
        standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        standby.sql("SELECT pg_reload_conf()")
        until(lambda: standby.sql("SHOW synchronous_standby_names"), [("",)])
        assert books.handle(order, idempotency_key="month 3").replayed
        assert books.verify(head).faults == []
        later = OpenCycle(start_date="2025-04-01", end_date="2025-04-30", target_usd=4)
        assert books.handle(later)["position"] == 4
        assert [cycle["target_usd"] for cycle in books.cycles()] == [1, 2, 3, 4]
