"""Root fields that create teams, change their members, and answer who asks for access."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from coe.access.membership_changes import MembersSource
from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import Problem, mutation
from coe.api.graphql.scalars import DateTime
from coe.api.types.memberships import (
    AccessRequest,
    AccessRequestPayload,
    CreateTeamInput,
    MemberInput,
    MemberPayload,
    MembershipChange,
    MembershipChangePayload,
    OnboardingPayload,
    OnboardTeamInput,
    RequestAccessInput,
    TeamEndPayload,
    TeamPayload,
    TeamStep,
)
from coe.api.types.teams import owner_of
from coe.idempotency import Receipt
from coe.identity.team_lifecycle import offboarding, onboarding
from coe.identity.team_lifecycle.steps import TeamStep as StepRecord
from coe.identity.team_lifecycle.steps import TeamStepState
from coe.identity.teams import actions, proposals, requests
from coe.identity.teams.proposals import Outcome, ProposalRecord
from coe.identity.teams.requests import RequestRecord
from coe.json_types import JSON
from coe.work import Work


async def _team(
    info: Info, name: str, key: str | None, given: object, verb: Callable[[Work], Awaitable[str]]
) -> TeamPayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"slug": await verb(work)})

    receipt = await once(info.context, name, key, given, act)
    slug = receipt.text("slug")
    return TeamPayload(
        team=await owner_of(info, slug) if slug else None,
        problems=Problem.all_of(receipt.problems),
    )


async def _members(
    info: Info,
    name: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[Outcome]],
) -> MemberPayload:
    async def act(work: Work) -> Receipt:
        outcome = await verb(work)
        return Receipt({"change": str(outcome.proposal) if outcome.proposal else None})

    receipt = await once(info.context, name, key, given, act)
    change = receipt.id("change")
    return MemberPayload(
        applied=change is None and not receipt.problems,
        change=await _proposal(info, change) if change else None,
        problems=Problem.all_of(receipt.problems),
    )


async def _proposal(info: Info, key: UUID) -> MembershipChange:
    async with info.context.read() as read:
        return MembershipChange.of(await proposals.find_proposal(read, key))


async def _decide(
    info: Info,
    name: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[ProposalRecord]],
) -> MembershipChangePayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"change": str((await verb(work)).id)})

    receipt = await once(info.context, name, key, given, act)
    change = receipt.id("change")
    return MembershipChangePayload(
        change=await _proposal(info, change) if change else None,
        problems=Problem.all_of(receipt.problems),
    )


async def _request(
    info: Info,
    name: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[RequestRecord]],
) -> AccessRequestPayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"request": str((await verb(work)).id)})

    receipt = await once(info.context, name, key, given, act)
    request = receipt.id("request")
    found = None
    if request is not None:
        async with info.context.read() as read:
            found = AccessRequest.of(await requests.find_request(read, request))
    return AccessRequestPayload(request=found, problems=Problem.all_of(receipt.problems))


def _plain(steps: Sequence[StepRecord]) -> list[JSON]:
    return [{**asdict(each), "state": each.state.value, "names": [*each.names]} for each in steps]


def _steps(receipt: Receipt) -> list[TeamStep]:
    kept: Any = receipt.values.get("steps") or []
    return [TeamStep(**{**each, "state": TeamStepState(each["state"])}) for each in kept]


@strawberry.type
class TeamMutation:
    """The fields of Mutation about teams and their members."""

    @mutation
    async def create_team(self, info: Info, input: CreateTeamInput) -> TeamPayload:  # noqa: A002  # the contract's style
        """Create a team, which has no members yet."""

        async def verb(work: Work) -> str:
            return (await actions.create_team(work, input.team())).slug

        return await _team(info, "createTeam", input.client_mutation_id, input, verb)

    @mutation
    async def set_members_source(
        self,
        info: Info,
        team: str,
        source: MembersSource,
        reason: str,
        client_mutation_id: str | None = None,
    ) -> TeamPayload:
        """Let the people of a team come from another source; those who are in it stay."""

        async def verb(work: Work) -> str:
            return (await actions.set_members_source(work, team, source, reason=reason)).slug

        given = {"team": team, "source": source, "reason": reason}
        return await _team(info, "setMembersSource", client_mutation_id, given, verb)

    @mutation
    async def onboard_team(self, info: Info, input: OnboardTeamInput) -> OnboardingPayload:  # noqa: A002  # the same
        """Do the first steps of a team that the caller may do; called again, it goes on."""

        async def act(work: Work) -> Receipt:
            done = await onboarding.onboard_team(work, input.onboarding(), reason=input.reason)
            values: dict[str, JSON] = {"slug": done.team, "steps": _plain(done.steps)}
            return Receipt(values, shown={"code": done.code} if done.code else {})

        receipt = await once(info.context, "onboardTeam", input.client_mutation_id, input, act)
        slug = receipt.text("slug")
        return OnboardingPayload(
            team=await owner_of(info, slug) if slug else None,
            steps=_steps(receipt),
            enrolment_code=receipt.shown.get("code"),
            problems=Problem.all_of(receipt.problems),
        )

    @mutation
    async def retire_team(
        self,
        info: Info,
        team: str,
        reason: str,
        *,
        retire_flows: bool = False,
        cancel_runs: bool = False,
        client_mutation_id: str | None = None,
    ) -> TeamEndPayload:
        """Settle of a team what is asked for, and retire it when nothing is left: called again."""

        async def act(work: Work) -> Receipt:
            ending = await offboarding.end_team(
                work, team, reason=reason, retire_flows=retire_flows, cancel_runs=cancel_runs
            )
            retired = ending.is_retired
            return Receipt({"slug": team, "retired": retired, "steps": _plain(ending.steps)})

        given = {"team": team, "reason": reason, "flows": retire_flows, "runs": cancel_runs}
        receipt = await once(info.context, "retireTeam", client_mutation_id, given, act)
        slug = receipt.text("slug")
        return TeamEndPayload(
            team=await owner_of(info, slug) if slug else None,
            retired=receipt.values.get("retired") is True,
            steps=_steps(receipt),
            problems=Problem.all_of(receipt.problems),
        )

    @mutation
    async def add_member(self, info: Info, input: MemberInput) -> MemberPayload:  # noqa: A002  # the same
        """Take a person or a service into a team; some roles wait for a second person."""
        return await _members(
            info,
            "addMember",
            input.client_mutation_id,
            input,
            lambda work: actions.add_member(work, input.team, input.member(), reason=input.reason),
        )

    @mutation
    async def change_member(self, info: Info, input: MemberInput) -> MemberPayload:  # noqa: A002  # the same
        """Give a member these roles in place of those before; some wait for a second person."""
        return await _members(
            info,
            "changeMember",
            input.client_mutation_id,
            input,
            lambda work: actions.change_member(
                work, input.team, input.member(), reason=input.reason
            ),
        )

    @mutation
    async def remove_member(
        self,
        info: Info,
        team: str,
        subject: str,
        reason: str,
        client_mutation_id: str | None = None,
    ) -> MemberPayload:
        """Take a person or a service out of a team; some roles wait for a second person."""
        return await _members(
            info,
            "removeMember",
            client_mutation_id,
            {"team": team, "subject": subject, "reason": reason},
            lambda work: actions.remove_member(work, team, subject, reason=reason),
        )

    @mutation
    async def approve_membership_change(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str | None = None,
        client_mutation_id: str | None = None,
    ) -> MembershipChangePayload:
        """Approve a change of members as its second person: it is made."""

        async def verb(work: Work) -> ProposalRecord:
            return await proposals.approve(work, to_uuid("MembershipChange", id), reason=reason)

        given = {"id": id, "reason": reason}
        return await _decide(info, "approveMembershipChange", client_mutation_id, given, verb)

    @mutation
    async def refuse_membership_change(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> MembershipChangePayload:
        """Refuse a change of members; who proposed it withdraws it so."""

        async def verb(work: Work) -> ProposalRecord:
            return await proposals.refuse(work, to_uuid("MembershipChange", id), reason=reason)

        given = {"id": id, "reason": reason}
        return await _decide(info, "refuseMembershipChange", client_mutation_id, given, verb)

    @mutation
    async def request_access(self, info: Info, input: RequestAccessInput) -> AccessRequestPayload:  # noqa: A002  # the same
        """Ask for a role in a team, or for the membership; the team's lead answers."""
        return await _request(
            info,
            "requestAccess",
            input.client_mutation_id,
            input,
            lambda work: requests.request_access(
                work, input.team, role=input.role, reason=input.reason, until=input.until
            ),
        )

    @mutation
    async def grant_access(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        until: DateTime | None = None,
        reason: str | None = None,
        client_mutation_id: str | None = None,
    ) -> AccessRequestPayload:
        """Grant what a person asked for, until the time asked for or an earlier one."""
        end: datetime | None = until

        async def verb(work: Work) -> RequestRecord:
            key = to_uuid("AccessRequest", id)
            return await requests.grant_request(work, key, until=end, reason=reason)

        given = {"id": id, "until": until, "reason": reason}
        return await _request(info, "grantAccess", client_mutation_id, given, verb)

    @mutation
    async def decline_access(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> AccessRequestPayload:
        """Refuse what a person asked for; who asked withdraws it so."""

        async def verb(work: Work) -> RequestRecord:
            key = to_uuid("AccessRequest", id)
            return await requests.refuse_request(work, key, reason=reason)

        given = {"id": id, "reason": reason}
        return await _request(info, "declineAccess", client_mutation_id, given, verb)
