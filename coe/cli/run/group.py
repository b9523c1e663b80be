"""The group of `coe run`, with its commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.run.follow import (
    ERROR,
    data_readers,
    error_lines,
    follow,
    follow_options,
    following,
    intervention_lines,
    step_line,
    waiting_lines,
)
from coe.cli.times import moment_option
from coe.errors import Forbidden

STATES: Final = ["REQUESTED", "RUNNING", "WAITING", "COMPLETED", "FAULTED", "CANCELLED"]
_LIST: Final = document("""
query Runs($filter: RunFilter, $first: Int!, $after: String) {
  runs(filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { ...runLine }
  }
}
""")
_SHOW: Final = document(
    """
query Run($id: ID!) {
  run(id: $id) {
    ...runLine traceId engineRunId engineUrl waitsBecause
    interventions { kind by at reason }
    ERROR
    parent { id version { ref } }
    children { ...runLine }
    steps {
      id path name kind state attempt iteration startedAt endedAt workedFor waitedFor
      error { type status }
      waitsBecause unmatchedEvents unmatchedAt
      humanTask { id title state candidateRoles assignee dueAt }
      childRun { id state version { ref } }
    }
  }
}
""".replace("ERROR", ERROR)
)
_DATA: Final = "query Data($id: ID!) { run(id: $id) { id state %s dataReaders { subject via } } }"
_DIAGRAM: Final = "query Diagram($id: ID!) { run(id: $id) { id diagram diagramSvg } }"
_CHANGE: Final = {
    name: document(
        f"mutation Change($input: RunInput!) "
        f"{{ {name}(input: $input) {{ run {{ ...runLine }} problems {{ ...problem }} }} }}"
    )
    for name in ("cancelRun", "retryRun")
}
_RUN: Final = "01a204ad-a69e-70a2-985e-cb36c368b5b1"


@click.group(cls=Noun)
def command() -> None:
    """List, read, follow, cancel and retry runs."""


@command.command("list")
@click.option("--flow", "flows", multiple=True, help="Of this flow, namespace/name; repeatable.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Repeatable.",
)
@click.option("--correlation-id", "correlationId", help="The id by which your business knows it.")
@moment_option("--started-after", "startedAfter", "Started at this time or later.")
@moment_option("--started-before", "startedBefore", "Started before this time.")
@click.option("--parent", help="The runs that this run called.")
@paged()
@example("coe run list --state FAULTED --flow sales/order-to-cash --started-after 2026-01-01")
@printed()
@with_api
def list_runs(api: ApiClient, /, page: Page, **chosen: Any) -> Result:
    """List the runs that you may read, the newest first; each part of the filter narrows."""
    filters = {name: value for name, value in chosen.items() if value}
    found = fetch(api, _LIST, {"filter": filters or None}, page, "runs")
    rows = [
        {
            "run": plain_id(run["id"]),
            "flow": run["version"]["ref"],
            "state": run["state"],
            "requested": run["requestedAt"],
            "by": run["startedBy"],
            "correlation id": run["correlationId"],
        }
        for run in found["nodes"]
    ]
    columns = ["flow", "state", "requested", "by", "correlation id", "run"]
    return Result(found, Table(rows, columns, "No runs."), notes_on(found))


@command.command()
@click.argument("run")
@example(f"coe run show {_RUN}")
@printed()
@with_api
def show(api: ApiClient, run: str) -> Result:
    """Show RUN with its steps, and for whom it waits."""
    found = api.call(_SHOW, {"id": run})["run"]
    return Result(found, list(_views(found)))


@command.command()
@click.argument("run")
@follow_options
@example(f"coe run watch {_RUN}")
@printed()
@with_api
def watch(api: ApiClient, run: str, wait: float | None, until: str | None) -> Result:
    """Follow RUN: its steps as they come, and for whom it waits. Ctrl-C leaves it; it goes on.

    Exit code 0 completed, 3 faulted or cancelled, 4 still running or waiting for a person.
    """
    return follow(api, run, following(wait, until))


@command.command()
@click.argument("run")
@click.option("--reason", required=True, help="Why; the run shows it.")
@example(f"coe run cancel {_RUN} --reason 'ordered twice'")
@printed()
@with_api
def cancel(api: ApiClient, run: str, reason: str) -> Result:
    """Cancel RUN with its children, timers and human tasks."""
    return _change(api, "cancelRun", run, reason)


@command.command()
@click.argument("run")
@click.option("--reason", required=True, help="Why, such as what was mended.")
@example(f"coe run retry {_RUN} --reason 'the ERP answers again'")
@printed()
@with_api
def retry(api: ApiClient, run: str, reason: str) -> Result:
    """Continue RUN, which faulted, from the step that faulted."""
    return _change(api, "retryRun", run, reason)


@command.command("input")
@click.argument("run")
@example(f"coe run input {_RUN}")
@printed()
@with_api
def show_input(api: ApiClient, run: str) -> Result:
    """Print the input of RUN; reading it is recorded."""
    return _data(api, run, "input")


@command.command("output")
@click.argument("run")
@example(f"coe run output {_RUN} --output yaml")
@printed()
@with_api
def show_output(api: ApiClient, run: str) -> Result:
    """Print the output of RUN, once it is completed; reading it is recorded."""
    return _data(api, run, "output")


@command.command()
@click.argument("run")
@click.option("--to", type=click.Choice(["mermaid", "svg"]), default="mermaid", show_default=True)
@example(f"coe run diagram {_RUN} --to svg > run.svg")
@printed()
@with_api
def diagram(api: ApiClient, run: str, to: str) -> Result:
    """Draw the process of RUN with the states of its steps."""
    found = api.call(_DIAGRAM, {"id": run})["run"]
    drawn = found["diagramSvg" if to == "svg" else "diagram"]
    return Result({"format": to, "diagram": drawn}, formats={"table": lambda: drawn})


def _views(run: dict[str, Any]) -> Iterator[View]:
    rows = [
        {"": "flow", " ": run["version"]["ref"]},
        {"": "state", " ": run["state"]},
        {"": "requested", " ": f"{run['requestedAt']} by {run['startedBy']}"},
        {"": "started", " ": run["startedAt"]},
        {"": "ended", " ": run["endedAt"]},
        {"": "correlation id", " ": run["correlationId"]},
        {"": "called by", " ": plain_id((run["parent"] or {}).get("id"))},
    ]
    yield f"run {plain_id(run['id'])}"
    for row in rows:
        if row[" "]:
            yield f"  {row['']:<15} {row[' ']}"
    for step in run["steps"]:
        yield step_line(step)
    yield from waiting_lines(run)
    yield from intervention_lines(run)
    yield from error_lines(run)


def _change(api: ApiClient, mutation: str, run: str, reason: str) -> Result:
    answer = api.call(_CHANGE[mutation], {"input": {"run": run, "reason": reason}})[mutation]
    after = answer["run"]
    view = f"{plain_id(after['id'])} {after['version']['ref']} {after['state']}" if after else ()
    return Result(answer, view, problems=answer["problems"], code=0 if after else 1)


def _data(api: ApiClient, run: str, name: str) -> Result:
    import json  # noqa: PLC0415  # only here

    found = api.call(_DATA % name, {"id": run})["run"]
    value = found[name]
    if value is None and (name == "input" or found["state"] == "COMPLETED"):
        readers = data_readers(found)
        message = f"you may not read the {name} of this run"
        message += f"; who may: {readers}" if readers else ""
        raise Forbidden(message, permission="run:read_data")
    if value is None:
        return Result(None, (), [f"the run is {found['state']}: it has no {name}"])
    return Result(value, json.dumps(value, indent=2, ensure_ascii=False))
