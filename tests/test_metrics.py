"""Metrics: what a server counts is what was done, in a format that Prometheus' own parser reads."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from served import opened, said

from mecris.books import Books
from mecris.servers.rest.app import application

Labels = dict[str, str]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Books with a token of each scope."""
    with Books.open(tmp_path / "books.db", recorded_by="ada") as opened_books:
        yield opened_books


@pytest.fixture
def client(books: Books) -> Iterator[httpx.Client]:
    """Whoever may write."""
    token = books.create_token("writer", "write")["token"]
    with TestClient(application(books, log=lambda _: None), headers={"Authorization": f"Bearer {token}"}) as inside:
        yield inside  # type: ignore[misc]  # it is a client of httpx's kind


def figures(client: httpx.Client) -> dict[str, list[tuple[Labels, float]]]:
    """Every figure by name, as Prometheus reads it."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram", "info"}, family
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def figure(found: dict[str, list[tuple[Labels, float]]], name: str, **labels: str) -> float:
    """The one figure with these labels."""
    (value,) = [value for given, value in found[name] if labels.items() <= given.items()]
    return value


def test_orders_are_counted_by_what_came_of_them(client: httpx.Client) -> None:
    cycle = opened(client)
    for amount, key in ((1, "a"), (1, "a"), (2, "a"), (-1, "b")):
        body = {"cycle_id": cycle, "name": "api", "type": "realtime", "amount_usd": amount}
        client.post("/budget/source", json=body, headers={"Idempotency-Key": key})
    client.post("/budget/cycle/9/plugs", json={"square": True, "reason": "x"})
    found = figures(client)
    assert figure(found, "mecris_orders_total", order="open-cycle", outcome="recorded") == 1
    for outcome, times in (("recorded", 1), ("replayed", 1), ("conflict", 1)):
        assert figure(found, "mecris_orders_total", order="record-source", outcome=outcome) == times
    assert figure(found, "mecris_orders_total", order="apply-plug", outcome="refused") == 1
    assert figure(found, "mecris_refusals_total", code="key-reused") == 1
    assert figure(found, "mecris_refusals_total", code="cycle-not-found") == 1
    assert figure(found, "mecris_orders_per_write_sum") >= 4
    assert figure(found, "mecris_orders_waiting") == 0


def test_requests_are_counted_by_route_and_not_by_what_was_asked_for(client: httpx.Client) -> None:
    cycle = opened(client)
    for path in (f"/budget/cycle/{cycle}", "/budget/cycle/7", "/nowhere/1", "/nowhere/2"):
        client.get(path)
    client.head(f"/budget/cycle/{cycle}")
    client.request("BREW", "/health")
    found = figures(client)
    of_cycle = {"route": "/budget/cycle/{cycle_id}", "method": "GET"}
    assert figure(found, "mecris_requests_total", **of_cycle, status="200") == 1
    assert figure(found, "mecris_requests_total", **of_cycle, status="404") == 1
    assert figure(found, "mecris_request_seconds_count", **of_cycle) == 2
    assert figure(found, "mecris_requests_total", route="none", method="GET", status="404") == 2
    assert figure(found, "mecris_requests_total", route="/health", method="other", status="405") == 1
    assert figure(found, "mecris_requests_total", **of_cycle | {"method": "HEAD"}) == 1


def test_the_lag_of_the_read_models_is_told(client: httpx.Client, books: Books) -> None:
    said(client, opened(client), "api", "realtime", amount_usd=1)
    found = figures(client)
    end = figure(found, "mecris_log_position")
    assert end == books.position
    for view in ("budget", "odometers", "imports"):
        seen = figure(found, "mecris_read_model_position", view=view)
        assert figure(found, "mecris_read_model_lag_events", view=view) == end - seen
    books.catch_up()
    assert {value for _, value in figures(client)["mecris_read_model_lag_events"]} == {0}
    assert figure(found, "mecris_books_reachable") == 1
    assert figure(found, "mecris_books_connections") >= 1
    assert [labels["version"] for labels, _ in found["mecris_build_info"]] != [""]


def test_books_out_of_reach_are_told_too(books: Books) -> None:
    from mecris.servers.queue import Queue
    from mecris.servers.rest.metrics import Metrics

    metrics = Metrics(books, Queue(books))
    books.close()
    assert b"mecris_books_reachable 0.0" in metrics.text()
    assert b"mecris_log_position" not in metrics.text()


def test_whoever_has_no_token_reads_no_figures_and_two_servers_count_apart(client: httpx.Client, books: Books) -> None:
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    opened(client)
    token = books.create_token("prometheus", "read")["token"]
    with TestClient(application(books, log=lambda _: None), headers={"Authorization": f"Bearer {token}"}) as other:
        assert "mecris_orders_total" not in figures(other)  # type: ignore[arg-type]  # it is a client of httpx's kind
