"""Where people sign in afresh: the lines, and the one place that asks."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from coe.access.actor import Actor, DataClass, SignIn
from coe.access.permissions import Permission
from coe.access.policy import Policy
from coe.access.records import PolicyRecord, RuleRecord
from coe.access.step_up import StepUp, StepUpLine
from coe.errors import Forbidden, StepUpRequired
from coe.work import Platform

LEAD = "coe-lead"


def line(*fields: str) -> StepUpLine:
    return StepUpLine.of(fields, source="step-up.csv:1")


@pytest.mark.parametrize(
    "fields",
    [
        ("*", "flow:publish", "*"),
        ("Sales", "flow:publish", "*", "5"),
        ("*", "flow:nothing", "*", "5"),
        ("*", "nothing:*", "*", "5"),
        ("*", "flow:publish", "SECRET", "5"),
        ("*", "flow:publish", "*", "0"),
        ("*", "flow:publish", "*", "1441"),
        ("*", "flow:publish", "*", "²"),
    ],
)
def test_a_line_is_checked(fields: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        StepUpLine.of(fields)


def test_the_strictest_line_decides() -> None:
    step_up = StepUp([line("*", "flow:*", "*", "60"), line("sales", "flow:publish", "*", "5")])

    def minutes(permission: str, team: str) -> int | None:
        found = step_up.asks(permission, team=team, data_class=DataClass.INTERNAL)
        return found and found.minutes

    assert minutes("flow:publish", "sales") == 5
    assert minutes("flow:publish", "finance") == 60
    assert minutes("flow:retire", "sales") == 60
    assert minutes("run:start", "sales") is None


def test_a_stored_line_that_cannot_be_read_asks_everywhere() -> None:
    rule = RuleRecord(("*", "flow:publish"), None, "policies/step-up.csv:9")
    policy = Policy(PolicyRecord(step_up=(rule,)))
    found = policy.step_up.asks("run:start", team="sales", data_class=DataClass.PUBLIC)
    assert found is not None
    assert found.minutes == 1


async def ask(platform: Platform, actor: Actor) -> str:
    async with platform.work(actor) as work:
        work.policy.step_up.lines = (line("*", "policy:change", "*", "15"),)  # type: ignore[misc]  # frozen
        try:
            work.require(Permission.POLICY_CHANGE, resource="policy:x", team="coe")
        except StepUpRequired as error:
            return str(error.extensions["signIn"])
    return "done"


def signed_in(platform: Platform, minutes: float | None) -> Actor:
    proved = None if minutes is None else platform.clock() - timedelta(minutes=minutes)
    return Actor.of(LEAD, sign_in=SignIn(uuid4(), "acme", proved))


async def test_only_a_fresh_sign_in_passes(platform: Platform) -> None:
    afresh = "/auth/acme/login?fresh=1"
    assert await ask(platform, signed_in(platform, 14)) == "done"
    assert await ask(platform, signed_in(platform, 16)) == afresh
    assert await ask(platform, signed_in(platform, None)) == afresh
    assert await ask(platform, Actor.of(LEAD)) == "/auth"
    async with platform.database.session() as session:
        found = await session.execute(text("SELECT outcome FROM audit_events"))
        assert [row.outcome for row in found] == ["DENIED"] * 3


async def test_who_may_not_is_refused_before_being_asked(platform: Platform) -> None:
    with pytest.raises(Forbidden):
        await ask(platform, Actor.of("sales-developer"))
