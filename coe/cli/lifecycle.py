"""The commands that move a version through its lifecycle, the same for every kind of entry.

`coe flow`, `coe template` and `coe decision` have them: the API moves a version of any kind by its
ref.
"""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import Noun, example, verb
from coe.cli.output import Result, printed

_MOVE: Final = {
    name: document(
        f"mutation Move($input: {kind}!) "
        f"{{ {name}(input: $input) {{ version {{ ...version }} problems {{ ...problem }} }} }}"
    )
    for name, kind in {
        "submitForReview": "LifecycleInput",
        "review": "ReviewInput",
        "publish": "LifecycleInput",
        "deprecate": "LifecycleInput",
        "retire": "LifecycleInput",
    }.items()
}


def add_lifecycle(group: Noun) -> None:
    """Add the commands of the lifecycle to the group of a noun."""
    for each in (submit, review, publish, deprecate, retire):
        group.add_command(each)


@verb()
@click.argument("ref")
@click.option("--comment", help="For the reviewers.")
@example("coe flow submit sales/order-to-cash@1.1.0 --comment 'the new carrier'")
@printed()
@with_api
def submit(api: ApiClient, ref: str, comment: str | None) -> Result:
    """Submit REF (namespace/name@version), a draft, for review."""
    return _result(move(api, "submitForReview", {"ref": ref, "comment": comment}))


@verb()
@click.argument("ref")
@click.option("--approve/--refuse", required=True, help="Approve it, or send it back to draft.")
@click.option("--comment", required=True, help="Why.")
@example("coe flow review sales/order-to-cash@1.1.0 --approve --comment 'fits'")
@printed()
@with_api
def review(api: ApiClient, ref: str, approve: bool, comment: str) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Approve or refuse REF (namespace/name@version); authors cannot review their own versions."""
    return _result(move(api, "review", {"ref": ref, "approve": approve, "comment": comment}))


@verb()
@click.argument("ref")
@click.option("--comment", help="A note for the readers of the version.")
@example("coe flow publish sales/order-to-cash@1.1.0")
@printed()
@with_api
def publish(api: ApiClient, ref: str, comment: str | None) -> Result:
    """Publish REF (namespace/name@version), once it is approved."""
    return _result(move(api, "publish", {"ref": ref, "comment": comment}))


@verb()
@click.argument("ref")
@click.option("--comment", help="What to use in its place.")
@example("coe flow deprecate sales/order-to-cash@1.0.0 --comment 'use 1.1'")
@printed()
@with_api
def deprecate(api: ApiClient, ref: str, comment: str | None) -> Result:
    """Deprecate REF (namespace/name@version), which is published: it still works, and warns."""
    return _result(move(api, "deprecate", {"ref": ref, "comment": comment}))


@verb()
@click.argument("ref")
@click.option("--comment", help="Why.")
@example("coe flow retire sales/order-to-cash@1.0.0 --comment 'no longer allowed'")
@printed()
@with_api
def retire(api: ApiClient, ref: str, comment: str | None) -> Result:
    """Retire REF (namespace/name@version), which is deprecated: nothing starts with it any more."""
    return _result(move(api, "retire", {"ref": ref, "comment": comment}))


def move(api: ApiClient, mutation: str, given: dict[str, Any]) -> dict[str, Any]:
    """Execute one mutation of the lifecycle; the result has `version` (or null) and `problems`."""
    answer: dict[str, Any] = api.call(_MOVE[mutation], {"input": given})[mutation]
    return answer


def _result(answer: dict[str, Any]) -> Result:
    version = answer["version"]
    view = f"{version['ref']} {version['lifecycle']}" if version else ()
    return Result(answer, view, problems=answer["problems"], code=0 if version else 1)
