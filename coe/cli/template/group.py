"""The group of `coe template`, with its commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.input_files import parse_json_input, read_text_input
from coe.cli.output import output_option, print_json, print_problems, print_table, problem_fields
from coe.errors import errors_in

_LIST = """
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


@click.group()
def command() -> None:
    """List and render templates of processes."""


@command.command("list")
@click.option("--first", default=50, show_default=True, type=click.IntRange(1, 100))
@click.option("--after", help="Continue after this cursor.")
@output_option()
@with_api
def list_templates(api: ApiClient, first: int, after: str | None, output: str) -> None:
    """List the templates that you may read."""
    found = api.call(_LIST, {"first": first, "after": after})["catalog"]
    if output == "json":
        print_json(found)
        return
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
    print_table(rows, columns, "No templates yet; register one with registerTemplate.")


@command.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--parameters", default="{}", help="JSON, or @FILE with JSON.")
@click.option("--namespace", default="example", show_default=True)
@click.option("--name", help="The flow's name; by default the template's.")
@output_option()
def render(folder: Path, parameters: str, namespace: str, name: str | None, output: str) -> None:
    """Render the template in FOLDER, offline; print the definition."""
    from coe.cli.template.render import render_folder  # noqa: PLC0415  # YAML is slow to import

    text = read_text_input(parameters[1:]) if parameters.startswith("@") else parameters
    values = parse_json_input(text, "--parameters")
    definition, found = render_folder(
        folder,
        namespace=namespace,
        name=name,
        parameters=values,
    )
    problems = [problem_fields(problem) for problem in found]
    if output == "json":
        print_json({"definition": definition, "problems": problems})
    else:
        print_problems(problems)
        if definition is not None:
            click.echo(definition, nl=False)
    sys.exit(1 if errors_in(found) else 0)
