"""Attempts to write the policy into the database, without the platform's signing key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from coe import content
from coe.access.actor import Actor
from coe.access.load import renew_version
from coe.access.membership_changes import GivenMembership, lock_policy, put_membership
from coe.access.permissions import Permission
from coe.access.signed_policy import PolicyChanged
from coe.governance.access import load_policy
from coe.settings import Settings
from coe.work import Platform
from tests.factories.audit_events import events_of
from tests.factories.people import COE_LEAD, OUTSIDER

ROOT = Path(__file__).resolve().parents[2]


async def write(platform: Platform, *statements: str, **values: Any) -> None:
    async with platform.database.session() as session:
        for statement in statements:
            await session.execute(text(statement), values)
        await session.commit()


def may(platform: Platform, actor: Actor = OUTSIDER) -> bool:
    """Whether the actor may start runs of sales, by the policy in force."""
    policy = platform.policies._policy  # what is in force, without reading anew
    return policy.decide(actor, Permission.RUN_START, team="sales").allowed


async def look(platform: Platform) -> None:
    async with platform.read(COE_LEAD):
        pass


@pytest.fixture
async def started(platform: Platform, settings: Settings) -> AsyncIterator[Platform]:
    """Another process, which starts after the attack."""
    await look(platform)
    opened = Platform.open(settings, name="second")
    yield opened
    await opened.close()


LINE = """
    INSERT INTO policy_rules (id, ptype, fields, source, origin) VALUES (gen_random_uuid(), 'p',
        ARRAY['everyone', '*', 'run:start', '*', 'allow'], 'policies/rules/runs.csv:1', '{origin}')
"""
MEMBER = """
    INSERT INTO memberships (team, subject, display_name, roles, origin, granted)
    VALUES ('sales', 'outsider', 'O', ARRAY['lead'], '{origin}', '{{}}')
