"""What a process says of itself when it starts."""

from __future__ import annotations

from coe.telemetry import metrics
from coe.telemetry.labels import FLOWS


def describe_process(*, version: str, role: str, flows: int) -> None:
    """Export the version and the role of the process; at most `flows` flows are named."""
    FLOWS.most = flows
    metrics.PROCESS.labels(version, role).set(1)
