"""`coe flow run`, and the exit codes of the state of a run."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.input_files import read_json_input
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems

_START: Final = """
mutation Start($input: StartRunInput!) {
  startRun(input: $input) {
    run { id state version { ref } }
    PROBLEMS
  }
}
""".replace("PROBLEMS", PROBLEMS)
_STATE: Final = """
query State($id: ID!) {
  run(id: $id) {
    id state output error { type status title detail }
    version { ref }
    steps { name kind state attempt humanTask { id title candidateRoles state } }
  }
}
"""
_ENDED: Final = {"COMPLETED": 0, "FAULTED": 3, "CANCELLED": 3}
_WAITING: Final = 4


def exit_code(state: str) -> int:
    """The exit code for a run in this state: 0 completed, 3 faulted or cancelled, else 4."""
    return _ENDED.get(state, _WAITING)


@click.command()
@click.argument("ref")
@click.option("--input", "input_file", default="-", help="A file with the JSON input; - is stdin.")
@click.option("--correlation-id", help="The id by which your business knows this case.")
@click.option(
    "--wait",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="Seconds to wait for the end; 0 only starts the run.",
)
@output_option()
@with_api
def run(
    api: ApiClient,
    ref: str,
    input_file: str,
    correlation_id: str | None,
    wait: float,
    output: str,
) -> None:
    """Start a run of REF (namespace/name[@version]) and wait for its end.

    Exit code 0 completed, 3 faulted or cancelled, 4 still running or waiting for a person.
    """
    given = {"flow": ref, "input": read_json_input(input_file), "correlationId": correlation_id}
    started = api.call(_START, {"input": given})["startRun"]
    if started["run"] is None:
        print_problems(started["problems"])
        sys.exit(1)
    state = _follow(api, started["run"], wait)
    if output == "json":
        print_json(state)
    else:
        _print(state)
    sys.exit(exit_code(state["state"]))


def _follow(api: ApiClient, run: dict[str, Any], wait: float) -> dict[str, Any]:
    """Poll the run until it ended, a human task is open, or `wait` seconds have passed."""
    deadline = time.monotonic() + wait
    pause = 0.2
    while run["state"] not in _ENDED and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2.0, pause * 1.3)
        run = api.call(_STATE, {"id": run["id"]})["run"]
        if any((step["humanTask"] or {}).get("state") == "OPEN" for step in run["steps"]):
            break
    return run


def _print(state: dict[str, Any]) -> None:
    click.echo(f"{state['id']} {state['version']['ref']} {state['state']}")
    for step in state.get("steps", []):
        click.echo(f"  {step['state']:<10} {step['kind']:<12} {step['name']}")
        task = step["humanTask"]
        if task and task["state"] in {"OPEN", "CLAIMED"}:
            click.echo(f"             waits for {', '.join(task['candidateRoles'])}")
    if state.get("error"):
        error = state["error"]
        click.echo(f"error: {error['title']} ({error['type']}, {error['status']})", err=True)
