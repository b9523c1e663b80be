"""Root fields that say what saving a flow would do."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.types.flows import FlowPreview
from coe.api.types.templates import InstantiateTemplateInput
from coe.catalog import actions
from coe.language.lint import Stage
from coe.templates import actions as templates


@strawberry.type
class FlowQuery:
    """The fields of Query about flows that are not saved yet."""

    @field
    async def preview_template(self, info: Info, input: InstantiateTemplateInput) -> FlowPreview:  # noqa: A002  # the contract's name
        """What instantiateTemplate would save, and its problems; saves nothing.

        The caller may check flows in some team (flow:check).
        """
        async with info.context.work() as work:
            return FlowPreview.of(await templates.preview(work, input.instantiation()))

    @field
    async def check_flow(
        self,
        info: Info,
        manifest: str,
        for_publication: bool | None = False,  # noqa: FBT001, FBT002  # an argument of the field
    ) -> FlowPreview:
        """What registerFlow would save, and its problems; saves nothing.

        The caller may check flows in some team (flow:check). With `forPublication`, what
        a submission for review would refuse is an error.
        """
        stage = Stage.PUBLICATION if for_publication else Stage.DRAFT
        async with info.context.work() as work:
            return FlowPreview.of(await actions.check_flow(work, manifest, stage))
