"""`coe catalog`: search the catalog."""

from __future__ import annotations

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.output import output_option, print_json, print_table

_SEARCH = """
query Search($search: String, $filter: CatalogFilter, $first: Int!, $after: String) {
  catalog(search: $search, filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    facets { name values { value count } }
    edges {
      highlights
      node { kind ref title summary lifecycle tags owner { slug } }
    }
  }
}
"""


@click.group()
def command() -> None:
    """Search the catalog of templates, flows and systems."""


@command.command()
@click.argument("text", required=False)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["TEMPLATE", "FLOW", "SYSTEM"], case_sensitive=False),
    help="Repeatable.",
)
@click.option("--owner", "owners", multiple=True, help="A team's slug; repeatable.")
@click.option("--tag", "tags", multiple=True, help="A tag; repeatable.")
@click.option("--first", default=20, show_default=True, type=click.IntRange(1, 100))
@click.option("--after", help="Continue after this cursor.")
@output_option()
@with_api
def search(
    api: ApiClient,
    text: str | None,
    kinds: tuple[str, ...],
    owners: tuple[str, ...],
    tags: tuple[str, ...],
    first: int,
    after: str | None,
    output: str,
) -> None:
    """Find the entries with TEXT that you may read."""
    chosen = {"kinds": [kind.upper() for kind in kinds], "owners": owners, "tags": tags}
    filters = {name: list(values) for name, values in chosen.items() if values}
    found = api.call(
        _SEARCH,
        {"search": text, "filter": filters or None, "first": first, "after": after},
    )["catalog"]
    if output == "json":
        print_json(found)
        return
    rows = [edge["node"] | {"owner": edge["node"]["owner"]["slug"]} for edge in found["edges"]]
    print_table(
        rows,
        ["kind", "ref", "title", "owner", "lifecycle"],
        "Nothing found; try fewer words, or fewer filters.",
    )
    if found["pageInfo"]["hasNextPage"]:
        click.echo(
            f"{len(rows)} of {found['totalCount']}; continue with --after "
            f"{found['pageInfo']['endCursor']}",
            err=True,
        )
