"""`coe flow register`."""

from __future__ import annotations

import sys
from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.input_files import read_text_input
from coe.cli.lifecycle import move
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems

_REGISTER: Final = """
mutation Register($input: RegisterFlowInput!) {
  registerFlow(input: $input) {
    version { ref version lifecycle digest }
    flow { ref flowKind }
    PROBLEMS
  }
}
""".replace("PROBLEMS", PROBLEMS)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@click.option("--publish", is_flag=True, help="Publish it too, where the policy allows that.")
@output_option()
@with_api
def register(api: ApiClient, file: str, changelog: str | None, publish: bool, output: str) -> None:  # noqa: FBT001  # click passes it by keyword
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
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], file)
        if version is not None:
            click.echo(f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}")
    failed = version is None or any(item["severity"] == "ERROR" for item in answer["problems"])
    sys.exit(1 if failed else 0)
