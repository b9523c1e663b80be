"""`coe flow run`."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_option_value
from coe.cli.output import Result, printed
from coe.cli.run.follow import exit_code, follow, follow_options, following
from coe.errors import Invalid, Problem

_START: Final = document("""
mutation Start($input: StartRunInput!) {
  startRun(input: $input) {
    run { ...runLine }
    problems { ...problem }
  }
}
""")


@verb()
@click.argument("ref")
@click.option(
    "--input",
    "input_file",
    default="-",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with the input, JSON or YAML; - is stdin.",
)
@click.option("--correlation-id", help="The id by which your business knows this case.")
@click.option("--no-follow", is_flag=True, help="Start it only.")
@follow_options
@example(
    "coe flow run sales/order-to-cash --input order.json",
    "coe flow run sales/order-to-cash@1.0.0 --input order.json --no-follow",
)
@printed()
@with_api
def run(
    api: ApiClient,
    ref: str,
    input_file: str,
    correlation_id: str | None,
    no_follow: bool,  # noqa: FBT001  # click passes it by keyword
    wait: float | None,
    until: str | None,
) -> Result:
    """Start a run of REF (namespace/name[@version]) and follow it.

    It shows the steps as they come, and for whom the run waits. Ctrl-C leaves it; it goes on, and
    `coe run watch` takes it up again. Exit code 0 completed, 3 faulted or cancelled, 4 still
    running or waiting for a person.
    """
    value = read_option_value("--input", input_file)
    if value is None:
        raise Invalid([Problem("INPUT_TYPE", "the input is null: give an object", path="/input")])
    given = {"flow": ref, "input": value, "correlationId": correlation_id}
    started: dict[str, Any] = api.call(_START, {"input": given})["startRun"]
    found = started["run"]
    if found is None:
        return Result(started, problems=started["problems"], code=1)
    if no_follow or wait == 0:
        line = f"{plain_id(found['id'])} {found['version']['ref']} {found['state']}"
        return Result(found, line, code=exit_code(found["state"]) if wait == 0 else 0)
    return follow(api, found["id"], following(wait, until))
