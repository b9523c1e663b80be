"""Every shipped template renders and keeps the standards (its tests: `test_suites`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest

from coe import content
from coe.bootstrap import load_all
from coe.catalog import queries
from coe.catalog.flows.documents import FlowDocument, read_flow
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.catalog.search.query import CatalogSearch, search
from coe.decisions.load import load_decision_source
from coe.decisions.schemas import input_schema
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.lint import Catalogued, KnownFlow, Stage, lint
from coe.machine.commands import OpenHumanTask, StartChild
from coe.settings import Settings
from coe.templates.manifest import TemplateFiles, read_template
from coe.templates.render import render
from coe.templates.trial import examples_of, sample_target
from coe.testing.decision_files import FOLDER, DecisionFiles
from coe.testing.run_definition import Trace, simulate
from coe.testing.suite_format import read_suite
from coe.testing.suites import case_of
from coe.work import Platform
from tests.factories.people import OUTSIDER, SALES_OWNER

ROOT = content.root()
FOLDERS = sorted(path for path in (ROOT / "templates").iterdir() if path.is_dir())
CENTRAL = sorted(path for path in (ROOT / "flows" / "central").iterdir() if path.is_dir())
DECISIONS = DecisionFiles(ROOT / FOLDER)
MANIFESTS = sorted((ROOT / "flows" / "teams").rglob("*.yaml"))


@pytest.fixture
async def pool() -> AsyncIterator[Expressions]:
    expressions = Expressions(workers=1)
    yield expressions
    await expressions.close()


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@cache
def template(name: str) -> TemplateFiles:
    found, problems = read_template(_texts(ROOT / "templates" / name))
    assert problems == ()
    assert found is not None
    return found


def rendered(name: str, parameters: JSON) -> FlowDocument:
    files = template(name)
    result = render(files, sample_target(files), parameters)
    assert result.problems == ()
    document, problems = read_flow(result.text)
    assert problems == ()
    assert document is not None
    return document


def known() -> Catalogued:
    """The shipped local flows, as the catalog will know them."""
    flows: dict[str, KnownFlow] = {}
    for path in MANIFESTS:
        document, problems = read_flow(path.read_text())
        assert problems == ()
        assert document is not None
        assert document.kind is FlowKind.LOCAL
        ref = f"{document.namespace}/{document.name}@^1"
        flows[ref] = KnownFlow(document.version, document.input_schema)
    return Catalogued(flows, decisions())


def decisions() -> dict[str, KnownFlow]:
    """The shipped decision tables, as the catalog will know them."""
    found: dict[str, KnownFlow] = {}
    for _, source in DECISIONS.sources:
        table = load_decision_source(source).table
        assert table is not None
        about = table.document.decision
        ref = f"{about.namespace}/{about.name}@^1"
        found[ref] = KnownFlow(about.version, input_schema(table))
    return found


def suite(name: str) -> list[dict[str, JSON]]:
    written, problems = read_suite(template(name).texts["tests.yaml"])
    assert problems == ()
    assert written is not None
    return list(written.tests)


NAMES = [path.name for path in FOLDERS]


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_the_parameters_keeps_every_standard(name: str) -> None:
    for parameters in examples_of(template(name)):
        definition = rendered(name, parameters).definition
        assert definition is not None
        assert lint(definition, known=known(), stage=Stage.PUBLICATION) == ()


async def _run(name: str, test: dict[str, JSON], pool: Expressions) -> tuple[FlowDocument, Trace]:
    document = rendered(name, test.get("parameters", {}))
    assert document.definition is not None
    return document, await simulate(
        document.definition, case_of(test), pool.evaluate, runner=DECISIONS
    )


@pytest.mark.parametrize("name", NAMES)
def test_its_tests_use_every_value_that_a_parameter_can_choose(name: str) -> None:
    properties = template(name).manifest.parameters["properties"]
    assert isinstance(properties, dict)
    given = [test.get("parameters", {}) for test in suite(name)]
    for parameter, schema in properties.items():
        assert isinstance(schema, dict)
        assert schema.get("title")
        assert schema.get("description")
        if schema["type"] == "boolean":
            default = schema["default"]
            used = {each.get(parameter, default) for each in given if isinstance(each, dict)}
            assert used == {True, False}, parameter


async def test_people_and_other_teams_see_no_more_of_the_customer_than_they_need(
    pool: Expressions,
) -> None:
    asked = 0
    for test in suite("order-to-cash"):
        _, trace = await _run("order-to-cash", test, pool)
        for command in trace.commands:
            if isinstance(command, OpenHumanTask | StartChild):
                asked += 1
                text = str(command)
                assert "Solberg" not in text
                assert "fjordpumps" not in text
    assert asked > 20


async def test_each_example_of_an_order_takes_its_path(pool: Expressions) -> None:
    document = rendered("order-to-cash", {"creditLimit": "10000.00"})
    assert isinstance(document.input_schema, dict)
    examples = document.input_schema["examples"]
    assert isinstance(examples, list)
    down = {"error": {"type": "communication", "status": 503}}
    done: JSON = {"output": {"state": "done"}}
    names = set(document.search_document.steps)
    stubs: list[dict[str, JSON]] = [
        {},
        {"approveOrder": {"outcome": "approved", "answer": {}, "by": "finance-lead"}},
        {"approveOrder": {"outcome": "rejected", "answer": {}, "by": "finance-lead"}},
        {"postInvoice": down},
    ]
    states = []
    for example, own in zip(examples, stubs, strict=True):
        all_stubs = dict.fromkeys(names, done) | STUBS | own
        assert document.definition is not None
        trace = await simulate(
            document.definition,
            case_of({"input": example, "stubs": all_stubs}),
            pool.evaluate,
        )
        assert isinstance(trace.output, dict), trace.error
        states.append(trace.output["state"])
        assert ("approveOrder" in trace.path) is bool(own.get("approveOrder"))
    assert states == ["completed", "completed", "rejected", "compensated"]


STUBS: dict[str, JSON] = {
    "readCustomer": {"output": {"id": "C-1001", "segment": "business"}},
    "checkCredit": {"output": {"approved": True, "open": "1.00", "rating": "A"}},
    "pickAndPack": {"output": {"reservationId": "RES-1", "parcels": 1}},
    "postInvoice": {"output": {"invoiceId": "INV-1"}},
    "shipOrder": {"output": {"shipmentId": "SHP-1", "tracking": "TRK1"}},
}


async def test_the_shipped_content_is_loaded_once_and_found(
    settings: Settings,
    platform: Platform,
) -> None:
    first = await load_all(settings)
    again = await load_all(settings)
    assert (
        sum(line.endswith("new") for line in first)
        == len(NAMES) + len(CENTRAL) + len(DECISIONS.sources) + 3
    )
    assert not [line for line in again if line.endswith("new")]
    async with platform.read(SALES_OWNER) as read:
        found = await search(read, CatalogSearch(text="order"))
        crm = await queries.find_entry(read, "sales/crm", EntryKind.SYSTEM)
        version = await queries.find_version(read, "coe/order-to-cash@1.1.0")
    assert found.items[0].entry.ref == "coe/order-to-cash"
    assert found.items[0].highlights[0].fragment == "<mark>Order</mark> to cash"
    assert crm is not None
    assert crm.lifecycle is Lifecycle.PUBLISHED
    assert version is not None
    assert version.lifecycle is Lifecycle.IN_REVIEW
    async with platform.read(SALES_OWNER) as read:
        onboarding = await queries.find_version(read, "sales/customer-onboarding@1.1.0")
    assert onboarding is not None
    assert onboarding.lifecycle is Lifecycle.IN_REVIEW
    assert onboarding.created_by == "service:content"
    async with platform.read(OUTSIDER) as read:
        assert (await search(read, CatalogSearch(text="order"))).total == 0
