from __future__ import annotations

import asyncio
import hashlib

import pytest
from sqlalchemy import text

from coe.access.actor import Actor
from coe.access.models import PolicyRule
from coe.catalog import actions, queries
from coe.catalog.flows import computed
from coe.catalog.flows.contents import flow_contents
from coe.catalog.models import FlowKind, Lifecycle
from coe.errors import Conflict, Forbidden, Invalid, Severity, errors_in
from coe.language.lint import Stage
from coe.work import Platform
from tests.factories.audit_events import details_of
from tests.factories.catalog import SECRET, central, local, published, register
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.policies import sign_policy


async def _count(platform: Platform, table: str) -> int:
    async with platform.database.session() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def test_the_same_content_again_returns_the_existing_version(platform: Platform) -> None:
    first = await register(platform, SALES_OWNER, central())
    again = await register(
        platform, SALES_OWNER, "# a comment\n" + central().replace("'Returns'", "Returns")
    )
    assert first.created
    assert not again.created
    assert again.version == first.version
    assert await _count(platform, "entry_versions") == 1
    assert await _count(platform, "audit_events") == 1


async def test_other_content_replaces_a_draft_and_conflicts_after_the_submission(
    platform: Platform,
) -> None:
    first = await register(platform, SALES_OWNER, central(), changelog="the first")
    other = central(step="other", title="Other returns", data_class="CONFIDENTIAL")
    second = await register(platform, SALES_DEVELOPER, other)
    assert (second.created, second.replaced) == (False, True)
    assert second.version.id == first.version.id
    assert (second.entry.title, second.entry.data_class) == ("Other returns", "CONFIDENTIAL")
    assert second.version.author_persons == ("sales-developer", "sales-owner")
    assert platform.signer.public.verify_digest(second.version.digest, second.version.signature)
    async with platform.read(SALES_OWNER) as read:
        contents = await flow_contents(read, [first.version.id])
        assert contents[first.version.id].definition == other
        assert (await queries.notes(read, [first.version.id]))[first.version.id].changelog == (
            "the first"
        )
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    with pytest.raises(Conflict, match=r"is IN_REVIEW .* use a number above 1\.0\.0"):
        await register(platform, SALES_OWNER, central())
    assert not (await register(platform, SALES_OWNER, other)).replaced
    assert await _count(platform, "entry_versions") == 1


async def test_other_tests_replace_those_of_a_draft_and_conflict_after_the_submission(
    platform: Platform,
) -> None:
    await register(platform, SALES_OWNER, central(), tests="tests: [a]")
    assert (await register(platform, SALES_OWNER, central(), tests="tests: [b]")).replaced
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    with pytest.raises(Conflict, match="is IN_REVIEW with other tests"):
        await register(platform, SALES_OWNER, central(), tests="tests: [c]")
    assert not (await register(platform, SALES_OWNER, central(), tests="tests: [b]")).replaced


async def test_a_draft_of_a_class_that_one_may_not_save_is_not_replaced(
    platform: Platform,
) -> None:
    line = ["developer", "*", "flow:register", "CONFIDENTIAL", "deny"]
    async with platform.database.session() as session:
        session.add(PolicyRule(ptype="p", fields=line, source="test"))
        await session.flush()
        await sign_policy(session)
        await session.commit()
    await register(platform, SALES_OWNER, central(data_class="CONFIDENTIAL"))
    with pytest.raises(Forbidden):
        await register(platform, SALES_DEVELOPER, central(step="other"))
    assert (await register(platform, SALES_OWNER, central(step="other"))).replaced
    assert (await register(platform, SALES_DEVELOPER, central(step="third"))).replaced


async def test_the_log_has_the_digests_before_and_after_a_draft_was_replaced(
    platform: Platform,
) -> None:
    first = await register(platform, SALES_OWNER, central(), tests="tests: []")
    second = await register(platform, SALES_DEVELOPER, central(step="other"), tests="")
    created, detail = await details_of(platform, "catalog:flow:register")
    assert created["before"] is None
    assert (detail["digest"], detail["testsDigest"]) == (second.version.digest, None)
    assert detail["before"] == {
        "digest": first.version.digest,
        "testsDigest": hashlib.sha256(b"tests: []").hexdigest(),
    }


