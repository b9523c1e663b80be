"""`coe system`: the applications that flows use."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged

_FIELDS: Final = "id ref title summary tags lifecycle updatedAt owner { slug } version dataClass"
_LIST: Final = f"""
query Systems($first: Int!, $after: String) {{
  catalog(filter: {{kinds: [SYSTEM]}}, orderBy: TITLE, first: $first, after: $after) {{
    totalCount
    pageInfo {{ hasNextPage endCursor }}
    nodes {{ ... on System {{ {_FIELDS} }} }}
  }}
}}
"""
_SHOW: Final = f"""
query System($ref: String!) {{
  system(ref: $ref) {{ {_FIELDS} }}
  catalog(filter: {{systems: [$ref], kinds: [FLOW]}}, first: 100) {{ nodes {{ ref title }} }}
}}
"""


@click.group(cls=Noun)
def command() -> None:
    """List the systems that flows use, and which flows use one."""


@command.command("list")
@paged()
@example("coe system list")
@printed()
@with_api
def list_systems(api: ApiClient, page: Page) -> Result:
    """List the systems that you may read."""
    found = fetch(api, _LIST, {}, page, "catalog")
    rows = [
        node | {"owner": node["owner"]["slug"], "data": node["dataClass"]}
        for node in found["nodes"]
    ]
    columns = ["ref", "title", "owner", "data", "summary"]
    return Result(found, Table(rows, columns, "No systems."), notes_on(found))


@command.command()
@click.argument("ref")
@example("coe system show finance/erp")
@printed()
@with_api
def show(api: ApiClient, ref: str) -> Result:
    """Show the system REF (namespace/name), and the flows that use it."""
    answer = api.call(_SHOW, {"ref": ref})
    found = answer["system"]
    flows = answer["catalog"]["nodes"]
    view: list[View] = [
        f"{found['ref']}: {found['title']}, of {found['owner']['slug']}, {found['dataClass']}",
        f"  {found['summary']}",
        Table(flows, ["ref", "title"], "no flow that you may read uses it"),
    ]
    return Result({**found, "usedBy": flows}, view)
