"""The faults of a world and when they happen: each at a point where a node acts outside itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.simulation import seams

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.world import World

KINDS: Final = {
    "crash": 50,
    "pause": 10,
    "zombie": 10,
    "cut": 9,
    "stop": 9,
    "database": 8,
    "engine": 6,
    "forget": 2,
    "deaf": 2,
}
HARSH: Final = {"crash": 5, "stop": 3, "zombie": 4, "pause": 1, "cut": 1}
WRITES: Final = (
    "commit",
    "update",
    "insert",
    "delete",
    "leaf",
    "answer",
    "engine",
    "api",
    "report",
)


class Faults:
    """The faults of one world."""

    def __init__(self, world: World, blows: int, *, points: int, kinds: dict[str, int]) -> None:
        self.world = world
        self.dice = seams.dice(world.seed, "faults")
        self.left = sorted(self.dice.randrange(points) for _ in range(blows))
        self.left.reverse()
        self.kinds = kinds
        self.seen = 0
        self.done: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.quiet = False
        self.disturbed_at = -1e9
        self._database_down = False

    def loss(self) -> float:
        """How likely a message to the engine or the API is lost."""
        return 0.0 if self.quiet else self.world.loss

    def at(self, node: Node, point: str) -> None:
        """A point where a node acts outside itself; perhaps its last act."""
        if self.quiet or not any(point.find(each) >= 0 for each in WRITES):
            return
        self.seen += 1
        if node.doomed and point.startswith("before append"):
            node.doomed = False
            self._stall(node)
        if self.left and self.seen >= self.left[-1]:
            self.left.pop()
            self.strike(node, point)

    def strike(self, node: Node, point: str) -> None:
        """One fault."""
        names = list(self.kinds)
        kind = self.dice.choices(names, [self.kinds[each] for each in names])[0]
        self.done[kind] += 1
        self.places[point.partition(" ")[0] + " " + point.split(" ")[1]] += 1
        self.world.note(f"-- {kind} at {node.name} {point}")
        self.disturbed_at = self.world.loop.time()
        getattr(self, f"_{kind}")(node)

    # ------------------------------------------------------------------ the kinds

    def _crash(self, node: Node) -> None:
        node.kill()
        self.world.replace_later(node)

    def _pause(self, node: Node) -> None:
        now = self.world.loop.time()
        node.paused_until = now + self.dice.uniform(0.5, 2.5) * self.world.settings.lease_seconds

    def _zombie(self, node: Node) -> None:
        node.doomed = True

    def _stall(self, node: Node) -> None:
        """Pause a process with an append on its way: `taken_over` lets it go on."""
        self.done["stalled append"] += 1
        now = self.disturbed_at = self.world.loop.time()
        self.world.note(f"-- {node.name} is stalled at an append")
        node.paused_until = now + 2.5 * self.world.settings.lease_seconds
        node.stalled = True

    def taken_over(self, holder: str) -> None:
        """Another holder has a run of this one: if this one is stalled, it wakes about now."""
        for node in self.world.nodes:
            if node.stalled and node.runtime is not None and node.runtime.holder == holder:
                node.stalled = False
                self.done["woken after a takeover"] += 1
                now = self.disturbed_at = self.world.loop.time()
                node.paused_until = now + self.dice.choice([0.0, 0.005, 0.05, 0.5])

    def _cut(self, node: Node) -> None:
        node.cut_until = self.world.loop.time() + self.dice.uniform(1, 20)
        if self.dice.random() < 0.5:  # the server notices at once, or late
            self.world.server.drop(node)

    def _stop(self, node: Node) -> None:
        if not node.stopping and node.alive:
            node.spawn(node.stop(), "stop")
            self.world.replace_later(node)

    def _database(self, _: Node) -> None:
        if self._database_down:
            return
        self._database_down = True
        self.world.server.stop()
        self.world.loop.call_later(self.dice.uniform(0.2, 6), self._database_up)

    def _database_up(self) -> None:
        self._database_down = False
        self.world.note("the database is up")
        self.world.server.start()

    def _engine(self, _: Node) -> None:
        until = self.world.loop.time() + self.dice.uniform(1, 20)
        self.world.prefect.down_until = until

    def _forget(self, _: Node) -> None:
        self.world.prefect.forget()

    def _deaf(self, _: Node) -> None:
        """The connections that listen are cut, and no other."""
        for connection in list(self.world.server.connections):
            connection.end()

    async def settle(self) -> None:
        """No more of it: everything that is down comes up."""
        self.quiet = True
        self.left.clear()
        if self._database_down:
            await asyncio.sleep(0)
