from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coe.language.expressions.evaluator import Expressions
from coe.machine.machine import EvaluateJq

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each test that evaluates expressions have the loop of the workers, which they share."""
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if item.path.is_relative_to(HERE) and "expressions" in getattr(item, "fixturenames", ()):
            item.add_marker(mark, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions(workers=1) as pool:
        yield pool


@pytest.fixture
def evaluate(expressions: Expressions) -> EvaluateJq:
    return expressions.evaluate
