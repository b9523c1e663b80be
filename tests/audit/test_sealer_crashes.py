from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.audit import killed_sealer
from tests.factories.audit import Log


async def test_a_sealer_killed_anywhere_loses_and_repeats_nothing(
    log: Log, database_url: str, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.audit.killed_sealer",
        database_url,
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(killed_sealer.__file__).parents[2],
    )
    output, _ = await process.communicate()
    report = json.loads(output)
    assert report["problems"] == []
    assert report["kills"] == report["points"] == killed_sealer.STATEMENTS + 5
    events = report["points"] * killed_sealer.EVENTS
    rows = await log.rows(
        "SELECT count(*), count(DISTINCT position), max(position) FROM audit_events"
    )
    assert rows == [(events, events, events - 1)]
