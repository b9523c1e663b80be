"""Views of changes of members and of requests for access; inputs and payloads of making them."""

from __future__ import annotations

import strawberry

from coe.access.membership_changes import MembersSource
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.graphql.scalars import DateTime, Json
from coe.api.types.teams import Team
from coe.identity.team_lifecycle.onboarding import ChecklistItem as ChecklistRecord
from coe.identity.team_lifecycle.onboarding import FirstFlow, Onboarding
from coe.identity.team_lifecycle.steps import TeamStep as StepRecord
from coe.identity.team_lifecycle.steps import TeamStepState
from coe.identity.teams.actions import NewMember, NewTeam
from coe.identity.teams.models import ProposalState, RequestState
from coe.identity.teams.proposals import ProposalRecord
from coe.identity.teams.requests import RequestRecord


@object_type
class MembershipChange:
    """A change of a team's members that a second person approves."""

    id: strawberry.ID
    team: str
    subject: str
    display_name: str
    roles: list[str] | None = strawberry.field(
        description="The roles afterwards; null takes the subject out of the team",
    )
    roles_before: list[str] | None = strawberry.field(
        description="The roles at the time of the proposal; null if it was not in the team",
    )
    until: DateTime | None = strawberry.field(
        description="Until when the roles are granted, or the membership lasts; null without end",
    )
    source: str = strawberry.field(description="`api`, `scim` or `oidc:…`")
    proposed_by: str
    proposed_at: DateTime
    reason: str
    state: ProposalState
    decided_by: str | None
    decided_at: DateTime | None
    answer: str | None

    @classmethod
    def of(cls, record: ProposalRecord) -> MembershipChange:
        """The view of a proposal."""
        until = record.until or record.expires_at
        return cls(
            id=strawberry.ID(to_global("MembershipChange", record.id)),
            team=record.team,
            subject=record.subject,
            display_name=record.display_name,
            roles=None if record.roles is None else list(record.roles),
            roles_before=None if record.roles_before is None else list(record.roles_before),
            until=DateTime(until) if until else None,
            source=record.source,
            proposed_by=record.proposed_by,
            proposed_at=DateTime(record.proposed_at),
            reason=record.reason,
            state=record.state,
            decided_by=record.decided_by,
            decided_at=DateTime(record.decided_at) if record.decided_at else None,
            answer=record.answer,
        )


@object_type
class AccessRequest:
    """A person's request for a role in a team, and what became of it."""

    id: strawberry.ID
    team: str
    subject: str
    display_name: str
    role: str | None = strawberry.field(description="Null asks for the membership alone")
    until: DateTime | None = strawberry.field(description="When the access ends by itself")
    reason: str
    requested_at: DateTime
    state: RequestState
    decided_by: str | None
    decided_at: DateTime | None
    answer: str | None

    @classmethod
    def of(cls, record: RequestRecord) -> AccessRequest:
        """The view of a request."""
        return cls(
            id=strawberry.ID(to_global("AccessRequest", record.id)),
            team=record.team,
            subject=record.subject,
            display_name=record.display_name,
            role=record.role,
            until=DateTime(record.until) if record.until else None,
            reason=record.reason,
            requested_at=DateTime(record.requested_at),
            state=record.state,
            decided_by=record.decided_by,
            decided_at=DateTime(record.decided_at) if record.decided_at else None,
            answer=record.answer,
        )


@object_type
class ChecklistItem:
    """A step of a team's start."""

    title: str
    done: bool
    who: str = strawberry.field(description="The role that does it, as team/role")
    command: str = strawberry.field(description="The command that does it")

    @classmethod
    def of(cls, record: ChecklistRecord) -> ChecklistItem:
        """The view of a step."""
        return cls(title=record.title, done=record.done, who=record.who, command=record.command)


@object_type
class TeamStep:
    """A step of a team's start or end."""

    key: str
    title: str
    state: TeamStepState
    who: str = strawberry.field(description="Who does it: a role as team/role, or in words")
    command: str = strawberry.field(description="What they do; empty where nothing is left")
    names: list[str] = strawberry.field(description="What it is about, the first ones")

    @classmethod
    def of(cls, record: StepRecord) -> TeamStep:
        """The view of a step."""
        return cls(
            key=record.key,
            title=record.title,
            state=record.state,
            who=record.who,
            command=record.command,
            names=list(record.names),
        )


