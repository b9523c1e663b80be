from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from coe.language.expressions.evaluator import Expressions
from coe.machine.machine import EvaluateJq


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions(workers=1) as pool:
        yield pool


@pytest.fixture
def evaluate(expressions: Expressions) -> EvaluateJq:
    return expressions.evaluate
