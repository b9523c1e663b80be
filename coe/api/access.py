"""Why somebody may or may not do something, who may do what, and tokens.

The verbs stand here, and not in `coe.access`, because they require and record: both are of
`coe.work`, which stands above it.
"""

from __future__ import annotations

from uuid import UUID

import strawberry

from coe.access import tokens
from coe.access.actor import ActorKind
from coe.access.decision import Decision as DecisionRow
from coe.access.explain import Grant, explain, review_grants
from coe.access.models import AccessToken
from coe.access.models import Team as TeamRow
from coe.access.permissions import PERMISSIONS, Permission
from coe.access.policy_lines import Relation
from coe.api.context import Info
from coe.api.idempotency import Receipt, once
from coe.api.ids import to_global, to_uuid
from coe.api.nodes import Problem, field, mutation
from coe.api.resources import find, team_of_subject
from coe.api.scalars import Length
from coe.audit.events import Tag
from coe.errors import Conflict, Invalid, NotFound
from coe.errors import Problem as FoundProblem
from coe.identifiers import PLATFORM_TEAM
from coe.work import Read, Work

WORKER = "worker"
"""The role of a team's own worker, the CoE's too; every other service there is the platform's."""


@strawberry.type(description="Whether somebody may do something, and why")
class Decision:
    """Whether somebody may do something, and why."""

    allowed: bool
    permission: str
    rules: list[str] = strawberry.field(
        description="The policy lines that matched, the deciding one first; empty where none did",
    )
    explanation: str

    @classmethod
    def of(cls, row: DecisionRow) -> Decision:
        """The view of a decision."""
        return cls(
            allowed=row.allowed,
            permission=row.permission,
            rules=list(row.rules),
            explanation=row.explanation,
        )


@strawberry.type(description="One thing that somebody may do in a team's namespace")
class AccessGrant:
    """One thing that somebody may do."""

    subject: str
    permission: str
    via: str
    resource: str

    @classmethod
    def of(cls, row: Grant) -> AccessGrant:
        """The view of a grant."""
        return cls(
            subject=row.subject,
            permission=row.permission,
            via=row.via,
            resource=row.resource,
        )


@strawberry.input(description="A token for whom, for what, for how long")
class IssueTokenInput:
    """A token for whom, for what, for how long."""

    name: str
    subject: str
    scopes: list[str]
    expires_in: Length
    client_mutation_id: str | None = None


@strawberry.type(description="The token, or the problems")
class TokenPayload:
    """The token, or the problems."""

    token: str | None = strawberry.field(
        description="Shown this once; only its hash is kept. The same clientMutationId, within "
        "its 24 hours, shows it again",
    )
    id: strawberry.ID | None
    problems: list[Problem]


async def explain_access(work: Work, subject: str, permission: str, resource: str) -> DecisionRow:
    """Say why a subject may or may not do something with a thing; that it was asked is recorded.

    Raises:
        Forbidden: `access:explain` in the thing's team is refused.
        NotFound: There is no such thing, or the asker may not read it.
        Invalid: The permission, the subject or the resource is none.
    """
    if permission not in PERMISSIONS:
        message = f"there is no permission {permission!r}"
        raise Invalid([FoundProblem("INPUT_PERMISSION", message, path="/permission")])
    try:
        thing = await find(work, resource, subject)
        decision = work.require(
            Permission.ACCESS_EXPLAIN,
            resource=resource,
            team=thing.team,
            relations=_self(work, subject),
        )
        explained = explain(
            work.policy,
            subject,
            permission,
            team=thing.team,
            data_class=thing.data_class,
            relations=thing.relations,
        )
    except ValueError as error:
        problem = FoundProblem("INPUT_SUBJECT", str(error), path="/subject")
        raise Invalid([problem]) from None
    await work.record(
        Tag.ACCESS_DECISION_EXPLAIN,
        resource=resource,
        team=thing.team,
        decision=decision,
        detail={"subject": subject, "permission": permission, "allowed": explained.allowed},
    )
    return explained


async def review_access(work: Work, team: str) -> list[Grant]:
    """List who may do what in a team's namespace; that it was asked is recorded.

    Raises:
        NotFound: There is no such team.
        Forbidden: `access:review` in the team is refused.
    """
    if await work.session.get(TeamRow, team) is None:
        raise NotFound
    resource = f"team:{team}"
    decision = work.require(Permission.ACCESS_REVIEW, resource=resource, team=team)
    await work.record(Tag.ACCESS_GRANTS_REVIEW, resource=resource, team=team, decision=decision)
    return review_grants(work.policy, team)


