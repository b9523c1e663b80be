"""`coe catalog`: search the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_SEARCH: Final = """
query Search(
  $search: String, $filter: CatalogFilter, $order: CatalogOrder, $first: Int!, $after: String
) {
  catalog(search: $search, filter: $filter, orderBy: $order, first: $first, after: $after) {
    totalCount note didYouMean
    pageInfo { hasNextPage endCursor }
    facets { name values { value count } }
    edges {
      highlights matches { field fragment }
      node { kind ref title summary lifecycle tags updatedAt owner { slug } }
    }
  }
}
"""
_COMPLETE: Final = """
query Complete($text: String!, $first: Int) { catalogCompletions(text: $text, first: $first) }
"""
_CHOICES: Final = {
    "kind": ["TEMPLATE", "FLOW", "SYSTEM", "LESSON", "DECISION"],
    "lifecycle": ["DRAFT", "IN_REVIEW", "PUBLISHED", "DEPRECATED", "RETIRED"],
    "data-class": ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL"],
}
_NAMES: Final = {"kind": "kinds", "lifecycle": "lifecycles", "data-class": "dataClasses"}
_ORDERS: Final = ["RELEVANCE", "TITLE", "UPDATED", "MOST_USED"]


def _choice(name: str) -> Callable[[FunctionT], FunctionT]:
    choices = click.Choice(_CHOICES[name], case_sensitive=False)
    return click.option(f"--{name}", _NAMES[name], multiple=True, type=choices, help="Repeatable.")


@click.group(cls=Noun)
def command() -> None:
    """Search the catalog of templates, flows, decision tables and systems."""


@command.command()
@click.argument("text", required=False)
@_choice("kind")
@click.option("--owner", "owners", multiple=True, help="A team's slug; repeatable.")
@click.option("--tag", "tags", multiple=True, help="A tag; repeatable.")
@click.option("--domain", "domains", multiple=True, help="A domain; repeatable.")
@click.option("--system", "systems", multiple=True, help="The ref of a used system; repeatable.")
@_choice("lifecycle")
@_choice("data-class")
@click.option(
    "--order",
    type=click.Choice(_ORDERS, case_sensitive=False),
    default="RELEVANCE",
    show_default=True,
    help="What comes first.",
)
@click.option("--facets", is_flag=True, help="Count what was found by kind, owner, tag and so on.")
@paged()
@example(
    "coe catalog search order --kind FLOW --owner sales",
    "coe catalog search --lifecycle IN_REVIEW --order UPDATED --facets",
)
@printed()
@with_api
def search(
    api: ApiClient,
    /,
    text: str | None,
    order: str,
    facets: bool,  # noqa: FBT001  # click passes it by keyword
    page: Page,
    **chosen: Any,  # click passes it by keyword
) -> Result:
    """Find the entries with TEXT that you may read; each part of the filter narrows.

    TEXT may have qualifiers (owner:finance tag:sox system:erp kind:template is:deprecated
    lifecycle:in_review), "exact words" and -excluded ones; put it in quotes then.
    """
    filters = {name: list(values) for name, values in chosen.items() if values}
    given = {"search": text, "filter": filters or None, "order": order}
    found = fetch(api, _SEARCH, given, page, "catalog")
    rows = [edge["node"] | {"owner": edge["node"]["owner"]["slug"]} for edge in found["edges"]]
    columns = ["kind", "ref", "title", "owner", "lifecycle", "summary"]
    view: list[View] = [Table(rows, columns, "Nothing found; try fewer words, or fewer filters.")]
    if facets:
        view += ["", Table(_facet_rows(found["facets"]), ["facet", "value", "count"])]
    notes = [found["note"]] if found["note"] else []
    return Result(found, view, [*notes, *notes_on(found)])


@command.command()
@click.argument("text")
@click.option("--first", type=click.IntRange(0, 100), default=10, help="At most so many.")
@example("coe catalog complete owner:fi")
@printed()
@with_api
def complete(api: ApiClient, /, text: str, first: int) -> Result:
    """Say how the last part of the TEXT of a search may go on: qualifiers, their values, words."""
    found = api.call(_COMPLETE, {"text": text, "first": first})["catalogCompletions"]
    return Result(found, [*found])


def _facet_rows(facets: list[dict[str, Any]]) -> list[dict[str, object]]:
    return [
        {"facet": _words(facet["name"]), **value} for facet in facets for value in facet["values"]
    ]


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
