"""`coe schedule`: when flows start by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.errors import NotFound

_FIELDS: Final = """
kind expression timeZone enabled version nextAt lastAt problem unmatchedEvents
lastRun { id state }
"""
_SHOW: Final = (
    f"query Schedule($ref: String!) {{ flow(ref: $ref) {{ ref schedule {{ {_FIELDS} }} }} }}"
)
_LIST: Final = f"""
query Schedules($first: Int!, $after: String) {{
  catalog(filter: {{kinds: [FLOW]}}, orderBy: TITLE, first: $first, after: $after) {{
    totalCount
    pageInfo {{ hasNextPage endCursor }}
    nodes {{ ref ... on Flow {{ schedule {{ {_FIELDS} }} }} }}
  }}
}}
"""
_CHANGE: Final = {
    name: document(
        f"mutation Change($input: ScheduleInput!) "
        f"{{ {name}(input: $input) {{ flow {{ ref }} problems {{ ...problem }} }} }}"
    )
    for name in ("pauseSchedule", "resumeSchedule")
}


@click.group(cls=Noun)
def command() -> None:
    """See when flows start by themselves; pause and resume their schedules."""


@command.command("list")
@paged(100)
@example("coe schedule list --all")
@printed()
@with_api
def list_schedules(api: ApiClient, page: Page) -> Result:
    """List the schedules of the flows that you may read."""
    found = fetch(api, _LIST, {}, page, "catalog")
    rows = [
        {
            "flow": f"{node['ref']}@{node['schedule']['version']}",
            "starts": f"{node['schedule']['kind']} {node['schedule']['expression']}",
            "paused": not node["schedule"]["enabled"],
            "next": node["schedule"]["nextAt"] if node["schedule"]["enabled"] else None,
            "last": node["schedule"]["lastAt"],
            "problem": node["schedule"]["problem"],
        }
        for node in found["nodes"]
        if node["schedule"]
    ]
    columns = ["flow", "starts", "paused", "next", "last", "problem"]
    data = [node for node in found["nodes"] if node["schedule"]]
    notes = [note.replace(" of ", " flows of ", 1) for note in notes_on(found)]
    return Result(data, Table(rows, columns, "No flow starts by itself."), notes)


@command.command()
@click.argument("flow")
@example("coe schedule show sales/tick")
@printed()
@with_api
def show(api: ApiClient, flow: str) -> Result:
    """Show when FLOW (namespace/name) starts by itself, and its last run.

    Exit code 6 for a flow without a schedule.
    """
    return schedule_result(api, flow)


@command.command()
@click.argument("flow")
@click.option("--reason", required=True, help="Why.")
@example("coe schedule pause sales/tick --reason holidays")
@printed()
@with_api
def pause(api: ApiClient, flow: str, reason: str) -> Result:
    """Pause the schedule of FLOW until it is resumed; active runs continue."""
    return change_schedule(api, "pauseSchedule", flow, reason)


@command.command()
@click.argument("flow")
@click.option("--reason", required=True, help="Why.")
@example("coe schedule resume sales/tick --reason 'the holidays are over'")
@printed()
@with_api
def resume(api: ApiClient, flow: str, reason: str) -> Result:
    """Resume the schedule of FLOW from now on; missed starts are not made up for."""
    return change_schedule(api, "resumeSchedule", flow, reason)


def schedule_result(api: ApiClient, ref: str) -> Result:
    """The schedule of a flow.

    Raises:
        NotFound: The flow has none, or may not be read.
    """
    flow = api.call(_SHOW, {"ref": ref})["flow"]
    found = flow["schedule"]
    if found is None:
        raise NotFound(f"{flow['ref']} does not start by itself: its live version has no schedule")
    return Result(found, list(_lines(flow["ref"], found)))


def change_schedule(api: ApiClient, mutation: str, flow: str, reason: str) -> Result:
    """Pause or resume a schedule, and show it."""
    given = {"input": {"flow": flow, "reason": reason}}
    answer = api.call(_CHANGE[mutation], given)[mutation]
    if answer["problems"]:
        return Result(answer, problems=answer["problems"], code=1)
    return schedule_result(api, flow)


def _lines(ref: str, found: dict[str, Any]) -> Iterator[str]:
    zone = f" ({found['timeZone']})" if found["kind"] == "CRON" else ""
    state = "" if found["enabled"] else ", paused"
    yield f"{ref}@{found['version']}: {found['kind']} {found['expression']}{zone}{state}"
    if found["nextAt"] and found["enabled"]:
        yield f"  next  {found['nextAt']}"
    if found["lastAt"]:
        run = found["lastRun"]
        last = f"  {run['state']}  {plain_id(run['id'])}" if run else ""
        yield f"  last  {found['lastAt']}{last}"
    if found["problem"]:
        yield f"  problem  {found['problem']}"
    if found["unmatchedEvents"]:
        yield f"  {found['unmatchedEvents']} events could not be compared"
