"""The commands that move a version through its lifecycle, the same for every kind of entry.

`coe flow`, `coe template` and `coe decision` have them: the API moves a version of any kind by its
ref.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.drafts import delete_draft, update_draft
from coe.cli.grammar import Noun, example, verb
from coe.cli.output import Result, has_errors, printed

_MOVE: Final = {
    name: document(
        f"mutation Move($input: {kind}!) {{ {name}(input: $input) "
        "{ live version { ...versionState } problems { ...problem } } }"
    )
    for name, kind in {
        "submitForReview": "LifecycleInput",
        "review": "ReviewInput",
        "publish": "LifecycleInput",
        "deprecate": "LifecycleInput",
        "retire": "LifecycleInput",
        "setEntryAlias": "SetEntryAliasInput",
    }.items()
}


def add_lifecycle(group: Noun) -> None:
    """Add the commands of the lifecycle to the group of a noun."""
    for each in (submit, review, publish, deprecate, retire, alias, update_draft, delete_draft):
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
@click.option(
    "--approve/--refuse", default=None, help="Approve it, or send it back to draft. Required."
)
@click.option("--comment", required=True, help="Why.")
@example("coe flow review sales/order-to-cash@1.1.0 --approve --comment 'fits'")
@printed()
@with_api
def review(api: ApiClient, ref: str, approve: bool | None, comment: str) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Approve or refuse REF (namespace/name@version); authors cannot review their own versions.

    It prints how far the version is then: approved, or how many more must approve.
    """
    if approve is None:
        raise click.UsageError("give --approve or --refuse")
    return _result(move(api, "review", {"ref": ref, "approve": approve, "comment": comment}))


@verb()
@click.argument("ref")
@click.option("--comment", help="A note for the readers of the version.")
@click.option("--live", is_flag=True, help="Let `live` name it too: new runs use it from then on.")
@example(
    "coe flow publish sales/order-to-cash@1.1.0",
    "coe flow publish sales/order-to-cash@1.1.0 --live",
)
@printed()
@with_api
def publish(api: ApiClient, ref: str, comment: str | None, live: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Publish REF (namespace/name@version), once it is approved; say what `live` names."""
    given = {"ref": ref, "comment": comment, **({"setLive": True} if live else {})}
    answer = move(api, "publish", given)
    version, notes = answer["version"], []
    if version is not None:
        name, _, number = version["ref"].partition("@")
        noun = click.get_current_context().parent
        move_it = f"coe {noun.info_name if noun else 'flow'} alias {name} live {number}"
        if answer["live"] is None:
            notes = [f"nothing is live yet; to let new uses take it: {move_it}"]
        elif answer["live"] == number:
            notes = [f"live is {number}"]
        else:
            notes = [f"live is still {answer['live']}; to move it: {move_it}"]
    return _result(answer, notes)


@verb()
@click.argument("ref")
@click.argument("name")
@click.argument("version")
@example("coe flow alias sales/order-to-cash live 1.1.0")
@printed()
@with_api
def alias(api: ApiClient, ref: str, name: str, version: str) -> Result:
    """Let the alias NAME of REF (namespace/name) name VERSION, which is published."""
    answer = move(api, "setEntryAlias", {"entry": ref, "alias": name, "version": version})
    failed = has_errors(answer["problems"])
    view = () if failed else f"{ref}@{name} is {ref}@{version}"
    return Result(answer, view, problems=answer["problems"], code=int(failed))


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


def _result(answer: dict[str, Any], notes: Sequence[str] = ()) -> Result:
    version = answer["version"]
    view = _state(version) if version else ()
    code = 0 if version else 1
    return Result(answer, view, notes, problems=answer["problems"], code=code)


def _state(version: dict[str, Any]) -> str:
    """The state that a version has now, and what it needs next."""
    state = f"{version['ref']} {version['lifecycle']}"
    if version["lifecycle"] != "IN_REVIEW":
        return state
    missing = version["approvalsNeeded"] - version["approvalsGiven"]
    if version["approvalsNeeded"] == 0:
        return f"{state}: no approval is needed, it can be published"
    if missing <= 0:
        return f"{state}: approved, it can be published"
    return f"{state}: {missing} more {'approval' if missing == 1 else 'approvals'} needed"
