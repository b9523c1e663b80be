"""The commands that move a version through its lifecycle: submit, review, publish.

`coe flow` and `coe decision` have the same ones: the API moves a version of any kind by its ref.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.output import PROBLEMS, output_option, print_json, print_problems

_MOVE: Final = """
mutation Move($input: %s!) {
  %s(input: $input) {
    version {
      ... on FlowVersion { ref lifecycle }
      ... on TemplateVersion { ref lifecycle }
      ... on DecisionTableVersion { ref lifecycle }
    }
    PROBLEMS
  }
}
""".replace("PROBLEMS", PROBLEMS)


def add_lifecycle(group: click.Group) -> None:
    """Add the commands of the lifecycle to the group of a noun."""
    for each in (submit, review, publish):
        group.add_command(each)


@click.command()
@click.argument("ref")
@click.option("--comment", help="For the reviewers.")
@output_option()
@with_api
def submit(api: ApiClient, ref: str, comment: str | None, output: str) -> None:
    """Submit REF (namespace/name@version), a draft, for review."""
    _print(move(api, "submitForReview", {"ref": ref, "comment": comment}), output)


@click.command()
@click.argument("ref")
@click.option("--approve/--refuse", required=True, help="Approve it, or send it back to draft.")
@click.option("--comment", required=True, help="Why.")
@output_option()
@with_api
def review(api: ApiClient, ref: str, approve: bool, comment: str, output: str) -> None:  # noqa: FBT001  # click passes it by keyword
    """Approve or refuse REF (namespace/name@version); authors cannot review their own versions."""
    given = {"ref": ref, "approve": approve, "comment": comment}
    _print(move(api, "review", given, kind="ReviewInput"), output)


@click.command()
@click.argument("ref")
@click.option("--comment", help="A note for the readers of the version.")
@output_option()
@with_api
def publish(api: ApiClient, ref: str, comment: str | None, output: str) -> None:
    """Publish REF (namespace/name@version), once it is approved."""
    _print(move(api, "publish", {"ref": ref, "comment": comment}), output)


def move(
    api: ApiClient, mutation: str, given: dict[str, Any], *, kind: str = "LifecycleInput"
) -> dict[str, Any]:
    """Execute one mutation of the lifecycle; the result has `version` (or null) and `problems`."""
    answer: dict[str, Any] = api.call(_MOVE % (kind, mutation), {"input": given})[mutation]
    return answer


def _print(answer: dict[str, Any], output: str) -> None:
    version = answer["version"]
    if output == "json":
        print_json(answer)
    else:
        print_problems(answer["problems"])
        if version:
            click.echo(f"{version['ref']} {version['lifecycle']}")
    sys.exit(0 if version else 1)
