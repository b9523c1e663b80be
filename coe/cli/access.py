"""`coe access`: who you are, who may do what, and why."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed

_ME: Final = "query Me { me { id subject kind displayName roles permissions teams { slug name } } }"
_EXPLAIN: Final = """
query Explain($subject: String!, $permission: String!, $resource: String!, $credential: String) {
  explainAccess(
    subject: $subject, permission: $permission, resource: $resource, credential: $credential
  ) { allowed permission rules explanation }
}
"""
_REVIEW: Final = """
query Review($team: String!) {
  accessReview(team: $team) { subject permission via resource }
}
"""


@click.group(cls=Noun)
def command() -> None:
    """See who you are, who may do what, and why."""


@command.command()
@example("coe access me")
@printed()
@with_api
def me(api: ApiClient) -> Result:
    """Show who you are to the server: your subject, roles and permissions."""
    found = api.call(_ME)["me"]
    return Result(
        found,
        [
            f"{found['subject']} ({found['displayName']}), {found['kind'].lower()}",
            f"  roles: {', '.join(found['roles']) or 'none'}",
            f"  may: {', '.join(found['permissions']) or 'nothing by its roles'}",
        ],
    )


@command.command()
@click.argument("subject")
@click.argument("permission")
@click.argument("resource")
@click.option(
    "--credential", help="With this one of SUBJECT, such as token:UUID or worker:UUID of the log."
)
@example("coe access explain fiona flow:publish flow:sales/order-to-cash@1.0.0")
@printed()
@with_api
def explain(
    api: ApiClient, subject: str, permission: str, resource: str, credential: str | None
) -> Result:
    """Say whether SUBJECT has PERMISSION on RESOURCE, and which policy line decides.

    RESOURCE is named as in the audit log, such as `flow:sales/order-to-cash`. The answer is what
    the command would get: for yourself with what you send, for others with a token of all scopes.
    Exit code 0 whether it is allowed or not.
    """
    given = {
        "subject": subject,
        "permission": permission,
        "resource": resource,
        "credential": credential,
    }
    found = api.call(_EXPLAIN, given)["explainAccess"]
    verdict = "allowed" if found["allowed"] else "refused"
    lines = [f"{verdict}: {found['explanation']}", *(f"  {rule}" for rule in found["rules"])]
    return Result(found, lines)


@command.command()
@click.argument("team")
@click.option("--subject", "subjects", multiple=True, help="Only of this subject; repeatable.")
@click.option("--permission", "permissions", multiple=True, help="Only this one; repeatable.")
@example("coe access review finance --permission flow:publish")
@printed()
@with_api
def review(
    api: ApiClient, team: str, subjects: tuple[str, ...], permissions: tuple[str, ...]
) -> Result:
    """List who may do what in the namespace of TEAM: the evidence of an access review."""
    found = _grants(api, team)
    if subjects:
        found = [each for each in found if each["subject"] in subjects]
    if permissions:
        found = [each for each in found if each["permission"] in permissions]
    return Result(found, Table(found, ["subject", "permission", "via", "resource"], "nobody"))


@command.command()
@click.argument("permission")
@click.argument("resource")
@example("coe access who flow:publish flow:sales/order-to-cash")
@printed()
@with_api
def who(api: ApiClient, permission: str, resource: str) -> Result:
    """List who has PERMISSION on RESOURCE by a role, such as `flow:sales/order-to-cash`.

    Each is tried on the resource itself, so that who wrote a version is not listed as its reviewer.
    """
    namespace = resource.partition(":")[2].partition("/")[0]
    if not namespace:
        raise click.UsageError("RESOURCE is KIND:NAMESPACE/NAME, such as flow:sales/order-to-cash")
    subjects = dict.fromkeys(
        each["subject"] for each in _grants(api, namespace) if each["permission"] == permission
    )
    rows = []
    for subject in subjects:
        given = {"subject": subject, "permission": permission, "resource": resource}
        found = api.call(_EXPLAIN, given)["explainAccess"]
        if found["allowed"]:
            rows.append({"subject": subject, "rule": next(iter(found["rules"]), None)})
    return Result(rows, Table(rows, ["subject", "rule"], "nobody"))


def _grants(api: ApiClient, team: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.call(_REVIEW, {"team": team})["accessReview"]
    return found
