"""A document of a few lines is written to cost much: its check, its drawing or its comparison."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from coe.confined import budget
from coe.confined.budget import AT_ONCE, WAITING, Budget, spent
from coe.confined.pool import Pool
from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.attacks.test_rate_limits import assert_refused
from tests.factories.api import Api
from tests.factories.api_documents import central
from tests.factories.api_story import publish_welcome
from tests.factories.decision_flows import level
from tests.factories.templates import files, published
from tests.language.hostile import EXPENSIVE_SCHEMA

HOSTILE = (
    "document: {dsl: '1.0.3', namespace: sales, name: x, version: '1.0.0'}\n"
    "input:\n schema:\n  document:\n"
    + "".join(f"   {line}\n" for line in EXPENSIVE_SCHEMA.splitlines()[:-12])
    + "do: [{a: {set: {b: 1}}}]\n"
)
CHECK = "query ($text: String!) { checkFlow(manifest: $text) { problems { code path line } } }"
INSTANCE = {
    "template": "coe/greeting",
    "namespace": "sales",
    "name": "made",
    "processOwner": "sales-owner",
    "parameters": {"words": "Hello"},
}
PROBLEMS = "{ problems { code help } }"


def asked(field: str) -> str:
    """A query of a version."""
    return f'{{ flow(ref: "sales/welcome") {{ version(ref: "1.0.0") {{ {field} }} }} }}'


def previewed(field: str, argument: str, kind: str) -> str:
    return f"query ($it: {kind}!) {{ {field}({argument}: $it) {PROBLEMS} }}"


def changed(field: str, kind: str, argument: str = "input") -> str:
    return f"mutation ($it: {kind}!) {{ {field}({argument}: $it) {PROBLEMS} }}"


DOORS: dict[str, tuple[str, Any]] = {
    "checkFlow": (previewed("checkFlow", "manifest", "String"), central("3.0.0")),
    "checkDecision": (previewed("checkDecision", "manifest", "String"), level()),
    "previewTemplate": (
        previewed("previewTemplate", "input", "InstantiateTemplateInput"),
        INSTANCE,
    ),
    "diagram": (asked("diagram"), None),
    "diagramSvg": (asked("diagramSvg"), None),
    "diff": (asked('diff(to: "1.0.0") { unified }'), None),
    "registerFlow": (changed("registerFlow", "RegisterFlowInput"), {"manifest": central("3.0.0")}),
    "registerDecision": (
        changed("registerDecision", "RegisterDecisionInput"),
        {"manifest": level()},
    ),
    "registerTemplate": (changed("registerTemplate", "JSON", "files"), files()),
    "instantiateTemplate": (changed("instantiateTemplate", "InstantiateTemplateInput"), INSTANCE),
    "updateDraft": (
        changed("updateDraft", "UpdateDraftInput"),
        {"ref": "sales/welcome@2.0.0", "manifest": central("2.0.0")},
    ),
    "submitForReview": (
        changed("submitForReview", "LifecycleInput"),
        {"ref": "sales/welcome@2.0.0"},
    ),
    "startRun": (changed("startRun", "StartRunInput"), {"flow": "sales/welcome", "input": {}}),
}


class Spent:
    """In the place of the pool: nobody has time left. A door that answers has asked no pool."""

    async def run(self, *_: object) -> None:
        raise spent()

    def warm(self) -> None:
        """Nothing is to be prepared."""


class Held:
    """In the place of the pool: computes in this process, once the gate is open."""

    def __init__(self) -> None:
        self.gate, self.waiting = asyncio.Event(), 0

    async def run(self, _: Budget, function: Callable[..., Any], *args: Any) -> Any:
        self.waiting += 1
        await self.gate.wait()
        return function(*args)


def pool_of(api: Api) -> Pool:
    """The pool that works on the texts of callers."""
    pool = api.services.platform.computing
    assert isinstance(pool, Pool)
    return pool


async def test_a_small_document_that_cost_two_minutes_is_refused_where_it_costs(
    still_api: Api,
) -> None:
    assert len(HOSTILE.encode()) < 1400
    before = pool_of(still_api).killed
    found = (await still_api.persona("sales-owner").ask(CHECK, text=HOSTILE))["checkFlow"]
    [problem] = [each for each in found["problems"] if each["code"] == "OWS064"]
    assert problem["path"] == "/input/schema/document/examples/3"
    assert problem["line"] is not None
    assert pool_of(still_api).killed == before


async def test_what_uses_the_time_of_a_request_is_killed(
    still_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, pool = still_api.persona("sales-owner"), pool_of(still_api)
    await owner.ask(CHECK, text=central())
    before = pool.killed
    monkeypatch.setattr(budget, "SECONDS", 0.05)
    twice = (
        "query ($text: String!) { a: checkFlow(manifest: $text) { problems { code line help } } "
        "b: checkFlow(manifest: $text) { problems { code line help } } }"
    )
    answer = await owner.ask(twice, text=f"# another\n{HOSTILE}")
    for name in ("a", "b"):
        [problem] = answer[name]["problems"]
        assert (problem["code"], problem["line"]) == ("INPUT_BUDGET", 1)
        assert "smaller or simpler" in problem["help"]
    assert pool.killed == before + 1, "one budget for both"


async def test_every_door_has_its_text_worked_on_by_the_pool(
    still_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, platform = await publish_welcome(still_api), still_api.services.platform
    await published(platform)
    draft = await owner.do(
        "registerFlow", "RegisterFlowInput", "version { ref }", manifest=central("2.0.0")
    )
    assert draft["version"], draft
    monkeypatch.setattr(platform, "computing", Spent())
    missed = {}
    for name, (query, given) in DOORS.items():
        answer = await owner.send(query, **({} if given is None else {"it": given}))
        if "INPUT_BUDGET" not in json.dumps(answer):
            missed[name] = answer
    assert missed == {}


@pytest.fixture
async def wide_api(settings: Settings) -> AsyncIterator[Api]:
    """The application without its loops, with as many connections as it has by default."""
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        yield Api(app)


async def test_one_subject_does_not_occupy_the_computing(
    wide_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setattr(wide_api.services.platform, "computing", held)
    body = {"query": CHECK, "variables": {"text": central()}}
    async with wide_api.client("demo-sales-owner") as client:
        sent = [
            asyncio.create_task(client.post("/graphql", json=body))
            for _ in range(AT_ONCE + WAITING)
        ]
        while held.waiting < AT_ONCE:
            await asyncio.sleep(0.01)
        one_too_many = asyncio.create_task(client.post("/graphql", json=body))
        done, _ = await asyncio.wait([*sent, one_too_many], return_when=asyncio.FIRST_COMPLETED)
        [refused] = [each.result() for each in done]
        assert_refused(refused, range(1, 2))
        async with wide_api.client("demo-auditor") as other:
            theirs = asyncio.create_task(other.post("/graphql", json=body))
            while held.waiting < AT_ONCE + 1:
                await asyncio.sleep(0.01)
            held.gate.set()
            assert (await theirs).status_code == 200
        answers = await asyncio.gather(
            *(each for each in (*sent, one_too_many) if each not in done)
        )
    assert {each.status_code for each in answers} == {200}
