"""Diagrams over HTTP: of versions, of previews, and of runs as far as the caller may read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from coe.demo.api import create_demo_app
from coe.engines.inline import InlineEngine
from coe.execution.open_runtime import open_runtime
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_documents import approval, central
from tests.factories.api_story import publish, publish_count_stock, publish_welcome
from tests.factories.audit_events import events_of

START = """
mutation ($input: StartRunInput!) { startRun(input: $input) { run { id } problems { code } } }
"""
RUN = "query ($id: ID!) { run(id: $id) { state diagram diagramSvg } }"
CHANGE = """
- decide:
    switch: [{large: {when: .amount > 10, then: secret}}, {small: {then: end}}]
- secret: {wait: PT1S}
"""


@pytest.fixture
async def live_api(settings: Settings) -> AsyncIterator[Api]:
    platform = Platform.open(settings, name="test-engine")
    async with open_runtime(platform) as runtime:
        app = create_demo_app(settings, engine=InlineEngine(runtime))
        async with app.router.lifespan_context(app):
            yield Api(app)
    await platform.close()


def words(drawing: str) -> str:
    """All text of a diagram, which must be one XML document."""
    return " ".join(ET.fromstring(drawing).itertext())  # noqa: S314  # our own diagram


async def _until(persona: Persona, run_id: str, *states: str) -> dict[str, Any]:
    for _ in range(200):
        run: dict[str, Any] = (await persona.ask(RUN, id=run_id))["run"]
        if run["state"] in states:
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(run)


async def _started(persona: Persona, flow: str, **given: Any) -> str:
    answer = (await persona.ask(START, input={"flow": flow, "input": given}))["startRun"]
    assert answer["run"], answer["problems"]
    ident: str = answer["run"]["id"]
    return ident


async def test_a_version_and_a_preview_are_drawn(api: Api) -> None:
    owner = await publish_welcome(api)
    query = "query ($ref: String!) { flow(ref: $ref) { version { diagramSvg } } }"
    drawn = (await owner.ask(query, ref="sales/welcome"))["flow"]["version"]["diagramSvg"]
    assert "Welcome a customer" in words(drawn)
    assert "greet" in words(drawn)
    check = "query ($text: String!) { checkFlow(manifest: $text) { diagramSvg diff { asks } } }"
    preview = (await owner.ask(check, text=central("1.0.1")))["checkFlow"]
    assert "greet" in words(preview["diagramSvg"])
    assert preview["diff"]["asks"] == "PATCH"
    broken = await owner.ask(check, text=central().replace("greet:", "greet:\n      thne: end"))
    assert broken["checkFlow"]["diagramSvg"] == ""


async def test_a_change_shows_the_version_step_that_it_requires(api: Api) -> None:
    owner = await publish_welcome(api)
    changed = central("2.0.0").replace("{type: string}", "{type: string, maxLength: 50}")
    await owner.do("registerFlow", "RegisterFlowInput", "version { id }", manifest=changed)
    query = """
    { flow(ref: "sales/welcome") {
        version(ref: "2.0.0") { diff(to: "live") { breaking asks } } } }
    """
    found = (await owner.ask(query))["flow"]["version"]["diff"]
    assert found == {"breaking": True, "asks": "MAJOR"}


async def test_a_local_flow_is_one_box(api: Api) -> None:
    await publish_count_stock(api)
    query = '{ flow(ref: "warehouse/count-stock") { version { diagram diagramSvg } } }'
    version = (await api.persona("warehouse-developer").ask(query))["flow"]["version"]
    assert "Count stock" in version["diagram"]
    assert "Count stock" in words(version["diagramSvg"])


async def test_the_diagram_of_a_run_shows_the_states_of_its_steps(live_api: Api) -> None:
    manifest = approval() + CHANGE.replace("\n", "\n  ")
    await publish(live_api, manifest)
    owner = live_api.persona("sales-owner")
    run_id = await _started(owner, "sales/approval", amount=5000)
    run = await _until(owner, run_id, "WAITING")
    drawn = words(run["diagramSvg"])
    assert "Approve an amount: waiting for" in drawn
    assert "waiting" in drawn
    assert "secret" in drawn
    assert "state-waiting" in run["diagram"]


async def test_a_caller_who_may_not_read_the_definition_sees_only_the_steps_taken(
    live_api: Api,
) -> None:
    manifest = (approval() + CHANGE.replace("\n", "\n  ")).replace("PERSONAL", "CONFIDENTIAL")
    await publish(live_api, manifest)
    owner, approver = live_api.persona("sales-owner"), live_api.persona("finance-approver")
    run_id = await _started(owner, "sales/approval", amount=5000)
    await _until(owner, run_id, "WAITING")
    with pytest.raises(Refused):
        await approver.ask('{ flow(ref: "sales/approval") { ref } }')
    run = (await approver.ask(RUN, id=run_id))["run"]
    for drawing in (run["diagram"], words(run["diagramSvg"])):
        assert "approve" in drawing
        assert "secret" not in drawing
        assert "decide" not in drawing
    platform = live_api.services.platform
    readings = await events_of(platform, "catalog:definition:read_data")
    assert {event.actor for event in readings} == {"sales-owner"}


async def test_a_caller_who_may_not_read_the_run_receives_no_diagram(live_api: Api) -> None:
    owner = await publish_welcome(live_api)
    run_id = await _started(owner, "sales/welcome", name="Jane")
    run = await _until(owner, run_id, "COMPLETED")
    assert "completed after" in words(run["diagramSvg"])
    with pytest.raises(Refused):
        await live_api.persona("outsider").ask(RUN, id=run_id)
