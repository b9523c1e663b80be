from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from coe.catalog import actions as catalog
from coe.catalog import queries as entries
from coe.catalog.flows import contents
from coe.catalog.models import EntryKind, Lifecycle
from coe.errors import Forbidden, Invalid, NotFound, errors_in
from coe.language.canonical import digest
from coe.templates import actions, queries
from coe.work import Platform
from tests.factories.people import (
    COE_LEAD,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.templates import (
    FLOW,
    MANIFEST,
    asked,
    files,
    instantiate,
    published,
    register,
)


async def _count(platform: Platform, table: str) -> int:
    async with platform.database.session() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def test_a_template_is_registered_once_and_opened_as_it_was(platform: Platform) -> None:
    saved = await register(platform)
    again = await register(platform)
    assert (saved.created, again.created) == (True, False)
    assert saved.version.digest == digest(dict(files()))
    assert saved.entry.kind is EntryKind.TEMPLATE
    async with platform.read(SALES_OWNER) as read:
        content = (await queries.template_contents(read, [saved.version.id]))[saved.version.id]
    assert content.definition == FLOW
    assert content.readme == "# Greeting\n"
    assert isinstance(content.parameters, dict)
    assert content.parameters["required"] == ["words"]
    with pytest.raises(Forbidden):
        await register(platform, SALES_OWNER)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"flow": FLOW.replace("said: $(params.words)", "said: $(params.wordz)")}, "wordz"),
        ({"flow": FLOW.replace("sayAgain:\n          set:", "sayAgain:\n          sett:")}, "sett"),
        ({"flow": FLOW.replace("document:\n  dsl", "document:\n  dsk")}, "dsk"),
        ({"manifest": MANIFEST.replace("{words: Hello, twice: true}", "{words: 7}")}, "words"),
    ],
)
async def test_a_template_whose_examples_do_not_work_is_not_saved(
    platform: Platform,
    changed: dict[str, str],
    words: str,
) -> None:
    with pytest.raises(Invalid) as invalid:
        await register(platform, COE_LEAD, **changed)
    assert any(words in problem.message for problem in invalid.value.problems)
    assert {problem.path for problem in invalid.value.problems} <= {"/flow.yaml", "/template.yaml"}
    assert await _count(platform, "entries") == 0


async def test_instantiating_saves_a_draft_with_its_origin(platform: Platform) -> None:
    template = await published(platform)
    saved = await instantiate(platform, SALES_OWNER)
    assert saved.version.ref == "sales/welcome@1.0.0"
    assert saved.version.lifecycle is Lifecycle.DRAFT
    assert saved.version.created_by == "sales-owner"
    assert saved.entry.process_owner == "sales-owner"
    assert saved.entry.title == "Greeting"
    async with platform.read(SALES_OWNER) as read:
        origin = (await queries.origins(read, [saved.version.id]))[saved.version.id]
        parameters = (await queries.origin_parameters(read, [saved.version.id]))[saved.version.id]
        content = (await contents.flow_contents(read, [saved.version.id]))[saved.version.id]
        found = await entries.find_entry(read, "coe/greeting")
    assert origin.template_version_id == template.version.id
    assert parameters == {"words": "Hello", "twice": False, "limits": {"most": 3}}
    assert origin.behind_by == 0
    assert content.definition.startswith("# Made from coe/greeting@1.0.0\n")
    assert found is not None
    assert found.uses == 1


async def test_a_preview_says_what_would_be_saved_and_saves_nothing(platform: Platform) -> None:
    await published(platform)
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.preview(work, asked())
    assert await _count(platform, "entries") == 1
    saved = await instantiate(platform, SALES_OWNER)
    assert preview.digest == saved.version.digest
    assert preview.diagram.startswith("flowchart")
    assert preview.diff is None
    assert not [problem for problem in preview.problems if problem.severity == "ERROR"]
    assert preview.template == "coe/greeting@1.0.0"
    assert preview.ref == saved.version.ref == "sales/welcome@1.0.0"


