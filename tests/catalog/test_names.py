"""Names in documents are looked up in the installation, at every door, and disclose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from coe.access.actor import Actor
from coe.catalog import actions
from coe.catalog.decision_tables.actions import check_decision, register_decision
from coe.catalog.names import known_names
from coe.catalog.systems import register_system
from coe.errors import Invalid, Problem, Severity
from coe.language.names.references import NameKind, Reference
from coe.templates.actions import register_template
from coe.work import Platform
from tests.factories.catalog import central, local, register
from tests.factories.decision_flows import level
from tests.factories.people import (
    AUDITOR,
    COE_LEAD,
    FINANCE_DEVELOPER,
    FINANCE_LEAD,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.templates import FLOW, MANIFEST, files

ASK = """
  - ask:
      call: humanTask:1@default
      with:
        title: Is it right?
        candidates: {roles: [leed, finance/lead]}
        exclude: [requester, nobody-at-all]
        escalate: [{after: PT10S, to: nowhere/nobody}]
  - tell:
      call: notify:1@default
      with: {channel: nochannel, to: a@b.example, subject: x, body: y}
      timeout: {after: PT5S}
output:
"""
CRM = """
kind: System
namespace: sales
name: crm
version: 1.0.0
title: CRM
summary: Customers.
"""


def nowhere() -> str:
    text = central(owner="nobody-x", systems="nosuch/sys").replace("output:\n", ASK.lstrip("\n"))
    return text.replace("  title: 'Returns'", "  title: 'Returns'").replace(
        "    domain: trade", "    deputy: ghost\n    domain: trade"
    )


def named(problems: tuple[Problem, ...]) -> list[tuple[str, str, str | None]]:
    kinds = set(NameKind)
    return [(each.code, each.severity, each.path) for each in problems if each.code in kinds]


def expected(severity: Severity) -> list[tuple[str, str, str]]:
    asked = "/do/1/ask/with"
    return [
        ("OWS080", severity, "/document/metadata/processOwner"),
        ("OWS080", severity, "/document/metadata/deputy"),
        ("OWS083", severity, "/document/metadata/systems/0"),
        ("OWS081", severity, f"{asked}/candidates/roles/0"),
        ("OWS080", severity, f"{asked}/exclude/1"),
        ("OWS081", severity, f"{asked}/escalate/0/to"),
        ("OWS084", Severity.INFO, "/do/2/tell/with/channel"),
    ]


async def test_names_that_lead_nowhere_warn_a_draft_and_stop_its_submission(
    platform: Platform,
) -> None:
    async with platform.work(SALES_OWNER) as work:
        preview = await actions.check_flow(work, nowhere())
    assert named(preview.problems) == expected(Severity.WARNING)
    saved = await register(platform, SALES_OWNER, nowhere())
    assert named(saved.problems) == expected(Severity.WARNING)
    with pytest.raises(Invalid) as refused:
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, saved.version.ref)
    assert named(refused.value.problems) == expected(Severity.ERROR)


async def test_names_that_exist_are_no_problem(platform: Platform) -> None:
    async with platform.work(SALES_OWNER) as work:
        await register_system(work, CRM)
    saved = await register(platform, SALES_OWNER, central(systems="sales/crm"))
    assert named(saved.problems) == []
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, saved.version.ref)


async def test_a_local_flow_without_a_review_is_checked_at_its_publication(
    platform: Platform,
) -> None:
    saved = await register(platform, WAREHOUSE_DEVELOPER, local(systems="warehouse/wmz"))
    assert named(saved.problems) == [("OWS083", Severity.WARNING, "/systems/0")]
    with pytest.raises(Invalid) as refused:
        async with platform.work(WAREHOUSE_DEVELOPER) as work:
            await actions.publish(work, saved.version.ref)
    assert named(refused.value.problems) == [("OWS083", Severity.ERROR, "/systems/0")]


async def test_a_table_is_checked_too(platform: Platform) -> None:
    text = level().replace("processOwner: finance-lead", "processOwner: nobody-x")
    at = "/decision/metadata/processOwner"
    async with platform.work(FINANCE_DEVELOPER) as work:
        preview = await check_decision(work, text)
    assert named(preview.problems) == [("OWS080", Severity.WARNING, at)]
    async with platform.work(FINANCE_LEAD) as work:
        saved = await register_decision(work, text)
    with pytest.raises(Invalid) as refused:
        async with platform.work(FINANCE_LEAD) as work:
            await actions.submit_for_review(work, saved.version.ref)
    assert named(refused.value.problems) == [("OWS080", Severity.ERROR, at)]


async def test_a_template_is_checked_too(platform: Platform) -> None:
    given = files(manifest=MANIFEST + "deputy: ghost\n")
    developer = COE_LEAD
    async with platform.work(developer) as work:
        saved = await register_template(work, given)
    assert [(each.code, each.severity) for each in saved.problems if "deputy" in each.message] == [
        ("OWS080", Severity.WARNING)
    ]
    with pytest.raises(Invalid) as refused:
        async with platform.work(developer) as work:
            await actions.submit_for_review(work, saved.version.ref)
    assert [each.code for each in refused.value.problems] == ["OWS080"]


async def test_the_names_in_the_flow_of_a_template_are_checked(platform: Platform) -> None:
    asking = """
  - ask:
      call: humanTask:1@default
      with:
        title: Is it right?
        candidates: {roles: [developer, $(flow.namespace)/lead, leed]}
        escalate: [{after: P1D, to: nowhere/lead}]
  - tell:
      call: notify:1@default
      with: {channel: some-mail, to: a@b.example, subject: x, body: y}
