"""The auditor's part: who did what, offline proof, tampering, and what lies in clear."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coe.audit.merkle import verify_inclusion
from tests.e2e.conftest import RunningDemo
from tests.e2e.orders import order
from tests.e2e.personas import Persona, until
from tests.e2e.test_story import AUDIT, ended, open_task, run_of

FLOW = "sales/order-to-cash"
NAME = "Zephyrine Quatermaine"
EMAIL = "zephyrine@quatermaine.example"


def coe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coe.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin"} | environment,
    )


@pytest.fixture(scope="module")
def personal_run(demo: RunningDemo) -> str:
    """A run above the limit for a separate customer, decided and ended."""
    owner, approver = demo.persona("sales-owner"), demo.persona("finance-approver")
    run_id = run_of(owner, FLOW, order("high", customer=NAME), correlationId="e2e-personal")
    task = open_task(owner, run_id)
    seen = approver.ask(
        "query T($id: ID!) { humanTask(id: $id) { title context form } }",
        id=task,
    )["humanTask"]
    assert seen["context"]["total"] == "29400.00"
    approver.do("claimHumanTask", "task { state }", task=task)
    approver.do("completeHumanTask", "task { state }", task=task, outcome="approved", answer={})
    assert ended(owner, run_id)["input"]["customer"]["name"] == NAME
    return run_id


@pytest.fixture(scope="module")
def auditor(demo: RunningDemo) -> Persona:
    return demo.persona("auditor")


def events(auditor: Persona, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = auditor.ask(AUDIT, filter=filters, after=after)["auditLog"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_the_log_has_who_did_what_on_the_flow(auditor: Persona, personal_run: str) -> None:
    on_flow = events(auditor, resources=[f"flow:{FLOW}"])
    actions = {(event["actor"], event["action"], event["outcome"]) for event in on_flow}
    assert ("sales-owner", "catalog:template:instantiate", "ALLOWED") in actions or (
        "sales-owner",
        "catalog:flow:register",
        "ALLOWED",
    ) in actions
    assert ("coe-lead", "catalog:flow:publish", "ALLOWED") in actions
    assert ("sales-owner", "catalog:flow:review", "DENIED") in actions
    assert ("sales-owner", "runs:human_task:complete", "DENIED") in actions
    assert ("finance-approver", "runs:human_task:complete", "ALLOWED") in actions
    assert ("sales-owner", "runs:run:start", "ALLOWED") in actions
    assert ("sales-owner", "runs:run:read_data", "ALLOWED") in actions
    assert ("service:worker/warehouse", "runs:run:read_data", "ALLOWED") in actions
    denied = [event for event in on_flow if event["outcome"] == "DENIED"]
    assert all(event["rule"] for event in denied)


def test_the_log_names_who_started_read_and_decided(
    auditor: Persona,
    personal_run: str,
) -> None:
    of_run = events(auditor, correlationId="e2e-personal")
    recorded = {(event["actor"], event["action"]) for event in of_run}
    assert ("sales-owner", "runs:run:start") in recorded
    assert ("sales-owner", "runs:run:read_data") in recorded
    assert ("finance-approver", "runs:human_task:read_data") in recorded
    assert ("finance-approver", "runs:human_task:complete") in recorded
    assert "runs:run:complete" in {action for _, action in recorded}


def test_each_event_has_its_inclusion_proof(auditor: Persona, personal_run: str) -> None:
    def sealed() -> list[dict[str, Any]] | None:
        found = events(auditor, correlationId="e2e-personal")
        return found if all(event["proof"] for event in found) else None

    for event in until(sealed, seconds=15, what="the seal"):
        proof = event["proof"]
        assert proof["leafIndex"] == event["index"]
        assert verify_inclusion(
            bytes.fromhex(event["leafHash"]),
            proof["leafIndex"],
            proof["treeSize"],
            [bytes.fromhex(part) for part in proof["path"]],
            bytes.fromhex(proof["rootHash"]),
        )


def test_the_whole_log_verifies(auditor: Persona, personal_run: str) -> None:
    verified = auditor.ask("{ verifyAudit { ok checkedEvents treeSize problems { message } } }")
    assert verified["verifyAudit"]["ok"], verified
    assert verified["verifyAudit"]["checkedEvents"] == verified["verifyAudit"]["treeSize"] > 50


@pytest.fixture(scope="module")
def bundle(
    demo: RunningDemo,
    personal_run: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("audit") / "bundle"
    given = {"COE_URL": demo.url, "COE_TOKEN": "demo-auditor", "XDG_CONFIG_HOME": str(path.parent)}
    done = coe("audit", "export", "--to", str(path), **given)
    assert done.returncode == 0, done.stderr
    return path


def test_a_bundle_is_proven_offline(demo: RunningDemo, bundle: Path) -> None:
    checkpoints = demo.data / "checkpoints"
    printed = coe("audit", "key", "--config", str(demo.data / "demo.env"))
    assert printed.returncode == 0, printed.stderr
    key = ["--key", printed.stdout.strip()]
    for more in ([], key, [*key, "--checkpoints", str(checkpoints)]):
        done = coe(
            *("audit", "verify", str(bundle), "--output", "json", *more),
            XDG_CONFIG_HOME=str(bundle.parent),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["ok"] is True


def _files(bundle: Path) -> list[Path]:
    return [bundle] if bundle.is_file() else sorted(p for p in bundle.rglob("*") if p.is_file())


def test_one_changed_byte_is_found_and_its_row_named(bundle: Path) -> None:
    file, line_number, line = next(
        (file, number, line)
        for file in _files(bundle)
        for number, line in enumerate(file.read_bytes().splitlines(keepends=True))
        if b"catalog:flow:publish" in line
    )
    whole = file.read_bytes()
    at = whole.index(line) + line.index(b"catalog:flow:publish")
    index = json.loads(line)["event"]["position"]
    try:
        file.write_bytes(whole[:at] + b"C" + whole[at + 1 :])
        done = coe("audit", "verify", str(bundle))
    finally:
        file.write_bytes(whole)
    assert done.returncode == 1
    assert str(index) in done.stderr, f"line {line_number}: {done.stderr}"


def test_a_changed_row_in_the_database_is_named(demo: RunningDemo, auditor: Persona) -> None:
    """As someone with the database's own rights would: triggers off, one byte, triggers on."""

    async def change(old: str, new: str) -> int:
        superuser = demo.state["databaseUrl"].replace("//coe@", "//postgres@")
        connection = await asyncpg.connect(superuser)
        try:
            await connection.execute("SET session_replication_role = replica")
            position: int = await connection.fetchval(
                "UPDATE audit_events SET action = $2 WHERE id = "
                "(SELECT id FROM audit_events WHERE action = $1 AND position IS NOT NULL "
                " ORDER BY position LIMIT 1) RETURNING position",
                old,
                new,
            )
            return position
        finally:
            await connection.close()

    position = asyncio.run(change("catalog:flow:publish", "catalog:flow:publisH"))
    try:
        verified = auditor.ask("{ verifyAudit { ok problems { path message } } }")["verifyAudit"]
    finally:
        asyncio.run(change("catalog:flow:publisH", "catalog:flow:publish"))
    assert verified["ok"] is False
    assert any(str(position) in f"{p['path']} {p['message']}" for p in verified["problems"])
    assert auditor.ask("{ verifyAudit { ok } }")["verifyAudit"]["ok"] is True


