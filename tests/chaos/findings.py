"""What must be true when the fire is out: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx

TWICE: Final = """
SELECT run_id::text || ' ' || kind || ' ' || key FROM journal_entries
WHERE run_id = ANY($1)
  AND (kind IN ('RUN_STARTED', 'LEAF_COMPLETED', 'CHILD_COMPLETED', 'TASK_ANSWERED', 'TIMER_FIRED'))
GROUP BY run_id, kind, key HAVING count(*) > 1
"""
GAPS: Final = """
SELECT r.id::text FROM runs r LEFT JOIN journal_entries j ON j.run_id = r.id
WHERE r.id = ANY($1)
GROUP BY r.id, r.journal_length
HAVING count(j.position) <> r.journal_length OR max(j.position) <> r.journal_length - 1
"""
ENDS: Final = """
SELECT r.id::text || ' has ' || count(e.id) || ' ends in the log'
FROM runs r LEFT JOIN audit_events e
  ON e.resource = 'run:' || r.id::text AND e.action = 'runs:run:complete'
WHERE (r.id = ANY($1) OR r.parent_id = ANY($1)) AND r.state = 'COMPLETED'
GROUP BY r.id HAVING count(e.id) <> 1
"""
CHILDREN: Final = """
SELECT parent_id::text || ' ' || parent_key FROM runs
WHERE parent_id = ANY($1) GROUP BY parent_id, parent_key HAVING count(*) > 1
"""
LEFT: Final = """
SELECT 'timer ' || run_id::text FROM timers WHERE run_id = ANY($1)
UNION ALL SELECT 'held ' || id::text FROM runs WHERE id = ANY($1) AND holder IS NOT NULL
UNION ALL SELECT 'child ' || id::text FROM runs
  WHERE parent_id = ANY($1) AND state NOT IN ('COMPLETED', 'FAULTED', 'CANCELLED')
UNION ALL SELECT 'task ' || id::text FROM human_tasks
  WHERE run_id = ANY($1) AND state IN ('OPEN', 'CLAIMED', 'ESCALATED')
"""
COMPLETED: Final = """
SELECT key, at FROM journal_entries WHERE run_id = ANY($1) AND kind = 'LEAF_COMPLETED'
"""
CALLS: Final = "SELECT key, calls, last_at FROM calls WHERE key = ANY($1)"


def run_id_of(relay_id: str) -> UUID:
    """The run's own id in an id of the API."""
    return UUID(base64.b64decode(relay_id + "==").decode().rsplit(":", 1)[-1])


async def findings(
    database_url: str, started: Sequence[str], ended: dict[str, str]
) -> tuple[list[str], dict[str, int]]:
    """What is not as it must be, and counts of what was looked at."""
    ids = [run_id_of(each) for each in started]
    found = [f"{run} ended {state}" for run, state in ended.items() if state != "COMPLETED"]
    found += [f"{run} did not end" for run in started if run not in ended]
    ours = await asyncpg.connect(database_url)
    try:
        for what, query in (
            ("twice in the journal", TWICE),
            ("a gap in the journal", GAPS),
            ("completed not once", ENDS),
            ("two children of one key", CHILDREN),
            ("left behind", LEFT),
        ):
            found += [f"{what}: {row[0]}" for row in await ours.fetch(query, ids)]
        facts = {row["key"]: row["at"] for row in await ours.fetch(COMPLETED, ids)}
    finally:
        await ours.close()
    calls = {call["key"]: call for call in await _calls(database_url, list(facts))}
    for key, at in facts.items():
        call = calls.get(key)
        if call is not None and call["last_at"] > at:
            found.append(f"called after it was completed: {key}")
    counts = {
        "runs": len(started),
        "completed": sum(state == "COMPLETED" for state in ended.values()),
        "leaves completed": len(facts),
        "leaves that were in flight at a kill and called again": sum(
            call["calls"] > 1 for call in calls.values()
        ),
        "most calls of one leaf": max((call["calls"] for call in calls.values()), default=0),
    }
    return found, counts


async def _calls(database_url: str, keys: list[str]) -> list[Any]:
    """The company's own record of what it was asked, from its database on the same server."""
    connection = await asyncpg.connect(database_url.replace("coe@/coe", "acme@/acme"))
    try:
        rows: list[Any] = await connection.fetch(CALLS, keys)
        return rows
    finally:
        await connection.close()


async def log_is_proven(url: str) -> bool:
    """Whether the audit log verifies."""
    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as client:
        answer = await client.post(
            "/graphql",
            json={"query": "{ verifyAudit { ok } }"},
            headers={"Authorization": "Bearer demo-auditor"},
        )
    return bool(answer.json()["data"]["verifyAudit"]["ok"])
