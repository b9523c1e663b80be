"""Queries of Prometheus: parsed, with the metrics that they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser

from coe.telemetry.declaring import DECLARED
from coe.telemetry.exposition import exposition

OF_PROMETHEUS = frozenset({"up", "ALERTS"})
OF_THE_LIBRARY = frozenset({"process_start_time_seconds", "process_resident_memory_bytes"})
_PARTS = {"histogram": ("_bucket", "_count", "_sum")}


def exported() -> set[str]:
    """The names of all series that processes export, and those that Prometheus adds."""
    exposition()
    names = {
        name + part
        for name, declared in DECLARED.items()
        for part in _PARTS.get(declared.kind, ("",))
    }
    return names | OF_PROMETHEUS | OF_THE_LIBRARY


def labels_of(name: str) -> set[str]:
    """The labels of a series, beside those that Prometheus adds."""
    base = next((name.removesuffix(part) for part in _PARTS["histogram"] if part in name), name)
    declared = DECLARED.get(base) or DECLARED[name]
    bounds = {"le"} if name.endswith("_bucket") else set()
    return {label.name for label in declared.labels} | bounds


def metrics_of(query: str) -> set[str]:
    """The metrics that a query reads.

    Raises:
        ValueError: It is no query.
    """
    return {selector.name for selector in selectors(promql_parser.parse(query))}


def selectors(node: Any) -> Iterator[Any]:
    """Every selection of series in a parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        inner = getattr(node, part, None)
        if inner is not None:
            yield from selectors(inner)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)
