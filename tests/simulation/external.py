"""External systems: they give the same answer to the same call, and count their calls."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from tests.simulation import reference, seams
from tests.simulation.nodes import HELD

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.world import World

ANSWERED = {"LEAF_COMPLETED", "LEAF_FAULTED"}


class External:
    """All systems that leaves and local flows call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self.by_fence: Counter[tuple[str, int]] = Counter()
        self.started: defaultdict[UUID, list[tuple[str, str, int]]] = defaultdict(list)
        self.zombies = 0

    async def perform(self, leaf: RunLeaf) -> JSON:
        """Carry out a leaf, as the runtime of the process that asks has it."""
        node, lease = seams.NODE.get(), HELD.get()
        assert node is not None  # leaves are started by processes
        assert lease is not None  # and by holders
        if node.alive:
            self._check(leaf, lease.run_id, lease.fence)
        given = await self.call(node, leaf.key, leaf.name, leaf.arguments, leaf.attempt)
        if "error" in given:
            raise LeafFault(given["error"])
        return given["output"]

    def _check(self, leaf: RunLeaf, run_id: UUID, fence: int) -> None:
        """A holder begins a leaf once, and none whose fact is in the journal."""
        self.by_fence[leaf.key, fence] += 1
        if self.by_fence[leaf.key, fence] > 1:
            self.world.fault(f"leaf {leaf.name} was started twice by one holder of {run_id}")
        run = self.world.run(run_id)
        if run is None or run["fence"] != fence:
            self.zombies += 1
            return
        for row in self.world.journal(run_id):
            if row["key"] == leaf.key and row["kind"] in ANSWERED:
                self.world.fault(f"leaf {leaf.name} of {run_id} runs though it is journaled")
        self.started[run_id].append((leaf.key, leaf.name, run["journal_length"]))

    async def call(
        self, node: Node, key: str, name: str, arguments: Any, attempt: int, *, local: bool = False
    ) -> Any:
        """One request to a system and its answer."""
        await self._away(node, f"leaf {name}")
        self.calls[key] += 1
        self.world.note(f"{node.name} calls {name} ({key[:8]}), the {self.calls[key]}. time")
        answered = reference.answer(name, arguments, attempt)
        if local:
            if zlib.crc32(key.encode()) % 7 == 0 and self.calls[key] == 1:
                answered = {"output": {"fault": True}}
            answered = answered["output"]
        dice = seams.dice(self.world.seed, key, self.calls[key])
        chance = dice.random()
        await asyncio.sleep(dice.uniform(5, 15) if chance > 0.93 else chance * 1.5)
        await self._away(node, f"answer of {name}")
        return answered

    async def _away(self, node: Node, what: str) -> None:
        """Systems are not behind the network that is cut."""
        if not node.alive:
            await self.world.never()
        self.world.faults.at(node, what)
        await asyncio.sleep(node._latency())
        await node.rest()
        if not node.alive:
            await self.world.never()
