"""`coe decision register`."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.drafts import tests_beside, tests_option
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input
from coe.cli.output import Result, printed

_REGISTER: Final = document("""
mutation Register($input: RegisterDecisionInput!) {
  registerDecision(input: $input) { version { ref lifecycle digest } problems { ...problem } }
}
""")


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@tests_option()
@example("coe decision register limit.yaml")
@printed()
@with_api
def register(api: ApiClient, file: str, changelog: str | None, tests: str | None) -> Result:
    """Save the table in FILE as a draft version; the same content again gives the same version.

    A draft of the same version is replaced. The tests.yaml beside FILE is sent with it; of its
    tests those count that name FILE, which must have the name of the table, or no file.
    """
    given = {
        "input": {
            "manifest": read_text_input(file),
            "changelog": changelog,
            "tests": tests_beside(file, tests),
        }
    }
    answer = api.call(_REGISTER, given)["registerDecision"]
    version = answer["version"]
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    code = 0 if version else 1
    return Result(answer, view, problems=answer["problems"], file=file, code=code)
