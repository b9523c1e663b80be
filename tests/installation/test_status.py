"""The status of an installation: what is up, how far behind it is, and what mends it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from coe.db import Database, new_id, utcnow
from coe.db.known_revisions import newest_known
from coe.db.revisions import Applied, RevisionKind, SchemaState
from coe.embedded_postgres import EmbeddedPostgres
from coe.installation.pages import PAGES
from coe.installation.status import Check, Health, installation_status, schema_check
from coe.migrations.revisions import load
from coe.runs.tables import RUNS
from coe.settings import Settings
from coe.work import Platform
from tests.cli.commands import run
from tests.factories.certificates import Authority
from tests.factories.databases import fresh_database
from tests.factories.runs import HTTP, central, publish, start

SEALED_BY_SOMEBODY = (
    "INSERT INTO audit_sealer (id, holder, fence, until)"
    " VALUES (1, 'somebody', 1, now() + interval '1 hour')"
    " ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, until = excluded.until"
)
ROOT = Path(__file__).resolve().parents[2]
AWAY = "postgresql://coe@127.0.0.1:9/coe"


async def execute(platform: Platform, statement: str, **values: object) -> None:
    async with platform.database.session() as session:
        await session.execute(text(statement), values)
        await session.commit()


async def checks(platform: Platform, **changed: object) -> dict[str, Check]:
    found = await installation_status(platform.settings.model_copy(update=changed))
    wrong = [each for each in found if each.health is not Health.OK]
    assert all(each.help for each in wrong), "what mends it?"
    assert all((ROOT / str(each.page).partition("#")[0]).is_file() for each in wrong)
    return {each.part: each for each in found}


async def test_all_is_well_but_for_the_engine_that_is_missing(platform: Platform) -> None:
    await execute(platform, SEALED_BY_SOMEBODY)
    found = await checks(platform)
    assert {part: each.health for part, each in found.items()} == {
        "database": Health.OK,
        "schema": Health.OK,
        "keys": Health.OK,
        "policy": Health.OK,
        "commits": Health.OK,
        "sealing": Health.OK,
        "checkpoint sinks": Health.OK,
        "processes": Health.WARNING,
        "outbox": Health.OK,
        "runs": Health.OK,
        "team workers": Health.OK,
        "engine": Health.WARNING,
    }


async def test_processes_that_run_are_named(platform: Platform) -> None:
    api = Database(platform.settings.database_url, name="coe-api")
    async with api.session() as session:
        await session.execute(text("SELECT 1"))
        found = await checks(platform)
    await api.close()
    assert found["processes"].detail == "connected: api"


async def test_each_problem_is_told_with_what_mends_it(platform: Platform) -> None:
    settings = platform.settings
    await execute(platform, "DELETE FROM schema_revisions")
    await execute(platform, "UPDATE policy_state SET version = version + 1")
    await execute(
        platform,
        "INSERT INTO outbox (id, kind, subject, payload, created_at, due_at, attempts)"
        " VALUES (:id, 'start', :id, '{}', now() - interval '2 h', now() - interval '1 h', 0)",
        id=new_id(),
    )
    await execute(
        platform,
        "INSERT INTO team_workers (team, seen_at) VALUES ('sales', now() - interval '1 d')",
    )
    (settings.data_dir / "keys" / "mac").unlink()
    found = await checks(platform, prefect_url="http://127.0.0.1:9/api")
    wrong = {part: each.health for part, each in found.items() if each.health is not Health.OK}
    assert wrong == {
        "schema": Health.PROBLEM,
        "keys": Health.PROBLEM,
        "policy": Health.PROBLEM,
        "sealing": Health.WARNING,
        "processes": Health.WARNING,
        "outbox": Health.WARNING,
        "team workers": Health.WARNING,
        "engine": Health.PROBLEM,
    }
    assert found["outbox"].data["queued"] == 1
    assert found["schema"].help == "coe migrate"


def test_every_part_that_is_looked_at_has_a_page_that_is_there() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "coe").rglob("*.py"))
    assert set(re.findall(r"\bCheck\(\s*\"([^\"]+)\"", sources)) <= set(PAGES)
    for page in PAGES.values():
        file, _, heading = page.partition("#")
        titles = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
        assert not heading or heading in {each.lower().replace(" ", "-") for each in titles}


async def test_runs_that_nobody_takes_from_a_silent_holder(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    run = await start(platform, "sales/simple")
    past = {"holder": "gone", "state": "RUNNING", "lease_until": utcnow() - timedelta(hours=1)}
    async with platform.database.session() as session:
        await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(past))
        await session.commit()
    found = (await checks(platform))["runs"]
    assert found.health is Health.WARNING
    assert found.data == {"requested": 0, "running": 1, "waiting": 0, "left": 1}


@pytest.mark.parametrize(
    ("sealer", "page"),
    [
        (False, "CoeSealerAbsent"),
        (True, "CoeSealerFailing"),
    ],
)
async def test_what_holds_up_the_sealing_has_its_page(
    platform: Platform, *, sealer: bool, page: str
) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    if sealer:
        await execute(platform, SEALED_BY_SOMEBODY)
    found = (await checks(platform, seal_alarm_seconds=0.0))["sealing"]
    assert found.health is Health.PROBLEM
    assert page in (found.page or "")


async def test_the_certificate_is_looked_at_if_the_api_serves_tls(
    platform: Platform, tmp_path: Path
) -> None:
    pair = Authority(tmp_path).issue("localhost", life=timedelta(days=30))
    files = {"tls_cert_file": pair.cert, "tls_key_file": pair.key}
    assert (await checks(platform, **files))["tls"].health is Health.OK
    pair = Authority(tmp_path).issue("localhost", life=timedelta(days=2))
    found = (await checks(platform, **files))["tls"]
    assert (found.health, "soon" in found.detail) == (Health.WARNING, True)
    pair.cert.write_text("")
    assert (await checks(platform, **files))["tls"].health is Health.PROBLEM


EXPAND, CONTRACT = RevisionKind
KNOWN = newest_known()


def state(*more: Applied, leave_out: str = "") -> SchemaState:
    """The state of a database with every revision of this version but one, and with more."""
    own = [Applied(each.name, each.kind, each.works_with, finished=True) for each in load()]
    return SchemaState((*(each for each in own if each.revision != leave_out), *more))


@pytest.mark.parametrize(
    ("more", "leave_out", "health", "detail"),
    [
        ((), "", Health.OK, f"revision {KNOWN}"),
        ((), KNOWN, Health.PROBLEM, f"a migration is due: {KNOWN}"),
        ((Applied("9990", EXPAND, "0000", finished=False),), "", Health.OK, "of a newer version"),
        ((Applied("9990", CONTRACT, KNOWN, finished=True),), "", Health.OK, "of a newer version"),
        (
            (Applied("9990", CONTRACT, "9980", finished=False),),
            "",
            Health.PROBLEM,
            "9990 took away what this version needs",
        ),
    ],
    ids=["its own", "older", "newer expand", "contract of what it needs not", "newer contract"],
)
def test_this_version_works_with_a_range_of_revisions(
    more: tuple[Applied, ...], leave_out: str, health: Health, detail: str
) -> None:
    before = Applied("0001", EXPAND, "0000", finished=True)
    found = SchemaState((before, *state(*more, leave_out=leave_out).applied))
    check = schema_check(found)
    assert check.health is health
    assert detail in check.detail
    assert check.data["newest"] == KNOWN
    assert bool(check.help) is (health is not Health.OK)


def test_a_database_that_was_never_migrated_is_a_problem() -> None:
    assert schema_check(None).help == "coe migrate"


async def test_the_command_answers_by_its_exit_code(
    platform: Platform, settings: Settings, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    given = {"COE_DATABASE_URL": settings.database_url, "COE_DATA_DIR": str(settings.data_dir)}
    done = await asyncio.to_thread(run, "status", "--output", "json", **given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["part"] == "database"
    async with fresh_database(postgres, "template1") as empty:
        bare = given | {"COE_DATABASE_URL": empty, "COE_DATA_DIR": str(tmp_path / "none")}
        new = await asyncio.to_thread(run, "status", **bare)
    assert new.exit_code == 1
    assert "coe migrate" in new.stdout
    assert "coe key new" in new.stdout
    gone = await asyncio.to_thread(run, "status", **given | {"COE_DATABASE_URL": AWAY})
    assert gone.exit_code == 7
    assert "COE_DATABASE_URL" in gone.stdout
