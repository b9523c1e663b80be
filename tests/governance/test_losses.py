"""Losses of the log: accepted by two people who know the confirmation, and by nobody alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from coe.access.actor import Actor
from coe.audit.history import LossFound
from coe.audit.losses import Loss, confirmation_of
from coe.errors import Forbidden, Invalid, NotFound
from coe.governance.audit_log import open_sealer, verify_log
from coe.governance.losses import LossState, accept_loss, list_losses
from coe.work import Platform
from tests.factories.audit import cut_to
from tests.factories.audit_events import events_of
from tests.factories.people import AUDITOR, COE_LEAD, SALES_OWNER

REASON = "the disk failed"


async def seal(platform: Platform) -> None:
    sealer = open_sealer(platform, platform.database)
    try:
        while await sealer.seal_once():
            pass
    finally:
        await sealer.close()


async def lose(platform: Platform) -> Loss:
    """Seal twice, put the database back to the state between, and find the loss."""
    await seal(platform)
    async with platform.work(AUDITOR) as work:
        await list_losses(work)
    async with platform.database.session() as session:
        kept = await session.scalar(text("SELECT max(tree_size) FROM audit_checkpoints"))
    await seal(platform)
    async with platform.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in cut_to(kept or 0):
            await session.execute(text(statement))
        await session.commit()
    with pytest.raises(LossFound) as found:
        await seal(platform)
    return found.value.loss


async def accept(
    platform: Platform, actor: Actor, loss: Loss, *, confirmation: str | None = None
) -> LossState:
    given = confirmation_of(platform.macs, loss.id) if confirmation is None else confirmation
    async with platform.work(actor) as work:
        done = await accept_loss(work, loss.kept_size, confirmation=given, reason=REASON)
    return done.state


async def test_two_people_accept_a_loss_and_the_log_goes_on(platform: Platform) -> None:
    loss = await lose(platform)
    assert await accept(platform, COE_LEAD, loss) is LossState.PROPOSED
    with pytest.raises(LossFound):
        await seal(platform)
    with pytest.raises(Forbidden, match="audit:accept_loss"):
        await accept(platform, COE_LEAD, loss)
    assert await accept(platform, AUDITOR, loss) is LossState.ACCEPTED
    await seal(platform)
    found = await verify_log(platform)
    assert found.ok
    assert "proposed by coe-lead and approved by auditor" in str(found.problems)
    events = await events_of(platform, "audit:log:accept_loss")
    assert [(each.actor, each.outcome) for each in events] == [
        ("coe-lead", "ALLOWED"),
        ("coe-lead", "DENIED"),
        ("auditor", "ALLOWED"),
    ]
    async with platform.work(AUDITOR) as work:
        [shown] = await list_losses(work)
    assert (shown.state, shown.lost_note) == (LossState.ACCEPTED, loss.lost.note)
    with pytest.raises(NotFound, match="no loss"):
        await accept(platform, AUDITOR, loss)


@pytest.mark.parametrize("confirmation", ["", "AAAA-AAAA-AAAA-AAAA"])
async def test_nobody_accepts_a_loss_without_its_confirmation(
    platform: Platform, confirmation: str
) -> None:
    loss = await lose(platform)
    for who in (COE_LEAD, AUDITOR):
        with pytest.raises(Invalid) as refused:
            await accept(platform, who, loss, confirmation=confirmation)
        assert "coe restore verify" in refused.value.problems[0].message
        await accept(platform, who, loss)


async def test_who_may_not_accept_a_loss_is_refused(platform: Platform) -> None:
    loss = await lose(platform)
    with pytest.raises(Forbidden, match="audit:accept_loss"):
        await accept(platform, SALES_OWNER, loss)


async def test_a_decision_that_was_written_into_the_database_is_none(platform: Platform) -> None:
    loss = await lose(platform)
    async with platform.database.session() as session:
        await session.execute(
            text("UPDATE audit_losses SET proposed_by = 'coe-lead', approved_by = 'auditor'")
        )
        await session.commit()
    with pytest.raises(NotFound):
        await accept(platform, AUDITOR, loss)
    with pytest.raises(LossFound):
        await seal(platform)


@pytest.mark.parametrize("maker", [False, True], ids=["alone", "by-a-token"])
async def test_the_second_person_differs_whatever_the_policy_says(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, *, maker: bool
) -> None:
    monkeypatch.setattr("coe.governance.losses.relation", lambda *_: ())
    loss = await lose(platform)
    assert await accept(platform, COE_LEAD, loss) is LossState.PROPOSED
    second = replace(AUDITOR, maker=COE_LEAD.subject) if maker else COE_LEAD
    with pytest.raises(Forbidden, match="coe-lead proposed it: another person approves"):
        await accept(platform, second, loss)
    assert await accept(platform, AUDITOR, loss) is LossState.ACCEPTED


async def test_a_row_that_somebody_wrote_does_not_keep_out_that_of_the_sealer(
    platform: Platform,
) -> None:
    loss = await lose(platform)
    async with platform.database.session() as session:
        await session.execute(text("UPDATE audit_losses SET code = NULL, proposed_by = 'x'"))
        await session.commit()
    with pytest.raises(LossFound):
        await seal(platform)
    assert await accept(platform, COE_LEAD, loss) is LossState.PROPOSED
    with pytest.raises(LossFound):
        await seal(platform)
    assert await accept(platform, AUDITOR, loss) is LossState.ACCEPTED, "a decision stays"


@pytest.mark.parametrize("loops", [True, False], ids=["seals", "does-not-seal"])
async def test_the_log_is_verified_where_no_checkpoint_file_is(
    platform: Platform, *, loops: bool
) -> None:
    async with platform.work(AUDITOR) as work:
        await list_losses(work)
    await seal(platform)
    platform.settings.checkpoint_path.unlink()
    settings = platform.settings.model_copy(update={"loops": loops})
    found = await verify_log(replace(platform, settings=settings))
    assert found.ok is not loops
    [problem] = [each for each in found.problems if each.code == "AUDIT_CHECKPOINT_MISSING"]
    assert ("coe restore verify" in problem.message) is not loops
