"""The work under fire: runs are started, people answer, and each run is followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from coe.demo import story_queries as queries
from coe.errors import CoeError, Conflict, Forbidden, NotFound
from coe.sdk import Client

FLOW: Final = "sales/chaos-order"
PROCESS: Final = Path(__file__).with_name("process.yaml")
TESTS: Final = Path(__file__).with_name("tests.yaml")
ANSWER_SECONDS: Final = 120.0
ENDED: Final = frozenset({"COMPLETED", "FAULTED", "CANCELLED"})
START: Final = """
mutation Start($input: StartRunInput!) {
  startRun(input: $input) { run { id } problems { message } }
}
"""
OPEN: Final = """
query Open($flow: String!) {
  inbox(filter: {claimable: true, flows: [$flow]}, first: 100) { nodes { id } }
}
"""


@dataclass(slots=True)
class Driver:
    """Starts and follows runs as the personas of a demo; every call outlasts what is killed."""

    url: str
    started: list[str] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)

    async def publish(self) -> None:
        """Bring the process live, unless it is."""
        given = {"manifest": PROCESS.read_text(), "tests": TESTS.read_text()}
        saved = await self._do("sales-owner", queries.REGISTER, **given)
        version = saved["version"]
        if version["lifecycle"] == "DRAFT":
            await self._do("sales-owner", queries.SUBMIT, ref=version["ref"])
            asked = {"ref": version["ref"], "comment": "For the test of faults"}
            await self._do("coe-lead", queries.REVIEW, approve=True, **asked)
            await self._do("coe-lead", queries.PUBLISH, **asked)

    async def start_and_follow(self, number: int) -> None:
        """Start one run, each second one with a human task, and wait for its end."""
        order = {"orderId": f"SO-{800_000 + number}", "approve": number % 2 == 0}
        given = {"flow": FLOW, "input": order, "clientMutationId": str(uuid4())}
        answer = await self._do("sales-owner", START, **given)
        run_id = answer["run"]["id"]
        self.started.append(run_id)
        while run_id not in self.ended:
            await asyncio.sleep(1.0)
            seen = await self._ask("sales-owner", queries.STATE, {"id": run_id})
            if seen["run"]["state"] in ENDED:
                self.ended[run_id] = seen["run"]["state"]

    async def answer_tasks(self) -> None:
        """Answer whatever comes into the inbox, until cancelled."""
        while True:
            seen = await self._ask("finance-approver", OPEN, {"flow": FLOW})
            for task in seen["inbox"]["nodes"]:
                await self._answer(task["id"])
            await asyncio.sleep(1.0)

    async def _answer(self, task_id: str) -> None:
        given = {
            "task": task_id,
            "outcome": "released",
            "answer": {},
            "clientMutationId": f"answer-{task_id}"[:100],
        }
        try:
            await self._do("finance-approver", queries.CLAIM, task=task_id)
            await self._do("finance-approver", queries.COMPLETE, **given)
        except (Conflict, Forbidden, NotFound):
            return  # it was answered by a call whose answer was lost

    async def _ask(self, person: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Ask; an error of the inside is asked again too, for its cause is being killed."""
        async with Client(self.url, f"demo-{person}", patience=ANSWER_SECONDS) as client:
            for _ in range(20):
                try:
                    return await client.execute(query, variables)
                except (Conflict, Forbidden, NotFound):
                    raise
                except CoeError as error:
                    last = error
                    await asyncio.sleep(1.0)
            raise last

    async def _do(self, person: str, mutation: str, **given: object) -> dict[str, Any]:
        answer = await self._ask(person, mutation, {"input": given})
        payload: dict[str, Any] = next(iter(answer.values()))
        errors = [each for each in payload["problems"] if each.get("severity", "ERROR") == "ERROR"]
        assert not errors, errors
        return payload