async def test_who_wrote_a_part_of_a_draft_may_not_review_it(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    await register(platform, SALES_DEVELOPER, central(step="other"))
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    async with platform.database.session() as session:
        await session.execute(text("UPDATE entry_versions SET editors = '{coe-reviewer}'"))
        await session.commit()
    with pytest.raises(Forbidden) as refused:
        async with platform.work(COE_REVIEWER) as work:
            await actions.review(work, "sales/returns@1.0.0", approve=True, comment="mine")
    assert "relation:author" in str(refused.value.extensions["rule"])


async def test_a_draft_of_another_team_is_not_replaced(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    with pytest.raises(Forbidden):
        await register(platform, WAREHOUSE_DEVELOPER, central(step="other"))
    async with platform.read(SALES_OWNER) as read:
        version = await queries.find_version(read, "sales/returns@1.0.0")
    assert version is not None
    assert version.edited_at is None


async def test_replacing_a_draft_counts_its_callers_anew(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central("parts"))
    await register(platform, SALES_OWNER, central("other"))
    for called, uses in (("parts", (1, 0)), ("other", (0, 1))):
        await register(platform, SALES_OWNER, central(calls=f"sales/{called}@^1"))
        async with platform.read(SALES_OWNER) as read:
            found = await queries.entries_by_ref(read, ["sales/parts", "sales/other"])
        assert tuple(each.uses for each in found.values()) == uses


async def test_two_registrations_of_one_version_at_once(platform: Platform) -> None:
    results = await asyncio.gather(*(register(platform, SALES_OWNER, central()) for _ in range(6)))
    assert sorted(result.created for result in results) == [False] * 5 + [True]
    assert len({result.version.id for result in results}) == 1
    assert await _count(platform, "entries") == 1
    assert await _count(platform, "entry_versions") == 1


async def test_two_contents_for_one_draft_at_once(platform: Platform) -> None:
    contents = [central(step=f"step{number}") for number in range(5)]
    results = await asyncio.gather(*(register(platform, SALES_OWNER, each) for each in contents))
    assert sorted(result.replaced for result in results) == [False] + [True] * 4
    assert await _count(platform, "entry_versions") == 1


async def test_flows_that_call_each_other_are_registered_at_once(platform: Platform) -> None:
    names = ("one", "two", "three", "four")
    texts = [
        central(name, calls=f"sales/{names[(place + 1) % len(names)]}@^1")
        for place, name in enumerate(names)
    ]
    await asyncio.gather(*(register(platform, SALES_OWNER, each) for each in texts))
    async with platform.read(SALES_OWNER) as read:
        found = await queries.entries_by_ref(read, [f"sales/{name}" for name in names])
    assert {entry.uses for entry in found.values()} == {1}


async def test_errors_save_nothing_and_are_located(platform: Platform) -> None:
    broken = central().replace("set:", "sett:")
    with pytest.raises(Invalid) as invalid:
        await register(platform, SALES_OWNER, broken)
    (problem,) = invalid.value.problems
    assert problem.line == 26
    assert "sett" in problem.message
    unowned = central().replace("processOwner: sales-owner", "note: nobody")
    with pytest.raises(Invalid) as invalid:
        await register(platform, SALES_OWNER, unowned)
    assert "COE003" in {problem.code for problem in invalid.value.problems}
    assert await _count(platform, "entries") == 0


async def test_many_problems_of_the_metadata_at_once(platform: Platform) -> None:
    text_ = central(data_class="SECRET", tags="Order Entry").replace("domain: trade", "owner: coe")
    with pytest.raises(Invalid) as invalid:
        await register(platform, SALES_OWNER, text_)
    places = {(problem.path, problem.line) for problem in invalid.value.problems}
    assert places == {
        ("/document/metadata/dataClass", 11),
        ("/document/metadata/tags/0", 12),
        ("/document/metadata/owner", 10),
    }


async def test_a_manifest_of_a_local_flow_has_located_problems(platform: Platform) -> None:
    text_ = (
        local()
        .replace("entrypoint: flows/", "entrypoint: ../flows/")
        .replace("timeout:", "timout:")
    )
    with pytest.raises(Invalid) as invalid:
        await register(platform, WAREHOUSE_DEVELOPER, text_)
    found = {problem.path: problem for problem in invalid.value.problems}
    assert set(found) == {"/entrypoint", "/timout"}
    assert found["/timout"].help == "did you mean 'timeout'?"
    assert found["/entrypoint"].line == 10


async def test_only_the_team_registers_in_its_namespace(platform: Platform) -> None:
    for actor in (WAREHOUSE_DEVELOPER, COE_LEAD, OUTSIDER):
        with pytest.raises(Forbidden):
            await register(platform, actor, central())
    assert await _count(platform, "entries") == 0


async def test_a_name_belongs_to_one_kind(platform: Platform) -> None:
    await register(platform, WAREHOUSE_DEVELOPER, local("returns", namespace="warehouse"))
    with pytest.raises(Invalid):
        await register(
            platform, WAREHOUSE_DEVELOPER, central(namespace="warehouse", version="2.0.0")
        )


async def test_a_called_flow_that_is_not_there_warns_a_draft_and_stops_its_submission(
    platform: Platform,
) -> None:
    saved = await register(platform, SALES_OWNER, central(calls="warehouse/pick-and-pack@^1"))
    (problem,) = [each for each in saved.problems if each.code == "OWS052"]
    assert problem.severity is Severity.WARNING
    ref = saved.version.ref
    with pytest.raises(Invalid) as invalid:
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, ref)
    assert "OWS052" in {problem.code for problem in errors_in(invalid.value.problems)}
    await published(platform, WAREHOUSE_DEVELOPER, local())
    moved = await publish_version(platform, ref, author=SALES_OWNER)
    assert moved.version.lifecycle is Lifecycle.PUBLISHED


async def test_a_flow_that_other_teams_may_not_read_is_not_theirs_to_call(
    platform: Platform,
) -> None:
    await register(platform, WAREHOUSE_DEVELOPER, local(data_class="PERSONAL"))
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        await actions.publish(work, "warehouse/pick-and-pack@1.0.0")
    saved = await register(platform, SALES_OWNER, central(calls="warehouse/pick-and-pack@^1"))
    assert "OWS052" in {problem.code for problem in saved.problems}
    offered = local(version="1.1.0")  # of class INTERNAL, an offer to all teams
    await register(platform, WAREHOUSE_DEVELOPER, offered)
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        await actions.publish(work, "warehouse/pick-and-pack@1.1.0")
    again = central(version="1.1.0", calls="warehouse/pick-and-pack@^1")
    saved = await register(platform, SALES_OWNER, again)
    assert not {problem.code for problem in saved.problems} & {"OWS052", "OWS053"}


async def test_checking_reveals_nothing_of_hidden_flows(platform: Platform) -> None:
    await published(platform, WAREHOUSE_DEVELOPER, local(data_class="PERSONAL"))
    wrong = "input: {orderId: 7}"
    codes = {}
    for name in ("pick-and-pack", "nothing-there"):
        text = central(calls=f"warehouse/{name}@^1").replace(
            'input: {orderId: "${ .orderId }"}', wrong
        )
        async with platform.work(Actor.of("finance-approver")) as work:
            preview = await actions.check_flow(work, text)
        codes[name] = [problem.code for problem in preview.problems]
    assert codes["pick-and-pack"] == codes["nothing-there"]
    assert "OWS052" in codes["pick-and-pack"]


async def test_who_is_in_no_team_may_not_have_anything_checked(platform: Platform) -> None:
    with pytest.raises(Forbidden, match="flow:check") as refused:
        async with platform.work(OUTSIDER) as work:
            await actions.check_flow(work, central())
    assert refused.value.extensions["permission"] == "flow:check"
    [detail] = await details_of(platform, "access:permission:refuse")
    assert detail == {"permission": "flow:check"}


async def test_a_document_is_worked_on_in_another_process(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a caller's text is worked on in this process")

    monkeypatch.setattr(computed, "read_flow", never)
    monkeypatch.setattr(computed, "lint", never)
    monkeypatch.setattr(computed, "draw_mermaid", never)
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        assert (await actions.check_flow(work, central())).diagram


@pytest.mark.parametrize("key", ["name", "version", "title", "entrypoint"])
async def test_no_name_ends_with_a_line_break(platform: Platform, key: str) -> None:
    lines = [
        f'{line.partition(": ")[0]}: "{line.partition(": ")[2].strip(chr(39))}\\n"'
        if line.startswith(f"{key}: ")
        else line
        for line in local().splitlines()
    ]
    with pytest.raises(Invalid) as invalid:
        await register(platform, WAREHOUSE_DEVELOPER, "\n".join(lines))
    assert [problem.path for problem in invalid.value.problems] == [f"/{key}"]


async def test_input_that_a_called_flow_refuses_is_a_problem(platform: Platform) -> None:
    await published(platform, WAREHOUSE_DEVELOPER, local())
    wrong = central(calls="warehouse/pick-and-pack@^1").replace(
        'input: {orderId: "${ .orderId }"}',
        "input: {orderId: 7}",
    )
    with pytest.raises(Invalid) as invalid:
        await register(platform, SALES_OWNER, wrong)
    assert "OWS054" in {problem.code for problem in invalid.value.problems}


async def test_calls_called_by_and_systems_follow_the_definitions(platform: Platform) -> None:
    target = await published(platform, WAREHOUSE_DEVELOPER, local())
    caller = await register(platform, SALES_OWNER, central(calls="warehouse/pick-and-pack@^1"))
    hidden = central("secret", data_class="PERSONAL", calls="warehouse/pick-and-pack")
    await register(platform, SALES_OWNER, hidden)
    async with platform.read(SALES_OWNER) as read:
        called = await queries.calls(read, [caller.entry.id, target.entry.id])
        callers = await queries.called_by(read, [target.entry.id])
    assert [entry.ref for entry in called[caller.entry.id]] == ["warehouse/pick-and-pack"]
    assert called[target.entry.id] == []
    assert [e.ref for e in callers[target.entry.id]] == ["sales/returns", "sales/secret"]
    assert callers[target.entry.id][0].flow_kind is FlowKind.CENTRAL
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        callers = await queries.called_by(read, [target.entry.id])
    assert [entry.ref for entry in callers[target.entry.id]] == ["sales/returns"]


async def test_nothing_of_a_definition_is_in_clear(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    async with platform.database.session() as session:
        tables = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"),
        )
        for table in tables.all():
            rows = await session.scalars(text(f"SELECT t::text FROM {table} t"))
            for row in rows.all():
                assert SECRET not in row
                assert SECRET.encode().hex() not in row
                assert b"orderId".hex() not in row


async def test_checking_reports_the_same_and_saves_nothing(platform: Platform) -> None:
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.check_flow(work, central())
        broken = await actions.check_flow(work, "nonsense: [")
    saved = await register(platform, SALES_OWNER, central())
    assert preview.digest == saved.version.digest
    assert preview.problems == saved.problems
    assert preview.diagram.startswith("flowchart")
    assert preview.diff is None
    assert broken.problems[0].code == "OWS001"
    assert broken.diagram == ""


async def test_checking_shows_what_changes_of_the_live_version(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    changed = central(version="1.1.0").replace("required: [orderId]", "required: [orderId, note]")
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.check_flow(work, changed)
    assert preview.diff is not None
    assert preview.diff.breaking
    assert "+" in preview.diff.unified


async def test_a_preview_says_that_the_number_is_taken_and_what_a_submission_refuses(
    platform: Platform,
) -> None:
    await published(platform, SALES_OWNER, central())
    changed = central(step="other", calls="warehouse/nowhere@^1")
    async with platform.work(SALES_OWNER) as work:
        draft = await actions.check_flow(work, changed)
        strict = await actions.check_flow(work, changed, Stage.PUBLICATION)
        own = await actions.check_flow(work, central())
    [taken] = errors_in(draft.problems)
    assert (taken.code, taken.path, taken.line) == ("INPUT_VERSION", "/document/version", 5)
    assert {each.code for each in errors_in(strict.problems)} == {"INPUT_VERSION", "OWS052"}
    assert errors_in(own.problems) == ()
