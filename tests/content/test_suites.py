"""Every shipped template and central flow passes its own tests, which go every branch of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coe import content
from coe.errors import Severity
from coe.language.expressions.evaluator import Expressions
from coe.language.lint import Stage, lint, published
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.language.load import load
from coe.testing.decision_files import decisions_beside, leaf_runner
from coe.testing.run_suite import minimum, run_suite

ROOT = content.root()
CENTRAL = sorted(path for path in (ROOT / "flows" / "central").iterdir() if path.is_dir())
TEMPLATES = sorted(path for path in (ROOT / "templates").iterdir() if path.is_dir())
FOLDERS = [pytest.param(path, id=path.name) for path in (*TEMPLATES, *CENTRAL)]


@pytest.fixture
async def pool() -> AsyncIterator[Expressions]:
    async with Expressions(workers=1) as expressions:
        yield expressions


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_the_standards_ask_for_every_branch() -> None:
    assert minimum(published()) == 100
    assert published().standards[COVERAGE_STANDARD].severity is Severity.ERROR


@pytest.mark.parametrize("folder", FOLDERS)
async def test_its_tests_pass_and_reach_every_branch(folder: Path, pool: Expressions) -> None:
    tables = leaf_runner(decisions_beside(folder))
    result = await run_suite(_texts(folder), pool.evaluate, standards=published(), runner=tables)
    failures = {case.name: case.failures for case in result.cases if case.failures}
    assert failures == {}
    assert [each.problem for each in result.problems] == []
    assert result.covered is not None
    assert [str(branch) for branch in result.covered.missed_branches] == []
    assert [step.name for step in result.covered.missed_steps] == []
    assert result.covered.branches > 10


@pytest.mark.parametrize("folder", [pytest.param(path, id=path.name) for path in CENTRAL])
def test_a_central_flow_keeps_every_standard(folder: Path) -> None:
    loaded = load((folder / "flow.yaml").read_text())
    assert loaded.definition is not None, loaded.problems
    assert lint(loaded.definition, stage=Stage.PUBLICATION) == ()
    assert (folder / "README.md").is_file()
    teams = {path.stem for path in (ROOT / "catalog" / "teams").glob("*.yaml")}
    assert loaded.definition.document.namespace in teams
