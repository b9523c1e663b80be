"""Small documents for tests, and the people of the shipped teams."""

from __future__ import annotations

import textwrap

from coe.access.actor import Actor
from coe.catalog import actions
from coe.catalog.records import ChangedVersion, SavedVersion
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    COE_LEAD,
)

SECRET = "Wilhelmina Quastenberg"  # a name that must never stand in clear


def central(
    name: str = "returns",
    *,
    namespace: str = "sales",
    version: str = "1.0.0",
    title: str = "Returns",
    summary: str = "Takes goods back.",
    data_class: str = "INTERNAL",
    tags: str = "order, returns",
    systems: str = "",
    owner: str = "sales-owner",
    calls: str | None = None,
    extra: str = "",
    step: str = "checkGoods",
) -> str:
    called = ""
    if calls:
        called = f"""
          - callOther:
              call: localFlow:1@default
              with: {{ref: "{calls}", input: {{orderId: "${{ .orderId }}"}}}}"""
    return textwrap.dedent(
        f"""\
        document:
          dsl: 1.0.3
          namespace: {namespace}
          name: {name}
          version: {version}
          title: {title!r}
          summary: {summary!r}
          metadata:
            processOwner: {owner}
            domain: trade
            dataClass: {data_class}
            tags: [{tags}]
            systems: [{systems}]
        input:
          schema:
            document:
              type: object
              required: [orderId]
              properties:
                orderId: {{type: string}}
                note: {{type: string}}
              examples:
                - {{orderId: "1", note: {SECRET}}}
        do:
          - {step}:
              set: {{orderId: "${{ .orderId }}"}}{called}
        output:
          schema: {{document: {{type: object}}}}
        """,
    ) + textwrap.dedent(extra)


def local(
    name: str = "pick-and-pack",
    *,
    namespace: str = "warehouse",
    version: str = "1.0.0",
    data_class: str = "INTERNAL",
    title: str = "Pick and pack",
    systems: str = "",
) -> str:
    return textwrap.dedent(
        f"""\
        kind: localFlow
        namespace: {namespace}
        name: {name}
        version: {version}
        title: {title}
        summary: Reserves the stock of an order.
        dataClass: {data_class}
        tags: [order, warehouse]
        systems: [{systems}]
        entrypoint: flows/teams/warehouse/pick_and_pack.py:pick_and_pack
        timeout: PT5M
        input:
          schema:
            document:
              type: object
              required: [orderId]
              properties: {{orderId: {{type: string}}}}
        output:
          schema: {{document: {{type: object}}}}
        """,
    )


async def register(
    platform: Platform,
    actor: Actor,
    text: str,
    *,
    changelog: str | None = None,
    tests: str | None = None,
) -> SavedVersion:
    async with platform.work(actor) as work:
        return await actions.register_flow(work, text, changelog=changelog, tests=tests)


async def published(platform: Platform, actor: Actor, text: str) -> ChangedVersion:
    """Register a flow, submit it, have coe-lead approve and publish it."""
    saved = await register(platform, actor, text)
    return await publish_version(platform, saved.version.ref, author=actor, reviewer=COE_LEAD)
