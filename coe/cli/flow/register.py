"""`coe flow register`."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input
from coe.cli.lifecycle import move
from coe.cli.output import Result, has_errors, printed

_REGISTER: Final = document("""
mutation Register($input: RegisterFlowInput!) {
  registerFlow(input: $input) {
    version { ref version lifecycle digest }
    flow { ref flowKind }
    problems { ...problem }
  }
}
""")


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@click.option("--publish", is_flag=True, help="Publish it too, where the policy allows that.")
@example("coe flow register order.yaml --changelog 'the new carrier'")
@printed()
@with_api
def register(api: ApiClient, file: str, changelog: str | None, publish: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Save FILE, a definition or a local flow's manifest, as a draft version.

    If a version with the same content exists, that version is returned.
    """
    given = {"input": {"manifest": read_text_input(file), "changelog": changelog}}
    answer = api.call(_REGISTER, given)["registerFlow"]
    version = answer["version"]
    if version is not None and publish and version["lifecycle"] == "DRAFT":
        published = move(api, "publish", {"ref": version["ref"]})
        answer["problems"] += published["problems"]
        version["lifecycle"] = (published["version"] or version)["lifecycle"]
    failed = version is None or has_errors(answer["problems"])
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    return Result(answer, view, problems=answer["problems"], file=file, code=int(failed))
