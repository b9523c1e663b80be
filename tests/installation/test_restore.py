"""What `coe restore verify` and `coe backup check` find, and that they change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from coe.audit.losses import confirms
from coe.crypto.envelope import Cell
from coe.crypto.kek import read_keks
from coe.crypto.rotation import add_kek, retire_keks, rewrap, rotate_kek
from coe.db import utcnow
from coe.errors import Conflict, Invalid
from coe.installation.backup import backup_status, record_backup
from coe.installation.restore import Restored, verify_restored
from coe.installation.status import Check, Health
from coe.runs import actions
from coe.work import Platform
from tests.cli.commands import run
from tests.factories.people import SALES_OWNER
from tests.factories.runs import APPROVAL, CANARY, central, publish
from tests.governance.test_losses import lose, seal


async def execute(platform: Platform, *statements: str) -> None:
    async with platform.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


async def snapshot(platform: Platform) -> list[int]:
    """How many rows were changed in each table so far, and how many events there are."""
    counts = "SELECT count(*) FROM {}"
    async with platform.database.session() as session:
        tables = ("audit_events", "audit_checkpoints", "audit_losses", "data_keys", "outbox")
        return [await session.scalar(text(counts.format(each))) or 0 for each in tables]


async def restored(platform: Platform) -> Restored:
    return await verify_restored(platform.settings)


async def backups(platform: Platform) -> dict[str, Check]:
    hour = timedelta(hours=1)
    return by_part(await backup_status(platform.settings, max_age=hour, max_lag=hour))


def by_part(checks: Sequence[Check]) -> dict[str, Check]:
    assert all(each.help for each in checks if each.health is not Health.OK), "what mends it?"
    return {each.part: each for each in checks}


def health(checks: Sequence[Check]) -> dict[str, str]:
    return {part: each.health.value for part, each in by_part(checks).items()}


@pytest.fixture
async def started(platform: Platform) -> Platform:
    """A platform with a run that was asked for, and a sealed log."""
    await publish(platform, central("asks", APPROVAL))
    async with platform.work(SALES_OWNER) as work:
        await actions.start_run(work, flow="sales/asks", input={"customer": CANARY})
    await seal(platform)
    return platform


async def test_a_whole_database_is_found_whole(started: Platform) -> None:
    found = await restored(started)
    assert health(found.checks) == {
        "schema": "ok",
        "keys": "ok",
        "data keys": "ok",
        "audit log": "ok",
        "loss": "ok",
        "codes of rows": "ok",
        "journal": "ok",
        "outbox and leases": "ok",
        "runs": "warning",
    }
    assert [(each.flow, each.state) for each in found.runs] == [("sales/asks@1.0.0", "REQUESTED")]
    assert found.loss is None


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("UPDATE audit_events SET actor = 'x' WHERE position = 0", "audit log"),
        ("DELETE FROM audit_events WHERE position = 0", "audit log"),
        ("UPDATE data_keys SET kek_id = 'x' WHERE purpose = 'audit'", "data keys"),
        ("UPDATE runs SET requester = 'x'", "codes of rows"),
        ("UPDATE runs SET journal_length = 3", "journal"),
        ("DELETE FROM schema_revisions", "schema"),
    ],
    ids=["event-changed", "event-gone", "key", "code", "journal", "revision"],
)
async def test_what_is_not_as_it_was_is_found(started: Platform, statement: str, part: str) -> None:
    await execute(started, statement)
    found = await restored(started)
    assert [each.part for each in found.checks if each.health is Health.PROBLEM] == [part]


async def test_a_loss_is_shown_with_its_confirmation(platform: Platform) -> None:
    loss = await lose(platform)
    before = await snapshot(platform)
    settings = platform.settings
    given = {"COE_DATABASE_URL": settings.database_url, "COE_DATA_DIR": str(settings.data_dir)}
    args = ("restore", "verify", "--output", "json")
    done = await asyncio.to_thread(run, *args, **given)
    assert done.exit_code == 1, done.output
    shown = json.loads(done.stdout)["loss"]
    assert (shown["from"], shown["size"]) == (loss.kept_size, loss.lost.tree_size)
    assert confirms(platform.macs, loss.id, shown["confirmation"])
    assert await snapshot(platform) == before, "nothing is changed"


async def test_without_a_checkpoint_outside_nothing_says_what_is_lost(started: Platform) -> None:
    path = started.settings.checkpoint_path
    path.unlink()
    path.with_name(f"{path.name}.signed").unlink()
    found = by_part((await restored(started)).checks)
    assert found["loss"].health is Health.WARNING
    assert "missing or empty" in found["loss"].detail


async def test_a_place_that_was_not_read_or_is_refused_is_told(started: Platform) -> None:
    settings = started.settings
    sinks = settings.data_dir / "sinks.yaml"
    sinks.write_text(
        f"sinks: {{copy: {{kind: file, path: {settings.data_dir}/away/copy}},"
        " logs: {kind: syslog, host: logs.example.com}}"
    )
    sinks.chmod(0o600)
    given = settings.model_copy(update={"checkpoint_sinks_file": sinks})
    check = by_part((await verify_restored(given)).checks)["loss"]
    assert check.health is Health.WARNING
    assert "copy was not read: the folder" in check.detail
    assert "not asked, as they do not answer that: logs (syslog)" in check.detail
    path = settings.checkpoint_path
    path.write_text(path.read_text().replace("time 2", "time 3"))
    check = by_part((await restored(started)).checks)["loss"]
    assert check.health is Health.PROBLEM
    assert f"{path} is refused: " in check.detail


async def test_a_database_that_is_away_is_told(platform: Platform) -> None:
    away = platform.settings.model_copy(update={"database_url": "postgresql://coe@127.0.0.1:9/coe"})
    found = await verify_restored(away)
    assert [each.part for each in found.checks] == ["database"]


async def test_a_backup_is_recorded_and_grows_old(platform: Platform) -> None:
    assert (await backups(platform))["backup"].health is Health.PROBLEM
    await record_backup(platform.settings, "base", taken_at=None, keep=timedelta(days=1))
    found = await backups(platform)
    assert found["backup"].health is Health.OK
    assert found["keys of backups"].data["backups"] == 1
    assert found["log of writes"].health is Health.PROBLEM, "the tests' server keeps none"
    old = utcnow() - timedelta(hours=2)
    await record_backup(platform.settings, "base", taken_at=old, keep=timedelta(days=1))
    assert "2.0 hours old" in (await backups(platform))["backup"].detail
    with pytest.raises(Invalid):
        await record_backup(platform.settings, "x", taken_at=old, keep=timedelta(hours=1))


async def test_a_backup_may_need_each_key_that_the_file_has(platform: Platform) -> None:
    await platform.keyring.seal_json(Cell("runs", "1", "input_sealed", "sales"), "run", {})
    path = platform.settings.kek_path
    [before] = read_keks(path)
    await add_kek(platform.keyring)  # after the backup was taken, and before it is recorded
    await rewrap(platform.keyring)
    needed = await record_backup(platform.settings, "b", taken_at=None, keep=timedelta(days=1))
    assert set(needed) == {each.id for each in read_keks(path)}
    await retire_keks(platform.keyring)
    assert before.id in {each.id for each in read_keks(path)}
    path.unlink()
    with pytest.raises(Conflict, match="record backups where the file of keys is"):
        await record_backup(platform.settings, "c", taken_at=None, keep=timedelta(days=1))


async def test_a_key_that_a_kept_backup_needs_is_not_retired(platform: Platform) -> None:
    await platform.keyring.seal_json(Cell("runs", "1", "input_sealed", "sales"), "run", {})
    needed = await record_backup(platform.settings, "b", taken_at=None, keep=timedelta(days=1))
    rotation = await rotate_kek(platform.keyring)
    path = platform.settings.kek_path
    assert [each.id for each in read_keks(path)] == [*needed, rotation.kek_id]
    assert (await backups(platform))["keys of backups"].health is Health.OK
    content = path.read_text().splitlines(keepends=True)
    path.write_text("".join(content[-1:]))
    assert needed[0] in (await backups(platform))["keys of backups"].detail
    path.write_text("".join(content))
    await execute(platform, "UPDATE backups SET kept_until = now()")
    await rotate_kek(platform.keyring)
    assert len(read_keks(path)) == 1
