"""The sinks of an installation: added and removed by the operator, which is recorded."""

from __future__ import annotations

import asyncio
import json

from sqlalchemy import text

from coe.governance.audit_log import open_sealer
from coe.governance.losses import list_losses
from coe.installation.restore import verify_restored
from coe.installation.status import Health, sinks_check
from coe.work import Platform
from tests.cli.commands import run
from tests.factories.audit_events import events_of
from tests.factories.people import AUDITOR
from tests.governance.test_losses import lose, seal


async def test_the_operator_adds_lists_and_removes_a_sink(platform: Platform) -> None:
    settings = platform.settings
    file = settings.data_dir / "sinks.yaml"
    file.write_text(f"sinks: {{copy: {{kind: file, path: {settings.data_dir / 'copy'}}}}}")
    file.chmod(0o600)
    given = {
        "COE_DATABASE_URL": settings.database_url,
        "COE_DATA_DIR": str(settings.data_dir),
        "COE_CHECKPOINT_SINKS_FILE": str(file),
    }

    async def coe(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(run, *words, **given)
        return done.exit_code, done.output

    code, listed = await coe("sink", "list", "--output", "json")
    assert (code, json.loads(listed)[0]["known"]) == (0, False)
    assert (await coe("sink", "add", "nothing"))[0] == 6
    code, added = await coe("sink", "add", "copy")
    assert (code, "restart the process that seals" in added) == (0, True)
    assert (await coe("sink", "add", "copy"))[0] == 8
    assert (await coe("sink", "add", "copy", "--again"))[0] == 0
    named = settings.model_copy(update={"checkpoint_sinks_file": file})
    sealer = open_sealer(Platform.open(named), platform.database)
    while await sealer.seal_once():
        pass
    await sealer.close()
    assert (await coe("sink", "remove", "copy"))[0] == 0
    assert (await coe("sink", "remove", "copy"))[0] == 6
    actions = [each.resource for each in await events_of(platform, "audit:sink:add")]
    assert actions == ["audit:sink:copy"] * 2
    assert len(await events_of(platform, "audit:sink:remove")) == 1


async def test_a_restored_database_is_compared_with_its_sinks(platform: Platform) -> None:
    settings = platform.settings
    loss = await lose(platform)
    copy, file = settings.data_dir / "copy", settings.data_dir / "sinks.yaml"
    settings.checkpoint_path.rename(copy)
    path = settings.checkpoint_path
    path.with_name(f"{path.name}.signed").unlink()
    file.write_text(f"sinks: {{copy: {{kind: file, path: {copy}}}}}")
    file.chmod(0o600)
    found = await verify_restored(settings.model_copy(update={"checkpoint_sinks_file": file}))
    assert found.loss is not None
    assert found.loss.id == loss.id


async def test_a_sink_that_lacks_the_newest_checkpoint_for_long_is_told(
    platform: Platform,
) -> None:
    async with platform.work(AUDITOR) as work:
        await list_losses(work)
    await seal(platform)
    async with platform.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("UPDATE audit_checkpoints SET at = now() - interval '1 hour'"))
        for name in ("a", "b"):
            await session.execute(
                text(
                    "INSERT INTO audit_sinks (name, kind, added_at, epoch, tree_size)"
                    " VALUES (:name, 'file', now(), 0, 0)"
                ),
                {"name": name},
            )
        assert (await sinks_check(session)).health is Health.PROBLEM
        await session.execute(text("UPDATE audit_sinks SET tree_size = 1000 WHERE name = 'a'"))
        check = await sinks_check(session)
        await session.execute(text("UPDATE audit_checkpoints SET at = now() - interval '99 s'"))
        soon = await sinks_check(session)
        await session.execute(text("UPDATE audit_sinks SET tree_size = 1000"))
        now = await sinks_check(session)
    assert (check.health, check.help) == (Health.WARNING, "docs/operations/backup.md#sinks")
    assert "b for 36" in check.detail
    assert (soon.health, "2 known; b: has lacked the newest" in soon.detail) == (Health.OK, True)
    assert now.detail == "2 up to date"