"""
ATTACKS = {
    "a line": LINE.format(origin="content"),
    "a membership": MEMBER.format(origin="content"),
    "a membership of the directory": MEMBER.format(origin="scim"),
    "a role": "UPDATE memberships SET roles = roles || ARRAY['lead'] WHERE subject = 'auditor'",
    "a granted role": """
        UPDATE memberships SET granted = '{"lead": "2099-01-01T00:00:00Z"}'
        WHERE subject = 'auditor'
    """,
    "a line taken out": "DELETE FROM policy_rules WHERE fields[5] = 'deny'",
    "an effect": "UPDATE policy_rules SET fields[5] = 'allow' WHERE fields[5] = 'deny'",
    "the model": "UPDATE policy_state SET model = replace(model, 'deny', 'never')",
    "the signature": "UPDATE policy_state SET signature = reverse(signature)",
    "no signature": "UPDATE policy_state SET signature = NULL",
}
BUMP = "UPDATE policy_state SET version = version + 1, digest = md5(random()::text)"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_a_starting_process_loading_a_policy_with(
    platform: Platform, started: Platform, attack: str
) -> None:
    """It refuses everything, and says why; what runs already keeps the last good version."""
    await write(platform, attack)
    await look(started)
    assert not may(started)
    assert not may(started, COE_LEAD)
    assert "is not" in (started.policies.problem or "")
    await write(platform, BUMP)
    await look(platform)
    assert may(platform, Actor.of("sales-owner"))
    assert not may(platform)
    assert platform.policies.problem is not None


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_having_the_next_lawful_change_sign(platform: Platform, attack: str) -> None:
    """The change is refused, for it would sign what somebody put there."""
    await look(platform)
    await write(platform, attack)
    async with platform.database.session() as session:
        where = text("SELECT team FROM memberships WHERE subject = 'auditor'")
        team = "sales" if "auditor" not in attack else str(await session.scalar(where))
    with pytest.raises(PolicyChanged):
        await add_member(platform, team)


async def add_member(platform: Platform, team: str) -> None:
    """A lawful change."""
    async with platform.work(COE_LEAD) as work:
        await lock_policy(work.session)
        given = GivenMembership(team, "newcomer", "N", ("developer",))
        await put_membership(work.session, "api", given)
        await renew_version(work.session)


async def test_having_a_change_of_another_team_sign_a_membership(
    platform: Platform, started: Platform
) -> None:
    """The change signs the digest that the team had, so the row counts nowhere."""
    await write(platform, ATTACKS["a membership"])
    await add_member(platform, "finance")
    for each in (platform, started):
        await look(each)
        assert not may(each)
        assert each.policies.problem is not None


async def test_having_the_digest_of_a_team_signed(platform: Platform) -> None:
    await write(
        platform,
        ATTACKS["a membership"],
        "UPDATE teams SET members_digest = md5('x') WHERE slug = 'sales'",
    )
    with pytest.raises(PolicyChanged):
        async with platform.work(COE_LEAD) as work:
            await lock_policy(work.session)


async def test_changing_the_policy_by_a_verb_that_verifies_nothing(platform: Platform) -> None:
    """No attack: a verb that forgets to verify fails, and signs nothing."""
    given = GivenMembership("sales", "newcomer", "N", ("developer",))
    for change in (lambda s: put_membership(s, "api", given), renew_version):
        with pytest.raises(RuntimeError, match="lock_policy"):
            async with platform.work(COE_LEAD) as work:
                await change(work.session)


async def old_version(platform: Platform) -> dict[str, Any]:
    async with platform.database.session() as session:
        row = (await session.execute(text("SELECT * FROM policy_state"))).one()
    return dict(row._mapping)  # the public name of it in SQLAlchemy


async def test_putting_an_older_version_back(platform: Platform, started: Platform) -> None:
    """It is signed, and noticed: by what this process saw, and by what the log has."""
    old = await old_version(platform)
    await add_member(platform, "sales")
    await look(platform)
    assert [each.resource for each in await events_of(platform, "access:policy:sign")] == [
        f"policy:version:{old['version'] + 1:012d}"
    ]
    await write(
        platform,
        "DELETE FROM memberships WHERE subject = 'newcomer'",
        "UPDATE policy_state SET version = :version, digest = :digest, signature = :signature",
        **{name: old[name] for name in ("version", "digest", "signature")},
    )
    for each in (platform, started):
        await look(each)
        assert "older one" in (each.policies.problem or "")
    assert may(platform, Actor.of("sales-owner"))
    assert not may(started, Actor.of("sales-owner"))


async def test_the_files_mend_what_is_from_files(platform: Platform, started: Platform) -> None:
    """No attack: a line that the files do not have is gone, and the policy counts again."""
    await write(platform, ATTACKS["a line"], ATTACKS["a membership"])
    async with platform.work(COE_LEAD) as work:
        await load_policy(work, content.root(ROOT))
    await look(started)
    assert started.policies.problem is None
    assert may(started, Actor.of("sales-owner"))
    assert not may(started)


async def test_having_the_files_sign_what_is_not_from_them(
    platform: Platform, started: Platform
) -> None:
    await write(platform, ATTACKS["a membership of the directory"])
    with pytest.raises(PolicyChanged, match="outsider in sales"):
        async with platform.work(COE_LEAD) as work:
            await load_policy(work, content.root(ROOT))
    async with platform.work(COE_LEAD) as work:  # the operator has looked at it
        await load_policy(work, content.root(ROOT), accept_changes=True)
    await look(started)
    assert may(started)


async def test_a_refused_version_is_looked_at_again(platform: Platform) -> None:
    """No attack: once the tables are mended, the policy counts without a restart."""
    await look(platform)
    before = await old_version(platform)
    await write(platform, BUMP)
    await look(platform)
    assert platform.policies.problem is not None
    async with platform.work(COE_LEAD) as work:
        await load_policy(work, content.root(ROOT))
    moment = platform.clock() + timedelta(seconds=6)
    async with platform.database.session() as session:
        await platform.policies.current(session, now=moment)
    assert platform.policies.problem is None
    assert (await old_version(platform))["version"] > before["version"]
