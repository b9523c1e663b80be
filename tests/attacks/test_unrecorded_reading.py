"""Attempts to read the definition of a confidential entry without leaving a record.

Every field of the GraphQL schema is asked by itself, along each way on which it can be reached, and
every HTTP route. Whatever answers with a word of a confidential definition must have recorded it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from fastapi.routing import APIRoute
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from sqlalchemy import func, select
from sqlmodel import col

from coe.api.schema import make_schema
from coe.audit.models import AuditEvent
from coe.catalog.actions import submit_for_review
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_version
from coe.catalog.versions.evidence import TestCaseEvidence, TestEvidence
from coe.errors import Invalid
from coe.review.queries import unified_diff
from coe.templates.actions import instantiate
from coe.templates.records import Instantiation
from coe.work import Platform
from tests.factories.api import Api, Persona
from tests.factories.api_documents import central
from tests.factories.audit_events import details_of, events_of
from tests.factories.decision_flows import level, publish_table
from tests.factories.lifecycle import publish_version
from tests.factories.people import SALES_OWNER
from tests.factories.templates import FLOW, MANIFEST, files

ACTION: Final = "catalog:definition:read_data"
FLOW_REF, TEMPLATE_REF, TABLE_REF = "sales/welcome", "sales/greeting", "finance/credit-level"
WORDS: Final = ("zebra", "quagga", "okapi", "tapir", "dugong", "numbat", "pangolin")
"""They stand in definitions, schemas, tests, files and parameters; in no title and no summary."""

TESTS: Final = "tests: [{name: tapir, input: {name: Ada}, expect: {state: COMPLETED}}]"
INSTANCE: Final = (
    f'{{template: "{TEMPLATE_REF}", namespace: "sales", name: "made", processOwner: "sales-owner", '
    'parameters: {words: "pangolin"}}'
)
ARGUMENTS: Final = {
    "Query.catalogCompletions": 'text: "zebra"',
    "Query.flow": f'ref: "{FLOW_REF}"',
    "Query.template": f'ref: "{TEMPLATE_REF}"',
    "Query.decision": f'ref: "{TABLE_REF}"',
    "Query.previewTemplate": f"input: {INSTANCE}",
    "Query.checkFlow": f"manifest: {json.dumps(central('1.2.0'))}",
    "Query.replayDecision": f'input: {{ref: "{TABLE_REF}@1.0.0"}}',
    "Flow.version": 'ref: "1.1.0"',
    "FlowVersion.diff": 'to: "live"',
}
MOST: Final = 40
"""How long the name of a way may be on which a thing is asked again that is no node."""

NOT_ASKED: Final = {
    "Query.auditLog": "data of the log, recorded as such",
    "Query.verifyAudit": "findings about the log",
    "Query.accessReview": "lines of the policy",
    "Query.auditConsistency": "hashes",
    "Query.checkDecision": "what the caller sends",
    "Query.clients": "machines",
    "Query.holdings": "people and what they answer for",
    "Query.teamChecklist": "what a team still needs, and who does it",
    "Query.teamEnding": "what a team still has, and who settles it",
    "Query.trustRules": "machines",
    "Query.workers": "machines",
    "Query.explainAccess": "lines of the policy",
    "Query.node": "the same as by the other fields",
    "Query.humanTask": "data of a run, recorded as such",
    "Query.system": "it has no definition",
    "Query.run": "the same as one of `runs`",
    "Query.team": "people",
}


@dataclass
class Walk:
    """Queries along the schema: the shortest way to each type.

    What is no node, such as a difference, is computed where it is asked: it is asked on all ways.
    """

    schema: GraphQLSchema
    known: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def groups(self) -> Iterator[tuple[str, str, list[str]]]:
        """Fields without parts of one thing: the way to it, as a name and as a query, and all."""
        waiting = [("", "Query", "%s")]
        while waiting:
            place, name, way = waiting.pop(0)
            self.known.add(name)
            leaves: list[str] = []
            for own, asked, target in self._fields(name):
                if is_leaf_type(target):
                    leaves.append(asked)
                    continue
                for each, one in self._possible(target):
                    if each.name not in self.known or not (_is_node(each) or len(place) > MOST):
                        self.known.add(each.name)
                        inside = way % f"{asked} {{ {one} }}"
                        waiting.append((f"{place}{own}.", each.name, inside))
            if leaves:
                yield place, way, leaves

    def _possible(self, target: GraphQLNamedType) -> Iterator[tuple[GraphQLNamedType, str]]:
        if isinstance(target, GraphQLObjectType):
            yield target, "%s"
            return
        if isinstance(target, GraphQLInterfaceType) and target.name != "CatalogEntry":
            return  # a node: the types are reached otherwise, and by `ARGUMENTS`
        assert hasattr(target, "types") or isinstance(target, GraphQLInterfaceType)
        for each in self.schema.get_possible_types(target):  # type: ignore[arg-type]
            yield each, f"... on {each.name} {{ %s }}"

    def _fields(self, name: str) -> Iterator[tuple[str, str, GraphQLNamedType]]:
        known = self.schema.type_map[name]
        assert isinstance(known, GraphQLObjectType)
        for own, each in known.fields.items():
            if own in {"edges", "pageInfo"}:
                continue  # the nodes are the same
            asked = self._asked(f"{name}.{own}", own, each)
            if asked is not None:
                yield own, asked, get_named_type(each.type)

    def _asked(self, place: str, own: str, each: GraphQLField) -> str | None:
        if place in NOT_ASKED:
            return None
        if place in ARGUMENTS:
            return f"{own}({ARGUMENTS[place]})"
        if any(is_required_argument(argument) for argument in each.args.values()):
            self.unknown.add(place)
            return None
        return own


def _is_node(each: GraphQLNamedType) -> bool:
    return isinstance(each, GraphQLObjectType) and "Node" in {one.name for one in each.interfaces}


async def _readings(api: Api) -> int:
    async with api.services.platform.database.session() as session:
        counted = select(func.count()).where(col(AuditEvent.action) == ACTION)
        return await session.scalar(counted) or 0


def _manifest(version: str, step: str) -> str:
    text = central(version, "CONFIDENTIAL").replace("- greet:", f"- {step}:")
    return text.replace('"Hello "', '"quagga "').replace("{type: string}", "{$comment: okapi}")


TEMPLATE_FILES: Final = files(
    manifest=MANIFEST.replace("domain: trade", "domain: trade\ndataClass: CONFIDENTIAL")
    .replace("What to say", "dugong")
    .replace("namespace: coe", "namespace: sales")
    .replace("coe-lead", "sales-owner"),
    flow=FLOW.replace("- say:", "- dugong:").replace("INTERNAL", "CONFIDENTIAL"),
)
TABLE: Final = level().replace("INTERNAL", "CONFIDENTIAL").replace("id: small,", "id: numbat,")


async def _register(author: Persona, mutation: str, kind: str, **given: str) -> str:
    saved = await author.do(mutation, kind, "version { ref }", **given)
    assert saved["version"], saved["problems"]
    ref: str = saved["version"]["ref"]
    return ref


@pytest.fixture
async def confidential(still_api: Api) -> Api:
    """A flow with a live version and one in review, a template and a table, all confidential."""
    owner, platform = still_api.persona("sales-owner"), still_api.services.platform
    flow = ("registerFlow", "RegisterFlowInput")
    live = await _register(owner, *flow, manifest=_manifest("1.0.0", "zebra"))
    made = await owner.ask(
        "mutation ($files: JSON!) { registerTemplate(files: $files) { version { ref } } }",
        files=TEMPLATE_FILES,
    )
    for ref in (live, made["registerTemplate"]["version"]["ref"]):
        await publish_version(platform, ref, author=SALES_OWNER)
    newer = await _register(owner, *flow, manifest=_manifest("1.1.0", "zebraToo"), tests=TESTS)
    await _submit(platform, newer)
    await publish_table(platform, TABLE)
    return still_api


async def _submit(platform: Platform, ref: str) -> None:
    async with platform.work(SALES_OWNER) as work:
        version = await find_version(work, ref, EntryKind.FLOW)
        assert version is not None
        passed = (TestCaseEvidence("tapir"),)
        result = TestEvidence(version.digest, version.tests_digest, work.now, passed)
        await submit_for_review(work, ref, evidence=result)


async def _start(api: Api) -> None:
    owner = api.persona("sales-owner")
    started = await owner.do(
        "startRun", "StartRunInput", "run { id }", flow=FLOW_REF, input={"name": "Ada"}
    )
    assert started["run"]


async def _instantiate(api: Api) -> None:
    made = await api.persona("sales-owner").ask(
        f"mutation {{ instantiateTemplate(input: {INSTANCE}) {{ version {{ ref }} }} }}"
    )
    assert made["instantiateTemplate"]["version"]["ref"] == "sales/made@1.0.0"


SEEN: Final = (
    "checkFlow.diff.unified",
    "decision.version.definition",
    "decision.version.rules.id",
    "flow.version.definition",
    "flow.version.diagram",
    "flow.version.diagramSvg",
    "flow.version.diff.unified",
    "flow.version.inputSchema",
    "flow.version.tests.result.cases.name",
    "flow.version.tests.text",
    "node.origin.parameters",
    "previewTemplate.definition",
    "previewTemplate.diagramSvg",
    "reviews.nodes.diff.unified",
    "reviews.nodes.unifiedDiff",
    "runs.nodes.diagram",
    "runs.nodes.diagramSvg",
    "template.version.definition",
    "template.version.parameters",
)
"""Some of those that hand out definitions: the walk must have come to them."""


@dataclass(frozen=True)
class Reader:
    """Somebody who may read everything, and what he got unrecorded."""

    api: Api
    handed_out: set[str] = field(default_factory=set)
    unrecorded: set[str] = field(default_factory=set)

    async def tells(self, query: str) -> tuple[bool, int]:
        """Whether the answer has a word of a definition, and how many events were recorded."""
        before = await _readings(self.api)
        answer = await self.api.persona("auditor").send(f"{{ {query} }}")
        found = any(word in json.dumps(answer.get("data")) for word in WORDS)
        return found, await _readings(self.api) - before

    async def ask(self, place: str, query: str) -> None:
        found, recorded = await self.tells(query)
        if found:
            self.handed_out.add(place)
            if recorded != 1:
                self.unrecorded.add(place)


async def test_no_field_hands_out_a_confidential_definition_without_a_record(
    confidential: Api,
) -> None:
    await _instantiate(confidential)
    await _start(confidential)
    reader, walk = Reader(confidential), Walk(build_schema(make_schema().as_str()))
    for place, way, leaves in walk.groups():
        if (await reader.tells(way % " ".join(leaves)))[0]:
            for leaf in leaves:
                await reader.ask(f"{place}{leaf}", way % leaf)
    made = 'node(id: "sales/made@1.0.0") { ... on FlowVersion { origin { parameters } } }'
    await reader.ask("node.origin.parameters", made)
    assert not walk.unknown, "say in ARGUMENTS how to ask for these, or in NOT_ASKED why not"
    assert reader.unrecorded == set()
    assert set(SEEN) - reader.handed_out == set()


def _routes(api: Api) -> Iterator[APIRoute]:
    for each in api.app.routes:
        inner = getattr(each, "original_router", None)
        for route in (each,) if inner is None else inner.routes:
            if isinstance(route, APIRoute):
                yield route


async def test_no_route_of_the_application_hands_out_a_confidential_definition(
    confidential: Api,
) -> None:
    paths = [each.path for each in _routes(confidential) if "GET" in (each.methods or ())]
    assert {"/audit/bundle", "/graphiql"} <= set(paths)
    async with confidential.client("demo-auditor") as client:
        for path in paths:
            answer = await client.get(path)
            assert not any(word in answer.text for word in WORDS), path


async def test_a_template_cannot_be_instantiated_unseen(confidential: Api) -> None:
    platform = confidential.services.platform
    assert await _readings(confidential) == 0
    await _instantiate(confidential)
    [event] = await events_of(platform, ACTION)
    assert (event.actor, event.resource) == ("sales-owner", f"template:{TEMPLATE_REF}@1.0.0")
    [detail] = await details_of(platform, ACTION)
    assert detail == {"versions": [f"{TEMPLATE_REF}@1.0.0"]}


async def test_a_template_cannot_be_tried_unseen_with_wrong_parameters(confidential: Api) -> None:
    asked = Instantiation(TEMPLATE_REF, "sales", "made", {"words": "x" * 99}, "sales-owner")
    platform = confidential.services.platform
    with pytest.raises(Invalid):
        async with platform.work(SALES_OWNER) as work:
            await instantiate(work, asked)
    assert len(await events_of(platform, ACTION)) == 1


async def test_a_door_that_forgets_to_record_records(confidential: Api) -> None:
    platform = confidential.services.platform
    assert await _readings(confidential) == 0
    async with platform.read(SALES_OWNER) as read:
        version = await find_version(read, f"{FLOW_REF}@1.1.0", EntryKind.FLOW)
        assert version is not None
        assert "zebraToo" in await unified_diff(read, version)
    assert len(await events_of(platform, ACTION)) == 1
    assert await details_of(platform, ACTION) == [
        {"versions": [f"{FLOW_REF}@1.0.0", f"{FLOW_REF}@1.1.0"]}
    ]


async def test_nothing_is_answered_if_the_record_fails(
    confidential: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("coe.work.append", full)
    answer = await confidential.persona("auditor").send(
        f'{{ flow(ref: "{FLOW_REF}") {{ version {{ definition }} }} }}'
    )
    assert answer["errors"]
    assert "zebra" not in json.dumps(answer)
