"""`coe decision register`."""

from __future__ import annotations

import sys
from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.input_files import read_text_input
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems

_REGISTER: Final = """
mutation Register($input: RegisterDecisionInput!) {
  registerDecision(input: $input) { version { ref lifecycle digest } PROBLEMS }
}
""".replace("PROBLEMS", PROBLEMS)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@output_option()
@with_api
def register(api: ApiClient, file: str, changelog: str | None, output: str) -> None:
    """Save the table in FILE as a draft version; the same content again gives the same version."""
    given = {"input": {"manifest": read_text_input(file), "changelog": changelog}}
    answer = api.call(_REGISTER, given)["registerDecision"]
    version = answer["version"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"], file)
        if version is not None:
            click.echo(f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}")
    sys.exit(0 if version is not None else 1)