async def test_a_misspelt_team_or_owner_is_recognised(platform: Platform) -> None:
    await published(platform)
    wrong = {"namespace": "salse", "process_owner": "sales-ownr"}
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.preview(work, asked(**wrong))
    assert [(each.code, each.message) for each in preview.problems] == [
        ("INPUT_NAMESPACE", "the namespace must be the slug of a team, did you mean `sales`?"),
        (
            "INPUT_PROCESS_OWNER",
            "the process owner must be somebody who is in a team, did you mean `sales-owner`?",
        ),
    ]


async def test_a_preview_says_who_may_not_instantiate(platform: Platform) -> None:
    await published(platform)
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        preview = await actions.preview(work, asked())
    [problem] = [each for each in preview.problems if each.severity == "ERROR"]
    assert (problem.code, problem.path) == ("INPUT_NAMESPACE", "/namespace")
    assert problem.message.startswith("you may not make flows of the team `sales`: ")
    with pytest.raises(Forbidden):
        await instantiate(platform, WAREHOUSE_DEVELOPER)


async def test_a_preview_reveals_nothing_of_a_flow_that_is_hidden(platform: Platform) -> None:
    await published(platform)
    await instantiate(platform, SALES_OWNER)
    async with platform.database.session() as session:
        await session.execute(
            text("UPDATE entry_versions SET data_class = 'CONFIDENTIAL' WHERE kind = 'FLOW'")
        )
        await session.commit()
    other = {"parameters": {"words": "Bye", "twice": True}}
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        hidden = await actions.preview(work, asked(**other))
    async with platform.work(SALES_OWNER) as work:
        own = await actions.preview(work, asked(**other))
    assert "version: 1.0.0" in hidden.definition
    assert "version: 1.1.0" in own.definition


async def test_bad_input_is_located_and_saves_nothing(platform: Platform) -> None:
    await published(platform)
    bad = {
        "parameters": {"words": 7, "twize": True},
        "name": "Not A Name",
        "namespace": "nobody",
        "process_owner": "nobody",
    }
    paths = {"/parameters/words", "/parameters/twize", "/name", "/namespace", "/processOwner"}
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.preview(work, asked(**bad))
    assert {problem.path for problem in preview.problems} == paths
    assert preview.digest == ""
    with pytest.raises(Invalid) as invalid:
        await instantiate(platform, SALES_OWNER, **(bad | {"namespace": "sales"}))
    assert {problem.path for problem in invalid.value.problems} == paths - {"/namespace"}
    assert await _count(platform, "entries") == 1


async def test_the_same_again_is_the_same_version_and_other_parameters_are_the_next(
    platform: Platform,
) -> None:
    await published(platform)
    first = await instantiate(platform, SALES_OWNER)
    again = await instantiate(platform, SALES_DEVELOPER)
    assert not again.created
    assert again.version == first.version
    other = await instantiate(platform, SALES_OWNER, parameters={"words": "Hello", "twice": True})
    assert other.version.version == "1.1.0"
    back = await instantiate(platform, SALES_OWNER)
    assert back.version == first.version
    assert await _count(platform, "template_origins") == 2


async def test_instantiating_the_same_at_once_saves_one(platform: Platform) -> None:
    await published(platform)
    results = await asyncio.gather(*(instantiate(platform, SALES_OWNER) for _ in range(5)))
    assert [result.created for result in results].count(True) == 1
    assert len({result.version.id for result in results}) == 1


async def test_only_what_was_published_is_instantiated(platform: Platform) -> None:
    await register(platform)
    with pytest.raises(NotFound):
        await instantiate(platform, SALES_OWNER)
    with pytest.raises(Invalid) as invalid:
        await instantiate(platform, SALES_OWNER, template="coe/greeting@1.0.0")
    assert invalid.value.problems[0].path == "/template"
    for ref in ("coe/nothing", "coe/greeting@^2"):
        with pytest.raises(NotFound):
            await instantiate(platform, SALES_OWNER, template=ref)
    with pytest.raises(Invalid):
        await instantiate(platform, SALES_OWNER, template="no ref")


