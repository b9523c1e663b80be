"""The group of `coe task`: list and show human tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.form import describe
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, cell_text, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.task.change import SHOWN_DIGEST, claim, complete, delegate, release
from coe.cli.team.requests import waiting

STATES: Final = ["OPEN", "CLAIMED", "COMPLETED", "ESCALATED", "CANCELLED", "EXPIRED"]
_LIST: Final = document("""
query Inbox($filter: HumanTaskFilter, $first: Int!, $after: String) {
  inbox(filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { ...taskLine approvalsNeeded approvalsGiven }
  }
}
""")
_SHOW: Final = document("""
query Task($id: ID!) {
  humanTask(id: $id) {
    ...taskLine instructions context form outcomes approvalsNeeded
    approvals { by at decision comment answer digest voided }
    escalations { at to reason }
    completedAt completedBy answer reason
  }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """List, claim and answer the human tasks of runs."""


for each in (claim, release, delegate, complete):
    command.add_command(each)


@command.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Repeatable; by default those that can still be answered.",
)
@click.option("--mine", "assignedToMe", is_flag=True, help="Those that you have claimed.")
@click.option("--claimable", is_flag=True, help="Those that you can claim now.")
@click.option("--overdue", is_flag=True, help="Those that should be answered by now.")
@click.option("--flow", "flows", multiple=True, help="Of runs of this flow; repeatable.")
@paged()
@example("coe task list --claimable", "coe task list --overdue --flow sales/order-to-cash")
@printed()
@with_api
def list_tasks(api: ApiClient, /, page: Page, **chosen: Any) -> Result:
    """List the human tasks that you may see, the oldest first; each part of the filter narrows."""
    filters = {name: value for name, value in chosen.items() if value}
    found = fetch(api, _LIST, {"filter": filters or None}, page, "inbox")
    rows = [
        {
            "task": plain_id(task["id"]),
            "title": task["title"],
            "state": _state(task),
            "for": task["assignee"] or task["candidateRoles"],
            "due": task["dueAt"],
            "flow": task["run"]["version"]["ref"],
        }
        for task in found["nodes"]
    ]
    columns = ["title", "state", "for", "due", "flow", "task"]
    notes = [*notes_on(found), *waiting(api)]
    return Result(found, Table(rows, columns, "Nothing waits."), notes)


@command.command()
@click.argument("task")
@example("coe task show 01a204ad-a69e-70a2-985e-cb36c368b5b1")
@printed()
@with_api
def show(api: ApiClient, task: str) -> Result:
    """Show TASK: what is asked, and what one needs to see to decide; reading it is recorded."""
    found = api.call(_SHOW, {"id": task})["humanTask"]
    return Result(found, list(_views(found)))


def _views(task: dict[str, Any]) -> Iterator[View]:
    who = task["assignee"] or ", ".join(task["candidateRoles"])
    due = f", due {task['dueAt']}" if task["dueAt"] else ""
    yield f"{cell_text(task['title'])}  {task['state']}, for {who}{due}"
    yield f"  run {plain_id(task['run']['id'])} of {task['run']['version']['ref']}"
    if task["instructions"]:
        yield from (f"  {cell_text(line)}" for line in task["instructions"].splitlines())
    if isinstance(task["context"], dict) and task["context"]:
        rows = [{"context": name, "value": value} for name, value in task["context"].items()]
        yield Table(rows, ["context", "value"])
    fields = describe(task["form"])
    if fields:
        yield Table(fields, ["field", "takes", "what"])
    yield from _approvals(task)
    if task["outcome"]:
        yield f"outcome: {task['outcome']} by {task['completedBy'] or 'several'}"
    else:
        key = plain_id(task["id"])
        yield f"outcomes: {', '.join(task['outcomes'])}  (coe task complete {key})"


def _state(task: dict[str, Any]) -> str:
    needed = task["approvalsNeeded"]
    given = f", {task['approvalsGiven']} of {needed} approvals" if needed > 1 else ""
    return f"{task['state']}{given}"


def _approvals(task: dict[str, Any]) -> Iterator[View]:
    """The answers so far to a task that needs several, and how one agrees to that which counts."""
    if task["approvalsNeeded"] == 1 or not task["approvals"]:
        return
    rows = [
        {
            "answer": each["answer"],
            "outcome": each["decision"],
            "by": each["by"],
            "at": each["at"],
            "digest": each["digest"][:SHOWN_DIGEST] if each["digest"] else None,
            "counts": each["voided"] or "yes",
            "comment": each["comment"],
        }
        for each in task["approvals"]
    ]
    yield Table(rows, ["outcome", "answer", "by", "at", "digest", "counts", "comment"])
    counting = [each for each in task["approvals"] if not each["voided"] and each["digest"]]
    if counting and not task["outcome"]:
        key, short = plain_id(task["id"]), counting[-1]["digest"][:SHOWN_DIGEST]
        yield f"to approve this answer: coe task complete {key} --agree {short}"
