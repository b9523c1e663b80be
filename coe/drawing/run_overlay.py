"""The states of a run on a drawing: state, duration and attempts of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

# The name of each state in a drawing, in the order of the legend.
STATES: Final = {
    "RUNNING": "running",
    "WAITING": "waiting",
    "RETRYING": "retrying",
    "COMPLETED": "completed",
    "FAULTED": "faulted",
    "CANCELLED": "cancelled",
    "SKIPPED": "skipped",
}


@dataclass(frozen=True, slots=True)
class StepOverlay:
    """The state of one task in a run, over all its executions.

    `state` is one of RUNNING, WAITING, RETRYING, COMPLETED, FAULTED, CANCELLED and SKIPPED. The
    times are sums over all executions; `worked` is without what people `held`. `attempts` is the
    largest number that one execution needed.
    `executions` counts the rounds of loops and the visits. `error` is a short description.
    """

    state: str
    worked: timedelta | None = None
    waited: timedelta | None = None
    attempts: int = 1
    executions: int = 1
    error: str | None = None
    held: timedelta | None = None

    def lines(self) -> tuple[str, ...]:
        """The lines in a drawing: the state, then times and counts, then the error."""
        counts = []
        if self.worked:
            counts.append(f"worked {brief_duration(self.worked)}")
        if self.held:
            counts.append(f"with people {brief_duration(self.held)}")
        if self.waited:
            counts.append(f"waited {brief_duration(self.waited)}")
        if self.attempts > 1:
            counts.append(f"{self.attempts} attempts")
        times = f", {self.executions} times" if self.executions > 1 else ""
        lines = [STATES.get(self.state, self.state.lower()) + times]
        if counts:
            lines.append(", ".join(counts))
        if self.error:
            lines.append(self.error)
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class RunOverlay:
    """The steps of a run by the JSON pointer of their task, and a title for the run."""

    steps: Mapping[str, StepOverlay] = field(default_factory=dict)
    title: str = ""

    def state(self, key: str) -> str | None:
        """The state of a step; None for a step that was not reached."""
        step = self.steps.get(key)
        return step.state if step is not None and step.state in STATES else None

    def status(self, key: str) -> tuple[str, ...]:
        """The lines for a step; none for a step that was not reached."""
        step = self.steps.get(key)
        return step.lines() if step is not None and step.state in STATES else ()


def brief_duration(length: timedelta) -> str:
    """Format a duration in its two largest units: `3 d 4 h`, `1.2 s`, `35 ms`."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004  # below that, tenths matter
        return f"{seconds:.1f} s".replace(".0 ", " ")
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)
