"""How a metric is declared: its name, what it means, and what bounds the values of its labels.

Every process has one registry of its own. The default one of `prometheus_client` stays as it is,
for other libraries of the process may use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric

__all__ = [
    "DECLARED",
    "REGISTRY",
    "Declared",
    "Gauge",
    "Label",
    "Reading",
    "counter",
    "declare",
    "gauge",
    "histogram",
    "reading",
]

REGISTRY: Final = CollectorRegistry()
"""What the process exports."""
PREFIX: Final = "coe_"

disable_created_metrics()  # type: ignore[no-untyped-call]  # no rule reads that second series
ProcessCollector(registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Label:
    """A label, and what bounds the number of its values."""

    name: str
    values: str


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as the documentation lists it; `name` is as rules write it."""

    name: str
    kind: str
    help: str
    labels: tuple[Label, ...]


DECLARED: Final[dict[str, Declared]] = {}
"""Every metric that this version exports, by its name."""


def counter(name: str, text: str, *labels: Label) -> Counter:
    """Declare a counter; its name ends in `_total`."""
    _declare(name, "counter", text, labels)
    return Counter(name, text, _names(labels), registry=REGISTRY)


def gauge(name: str, text: str, *labels: Label) -> Gauge:
    """Declare a gauge."""
    _declare(name, "gauge", text, labels)
    return Gauge(name, text, _names(labels), registry=REGISTRY)


class Reading(Gauge):
    """A gauge that is not exported before it is set: not every process knows its value."""

    _known = False

    def set(self, value: float) -> None:
        """Set the value, and export it from now on."""
        super().set(value)
        self._known = True

    def collect(self) -> Iterable[Metric]:
        """The value, if it is known."""
        return super().collect() if self._known else ()


def reading(name: str, text: str) -> Reading:
    """Declare a gauge of a process that sets it; in others it is absent."""
    _declare(name, "gauge", text, ())
    return Reading(name, text, registry=REGISTRY)


def histogram(name: str, text: str, *labels: Label, buckets: Sequence[float]) -> Histogram:
    """Declare a histogram with the upper bounds of its buckets."""
    _declare(name, "histogram", text, labels)
    return Histogram(name, text, _names(labels), registry=REGISTRY, buckets=buckets)


def declare(name: str, text: str, *labels: Label) -> Declared:
    """Declare a gauge that is read when Prometheus asks; its collector exports it."""
    _declare(name, "gauge", text, labels)
    return DECLARED[name]


def _declare(name: str, kind: str, text: str, labels: tuple[Label, ...]) -> None:
    if not name.startswith(PREFIX) or (kind == "counter") != name.endswith("_total"):
        raise ValueError(f"{name}: a metric begins with {PREFIX}, and a counter ends with _total")
    DECLARED[name] = Declared(name, kind, text, labels)


def _names(labels: tuple[Label, ...]) -> tuple[str, ...]:
    return tuple(label.name for label in labels)
