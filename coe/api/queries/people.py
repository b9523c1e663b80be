"""Root fields of people, changes of members, and requests for access."""

from __future__ import annotations

import strawberry

from coe.access.models import PersonState
from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.memberships import AccessRequest, ChecklistItem, MembershipChange, TeamStep
from coe.api.types.people import Holding, Person
from coe.identity.team_lifecycle.offboarding import ending_of
from coe.identity.team_lifecycle.onboarding import checklist
from coe.identity.teams.holdings import holdings_of
from coe.identity.teams.models import ProposalState, RequestState
from coe.identity.teams.people import list_people
from coe.identity.teams.proposals import list_proposals
from coe.identity.teams.requests import list_requests


@strawberry.type
class PeopleQuery:
    """The fields of Query about people and their way into teams."""

    @field
    async def people(
        self,
        info: Info,
        state: PersonState | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Person]:
        """The accounts of people, by subject; for most callers only their own."""
        async with info.context.read() as read:
            page = await list_people(read, state=state, first=page_size(first), after=after)
            return Connection.of(page, Person.of)

    @field
    async def holdings(self, info: Info, subject: str) -> list[Holding]:
        """What a person answers for, in teams whose access the caller may review; recorded."""
        async with info.context.work() as work:
            return [Holding.of(each) for each in await holdings_of(work, subject)]

    @field
    async def team_checklist(self, info: Info, team: str) -> list[ChecklistItem]:
        """The steps from a new team to its first run: what is done, and who does the rest."""
        async with info.context.read() as read:
            return [ChecklistItem.of(each) for each in await checklist(read, team)]

    @field
    async def team_ending(self, info: Info, team: str) -> list[TeamStep]:
        """What of a team is open before it can be retired, and what ends with it."""
        async with info.context.work() as work:
            return [TeamStep.of(each) for each in await ending_of(work, team)]

    @field
    async def membership_changes(
        self,
        info: Info,
        team: str | None = None,
        state: ProposalState | None = ProposalState.PENDING,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[MembershipChange]:
        """Changes of members that the caller proposed or may decide on, the newest first."""
        async with info.context.read() as read:
            page = await list_proposals(
                read, team=team, state=state, first=page_size(first), after=after
            )
            return Connection.of(page, MembershipChange.of)

    @field
    async def access_requests(
        self,
        info: Info,
        team: str | None = None,
        state: RequestState | None = RequestState.PENDING,
        *,
        mine: bool = False,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[AccessRequest]:
        """Requests for access that the caller may answer, and its own; the newest first."""
        async with info.context.read() as read:
            page = await list_requests(
                read, team=team, state=state, mine=mine, first=page_size(first), after=after
            )
            return Connection.of(page, AccessRequest.of)
