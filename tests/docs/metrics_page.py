"""The reference of the metrics, from what is declared in `coe.telemetry.metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from coe.telemetry.declaring import DECLARED, Declared
from coe.telemetry.exposition import exposition


def metrics_page() -> str:
    """The page of every metric."""
    exposition()
    return "\n".join([*_intro(), *(_row(each) for _, each in sorted(DECLARED.items()))]) + "\n"


def _intro() -> Iterator[str]:
    yield from ("# Every metric", "")
    yield "Generated from the code. [Metrics](../operations/metrics.md) says who exports which."
    yield from ("", "| metric | kind | labels | meaning |", "|---|---|---|---|")


def _row(declared: Declared) -> str:
    labels = "<br>".join(f"`{each.name}`: {each.values}" for each in declared.labels)
    return f"| `{declared.name}` | {declared.kind} | {labels} | {declared.help} |"
