"""Where an operator reads on about a part of an installation that is not well."""

from __future__ import annotations

from typing import Final

_RUNBOOKS: Final = "docs/operations/runbooks"
PAGES: Final = {
    "central workers": f"{_RUNBOOKS}/CoeRunsNotBegun.md",
    "database": "docs/operations/postgresql.md",
    "engine": f"{_RUNBOOKS}/CoeEngineFailing.md",
    "keys": "docs/operations.md#keys",
    "outbox": f"{_RUNBOOKS}/CoeOutboxOld.md",
    "partitions": "docs/operations.md#status",
    "policy": f"{_RUNBOOKS}/CoePolicyNotInForce.md",
    "process": "docs/operations.md#probes",
    "runs": f"{_RUNBOOKS}/CoeLeasesExpiring.md",
    "schema": f"{_RUNBOOKS}/CoeMigrationDue.md",
    "sealer": f"{_RUNBOOKS}/CoeSealerFailing.md",
    "sealing": f"{_RUNBOOKS}/CoeSealingOld.md",
    "team workers": "docs/how-to/workers.md",
    "tls": f"{_RUNBOOKS}/CoeCertificateEnding.md",
}
"""A page for each part that `coe status` and the probes look at."""
OLD_TRANSACTION: Final = f"{_RUNBOOKS}/CoeTransactionOld.md"
REFUSED_ROWS: Final = f"{_RUNBOOKS}/CoeAuditRowsRefused.md"
SEALER_ABSENT: Final = f"{_RUNBOOKS}/CoeSealerAbsent.md"
SEALER_FAILING: Final = f"{_RUNBOOKS}/CoeSealerFailing.md"
