"""Decision tables of the catalog: show one; check a document as its registration would."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input
from coe.cli.output import Result, Table, View, cell_text, has_errors, printed
from coe.errors import NotFound

_SHOW: Final = document("""
query Table($ref: String!, $version: String) {
  decision(ref: $ref) {
    ref title summary lifecycle processOwner dataClass aliases owner { slug } calledBy { ref }
    version(ref: $version) {
      ref lifecycle digest hitPolicy inputs outputs default definition
      rules { id when then because line }
      approvals { by at decision comment }
      problems { ...problem }
    }
  }
}
""")
_CHECK: Final = document("""
query Check($manifest: String!) {
  checkDecision(manifest: $manifest) {
    definition digest rules { id when then because line } problems { ...problem }
  }
}
""")


@verb()
@click.argument("ref")
@example("coe decision show finance/purchase-approval")
@printed()
@with_api
def show(api: ApiClient, ref: str) -> Result:
    """Show the table REF (namespace/name[@version]) with its rules."""
    name, _, wanted = ref.partition("@")
    found = api.call(_SHOW, {"ref": name, "version": wanted or None})["decision"]
    version = found["version"]
    if version is None:
        raise NotFound(f"there is no {ref}, or you may not read it: coe decision versions {name}")
    view: list[View] = [
        f"{version['ref']}  {version['lifecycle']}, of {found['owner']['slug']}",
        f"  {cell_text(found['title'])}: {cell_text(found['summary'])}",
        _rules(version["rules"]),
    ]
    return Result(found, view)


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@example("coe decision preview limit.yaml")
@printed()
@with_api
def preview(api: ApiClient, file: str) -> Result:
    """Say what a registration of FILE would find, with the catalog at hand; nothing is saved."""
    found = api.call(_CHECK, {"manifest": read_text_input(file)})["checkDecision"]
    failed = has_errors(found["problems"])
    view: list[View] = [] if failed else [f"sha256:{found['digest']}", _rules(found["rules"])]
    return Result(found, view, problems=found["problems"], file=file, code=int(failed))


def _rules(rules: list[dict[str, Any]]) -> Table:
    rows = [
        {
            "rule": rule["id"],
            "when": _pairs(rule["when"]),
            "then": _pairs(rule["then"]),
            "because": rule["because"],
        }
        for rule in rules
    ]
    return Table(rows, ["rule", "when", "then", "because"], "no rules")


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    )
