"""The executor of flow runs, where Prefect or a flow fails before it has reported anything."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort

from coe.engines import prefect_flow_executor as module
from coe.engines.prefect_flow_executor import FlowExecutor


async def test_a_flow_run_that_fails_again_and_again_waits_longer_and_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow_run = cast("FlowRun", SimpleNamespace(id=uuid.uuid4()))
    raised: list[Exception] = [OSError(), OSError(), Abort(), OSError()]
    asked: list[int] = []

    async def load(_: str) -> Flow[..., Any]:
        raise raised.pop(0)

    async def schedule(_: uuid.UUID, failures: int) -> None:
        asked.append(failures)

    monkeypatch.setattr(module, "_schedule_again_until_accepted", schedule)
    executor = FlowExecutor(load)
    for _ in range(4):
        await executor.start(flow_run, "work.py:work")
    await executor.hand_over()
    assert asked == [0, 1, 0]
