"""What the server counts, under the names that TensorFlow Serving has for it."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import Metric, UnknownMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

ADDRESS = "/monitoring/prometheus/metrics"
_PREFIX = ":tensorflow:serving:"
# Microseconds, each so many times the one before.
_FIRST, _TIMES, _BUCKETS = 10.0, 1.8, 33


class _Requests(Collector):
    """Requests by status.

    The library's own counter would add `_total` to the name.
    """

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name
        self._counts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def add(self, status: str) -> None:
        with self._lock:
            self._counts[status] += 1

    def collect(self) -> Iterator[Metric]:
        family = UnknownMetricFamily(
            f"{_PREFIX}request_count",
            "The total number of requests, by status.",
            labels=["model_name", "status"],
        )
        with self._lock:
            for status, count in self._counts.items():
                family.add_metric([self._model_name, status], count)
        yield family


class Metrics:
    """Counts requests and their time. Threads may share it.

    Args:
      model_name: What addresses call the model.
    """

    def __init__(self, model_name: str) -> None:
        self._registry = CollectorRegistry()
        self._requests = _Requests(model_name)
        self._registry.register(self._requests)
        self._latency = self._times(
            "request_latency",
            "Microseconds from a request's head to its answer.",
            {"model_name": model_name, "API": "predict", "entrypoint": "REST"},
        )
        self._runtime = self._times(
            "runtime_latency",
            "Microseconds that the model takes, waiting for its turn included.",
            {"model_name": model_name, "API": "predict", "runtime": "TF1"},
        )

    def _times(
        self, name: str, text: str, labels: dict[str, str]
    ) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            _PREFIX + name,
            text,
            list(labels),
            registry=self._registry,
            buckets=[_FIRST * _TIMES**number for number in range(_BUCKETS)],
        ).labels(**labels)

    def answered(self, status: str, seconds: float) -> None:
        """Counts a prediction: gRPC's name of its status, and how long it took."""
        self._requests.add(status)
        self._latency.observe(1e6 * seconds)

    def ran(self, seconds: float) -> None:
        """Counts a run of the model."""
        self._runtime.observe(1e6 * seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return prometheus_client.generate_latest(self._registry)
