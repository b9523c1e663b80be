"""The group of `coe template`: list, show and render templates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.form import describe, set_option, set_values
from coe.cli.grammar import Noun, example
from coe.cli.input_files import parse_json_input, read_value_input
from coe.cli.lifecycle import add_lifecycle
from coe.cli.output import Result, Table, View, cell_text, printed, problem_fields
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.template.instantiate import instantiate, preview
from coe.cli.template.new import new
from coe.cli.template.register import register
from coe.cli.versions import add_versions
from coe.errors import NotFound, errors_in

_LIST: Final = """
query Templates($first: Int!, $after: String) {
  catalog(filter: {kinds: [TEMPLATE]}, orderBy: TITLE, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      ref title summary lifecycle
      ... on Template { version { version } usage { flows teams } }
    }
  }
}
"""
_SHOW: Final = """
query Template($ref: String!, $version: String) {
  template(ref: $ref) {
    ref title summary lifecycle domain tags owner { slug }
    usage { flows flowsOnLatest teams byVersion { value count } }
    version(ref: $version) { ref lifecycle parameters definition readme changelog publishedAt }
  }
}
"""


@click.group(cls=Noun)
def command() -> None:
    """Find, render, instantiate and publish templates of processes."""


for each in (instantiate, new, preview, register):
    command.add_command(each)
add_lifecycle(command)
add_versions(command, "template")


@command.command("list")
@paged(50)
@example("coe template list")
@printed()
@with_api
def list_templates(api: ApiClient, page: Page) -> Result:
    """List the templates that you may read."""
    found = fetch(api, _LIST, {}, page, "catalog")
    rows = [
        {
            "ref": node["ref"],
            "version": (node["version"] or {}).get("version"),
            "title": node["title"],
            "lifecycle": node["lifecycle"],
            "flows": node["usage"]["flows"],
        }
        for node in found["nodes"]
    ]
    columns = ["ref", "version", "title", "lifecycle", "flows"]
    empty = "No templates yet; register one with coe template register FOLDER."
    return Result(found, Table(rows, columns, empty), notes_on(found))


@command.command()
@click.argument("ref")
@example("coe template show coe/order-to-cash", "coe template show coe/order-to-cash@1.0.0")
@printed()
@with_api
def show(api: ApiClient, ref: str) -> Result:
    """Show REF (namespace/name[@version]): what it is for, and its parameters."""
    name, _, version = ref.partition("@")
    found = api.call(_SHOW, {"ref": name, "version": version or None})["template"]
    if version and found["version"] is None:
        raise NotFound(f"there is no {ref}, or you may not read it: coe template versions {name}")
    return Result(found, list(_views(found)))


@command.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--parameters", help="JSON, or @FILE with JSON or YAML.")
@click.option("--namespace", default="example", show_default=True)
@click.option("--name", help="The flow's name; by default the template's.")
@set_option("the parameters")
@example(
    "coe template render templates/order-to-cash --set creditLimit=500.00 > flow.yaml",
    "coe template render templates/order-to-cash --parameters @parameters.json",
)
@printed()
def render(
    folder: Path,
    parameters: str | None,
    namespace: str,
    name: str | None,
    pairs: tuple[str, ...],
) -> Result:
    """Render the template in FOLDER, offline; print the definition."""
    from coe.cli.template.render import render_folder, schema_of  # noqa: PLC0415  # YAML is slow to import

    values: Any = {}
    if parameters is not None:
        values = (
            read_value_input(parameters[1:])
            if parameters.startswith("@")
            else parse_json_input(parameters, "--parameters")
        )
    if pairs:
        if not isinstance(values, dict):
            raise click.UsageError("--set is for parameters that are an object")
        set_values(values, pairs, schema_of(folder))
    definition, found = render_folder(folder, namespace=namespace, name=name, parameters=values)
    problems = [problem_fields(problem) for problem in found]
    return Result(
        {"definition": definition, "problems": problems},
        () if definition is None else definition.removesuffix("\n"),
        problems=problems,
        code=1 if errors_in(found) else 0,
    )


def _views(found: dict[str, Any]) -> Iterator[View]:
    yield f"{found['ref']}  {found['lifecycle']}, of {found['owner']['slug']}"
    yield f"  {cell_text(found['title'])}: {cell_text(found['summary'])}"
    usage = found["usage"]
    yield f"  {usage['flows']} flows of {usage['teams']} teams were made from it"
    version = found["version"]
    if version is None:
        yield "  it has no version that you may read"
        return
    yield f"  {version['ref']} {version['lifecycle']}"
    yield Table(describe(version["parameters"]), ["field", "takes", "what"], "no parameters")
