"""squawk finds nothing in the statements of revisions that would hold up or break others."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

from coe.db.revisions import RevisionKind
from coe.migrations.revisions import Revision, load
from tests.factories.revisions import line, plant

SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
LEFT_OUT = {
    "prefer-robust-stmts": "a revision is one transaction, and what is done beside it repeatable",
    "prefer-bigint-over-smallint": "ours number a handful: rows, levels, epochs",
}
CONTRACT = {
    "ban-drop-column": "that is what contracts are for",
    "ban-drop-table": "the same",
    "ban-drop-not-null": "the same",
    "adding-not-nullable-field": "a validated check comes first; `seconds` bounds the rest",
}
BASELINE = load()[0].name


def lint(revision: Revision, folder: Path) -> set[str]:
    """The rules that the statements of a revision break."""
    file = folder / f"{revision.name}.sql"
    file.write_text(revision.sql())
    rules = [*LEFT_OUT, *(CONTRACT if revision.kind is RevisionKind.CONTRACT else ())]
    command = [SQUAWK, "--reporter=Json", "--pg-version=15", f"--exclude={','.join(rules)}", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return {each["rule_name"] for each in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "revision", [each for each in load() if each.name > BASELINE], ids=lambda each: each.name
)
def test_nothing_is_found_in_a_revision(revision: Revision, tmp_path: Path) -> None:
    assert lint(revision, tmp_path) == set()


@pytest.mark.parametrize(
    ("upgrade", "rule"),
    [
        ("ALTER TABLE runs DROP COLUMN team", "ban-drop-column"),
        ("ALTER TABLE runs ADD COLUMN x text NOT NULL", "adding-required-field"),
        ("ALTER TABLE runs RENAME COLUMN team TO teams", "renaming-column"),
        ("ALTER TABLE runs ALTER COLUMN team TYPE int", "changing-column-type"),
        ("CREATE INDEX ix ON runs (team)", "require-concurrent-index-creation"),
        ("ALTER TABLE runs ADD CHECK (fence > 0)", "constraint-missing-not-valid"),
    ],
    ids=lambda each: each.replace(" ", "-") if each.islower() else "",
)
def test_what_would_break_others_is_found(tmp_path: Path, upgrade: str, rule: str) -> None:
    plant(tmp_path, "0001", upgrade)
    assert rule in lint(line(tmp_path)[0], tmp_path)
