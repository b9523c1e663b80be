"""`coe flow register`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.drafts import TESTS, tests_option
from coe.cli.flow.entrypoint_options import entrypoint_options
from coe.cli.grammar import example, verb
from coe.cli.input_files import read_text_input
from coe.cli.lifecycle import move
from coe.cli.output import Result, has_errors, printed, problem_fields

_REGISTER: Final = document("""
mutation Register($input: RegisterFlowInput!) {
  registerFlow(input: $input) {
    version { ref version lifecycle digest }
    flow { ref flowKind }
    problems { ...problem }
  }
}
""")

LOCAL_FLOW: Final = re.compile(r"^kind:\s*['\"]?localFlow\b", re.MULTILINE)
"""The line by which a manifest of a local flow is known."""


@verb()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--changelog", help="What is new in this version.")
@tests_option()
@click.option("--publish", is_flag=True, help="Publish it too, where the policy allows that.")
@entrypoint_options
@example("coe flow register order.yaml --changelog 'the new carrier'")
@printed()
@with_api
def register(
    api: ApiClient,
    file: str,
    changelog: str | None,
    tests: str | None,
    publish: bool,  # noqa: FBT001  # click passes it by keyword
    flows_dir: Path | None,
    no_import: bool,  # noqa: FBT001  # the same
) -> Result:
    """Save FILE, a definition or a local flow's manifest, as a draft version.

    A draft of the same version is replaced; the same content again gives the same version. The
    tests.yaml beside FILE is sent with it: the platform runs it when the version is submitted. The
    entrypoint of a local flow is tried first where its code is at hand: the file is imported in
    another process, and nothing is saved if that fails.
    """
    text = read_text_input(file)
    tried = [] if no_import else _try_entrypoint(text, file, flows_dir)
    if has_errors(tried):
        return Result({"version": None, "problems": tried}, problems=tried, file=file, code=1)
    given = {"manifest": text, "changelog": changelog, "tests": _tests(text, file, tests)}
    answer = api.call(_REGISTER, {"input": given})["registerFlow"]
    version = answer["version"]
    if version is not None and publish and version["lifecycle"] == "DRAFT":
        published = move(api, "publish", {"ref": version["ref"]})
        answer["problems"] += published["problems"]
        version["lifecycle"] = (published["version"] or version)["lifecycle"]
    answer["problems"] = [*answer["problems"], *tried]
    failed = version is None or has_errors(answer["problems"])
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    return Result(answer, view, problems=answer["problems"], file=file, code=int(failed))


def _try_entrypoint(text: str, file: str, flows_dir: Path | None) -> list[dict[str, object]]:
    """The problems of the entrypoint of a manifest; none for a text that the server will refuse."""
    if LOCAL_FLOW.search(text) is None:
        return []
    from coe.catalog.flows.documents import read_flow  # noqa: PLC0415  # slow, and only for manifests
    from coe.cli.flow.entrypoints import find, try_all  # noqa: PLC0415  # the same

    document, _ = read_flow(text)
    found = find(document, Path(file), flows_dir) if document is not None else None
    problems = try_all([found]) if found is not None else []
    return [problem_fields(each) for each in problems if each is not None]


def _tests(text: str, file: str, tests: str | None) -> str | None:
    """The text of the tests that were named, else those that `coe flow test` finds."""
    if tests is not None:
        return read_text_input(tests)
    if LOCAL_FLOW.search(text):
        return None
    from coe.cli.flow.suite_files import suites_in  # noqa: PLC0415  # YAML is slow to import

    for suite in suites_in(Path(file)):
        beside = Path(suite.file(TESTS))
        if beside.is_file():
            return read_text_input(str(beside))
    return None
