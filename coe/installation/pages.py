"""Where an operator reads on about a part of an installation that is not well."""

from __future__ import annotations

from typing import Final

_RUNBOOKS: Final = "docs/operations/runbooks"
_BACKUP: Final = "docs/operations/backup.md"
_RESTORE: Final = "docs/operations/restore.md"
PAGES: Final = {
    "audit log": _RESTORE,
    "backup": f"{_RUNBOOKS}/CoeBackupOld.md",
    "central workers": f"{_RUNBOOKS}/CoeRunsNotBegun.md",
    "checkpoint sinks": f"{_RUNBOOKS}/CoeCheckpointSinkOld.md",
    "codes of rows": _RESTORE,
    "commits": f"{_BACKUP}#the-log-of-writes",
    "data keys": _RESTORE,
    "database": "docs/operations/postgresql.md",
    "engine": f"{_RUNBOOKS}/CoeEngineFailing.md",
    "journal": _RESTORE,
    "keys": "docs/operations.md#keys",
    "keys of backups": _BACKUP,
    "log of writes": _BACKUP,
    "loss": _RESTORE,
    "outbox and leases": _RESTORE,
    "outbox": f"{_RUNBOOKS}/CoeOutboxOld.md",
    "partitions": "docs/operations.md#status",
    "policy": f"{_RUNBOOKS}/CoePolicyNotInForce.md",
    "pooler": "docs/operations/postgresql.md",
    "process": "docs/operations.md#probes",
    "processes": "docs/operations.md#processes",
    "runs": f"{_RUNBOOKS}/CoeLeasesExpiring.md",
    "schema": f"{_RUNBOOKS}/CoeMigrationDue.md",
    "sealer": f"{_RUNBOOKS}/CoeSealerFailing.md",
    "sealing": f"{_RUNBOOKS}/CoeSealingOld.md",
    "standby": "docs/operations/postgresql.md",
    "team workers": "docs/how-to/workers.md",
    "tls": f"{_RUNBOOKS}/CoeCertificateEnding.md",
}
"""A page for each part that is looked at: by `coe status`, the probes, or after a restore."""
OLD_TRANSACTION: Final = f"{_RUNBOOKS}/CoeTransactionOld.md"
REFUSED_ROWS: Final = f"{_RUNBOOKS}/CoeAuditRowsRefused.md"
SEALER_ABSENT: Final = f"{_RUNBOOKS}/CoeSealerAbsent.md"
SEALER_FAILING: Final = f"{_RUNBOOKS}/CoeSealerFailing.md"
