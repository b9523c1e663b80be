"""People and other systems: they start, answer, cancel, retry, send events; often twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from coe.access.actor import Actor
from coe.errors import CoeError, Conflict
from coe.events.bus import send_events
from coe.human_tasks import actions as human_tasks
from coe.runs import actions
from tests.simulation import reference, seams
from tests.simulation.definitions import EVENTS, LOCAL, RAISED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.simulation.nodes import Node
    from tests.simulation.world import World

OPEN = {"OPEN", "CLAIMED", "ESCALATED"}


class People:
    """The people and systems outside the platform."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = seams.dice(world.seed, "people")
        self._hands = seams.dice(world.seed, "hands")
        self.retries: Counter[UUID] = Counter()
        self.retrying: set[UUID] = set()
        """Whose retry is on its way: the run may go on at any moment."""
        self.cancelled: set[UUID] = set()
        self.accepted_cancels: set[UUID] = set()
        self.answers: Counter[UUID] = Counter()
        self.accepted: Counter[UUID] = Counter()
        self.refused: Counter[str] = Counter()
        self._asked: dict[UUID, float] = {}
        self._numbers = 0

    # ------------------------------------------------------------------ how they reach a verb

    async def verb(self, call: Callable[[Any], Awaitable[Any]], actor: str) -> Any:
        """Call a verb through some process; None if nobody knows whether it was done.

        Raises:
            CoeError: The verb refused.
        """
        node = self.world.some_node()
        if node is None:
            return None

        async def do(node: Node) -> Any:
            async with node.platform.work(Actor.of(actor)) as work:
                return await call(work)

        try:
            async with asyncio.timeout(20):
                done = await node.spawn(do(node), "verb")
                await node.response("api")
                return done
        except (TimeoutError, OSError, SQLAlchemyError):
            return None

    # ------------------------------------------------------------------ runs

    async def start(self, flow: str, value: Any, correlation: str) -> None:
        """Start a run; without an answer, look whether it exists, and try again."""
        await asyncio.sleep(self.dice.uniform(0, self.world.spread))
        while self.world.by_correlation(correlation) is None:
            try:
                await self.verb(
                    lambda work: actions.start_run(
                        work, flow=flow, input=value, correlation_id=correlation
                    ),
                    "sales-owner",
                )
            except CoeError as error:
                self.world.fault(f"a run was refused: {error!r}")
                return
            await asyncio.sleep(3)

    async def live(self) -> None:
        """Look around now and then, and do what is to be done."""
        world = self.world
        while not world.over:
            await asyncio.sleep(self.dice.uniform(0.5, 2))
            self._answer_tasks()
            self._retry_and_cancel()
            if self.dice.random() < 0.35:  # often
                world.spawn(self._send_event())

    def _answer_tasks(self) -> None:
        now = self.world.loop.time()
        for task in self.world.rows("human_tasks"):
            if task["state"].value not in OPEN:
                continue
            due = self._asked.setdefault(task["id"], now + self.dice.choice([0.5, 0.5, 3, 8, 14]))
            if due > now:
                continue
            self._asked[task["id"]] = now + self.dice.uniform(2, 6)
            for _ in range(1 + (self.dice.random() < 0.3)):  # often two at once
                self.world.spawn(self._answer(task, task["path"].rpartition("/")[2]))
        self._hold_tasks()

    def _hold_tasks(self) -> None:
        """Claim, pass on and give back tasks; often two people at once."""
        for task in self.world.rows("human_tasks"):
            if task["state"].value in OPEN and self._hands.random() < 0.2:  # seldom each
                for _ in range(1 + (self._hands.random() < 0.3)):  # often two at once
                    self.world.spawn(self._hold(task["id"]))

    async def _hold(self, task_id: UUID) -> None:
        hands = self._hands
        who, to = f"clerk-{hands.randrange(4)}", f"clerk-{hands.randrange(4)}"
        passes = hands.random() < 0.3
        with contextlib.suppress(CoeError):
            await self.verb(lambda work: human_tasks.claim_task(work, task_id), who)
            await asyncio.sleep(hands.uniform(0, 2))
            if passes:
                await self.verb(
                    lambda work: human_tasks.delegate_task(work, task_id, to=to, comment="please"),
                    who,
                )
                await asyncio.sleep(hands.uniform(0, 2))
            given_back = None
            while given_back is None and not self.world.over:
                given_back = await self.verb(
                    lambda work: human_tasks.release_task(work, task_id), who
                )
                await asyncio.sleep(1)

    async def _answer(self, task: Any, name: str) -> None:
        task_id, who = task["id"], f"clerk-{self.dice.randrange(4)}"
        if task["exclude"] and who in {"clerk-2", "clerk-3"}:  # the others try, whoever they are
            who = f"substitute-{self.dice.randrange(1000)}"
        self.answers[task_id] += 1
        try:
            done = await self.verb(
                lambda work: human_tasks.complete_task(
                    work, task_id, outcome="approved", answer=reference.human_answer(name)
                ),
                who,
            )
            if done is not None and done.state.value == "COMPLETED":
                self.accepted[task_id] += 1
        except CoeError as error:
            self.refused[error.code] += 1

    def _retry_and_cancel(self) -> None:
        for run in self.world.rows("runs"):
            if run["parent_id"] is not None:
                continue
            state = run["state"].value
            asked = run["id"] in self.retrying
            wanted = state == "FAULTED" and not asked and self.wants_retry(run)
            if wanted and self.dice.random() < 0.4:
                self.retries[run["id"]] += 1
                self.retrying.add(run["id"])
                self.world.spawn(self._retry(run["id"]))
            elif (
                not run["state"].ended
                and self.dice.random() < self.world.cancel_rate
                and not self.world.faults.quiet
            ):
                self.cancelled.add(run["id"])
                self.world.spawn(self._cancel(run["id"]))

    def wants_retry(self, run: Any) -> bool:
        """Whether people will still retry this run."""
        if run["parent_id"] is not None or run["id"] in self.cancelled:
            return False
        if run["id"] in self.retrying:
            return True
        raised = run["error_type"] == RAISED
        return self.retries[run["id"]] < (1 if raised else reference.MAX_RETRIES)

    async def _retry(self, run_id: UUID) -> None:
        try:
            await self.verb(
                lambda work: actions.retry_run(work, run_id, reason="again"), "sales-owner"
            )
        except Conflict:
            self.refused["retry"] += 1
        finally:
            self.retrying.discard(run_id)

    async def _cancel(self, run_id: UUID) -> None:
        try:
            done = await self.verb(
                lambda work: actions.cancel_run(work, run_id, reason="no"), "sales-owner"
            )
            if done is not None:
                self.accepted_cancels.add(run_id)
        except Conflict:
            self.refused["cancel"] += 1

    # ------------------------------------------------------------------ events

    async def _send_event(self) -> None:
        """An event: late, and sometimes twice, through two nodes."""
        self._numbers += 1
        event = reference.event(self._numbers, self.dice.choice(EVENTS))
        for _ in range(1 + (self.dice.random() < 0.4)):  # often doubled
            await asyncio.sleep(self.dice.uniform(0, 4))
            done = None
            while done is None and not self.world.over:
                done = await self.verb(lambda work: send_events(work, [event]), "service:bank")
                await asyncio.sleep(2 if done is None else 0)


def started_flow(world: World, number: int) -> str:
    """Which flow the n-th run is of: mostly its own, sometimes a local one."""
    if world.dice.random() < 0.06:  # seldom
        return LOCAL
    return f"sales/p{number}"
