"""Reading the metrics of this process in tests."""

from __future__ import annotations

from coe.telemetry.declaring import REGISTRY


def value(name: str, **labels: str) -> float:
    """The value of a sample; 0 before it was first counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def is_exported(name: str, **labels: str) -> bool:
    """Whether there is a sample with these labels."""
    return REGISTRY.get_sample_value(name, labels) is not None


class Change:
    """How much a sample has grown since now; other tests count in this process too."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    @property
    def now(self) -> float:
        return value(self._name, **self._labels) - self._before
