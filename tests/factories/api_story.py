"""Steps of the story that several tests need, each over HTTP."""

from __future__ import annotations

from tests.factories.api import Api, Persona
from tests.factories.api_documents import central, local
from tests.factories.tokens import bearer_of


async def publish(api: Api, manifest: str, *, by: str = "sales-owner") -> Persona:
    """Register, submit, review and publish a flow; gives its author."""
    author, lead = api.persona(by), api.persona("coe-lead")
    saved = await author.do(
        "registerFlow",
        "RegisterFlowInput",
        "version { ref }",
        manifest=manifest,
    )
    assert saved["version"], saved["problems"]
    ref = saved["version"]["ref"]
    await author.do("submitForReview", "LifecycleInput", "entry { ref }", ref=ref)
    await lead.do("review", "ReviewInput", "entry { ref }", ref=ref, approve=True, comment="fine")
    moved = await lead.do("publish", "LifecycleInput", "entry { lifecycle }", ref=ref)
    assert moved["entry"]["lifecycle"] == "PUBLISHED"
    return author


async def publish_welcome(api: Api, *, data_class: str = "INTERNAL") -> Persona:
    """`sales/welcome@1.0.0`, reviewed and live; gives its owner."""
    return await publish(api, central(data_class=data_class))


async def publish_count_stock(api: Api) -> Persona:
    """`warehouse/count-stock@1.0.0`, live; gives its developer."""
    return await publish(api, local(), by="warehouse-developer")


async def with_token(api: Api, subject: str, *scopes: str) -> Persona:
    """Somebody who is no persona, with a separate token; a team's worker with its key."""
    bearer = await bearer_of(api.services.platform, subject, *scopes)
    return Persona(api, bearer)
