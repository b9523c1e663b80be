"""What Prometheus gets when it asks a process for its metrics."""

from __future__ import annotations

from prometheus_client.exposition import choose_encoder

from coe.telemetry import metrics, pools  # noqa: F401  # so every metric is declared
from coe.telemetry.declaring import REGISTRY

PATH = "/metrics"


def exposition(accept: str | None = None) -> tuple[bytes, str]:
    """The metrics of this process, in the format that the client accepts, and its content type."""
    encode, content_type = choose_encoder(accept or "")
    return encode(REGISTRY), content_type
