"""The root field that saves templates."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.nodes import mutation
from coe.api.graphql.receipts import receipt_of, records_of
from coe.api.graphql.scalars import Json
from coe.api.types.reviews import texts_of
from coe.api.types.templates import Template, TemplatePayload, TemplateVersion
from coe.idempotency import Receipt
from coe.templates import actions
from coe.work import Work


@strawberry.type
class TemplateMutation:
    """The field of Mutation about templates."""

    @mutation
    async def register_template(
        self,
        info: Info,
        files: Json,
        changelog: str | None = None,
        client_mutation_id: str | None = None,
    ) -> TemplatePayload:
        """Save a version of a template as a draft, or replace the draft of that number.

        The same content again returns the version that has it. Other content for a version that
        was submitted is a CONFLICT.

        `files` is one object: each name is the path of a file, each value its text.
        """

        async def verb(work: Work) -> Receipt:
            saved = await actions.register_template(work, texts_of(files), changelog=changelog)
            return receipt_of(saved)

        given = {"files": files, "changelog": changelog}
        receipt = await once(info.context, "registerTemplate", client_mutation_id, given, verb)
        entry, version, problems = await records_of(info.context, receipt)
        return TemplatePayload(
            template=Template.of(entry) if entry else None,
            version=TemplateVersion.of(version) if version else None,
            problems=problems,
        )
