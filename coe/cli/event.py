"""`coe event`: send events to the runs that wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.input_files import read_value_input, source_name
from coe.cli.output import Result, View, has_errors, printed

_SEND: Final = document("""
mutation Send($input: SendEventInput!) {
  sendEvent(input: $input) {
    duplicate
    delivered { id state version { ref } }
    pending
    unmatched { flow run { id } path reason }
    problems { ...problem }
  }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """Send events to the runs that wait for them."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@example("coe event send payment.json", "coe event send - < payment.json")
@printed()
@with_api
def send(api: ApiClient, file: str) -> Result:
    """Send the CloudEvent in FILE (structured JSON; `-` is stdin); list the runs that took it.

    A run that waits takes it a moment later. An event with the same source and id as an earlier one
    is a duplicate and has no effect, so send it again to see what became of it. Exit code 0 if the
    event was accepted, 1 if it has problems.
    """
    answer = api.call(_SEND, {"input": {"event": read_value_input(file)}})["sendEvent"]
    failed = has_errors(answer["problems"])
    view = [] if failed else list(_views(answer))
    return Result(
        answer, view, problems=answer["problems"], file=source_name(file), code=int(failed)
    )


def _views(answer: dict[str, Any]) -> Iterator[View]:
    runs = answer["delivered"]
    known = "received before; " if answer["duplicate"] else ""
    yield f"{known}taken by {_runs(len(runs))} that you may read"
    for run in runs:
        yield f"  {run['version']['ref']}  {run['state']}  {plain_id(run['id'])}"
    if answer["pending"]:
        yield f"not taken so far by {_runs(answer['pending'])} of those that may take it"
    for each in answer["unmatched"]:
        who = f"run {plain_id(each['run']['id'])}" if each["run"] else "its schedule"
        yield f"not compared by {each['flow']}, {who}: {each['reason']}"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"