@input_type
class CreateTeamInput:
    """The team to create."""

    slug: str = strawberry.field(description="Its name in refs, such as `sales`; it never changes")
    name: str
    domain: str | None = None
    contact: str | None = None
    members_source: MembersSource = strawberry.field(
        default=MembersSource.API, description="Where its people come from"
    )
    client_mutation_id: str | None = None

    def team(self) -> NewTeam:
        """The input of the verb."""
        return NewTeam(self.slug, self.name, self.domain, self.contact, self.members_source)


@input_type
class MemberInput:
    """A subject with all roles that it shall have in a team."""

    team: str
    subject: str
    roles: list[str] = strawberry.field(default_factory=list)
    name: str | None = strawberry.field(default=None, description="The name for people")
    expires_at: DateTime | None = strawberry.field(
        default=None, description="When the membership ends by itself"
    )
    reason: str
    client_mutation_id: str | None = None

    def member(self) -> NewMember:
        """The input of the verb."""
        return NewMember(self.subject, self.roles, self.name, self.expires_at)


@input_type
class RequestAccessInput:
    """The role in a team that the caller asks for."""

    team: str
    role: str | None = strawberry.field(
        default=None, description="Null asks for the membership alone"
    )
    reason: str
    until: DateTime | None = strawberry.field(
        default=None, description="When the access shall end by itself"
    )
    client_mutation_id: str | None = None


@input_type
class FirstFlowInput:
    """The first flow of a team, from a template."""

    template: str = strawberry.field(
        description="Template ref; without a version, the highest published one"
    )
    name: str
    parameters: Json
    process_owner: str | None = strawberry.field(
        default=None, description="By default the team's lead"
    )
    title: str | None = None

    def flow(self) -> FirstFlow:
        """The input of the verb."""
        return FirstFlow(
            self.template,
            self.name,
            self.parameters,  # type: ignore[arg-type]  # a value of JSON
            self.process_owner,
            self.title,
        )


@input_type
class OnboardTeamInput:
    """What a team's start shall have. A team that is there needs no name."""

    team: str
    name: str | None = None
    domain: str | None = None
    contact: str | None = None
    members_source: MembersSource = strawberry.field(
        default=MembersSource.API, description="Where its people come from"
    )
    lead: str | None = strawberry.field(default=None, description="A second person approves it")
    developers: list[str] = strawberry.field(default_factory=list)
    enrols: bool = strawberry.field(
        default=True, description="Make a code with which its worker enrols"
    )
    flow: FirstFlowInput | None = strawberry.field(
        default=None, description="Its first flow; null makes none"
    )
    reason: str
    client_mutation_id: str | None = None

    def onboarding(self) -> Onboarding:
        """The input of the verb."""
        return Onboarding(
            team=self.team,
            name=self.name,
            domain=self.domain,
            contact=self.contact,
            source=self.members_source,
            lead=self.lead,
            developers=tuple(self.developers),
            enrols=self.enrols,
            flow=self.flow.flow() if self.flow else None,
        )


@object_type
class OnboardingPayload:
    """The steps of a team's start, or the problems."""

    team: Team | None
    steps: list[TeamStep]
    enrolment_code: str | None = strawberry.field(
        description="The code with which its worker enrols once; it is shown only here"
    )
    problems: list[Problem]


@object_type
class TeamEndPayload:
    """Whether the team is retired, with the steps of its end; or the problems."""

    team: Team | None
    retired: bool
    steps: list[TeamStep]
    problems: list[Problem]


@object_type
class TeamPayload:
    """The team that was made or changed, or the problems."""

    team: Team | None
    problems: list[Problem]


@object_type
class MemberPayload:
    """Whether the members were changed, or the change that waits for a second person."""

    applied: bool = strawberry.field(description="Whether it was done")
    change: MembershipChange | None = strawberry.field(
        description="What a second person has to approve, if it was not done yet",
    )
    problems: list[Problem]


@object_type
class MembershipChangePayload:
    """The change that was decided on, or the problems."""

    change: MembershipChange | None
    problems: list[Problem]


@object_type
class AccessRequestPayload:
    """The request, or the problems."""

    request: AccessRequest | None
    problems: list[Problem]
