"""`coe team create`, `add`, `change`, `remove`, `source`, `changes`, `approve`, `refuse`."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Verb, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import PAGE, Page, fetch, notes_on, paged
from coe.cli.times import end_option

SOURCES: Final = ["API", "CONTENT", "OIDC", "SCIM"]
_CHANGE: Final = "id team subject roles rolesBefore until proposedBy proposedAt reason state"
_CREATE: Final = document("""
mutation Create($input: CreateTeamInput!) {
  createTeam(input: $input) { team { slug name membersSource } problems { ...problem } }
}
""")
_PUT: Final = {
    name: document(
        f"mutation Put($input: MemberInput!) {{ {name}(input: $input) "
        f"{{ applied change {{ {_CHANGE} }} problems {{ ...problem }} }} }}"
    )
    for name in ("addMember", "changeMember")
}
_REMOVE: Final = document(f"""
mutation Remove($team: String!, $subject: String!, $reason: String!) {{
  removeMember(team: $team, subject: $subject, reason: $reason) {{
    applied change {{ {_CHANGE} }} problems {{ ...problem }}
  }}
}}
""")
_SOURCE: Final = document("""
mutation Source($team: String!, $source: MembersSource!, $reason: String!) {
  setMembersSource(team: $team, source: $source, reason: $reason) {
    team { slug membersSource } problems { ...problem }
  }
}
""")
_LIST: Final = f"""
query Changes($team: String, $state: MembershipChangeState, $first: Int!, $after: String) {{
  membershipChanges(team: $team, state: $state, first: $first, after: $after) {{
    {PAGE} nodes {{ {_CHANGE} }}
  }}
}}
"""
_APPROVE: Final = document(f"""
mutation Approve($id: ID!, $reason: String) {{
  approveMembershipChange(id: $id, reason: $reason) {{
    change {{ {_CHANGE} }} problems {{ ...problem }}
  }}
}}
""")
_REFUSE: Final = document(f"""
mutation Refuse($id: ID!, $reason: String!) {{
  refuseMembershipChange(id: $id, reason: $reason) {{
    change {{ {_CHANGE} }} problems {{ ...problem }}
  }}
}}
""")


@click.command(cls=Verb)
@click.argument("team")
@click.option("--name", required=True, help="Its name for people.")
@click.option("--domain", help="Its domain, such as order-to-cash.")
@click.option("--contact", help="How to reach it.")
@click.option(
    "--source",
    type=click.Choice(SOURCES, case_sensitive=False),
    default="API",
    show_default=True,
    help="Where its people come from.",
)
@example("coe team create returns --name Returns --contact returns@example.com")
@printed()
@with_api
def create(
    api: ApiClient,
    team: str,
    name: str,
    domain: str | None,
    contact: str | None,
    source: str,
) -> Result:
    """Create the team TEAM, which has no members yet."""
    given = {
        "slug": team,
        "name": name,
        "domain": domain,
        "contact": contact,
        "membersSource": source.upper(),
    }
    answer = api.call(_CREATE, {"input": given})["createTeam"]
    made = answer["team"]
    view = f"{made['slug']}: created, its members come from {made['membersSource']}" if made else ()
    return Result(answer, view, problems=answer["problems"], code=0 if made else 1)


@click.command(cls=Verb)
@click.argument("team")
@click.argument("subject")
@click.option("--role", "roles", multiple=True, help="A role; repeatable.")
@click.option("--name", help="The name for people; by default the known one.")
@end_option("--until", "When the membership ends by itself.")
@click.option("--reason", required=True, help="Why.")
@example("coe team add returns rosa --role developer --reason 'joins on Monday'")
@printed()
@with_api
def add(api: ApiClient, /, reason: str, **given: Any) -> Result:
    """Take SUBJECT, a person or a service, into the team TEAM.

    A role that two people give waits for the second one: `coe team approve`.
    """
    return _put(api, "addMember", reason, given)


@click.command(cls=Verb)
@click.argument("team")
@click.argument("subject")
@click.option("--role", "roles", multiple=True, help="A role that is held afterwards; repeatable.")
@click.option("--name", help="The name for people.")
@end_option("--until", "When the membership ends by itself.")
@click.option("--reason", required=True, help="Why.")
@example("coe team change returns rosa --role developer --role operator --reason 'on call'")
@printed()
@with_api
def change(api: ApiClient, /, reason: str, **given: Any) -> Result:
    """Give SUBJECT these roles in the team TEAM, in place of those before."""
    return _put(api, "changeMember", reason, given)


@click.command(cls=Verb)
@click.argument("team")
@click.argument("subject")
@click.option("--reason", required=True, help="Why.")
@example("coe team remove returns rosa --reason 'moves to finance'")
@printed()
@with_api
def remove(api: ApiClient, team: str, subject: str, reason: str) -> Result:
    """Take SUBJECT out of the team TEAM.

    Who is in no other team loses tokens, sessions and open tasks.
    """
    given = {"team": team, "subject": subject, "reason": reason}
    return _outcome(api.call(_REMOVE, given)["removeMember"], team, subject)


@click.command(cls=Verb)
@click.argument("team")
@click.argument("source", type=click.Choice(SOURCES, case_sensitive=False))
@click.option("--reason", required=True, help="Why.")
@example("coe team source returns SCIM --reason 'the directory knows them now'")
@printed()
@with_api
def source(api: ApiClient, team: str, source: str, reason: str) -> Result:
    """Let the people of the team TEAM come from SOURCE; those who are in it stay."""
    given = {"team": team, "source": source.upper(), "reason": reason}
    answer = api.call(_SOURCE, given)["setMembersSource"]
    done = answer["team"]
    view = f"{done['slug']}: its members come from {done['membersSource']}" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


@click.command(cls=Verb)
@click.option("--team", help="Only those of this team.")
@click.option(
    "--state",
    type=click.Choice(["PENDING", "APPROVED", "REFUSED", "WITHDRAWN"], case_sensitive=False),
    default="PENDING",
    show_default=True,
)
@paged()
@example("coe team changes", "coe team changes --team returns --state APPROVED")
@printed()
@with_api
def changes(api: ApiClient, team: str | None, state: str, page: Page) -> Result:
    """List changes of members that wait for a second person: yours, or for you to decide."""
    found = fetch(api, _LIST, {"team": team, "state": state.upper()}, page, "membershipChanges")
    rows = [_row(node) for node in found["nodes"]]
    columns = ["id", "team", "subject", "before", "after", "until", "by", "reason"]
    return Result(found, Table(rows, columns, "No changes of members."), notes_on(found))


@click.command(cls=Verb)
@click.argument("id")
@click.option("--reason", help="Why.")
@example("coe team approve 01a204ad-a69e-70a2-985e-cb36c368b5b1")
@printed()
@with_api
def approve(api: ApiClient, id: str, reason: str | None) -> Result:  # noqa: A002  # the argument's name
    """Approve the change of members ID as its second person: it is made."""
    answer = api.call(_APPROVE, {"id": id, "reason": reason})["approveMembershipChange"]
    return _decided(answer)


@click.command(cls=Verb)
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe team refuse 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'not agreed'")
@printed()
@with_api
def refuse(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the same
    """Refuse the change of members ID; who proposed it withdraws it so."""
    answer = api.call(_REFUSE, {"id": id, "reason": reason})["refuseMembershipChange"]
    return _decided(answer)


def _put(api: ApiClient, name: str, reason: str, given: dict[str, Any]) -> Result:
    fields = {
        "team": given["team"],
        "subject": given["subject"],
        "roles": list(given["roles"]),
        "name": given["name"],
        "expiresAt": given["until"],
        "reason": reason,
    }
    answer = api.call(_PUT[name], {"input": fields})[name]
    return _outcome(answer, given["team"], given["subject"])


def _outcome(answer: dict[str, Any], team: str, subject: str) -> Result:
    waiting = answer["change"]
    if answer["problems"]:
        return Result(answer, (), problems=answer["problems"], code=1)
    if waiting is None:
        return Result(answer, f"{subject} in {team}: done")
    key = plain_id(waiting["id"])
    view: View = f"{subject} in {team}: waits for a second person"
    return Result(answer, view, [f"another lead approves it: coe team approve {key}"])


def _decided(answer: dict[str, Any]) -> Result:
    done = answer["change"]
    view = f"{done['subject']} in {done['team']}: {done['state']}" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


def _row(node: dict[str, Any]) -> dict[str, Any]:
    return node | {
        "id": plain_id(node["id"]),
        "before": _roles(node["rolesBefore"]),
        "after": _roles(node["roles"]),
        "by": node["proposedBy"],
    }


def _roles(roles: list[str] | None) -> str:
    if roles is None:
        return "not in the team"
    return ", ".join(roles) or "a member"
