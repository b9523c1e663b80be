"""Since when a sink of checkpoints has lacked the newest one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from coe.telemetry.metrics import SINK_MISSING

CHECKPOINT_FILE: Final = "file"
"""The sink that every sealer has: its own checkpoint file."""
_LACKING: Final = set[str]()


@contextmanager
def writing_to(sink: str) -> Iterator[None]:
    """Note that the sink lacks a checkpoint if what is done in this context fails."""
    try:
        yield
    except BaseException:
        if sink not in _LACKING:
            _LACKING.add(sink)
            SINK_MISSING.labels(sink).set_to_current_time()
        raise
    _LACKING.discard(sink)
    SINK_MISSING.labels(sink).set(0)
