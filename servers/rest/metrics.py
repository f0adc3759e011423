"""What a server counts, as Prometheus reads it: orders and what came of them, requests, the queue, and how far the read models are."""

from asyncio import CancelledError
from collections.abc import Awaitable, Iterator
from importlib.metadata import version
from time import perf_counter
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ...books import Books
from ...books.answers import Answer
from ...domain.errors import Conflict, Damaged, MecrisError, Refused
from ..queue import MOST, Queue

MEDIA = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset(("GET", "HEAD", "POST"))
NOWHERE = "none"
"""The route of what is at no address; whoever asks for a thousand names makes no thousand series."""


class Metrics:
    """The figures of one server; of its own, so that a program may hold several."""

    def __init__(self, books: Books, queue: Queue) -> None:
        self.registry = here = CollectorRegistry()
        self.orders = Counter("mecris_orders", "Orders, by name and outcome.", ("order", "outcome"), registry=here)
        self.refusals = Counter("mecris_refusals", "Orders that recorded nothing, by code.", ("code",), registry=here)
        self.requests = Counter("mecris_requests", "Requests.", ("method", "route", "status"), registry=here)
        self.seconds = Histogram(
            "mecris_request_seconds",
            "Seconds from a request to its answer, without streams.",
            ("method", "route"),
            registry=here,
            buckets=SECONDS,
        )
        sizes = [2**n for n in range(MOST.bit_length())]
        writes = Histogram("mecris_orders_per_write", "Orders that shared one write.", registry=here, buckets=sizes)
        waiting = Gauge("mecris_orders_waiting", "Orders that wait for a write.", registry=here)
        waiting.set_function(lambda: queue.waiting)
        queue.on_write = writes.observe
        Info("mecris_build", "The version that serves.", registry=here).info({"version": version("mecris")})
        here.register(_Ledger(books))

    async def counted(self, name: str, answering: Awaitable[Answer]) -> Answer:
        """The answer of an order, which is counted, as its refusal is."""
        try:
            answer = await answering
        except BaseException as error:
            self.orders.labels(name, _outcome_of(error)).inc()
            if isinstance(error, MecrisError):
                self.refusals.labels(error.code).inc()
            raise
        recorded = "recorded" if answer.get("recorded") else "unchanged"
        self.orders.labels(name, "replayed" if answer.replayed else recorded).inc()
        return answer

    def asked(self, scope: Any, status: int, since: float) -> None:
        """A request that was answered."""
        route = getattr(scope.get("route"), "path", NOWHERE)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.requests.labels(method, route, status).inc()
        if not route.endswith("/stream"):
            self.seconds.labels(method, route).observe(perf_counter() - since)

    def text(self) -> bytes:
        """All figures as they are now."""
        return generate_latest(self.registry)


def _outcome_of(error: BaseException) -> str:
    kinds = (
        (Conflict, "conflict"),
        (Refused, "refused"),
        (Damaged, "damaged"),
        (MecrisError, "unavailable"),
        (CancelledError, "cancelled"),
    )
    return next((outcome for kind, outcome in kinds if isinstance(error, kind)), "fault")


class _Ledger(Collector):
    """The books as they are when they are asked about; all that can be said of books out of reach is that they are."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def describe(self) -> list[Any]:
        """Nothing: to say what there is must not need the books."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Where the log ends, and how far each read model has seen it."""
        reachable = GaugeMetricFamily("mecris_books_reachable", "Can the books be read?")
        try:
            end, seen = self.books.progress()
        except MecrisError:
            reachable.add_metric((), 0)
            yield reachable
            return
        reachable.add_metric((), 1)
        yield reachable
        yield GaugeMetricFamily("mecris_log_position", "The last position of the log.", value=end)
        at = GaugeMetricFamily("mecris_read_model_position", "How far it has seen the log.", labels=("view",))
        lag = GaugeMetricFamily("mecris_read_model_lag_events", "Events it has not seen.", labels=("view",))
        for view, position in seen.items():
            at.add_metric((view,), max(0, position))
            lag.add_metric((view,), end - max(0, position))
        yield at
        yield lag
        told = "Connections of this server to the books."
        yield GaugeMetricFamily("mecris_books_connections", told, value=self.books.file.connections)
