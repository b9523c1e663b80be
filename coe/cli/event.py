"""`coe event`: send events to the runs that want them."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import click

from coe.cli.output import output_option, print_json, print_problems
from coe.cli.server import Server, read_text, source_name, with_server
from coe.errors import CoeError

SEND: Final = """
mutation Send($input: SendEventInput!) {
  sendEvent(input: $input) {
    duplicate
    delivered { id state version { ref } }
    problems { code severity message path line column help }
  }
}
"""


@click.group()
def command() -> None:
    """Send events to the runs that want them."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@output_option()
@with_server
def send(server: Server, file: str, output: str) -> None:
    """Send the CloudEvent in FILE (structured JSON; `-` is stdin), and tell whom it reached.

    The same source and id again is a duplicate: nothing happens again. Exit code 0 when it was
    taken, 1 when it has problems.
    """
    answer = server.call(SEND, {"input": {"event": _event(file)}})["sendEvent"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], source_name(file))
        if not answer["problems"]:
            _tell(answer)
    sys.exit(1 if answer["problems"] else 0)


def _event(file: str) -> Any:
    try:
        return json.loads(read_text(file))
    except ValueError as error:
        message = f"{source_name(file)} is no JSON: {error}"
        raise CoeError(message, code="INVALID") from None


def _tell(answer: dict[str, Any]) -> None:
    runs = answer["delivered"]
    known = "known before; " if answer["duplicate"] else ""
    click.echo(
        f"{known}reached {len(runs)} {'run' if len(runs) == 1 else 'runs'} that you may read"
    )
    for run in runs:
        click.echo(f"  {run['version']['ref']}  {run['state']}  {run['id']}")
