"""`versions` and `alias`, the same for flows, templates and decision tables."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example, verb
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged

_FIELDS: Final = """
totalCount
pageInfo { hasNextPage endCursor }
nodes { version lifecycle changelog createdAt createdBy publishedAt digest }
"""


def add_versions(group: Noun, noun: str) -> None:
    """Add `versions` to the group of a noun, the name of its root field too."""
    aliases = "" if noun == "template" else "aliases"
    query = (
        "query Versions($ref: String!, $first: Int!, $after: String) { entry: "
        f"{noun}(ref: $ref) {{ ref {aliases} "
        f"versions(first: $first, after: $after) {{ {_FIELDS} }} }} }}"
    )

    @verb("versions")
    @click.argument("ref")
    @paged()
    @example(f"coe {noun} versions {_EXAMPLES[noun]}")
    @printed()
    @with_api
    def versions(api: ApiClient, ref: str, page: Page) -> Result:
        """List the versions of REF (namespace/name) that you may read, the highest first."""
        found = fetch(api, query, {"ref": ref}, page, "entry", "versions")
        named = api.call(query, {"ref": ref, "first": 1})["entry"].get("aliases") or {}
        rows = [
            {
                **row,
                "aliases": [name for name, at in named.items() if at == row["version"]],
                "created": row["createdAt"],
                "by": row["createdBy"],
            }
            for row in found["nodes"]
        ]
        columns = ["version", "lifecycle", "aliases", "created", "by", "changelog"]
        data = {"aliases": named, **found}
        return Result(data, Table(rows, columns, "No versions."), notes_on(found))

    group.add_command(versions)


_EXAMPLES: Final = {
    "flow": "sales/order-to-cash",
    "template": "coe/order-to-cash",
    "decision": "finance/purchase-approval",
}
