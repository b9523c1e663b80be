"""What is wrong with a definition is told, whatever is wrong with its tests."""

from __future__ import annotations

import pytest

from coe.language.expressions.evaluator import Expressions
from coe.testing.run_suite import run_suite
from tests.testing.test_run_suite import FLOW, bound, pool

__all__ = ["pool"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_faults_of_the_tests_hide_none_of_the_definition(pool: Expressions) -> None:
    wrong = {"flow.yaml": FLOW.replace("switch:", "swich:")}
    for tests in ({}, {"tests.yaml": "- a"}, {"tests.yaml": "{"}):
        result = await run_suite({**wrong, **tests}, pool.evaluate, standards=bound(100))
        assert [each.file for each in result.problems] == ["flow.yaml", "tests.yaml"]
        assert "`swich`" in result.problems[0].problem.message