async def issue_token(work: Work, given: IssueTokenInput) -> tuple[str, AccessToken]:
    """Make a token for oneself, or for a service of one's team; only its hash is kept.

    A token that is itself narrowed can pass on no more than it has.

    Raises:
        Forbidden: `token:issue` is refused.
        Invalid: The problems of the input; nothing is saved.
    """
    team = _team_to_ask(work, given.subject, Permission.TOKEN_ISSUE)
    decision = work.require(
        Permission.TOKEN_ISSUE,
        resource=f"team:{team}",
        team=team,
        relations=_self(work, given.subject),
    )
    _check_narrowing(work, given.scopes)
    bearer, token = await tokens.issue(
        work.session,
        name=given.name,
        subject=given.subject,
        scopes=given.scopes,
        expires_at=work.now + given.expires_in,
        created_by=work.actor.subject,
        now=work.now,
    )
    await work.record(
        Tag.ACCESS_TOKEN_ISSUE,
        resource=f"token:{token.id}",
        team=team,
        decision=decision,
        detail={"subject": token.subject, "scopes": list(token.scopes), "name": token.name},
    )
    return bearer, token


async def revoke_token(work: Work, token_id: UUID, reason: str) -> None:
    """Make a token worthless from now on.

    Raises:
        NotFound: There is no such token, or the actor may not revoke it.
        Conflict: It is revoked already.
    """
    token = await tokens.find_token(work.session, token_id)
    if token is None:
        raise NotFound
    team = _team_to_ask(work, token.subject, Permission.TOKEN_REVOKE)
    decision = work.require(
        Permission.TOKEN_REVOKE,
        resource=f"token:{token_id}",
        team=team,
        relations=_self(work, token.subject),
        hide=True,
    )
    if not await tokens.revoke(work.session, token_id, now=work.now):
        raise Conflict("The token is revoked already.")
    await work.record(
        Tag.ACCESS_TOKEN_REVOKE,
        resource=f"token:{token_id}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"subject": token.subject, "name": token.name},
    )


def _self(work: Read, subject: str) -> frozenset[str]:
    """What the actor is to a subject: itself, or who would act in a person's name.

    The platform's own services count as persons here: they need no token, and one in their name
    would read and report every run.
    """
    if subject == work.actor.subject:
        return frozenset({Relation.SELF.value})
    another_person = work.policy.memberships.kind(subject) is ActorKind.PERSON
    roles = {role for role, team in work.policy.roles(subject) if team == PLATFORM_TEAM}
    of_the_platform = bool(roles - {WORKER})
    proxy = another_person or of_the_platform
    return frozenset({Relation.PROXY.value}) if proxy else frozenset()


def _team_to_ask(work: Read, subject: str, permission: Permission) -> str:
    """Of the teams that a subject is in, one where the actor may; else the first."""
    for team in sorted(work.policy.teams(subject)):
        if work.decide(permission, team=team, relations=_self(work, subject)).allowed:
            return team
    return team_of_subject(work.policy, subject)


def _check_narrowing(work: Read, scopes: list[str]) -> None:
    own = work.actor.scopes
    if own is None:
        return
    problems = [
        FoundProblem(
            "INPUT_TOKEN_SCOPE",
            f"the token that asks has no scope {scope!r} to pass on",
            path=f"/scopes/{index}",
        )
        for index, scope in enumerate(scopes)
        if scope not in own and f"{scope.partition(':')[0]}:*" not in own
    ]
    if problems:
        raise Invalid(problems)


@strawberry.type
class AccessQuery:
    """The part of Query that is about access."""

    @field
    async def explain_access(
        self,
        info: Info,
        subject: str,
        permission: str,
        resource: str,
    ) -> Decision:
        """Whether a subject may do something with a thing, named as in the audit log, and why."""
        async with info.context.work() as work:
            return Decision.of(await explain_access(work, subject, permission, resource))

    @field
    async def access_review(self, info: Info, team: str) -> list[AccessGrant]:
        """Who may do what in a team's namespace: the evidence for an access review."""
        async with info.context.work() as work:
            return [AccessGrant.of(grant) for grant in await review_access(work, team)]


@strawberry.type
class AccessMutation:
    """The part of Mutation that is about tokens."""

    @mutation
    async def issue_token(self, info: Info, input: IssueTokenInput) -> TokenPayload:  # noqa: A002  # the contract's name
        """Makes a token for oneself, or for a service of one's team."""

        async def verb(work: Work) -> Receipt:
            bearer, token = await issue_token(work, input)
            return Receipt({"token": bearer, "id": str(token.id)})

        receipt = await once(info.context, "issueToken", input.client_mutation_id, input, verb)
        return _payload(receipt)

    @mutation
    async def revoke_token(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> TokenPayload:
        """Makes a token worthless from now on."""

        async def verb(work: Work) -> Receipt:
            token_id = to_uuid("Token", id)
            await revoke_token(work, token_id, reason)
            return Receipt({"id": str(token_id)})

        given = {"id": id, "reason": reason}
        return _payload(await once(info.context, "revokeToken", client_mutation_id, given, verb))


def _payload(receipt: Receipt) -> TokenPayload:
    token_id = receipt.id("id")
    return TokenPayload(
        token=receipt.text("token"),
        id=strawberry.ID(to_global("Token", token_id)) if token_id else None,
        problems=[Problem.of(problem) for problem in receipt.problems],
    )