async def test_a_deprecated_template_warns(platform: Platform) -> None:
    await published(platform)
    async with platform.work(COE_LEAD) as work:
        await catalog.deprecate(work, "coe/greeting@1.0.0")
    saved = await instantiate(platform, SALES_OWNER)
    assert "INPUT_TEMPLATE" in {problem.code for problem in saved.problems}


async def test_only_the_team_makes_flows_in_its_namespace(platform: Platform) -> None:
    await published(platform)
    for actor in (WAREHOUSE_DEVELOPER, COE_LEAD):
        with pytest.raises(Forbidden) as refused:
            await instantiate(platform, actor)
        assert refused.value.extensions["permission"] == "template:instantiate"
    with pytest.raises(NotFound):
        await instantiate(platform, OUTSIDER)
    assert await _count(platform, "template_origins") == 0


async def test_usage_counts_flows_by_the_version_they_came_from(platform: Platform) -> None:
    first = await published(platform)
    await instantiate(platform, SALES_OWNER)
    await instantiate(platform, SALES_OWNER, name="farewell")
    await instantiate(platform, WAREHOUSE_DEVELOPER, namespace="warehouse", name="hello")
    await published(platform, manifest=MANIFEST.replace("1.0.0", "1.1.0"))
    await instantiate(platform, SALES_OWNER, name="farewell", template="coe/greeting@1.1.0")
    async with platform.read(SALES_OWNER) as read:
        usage = (await queries.usage(read, [first.entry.id]))[first.entry.id]
        flow = await entries.find_version(read, "sales/welcome@1.0.0")
        assert flow is not None
        origin = (await queries.origins(read, [flow.id]))[flow.id]
    assert (usage.flows, usage.flows_on_latest, usage.teams) == (3, 1, 2)
    assert [(each.value, each.count) for each in usage.by_version] == [("1.1.0", 1), ("1.0.0", 2)]
    assert origin.behind_by == 1


async def test_parameters_and_files_stand_nowhere_in_clear(platform: Platform) -> None:
    await published(platform)
    secret = "Zwickelkarpfen"
    await instantiate(platform, SALES_OWNER, parameters={"words": secret})
    async with platform.database.session() as session:
        tables = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"),
        )
        for table in tables.all():
            for row in (await session.scalars(text(f"SELECT t::text FROM {table} t"))).all():
                assert secret not in row
                assert secret.encode().hex() not in row
                assert b"$(params".hex() not in row


async def test_a_template_without_a_version_is_its_newest_published_one(
    platform: Platform,
) -> None:
    await published(platform)
    newer = MANIFEST.replace("version: 1.0.0", "version: 1.1.0").replace("Greeting", "Salute")
    await published(platform, manifest=newer)
    await register(platform, manifest=newer.replace("version: 1.1.0", "version: 2.0.0"))
    async with platform.read(SALES_OWNER) as read:
        found = await entries.find_version(read, "coe/greeting", EntryKind.TEMPLATE)
        live = await entries.find_version(read, "coe/greeting@live", EntryKind.TEMPLATE)
        entry = await entries.find_entry(read, "coe/greeting")
    assert found is not None
    assert live is not None
    assert entry is not None
    assert (found.version, live.version, entry.title) == ("1.1.0", "1.0.0", "Salute")
    saved = await instantiate(platform, SALES_OWNER)
    async with platform.read(SALES_OWNER) as read:
        origin = (await queries.origins(read, [saved.version.id]))[saved.version.id]
    assert origin.template_version_id == found.id


async def test_an_unsupported_part_of_a_template_is_refused_at_once(platform: Platform) -> None:
    script = """do:
  - run: {run: {script: {language: python, code: "print(1)"}}, timeout: {after: PT5S}}
"""
    with pytest.raises(Invalid) as invalid:
        await register(platform, COE_LEAD, flow=FLOW.replace("do:\n", script, 1))
    assert {each.code for each in errors_in(invalid.value.problems)} == {"OWS050"}
