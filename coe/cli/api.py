"""`coe api`: GraphQL from a file, anything by its id, and the schema."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.input_files import parse_json_input, read_option_value, read_text_input
from coe.cli.output import Result, printed
from coe.errors import CoeError

_NODE: Final = """
query Node($id: ID!) {
  node(id: $id) {
    __typename
    id
    ... on CatalogEntry { ref title lifecycle }
    ... on FlowVersion { ref lifecycle }
    ... on TemplateVersion { ref lifecycle }
    ... on DecisionTableVersion { ref lifecycle }
    ... on Run { state version { ref } }
    ... on HumanTask { taskTitle: title taskState: state run { id } }
    ... on Team { slug name }
    ... on AuditEvent { index action resource actor at }
  }
}
"""


@click.group(cls=Noun)
def command() -> None:
    """Ask the GraphQL API directly."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--variables",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with the variables, JSON or YAML; - is stdin.",
)
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE", help="One variable, text or JSON."
)
@example("coe api query runs.graphql --set state=FAULTED", "coe api query - < runs.graphql")
@printed()
@with_api
def query(api: ApiClient, file: str, variables: str | None, pairs: tuple[str, ...]) -> Result:
    """Execute the GraphQL document in FILE (`-` is stdin), and print its data."""
    given: Any = {} if variables is None else read_option_value("--variables", variables)
    if not isinstance(given, dict):
        raise click.BadParameter("it is not an object", param_hint="--variables")
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes NAME=VALUE, not {pair!r}")
        try:
            given[name] = parse_json_input(text, f"--set {name}")
        except CoeError:
            given[name] = text
    data = api.call(read_text_input(file), given)
    return Result(data, json.dumps(data, indent=2, ensure_ascii=False))


@command.command()
@click.argument("id")
@example("coe api node sales/order-to-cash", "coe api node 01a204ad-a69e-70a2-985e-cb36c368b5b1")
@printed()
@with_api
def node(api: ApiClient, id: str) -> Result:  # noqa: A002  # the argument's name
    """Say what ID is: a global id, a plain UUID or a ref."""
    found = api.call(_NODE, {"id": id})["node"]
    lines = [
        f"{name}: {value}"
        for name, value in found.items()
        if value is not None and not isinstance(value, dict)
    ]
    return Result(found, lines)


@command.command()
@example("coe api schema > schema.graphql")
@printed()
def schema() -> Result:
    """Print the GraphQL schema of this version of the platform."""
    from importlib.resources import files  # noqa: PLC0415  # only here

    text = files("coe.api").joinpath("schema.graphql").read_text(encoding="utf-8")
    return Result({"schema": text}, text.removesuffix("\n"))