def test_the_customer_appears_nowhere_in_clear(demo: RunningDemo, personal_run: str) -> None:
    needles = [text.encode() for text in (NAME, EMAIL, NAME.split()[1])]
    asyncio.run(_checkpoint(demo.state["databaseUrl"]))
    found = [
        str(path.relative_to(demo.data))
        for path in demo.data.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]
    assert found == []
    rows = asyncio.run(_scan_databases(demo.state["databaseUrl"], needles))
    assert rows == []


def _superuser(url: str, database: str) -> str:
    return url.replace("//coe@/coe", f"//postgres@/{database}")


async def _checkpoint(url: str) -> None:
    connection = await asyncpg.connect(_superuser(url, "postgres"))
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _scan_databases(url: str, needles: list[bytes]) -> list[str]:
    """Every row of every table of every database, as text and each bytea as its bytes."""
    found: list[str] = []
    scanned = 0
    for database in ("coe", "prefect", "acme"):
        connection = await asyncpg.connect(_superuser(url, database))
        tables = await connection.fetch(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name "
            "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        )
        for table in tables:
            for row in await connection.fetch(
                f"SELECT t::text AS line, t.* FROM {table['name']} t"
            ):
                scanned += 1
                values = [str(row["line"]).encode()]
                values += [value for value in row.values() if isinstance(value, bytes)]
                if any(needle in value for needle in needles for value in values):
                    found.append(f"{database}.{table['name']}")
        await connection.close()
    assert scanned > 500
    return found
