"""Rows without a code are admitted for the time of an upgrade that the operator names."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coe.audit.admission import Admission
from coe.audit.sealer import LogSealer
from coe.db import utcnow
from tests.factories.audit import Log, event


@pytest.mark.parametrize(("hours", "refused"), [(1, None), (-1, "NO_CODE")])
async def test_rows_without_a_code_are_admitted_until_a_time(
    log: Log, hours: int, refused: str | None
) -> None:
    await log.write(event(1))
    await log.attack("UPDATE audit_events SET mac = NULL, written_at = NULL")
    await log.seal()
    assert await log.rows("SELECT refused FROM audit_events") == [("NO_CODE",)]
    until = utcnow() + timedelta(hours=hours)
    admission = Admission(log.keyring.macs, until)
    await log.sealer().close()
    sealer = LogSealer(log.database, log.signer, log.file, admission)
    assert await sealer.seal_once() == (1 if hours > 0 else 0)
    assert await log.rows("SELECT refused FROM audit_events") == [(refused,)]


async def test_a_wrong_code_is_never_admitted(log: Log) -> None:
    await log.write(event(1))
    await log.attack("UPDATE audit_events SET actor = 'nobody'")
    admission = Admission(log.keyring.macs, utcnow() + timedelta(hours=1))
    await LogSealer(log.database, log.signer, log.file, admission).seal_once()
    assert await log.rows("SELECT refused FROM audit_events") == [("WRONG_CODE",)]
