"""Figures for Prometheus. With several workers each writes its own, and the one that is asked adds them up."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # A combination of labels is looked up once: looking it up costs more than counting does.
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._decided: dict[tuple[str, str, int], Counter] = {}
        own = self.registry
        self._requests = Counter(
            "arbitrage_requests_total", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self._seconds = Histogram(
            "arbitrage_request_seconds", "From arrival to answer.", ("route",), buckets=_BOUNDS_S, registry=own
        )
        self._decisions = Counter(
            "arbitrage_decisions_total",
            "Decisions answered, by action, mode and fallback level.",
            ("action", "mode", "fallback_level"),
            registry=own,
        )
        self.shielded = Counter(
            "arbitrage_shielded_decisions_total", "Decisions cut by a rule.", ("rule",), registry=own
        )
        self.repeated = Counter("arbitrage_repeated_decisions_total", "Answers given again for a key.", registry=own)
        self.unsettled = Gauge(
            "arbitrage_old_unsettled_decisions",
            "Decisions kept beyond their time for want of a validated price.",
            registry=own,
            multiprocess_mode="mostrecent",
        )
        self.storage_fit = Gauge(
            "arbitrage_storage_fit",
            "Whether decisions can be written, 1 or 0.",
            registry=own,
            multiprocess_mode="mostrecent",
        )
        self.data_age = Gauge(
            "arbitrage_data_age_seconds",
            "Age of the newest record when last decided.",
            registry=own,
            multiprocess_mode="mostrecent",
        )

    def answered(self, method: str, route: str, status: int, took_s: float) -> None:
        """Book one request."""
        counted = self._answers.get((method, route, status))
        if counted is None:
            counted = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
            self._answers[method, route, status] = counted
        requests, seconds = counted
        requests.inc()
        seconds.observe(took_s)

    def decided(self, action: str, mode: str, fallback_level: int) -> None:
        """Book one decision."""
        decisions = self._decided.get((action, mode, fallback_level))
        if decisions is None:
            decisions = self._decisions.labels(action, mode, str(fallback_level))
            self._decided[action, mode, fallback_level] = decisions
        decisions.inc()

    def text(self) -> bytes:
        """As Prometheus reads them."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
