"""Try a local flow in a test of its team, without a platform, a worker and Prefect.

    from coe.sdk.testing import try_flow

    async def test_the_stock_is_reserved_once() -> None:
        trial = await try_flow(pick_and_pack, {"orderId": "SO-7"})
        assert trial.output == {"parcels": 1}
        assert trial.steps == {"reserve": "COMPLETED", "pack": "COMPLETED"}

Inputs and outputs are not checked against the schemas of the manifest.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coe.sdk.client import Client
from coe.sdk.local_run import TRIAL, LocalRunFailed


@dataclass
class Trial:
    """What a flow reported.

    Attributes:
        output: Its output; None if it faulted.
        error: Its error (RFC 7807); None if it completed.
        steps: The last state of each step that was executed, by its name, in their order.
        outputs: The output of each completed step, by its name.
    """

    output: Any = None
    error: dict[str, Any] | None = None
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


async def try_flow(
    flow: Callable[[str], Awaitable[Any]],
    input: Any,  # noqa: A002  # as a run has it
    *,
    done: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> Trial:
    """Execute a local flow once, in this process.

    Args:
        flow: The flow, with or without Prefect's decorator.
        input: The input of the run.
        done: Outputs, by name, of steps that an earlier attempt completed; they are not executed.
        run_id: The id of the run, on which idempotency keys depend; by default a new one.

    Raises:
        AssertionError: The flow ended without an end of its run: it has no `async with local_run`.
    """
    made = _TrialClient(input, done or {})
    call = getattr(flow, "fn", flow)
    token = TRIAL.set(made)
    try:
        await call(run_id or str(uuid.uuid4()))
    except LocalRunFailed:
        pass
    finally:
        TRIAL.reset(token)
    if not made.ended:
        raise AssertionError("the flow ended, but did nothing in `async with local_run(run_id)`")
    return made.trial


class _TrialClient(Client):
    """Answers as the platform does, from memory."""

    def __init__(self, value: Any, done: Mapping[str, Any]) -> None:
        self._input, self._done = value, dict(done)
        self.trial = Trial()
        self.ended = False

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        repeatable: bool | None = None,  # noqa: ARG002  # nothing is interrupted here
    ) -> dict[str, Any]:
        given = json.loads(json.dumps(dict(variables or {})["input"]))
        if "claimRun" in query:
            done = json.loads(json.dumps(self._done))
            claim = {"attempt": 1, "input": self._input, "done": done, "heartbeatEvery": "PT2S"}
            return {"claimRun": {"claim": claim, "problems": []}}
        if "reportStep" in query:
            self.trial.steps[given["name"]] = given["state"]
            if given["state"] == "COMPLETED":
                self.trial.outputs[given["name"]] = given.get("output")
        elif "reportRun" in query:
            self.ended = True
            self.trial.output, self.trial.error = given.get("output"), given.get("error")
        return {}
