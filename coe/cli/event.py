"""`coe event`: send events to the runs that wait for them."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.input_files import read_json_input, source_name
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems

_SEND: Final = """
mutation Send($input: SendEventInput!) {
  sendEvent(input: $input) {
    duplicate
    delivered { id state version { ref } }
    pending
    unmatched { flow run { id } path reason }
    PROBLEMS
  }
}
""".replace("PROBLEMS", PROBLEMS)


@click.group()
def command() -> None:
    """Send events to the runs that wait for them."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@output_option()
@with_api
def send(api: ApiClient, file: str, output: str) -> None:
    """Send the CloudEvent in FILE (structured JSON; `-` is stdin); list the runs that took it.

    A run that waits takes it a moment later. An event with the same source and id as an earlier one
    is a duplicate and has no effect, so send it again to see what became of it. Exit code 0 if the
    event was accepted, 1 if it has problems.
    """
    answer = api.call(_SEND, {"input": {"event": read_json_input(file)}})["sendEvent"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], source_name(file))
        if not answer["problems"]:
            _print(answer)
    sys.exit(1 if answer["problems"] else 0)


def _print(answer: dict[str, Any]) -> None:
    runs = answer["delivered"]
    known = "received before; " if answer["duplicate"] else ""
    click.echo(f"{known}taken by {_runs(len(runs))} that you may read")
    for run in runs:
        click.echo(f"  {run['version']['ref']}  {run['state']}  {run['id']}")
    if answer["pending"]:
        click.echo(f"not taken so far by {_runs(answer['pending'])} of those that may take it")
    for each in answer["unmatched"]:
        who = f"run {each['run']['id']}" if each["run"] else "its schedule"
        click.echo(f"not compared by {each['flow']}, {who}: {each['reason']}")


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"
