"""Follow a run: its steps as they come, and for whom it waits."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from coe.cli.api_client import ApiClient
from coe.cli.documents import plain_id
from coe.cli.output import Result, cell_text, for_people
from coe.errors import Unavailable

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# The data of a run and the title of its error are asked once, at the end: reading them is recorded.
_RUN: Final = """
id state correlationId startedBy requestedAt startedAt endedAt version { ref } waitsBecause
interventions { kind by at reason }
steps {
  id name kind state attempt iteration startedAt endedAt workedFor waitedFor waitsBecause
  unmatchedEvents unmatchedAt
  humanTask { id title state candidateRoles assignee dueAt }
  childRun { id state version { ref } }
}
"""
_STATE: Final = f"query State($id: ID!) {{ run(id: $id) {{ {_RUN} }} }}"
ERROR: Final = """
error { type status reason title detail instance }
faultedStep { name attempt }
dataReaders { subject via }
"""
"""What `error_lines` prints."""
_END: Final = f"query End($id: ID!) {{ run(id: $id) {{ {_RUN} output {ERROR} }} }}"
_ENDED: Final = {"COMPLETED": 0, "FAULTED": 3, "CANCELLED": 3}
_GOES_ON: Final = 4
_OPEN: Final = frozenset({"OPEN", "CLAIMED", "ESCALATED"})
_NUMBER: Final = re.compile(r"\d+")
_PATIENCE: Final = 60.0
"""The seconds for which a server that does not answer is asked again."""


def exit_code(state: str) -> int:
    """The exit code for a run in this state: 0 completed, 3 faulted or cancelled, else 4."""
    return _ENDED.get(state, _GOES_ON)


@dataclass(frozen=True, slots=True)
class Following:
    """How long to follow: seconds, and whether to stop where the run waits for a person."""

    wait: float
    until_person: bool


def follow_options(function: FunctionT) -> FunctionT:
    """Add the options `--wait` and `--until`, passed as they are."""
    for option in (
        click.option(
            "--until",
            type=click.Choice(["end", "person"]),
            help="Stop at the end, or where it waits for a person; by default the end on a "
            "terminal, else the person.",
        ),
        click.option(
            "--wait",
            type=click.FloatRange(0, 31_536_000),
            metavar="SECONDS",
            help="Follow for at most so long; by default without limit on a terminal, else 60.",
        ),
    ):
        function = option(function)
    return function


def following(wait: float | None, until: str | None) -> Following:
    """What the options mean, on a terminal and elsewhere."""
    terminal = sys.stdout.isatty()
    seconds = wait if wait is not None else float("inf") if terminal else 60.0
    return Following(seconds, (until or ("end" if terminal else "person")) == "person")


def follow(api: ApiClient, run_id: str, how: Following) -> Result:
    """Follow a run until it ends, waits for a person, or the time is over; Ctrl-C leaves it."""
    printer = _Printer(quiet=not for_people())
    try:
        state = _poll(api, run_id, how, printer)
    except KeyboardInterrupt:
        click.echo(
            f"\nThe run goes on. Follow it again: coe run watch {plain_id(run_id)}", err=True
        )
        sys.exit(_GOES_ON)
    if state["state"] in _ENDED:
        state = api.call(_END, {"id": run_id})["run"]
    notes = [] if state["state"] in _ENDED else [f"goes on: coe run watch {plain_id(state['id'])}"]
    return Result(state, list(_last_lines(state)), notes, code=exit_code(state["state"]))


def _poll(api: ApiClient, run_id: str, how: Following, printer: _Printer) -> dict[str, Any]:
    deadline = time.monotonic() + how.wait
    pause, silent_since = 0.2, None
    while True:
        try:
            run: dict[str, Any] = api.call(_STATE, {"id": run_id})["run"]
            silent_since = None
        except Unavailable as error:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > _PATIENCE:
                raise
            printer.say_unavailable(error.message)
        else:
            printer.show(run)
            person = how.until_person and any(_waits_for_a_person(run))
            if run["state"] in _ENDED or person or time.monotonic() >= deadline:
                return run
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(2.0, pause * 1.3)


@dataclass
class _Printer:
    """Prints what is new in a run."""

    quiet: bool
    steps: dict[str, tuple[str, int]] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    started: bool = False
    unavailable: bool = False

    def show(self, run: dict[str, Any]) -> None:
        self.unavailable = False
        if self.quiet:
            return
        if not self.started:
            click.echo(f"run {plain_id(run['id'])} of {run['version']['ref']}")
            self.started = True
        for step in run["steps"]:
            now = (step["state"], step["attempt"])
            if self.steps.get(step["id"]) != now:
                self.steps[step["id"]] = now
                click.echo(step_line(step))
        # A sentence that only counts on is said again when its unit changes, not at every poll.
        waits = {_NUMBER.sub("", line): line for line in waiting_lines(run)}
        for kind, line in sorted(waits.items()):
            if kind not in self.waits:
                click.echo(line)
        self.waits = waits

    def say_unavailable(self, message: str) -> None:
        if not self.unavailable:
            click.echo(f"{message}; trying again …", err=True)
        self.unavailable = True


def step_line(step: dict[str, Any]) -> str:
    """A step as one line."""
    attempt = f" (try {step['attempt']})" if step["attempt"] > 1 else ""
    turn = f" [{step['iteration']}]" if step["iteration"] else ""
    child = step["childRun"]
    called = f" → run {plain_id(child['id'])} of {child['version']['ref']}" if child else ""
    return cell_text(
        f"  {step['state']:<10} {step['kind']:<12} {step['name']}{turn}{attempt}{called}"
    )


def waiting_lines(run: dict[str, Any]) -> Iterator[str]:
    """For whom a run waits: each open human task, and each worker that has not taken a run."""
    if run.get("waitsBecause"):
        yield "             " + cell_text(f"waits: {run['waitsBecause']}")
    for step in run["steps"]:
        if step.get("waitsBecause"):
            yield "             " + cell_text(f"waits: {step['waitsBecause']}")
        if step["unmatchedEvents"] and step["state"] == "WAITING":
            events = (
                "1 event" if step["unmatchedEvents"] == 1 else f"{step['unmatchedEvents']} events"
            )
            line = f"{step['name']}: {events} could not be compared by {step['unmatchedAt']}"
            yield "             " + cell_text(line)
    for task in _waits_for_a_person(run):
        who = task["assignee"] or ", ".join(task["candidateRoles"]) or "somebody"
        due = f", due {task['dueAt']}" if task["dueAt"] else ""
        line = f"waits for {who}: {task['title']}{due}  (coe task show {plain_id(task['id'])})"
        yield "             " + cell_text(line)


def _waits_for_a_person(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in run["steps"]:
        task = step["humanTask"]
        if task and task["state"] in _OPEN:
            yield task


def _last_lines(run: dict[str, Any]) -> Iterator[str]:
    yield f"{plain_id(run['id'])} {run['version']['ref']} {run['state']}"
    yield from intervention_lines(run)
    yield from error_lines(run)


def intervention_lines(run: dict[str, Any]) -> Iterator[str]:
    """Who cancelled or retried a run, and why."""
    for each in run["interventions"]:
        did = "cancelled" if each["kind"] == "CANCEL" else "retried"
        yield cell_text(f"  {did} by {each['by']} at {each['at']}: {each['reason']}")


def error_lines(run: dict[str, Any]) -> Iterator[str]:
    """The error of a run, where it happened, and who may read the rest of it.

    The title and the detail are left out for a caller who may not read them.
    """
    error = run.get("error")
    if not error:
        return
    title = error.get("title") or error.get("reason") or "it faulted"
    detail = f": {error['detail']}" if error.get("detail") else ""
    yield cell_text(f"error: {title} ({error['type']}, {error['status']}){_place(run)}{detail}")
    readers = data_readers(run)
    if not error.get("title") and readers:
        yield cell_text(f"  the rest may contain data; who may read it: {readers}")


def data_readers(run: dict[str, Any]) -> str:
    """Who may read the data of a run, as a list in words; empty where nobody is named."""
    readers = run.get("dataReaders") or ()
    return ", ".join(f"{each['subject']} ({each['via']})" for each in readers)


def _place(run: dict[str, Any]) -> str:
    step = run.get("faultedStep")
    if step:
        return f" at {step['name']}, try {step['attempt']}"
    instance = run["error"].get("instance")
    return f" at {instance}" if instance else ""
