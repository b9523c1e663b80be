"""Rules about the times of human tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from coe.errors import Problem, Severity
from coe.language.branches.duration_bounds import task_times
from coe.language.durations import iso
from coe.language.lint.context import LintContext
from coe.language.model.calls import CallFunction


def check_task_times(context: LintContext) -> Iterator[Problem]:
    """OWS058: a stage of `escalate` that leaves whom it asks no time until the timeout."""
    for task in context.tasks:
        if not isinstance(task, CallFunction) or task.function.name != "humanTask":
            continue
        times = task_times(task)
        if times is None or times.due is None or times.expires is None:
            continue
        for after, index in times.stages:
            if after < times.due:
                continue
            due = f"`dueIn: {_text(times.due)}`"
            message = f"this stage fires with {due}, when the task times out"
            if after > times.due:
                message = (
                    f"this stage fires at {_text(after)}, after {due}: the timeout waits for it"
                )
            yield context.problem(
                "OWS058",
                message,
                f"{task.pointer}/with/escalate/{index}/after",
                severity=Severity.INFO,
                value=True,
                help=f"the task times out at {_text(times.expires)}; a longer `dueIn` leaves time",
            )


def _text(length: timedelta) -> str:
    return iso(round(length.total_seconds() * 1000))