output:"""
    flow = FLOW.replace("\noutput:", asking)
    async with platform.work(COE_LEAD) as work:
        saved = await register_template(work, files(flow=flow))
    assert {
        each.message.partition(": ")[2] for each in saved.problems if each.code == "OWS081"
    } == {
        "there is no role `leed`, did you mean `lead`?",
        "there is no team `nowhere`",
    }
    with pytest.raises(Invalid) as refused:
        async with platform.work(COE_LEAD) as work:
            await actions.submit_for_review(work, saved.version.ref)
    assert [(each.code, each.message) for each in refused.value.problems] == [
        ("OWS081", "there is no role `leed`, did you mean `lead`?"),
        ("OWS081", "there is no team `nowhere`"),
    ]


async def test_a_system_belongs_to_a_team(platform: Platform) -> None:
    with pytest.raises(Invalid) as refused:
        async with platform.work(Actor.of("service:content")) as work:
            await register_system(work, CRM.replace("namespace: sales", "namespace: salse"))
    [problem] = refused.value.problems
    assert problem.message == "there is no team `salse`, did you mean `sales`?"


# ---------------------------------------------------------------- disclosure
NAMES = (
    Reference(NameKind.PERSON, "finance-lead", "/a"),
    Reference(NameKind.SYSTEM, "finance/hidden", "/b"),
    Reference(NameKind.CHANNEL, "finance-mail", "/c"),
    Reference(NameKind.SECRET, "erp", "/d"),
)


def operators_files(platform: Platform, folder: Path) -> None:
    """The operator's files with a channel and a secret of finance."""
    channels, secrets = folder / "channels.yaml", folder / "secrets.yaml"
    url = "mailtos://a:b@smtp.example?to={to}"
    channels.write_text(f'channels: {{finance-mail: {{teams: [finance], urls: ["{url}"]}}}}\n')
    secrets.write_text("secrets: {erp: {teams: [finance], value: x}}\n")
    for file in (channels, secrets):
        file.chmod(0o600)
    platform.settings = platform.settings.model_copy(
        update={"channels_file": channels, "secrets_file": secrets}
    )


async def test_channels_and_secrets_are_those_of_the_team(
    platform: Platform, tmp_path: Path
) -> None:
    operators_files(platform, tmp_path)
    async with platform.read(FINANCE_DEVELOPER) as read:
        own = await known_names(read, NAMES, "finance")
    assert own.by_kind[NameKind.CHANNEL].exist == {"finance-mail"}
    assert own.by_kind[NameKind.SECRET].exist == {"erp"}
    async with platform.read(SALES_DEVELOPER) as read:
        others = await known_names(read, NAMES, "sales")
        foreign = await known_names(read, NAMES, "finance")
    assert others.by_kind[NameKind.CHANNEL].exist == set()
    assert others.by_kind[NameKind.SECRET].exist == set()
    assert not foreign.by_kind.keys() & {NameKind.CHANNEL, NameKind.SECRET}


async def test_a_wrong_file_of_the_operator_tells_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    operators_files(platform, tmp_path)
    for file in tmp_path.glob("*.yaml"):
        file.write_text("channels: [")
    async with platform.read(FINANCE_DEVELOPER) as read:
        known = await known_names(read, NAMES, "finance")
    assert not known.by_kind.keys() & {NameKind.CHANNEL, NameKind.SECRET}


async def test_who_may_not_read_a_name_cannot_tell_it_from_one_that_is_not_there(
    platform: Platform,
) -> None:
    hidden = CRM.replace("namespace: sales", "namespace: finance").replace("crm", "hidden")
    async with platform.work(FINANCE_DEVELOPER) as work:
        await register_system(work, hidden + "dataClass: CONFIDENTIAL\n")
    async with platform.read(OUTSIDER) as read:
        for team in ("finance", "sales"):
            known = await known_names(read, NAMES, team)
            assert known.by_kind[NameKind.PERSON].exist == set()
            assert known.by_kind[NameKind.SYSTEM].exist == set()
            assert known.held == set()
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        elsewhere = await known_names(read, NAMES, "finance")
        own = await known_names(read, NAMES, "warehouse")
    assert elsewhere.by_kind[NameKind.SYSTEM].exist == set()
    # Who writes for a team may use every published system; it is not suggested.
    assert own.by_kind[NameKind.SYSTEM].exist == set()
    near = (Reference(NameKind.SYSTEM, "finance/hiden", "/b"),)
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        known = await known_names(read, near, "warehouse")
    assert known.by_kind[NameKind.SYSTEM] == (set(), set())
    async with platform.read(AUDITOR) as read:
        known = await known_names(read, near, "audit")
    assert known.by_kind[NameKind.SYSTEM].suggested == {"finance/hidden"}
