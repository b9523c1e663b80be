"""Flows of the catalog: show one, check a document as its registration would, set an alias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input
from coe.cli.output import Result, View, cell_text, has_errors, printed
from coe.errors import NotFound

_SHOW: Final = document("""
query Flow($ref: String!, $version: String) {
  flow(ref: $ref) {
    ref title summary lifecycle flowKind processOwner deputy domain dataClass tags aliases
    owner { slug }
    systems { ref }
    calls { ref }
    calledBy { ref }
    decisions { ref }
    schedule { kind expression timeZone enabled nextAt }
    version(ref: $version) {
      ref lifecycle changelog digest engine createdAt createdBy publishedAt
      definition inputSchema outputSchema
      origin { parameters behindBy templateVersion { ref } }
      approvals { by at decision comment }
      problems { ...problem }
    }
  }
}
""")
_CHECK: Final = document("""
query Check($manifest: String!, $forPublication: Boolean) {
  checkFlow(manifest: $manifest, forPublication: $forPublication) {
    ref digest diagram diff { breaking asks unified changes { ...problem } } problems { ...problem }
  }
}
""")
_ALIAS: Final = document("""
mutation Alias($input: SetAliasInput!) {
  setAlias(input: $input) { flow { ref aliases } version { ref } problems { ...problem } }
}
""")


@verb()
@click.argument("ref")
@click.option("--definition", is_flag=True, help="Print the document of the version only.")
@example(
    "coe flow show sales/order-to-cash",
    "coe flow show sales/order-to-cash@1.0.0 --definition > flow.yaml",
)
@printed()
@with_api
def show(api: ApiClient, ref: str, definition: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Show the flow REF (namespace/name[@version]): whose it is, what it uses, its version."""
    name, _, version = ref.partition("@")
    found = api.call(_SHOW, {"ref": name, "version": version or None})["flow"]
    if version and found["version"] is None:
        raise NotFound(f"there is no {ref}, or you may not read it: coe flow versions {name}")
    if definition:
        text = (found["version"] or {}).get("definition") or ""
        raw = {"table": lambda: str(text)}
        return Result({"definition": text}, formats=raw, code=0 if text else 1)
    return Result(found, list(_views(found)))


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--for",
    "stage",
    type=click.Choice(["draft", "publication"]),
    default="draft",
    show_default=True,
    help="What a draft may still lack is a warning; a submission for review refuses it.",
)
@example("coe flow preview order.yaml", "coe flow preview order.yaml --for publication")
@printed()
@with_api
def preview(api: ApiClient, file: str, stage: str) -> Result:
    """Say what a registration of FILE would find, with the catalog at hand; nothing is saved.

    It compares with the live version, if there is one. Exit code 1 if there are errors.
    """
    found = api.call(
        _CHECK,
        {"manifest": read_text_input(file), "forPublication": stage == "publication"},
    )["checkFlow"]
    diff = found["diff"]
    ref = f"{found['ref']} " if found["ref"] else ""
    lines = [f"{ref}sha256:{found['digest']}"]
    if diff:
        breaking = "breaking" if diff["breaking"] else "not breaking"
        lines.append(f"against the live version: {breaking}, {len(diff['changes'])} changes")
        lines += [f"  {each['message']}" for each in diff["changes"]]
    failed = has_errors(found["problems"])
    view = () if failed else lines
    return Result(found, view, problems=found["problems"], file=file, code=int(failed))


@verb("set-alias", hidden=True)
@click.argument("flow")
@click.argument("alias")
@click.argument("version")
@example("coe flow set-alias sales/order-to-cash live 1.1.0")
@printed()
@with_api
def set_alias(api: ApiClient, flow: str, alias: str, version: str) -> Result:
    """Do what `coe flow alias` does, by the field that takes flows only."""
    given = {"flow": flow, "alias": alias, "version": version}
    answer = api.call(_ALIAS, {"input": given})["setAlias"]
    done = answer["version"]
    view = f"{flow}@{alias} is {done['ref']}" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


def _views(flow: dict[str, Any]) -> Iterator[View]:
    kind, owner = flow["flowKind"].lower(), flow["owner"]["slug"]
    yield f"{flow['ref']}  {kind}, {flow['lifecycle']}, of {owner}"
    yield f"  {cell_text(flow['title'])}: {cell_text(flow['summary'])}"
    rows = {
        "process owner": flow["processOwner"],
        "deputy": flow["deputy"],
        "domain": flow["domain"],
        "data class": flow["dataClass"],
        "tags": flow["tags"],
        "aliases": [f"{name} {version}" for name, version in flow["aliases"].items()],
        "systems": [each["ref"] for each in flow["systems"]],
        "calls": [each["ref"] for each in flow["calls"]],
        "called by": [each["ref"] for each in flow["calledBy"]],
        "decides with": [each["ref"] for each in flow["decisions"]],
    }
    version = flow["version"]
    if version is not None:
        rows |= {
            "version": f"{version['ref']} {version['lifecycle']}",
            "created": f"{version['createdAt']} by {version['createdBy']}",
            "published": version["publishedAt"],
            "changelog": version["changelog"],
            "origin": (version["origin"] or {}).get("templateVersion", {}).get("ref"),
        }
    for name, value in rows.items():
        if value:
            yield f"  {name + ':':<15} {cell_text(value)}"
