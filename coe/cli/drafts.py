"""Drafts on the command line: their tests, and commands to change and delete them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input, texts_of
from coe.cli.output import Result, printed

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
TESTS: Final = "tests.yaml"
_UPDATE: Final = document("""
mutation Update($input: UpdateDraftInput!) {
  updateDraft(input: $input) { version { ...version } problems { ...problem } }
}
""")
_DELETE: Final = document("""
mutation Delete($input: DeleteDraftInput!) {
  deleteDraft(input: $input) { deleted entry { ref } problems { ...problem } }
}
""")


def tests_option() -> Callable[[FunctionT], FunctionT]:
    """Add the option `--tests`, the file of the tests."""
    return click.option(
        "--tests",
        type=click.Path(exists=True, dir_okay=False),
        help="The file of its tests; by default the tests.yaml beside it.",
    )


def tests_beside(file: str, tests: str | None) -> str | None:
    """The text of the tests of a file: those that were named, else the tests.yaml beside it."""
    if tests is not None:
        return read_text_input(tests)
    beside = Path(file).with_name(TESTS)
    return read_text_input(str(beside)) if beside.is_file() else None


@verb("update-draft")
@click.argument("ref")
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    help="The new document, or the folder of a template.",
)
@click.option("--tests", type=click.Path(exists=True, dir_okay=False), help="The new tests.")
@click.option("--changelog", help="What is new in this version.")
@click.option("--digest", metavar="SHA256", help="Refuse if the draft was changed since it was so.")
@example("coe flow update-draft sales/order-to-cash@1.1.0 --changelog 'the new carrier'")
@printed()
@with_api
def update_draft(
    api: ApiClient,
    ref: str,
    file: Path | None,
    tests: str | None,
    changelog: str | None,
    digest: str | None,
) -> Result:
    """Change the draft REF (namespace/name@version); what is not given stays as it is."""
    given: dict[str, object] = {"ref": ref, "changelog": changelog, "digest": digest}
    if file is not None and file.is_dir():
        given["files"] = texts_of(file)
    elif file is not None:
        given["manifest"] = read_text_input(str(file))
    if tests is not None:
        given["tests"] = read_text_input(tests)
    answer = api.call(_UPDATE, {"input": given})["updateDraft"]
    version = answer["version"]
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    return Result(answer, view, problems=answer["problems"], code=0 if version else 1)


@verb("delete-draft")
@click.argument("ref")
@example("coe flow delete-draft sales/order-to-cash@1.1.0")
@printed()
@with_api
def delete_draft(api: ApiClient, ref: str) -> Result:
    """Delete the draft REF (namespace/name@version), which was never submitted."""
    answer = api.call(_DELETE, {"input": {"ref": ref}})["deleteDraft"]
    deleted = answer["deleted"]
    gone = "" if answer["entry"] else "; it was the only version"
    view = f"{deleted} is deleted{gone}" if deleted else ()
    return Result(answer, view, problems=answer["problems"], code=0 if deleted else 1)
