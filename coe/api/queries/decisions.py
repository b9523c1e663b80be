"""Root fields that check decision tables, and that replay past cases on another version."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.types.decision_cases import DecisionReplay, ReplayDecisionInput
from coe.api.types.decisions import DecisionPreview
from coe.catalog.decision_tables.actions import check_decision
from coe.runs.decisions.decision_replay import replay_cases


@strawberry.type
class DecisionQuery:
    """The fields of Query about decision tables."""

    @field
    async def check_decision(self, info: Info, manifest: str) -> DecisionPreview:
        """What registerDecision would save, and its problems; saves nothing.

        The caller may check tables in some team (decision:check).
        """
        async with info.context.work() as work:
            return DecisionPreview.of(await check_decision(work, manifest))

    @field
    async def replay_decision(self, info: Info, input: ReplayDecisionInput) -> DecisionReplay:  # noqa: A002  # the contract's name
        """Past cases on another version of their table: which outcomes change; recorded.

        The cases are those whose data the caller may read (run:read_data).
        """
        async with info.context.work() as work:
            return DecisionReplay.of(await replay_cases(work, input.request()))
