"""The context of a request: the actor, sessions for it, and the request's data loaders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
)
from strawberry.dataloader import DataLoader

from coe.access.actor import Actor
from coe.access.policy import Policy
from coe.audit.readings import Readings
from coe.db.standby import FAILURES
from coe.errors import NotFound
from coe.execution.engine import EngineHealth
from coe.work import Platform, Read, RequestInfo, Work

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BatchLoader = Callable[["Context", list[K]], Awaitable[Sequence[V]]]
"""The values of some keys, in the order of the keys, in as few statements as possible."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The last known health of the engine, and whether it was ever seen up."""

    health: EngineHealth
    seen: bool


@dataclass(slots=True)
class Context:
    """One request; each root field and each batch of a loader opens its own session.

    `readings` takes the definitions that are read in all of them, to be recorded together. A query
    reads the version of the policy once, at its beginning: `policy` is what is in force then. A
    mutation reads it again in each session, for it may have changed it (`keeps_policy`).
    """

    platform: Platform
    actor: Actor
    request: RequestInfo
    document: DocumentNode
    engine: Callable[[], EngineStatus]
    readings: Readings
    policy: Policy | None = None
    keeps_policy: bool = False
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Read]:
        """Open a session for reading as this actor."""
        async with self.platform.read(self.actor, self.request, self.readings, self.policy) as read:
            if self.keeps_policy:
                self.policy = read.policy
            yield read

    async def read_from_standby(self, function: Callable[[Read], Awaitable[T]]) -> T:
        """What a function reads: from the standby if that has all, else from the primary.

        The function may be called twice. It is of a field that shows something: who asks and what
        the policy says is read from the primary, and so is what a verb decides on.
        """
        platform, standby = self.platform, self.platform.standby
        if standby is not None and await standby.has_all():
            policy = self.policy or await platform.current_policy()
            self.policy = policy if self.keeps_policy else None
            try:
                async with platform.read(
                    self.actor, self.request, self.readings, policy, standby
                ) as read:
                    return await function(read)
            except FAILURES as error:
                standby.leave(error)
        async with self.read() as read:
            return await function(read)

    def work(self) -> AbstractAsyncContextManager[Work]:
        """Open a transaction as this actor, committed at its end."""
        return self.platform.work(self.actor, self.request)

    async def compute(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a function over a caller's text, within the budget of the request."""
        return await self.platform.computing.run(self.request.budget, function, *args)

    async def load(self, batch: BatchLoader[K, V], key: K) -> V:
        """Load the value of a key, in one batch with the other keys that are wanted now."""
        return await self._loader(batch).load(key)

    async def load_existing(self, batch: BatchLoader[K, V | None], key: K) -> V:
        """Load the value of a key that must be there.

        Raises:
            NotFound: It is not there, or the actor may not read it.
        """
        value = await self.load(batch, key)
        if value is None:
            raise NotFound
        return value

    async def load_many(self, batch: BatchLoader[K, V], keys: Sequence[K]) -> list[V]:
        """Load the values of some keys, in the order of the keys."""
        return await self._loader(batch).load_many(keys)

    def forget(self) -> None:
        """Empty the loaders, after a mutation has changed what they hold."""
        self._loaders.clear()

    def _loader(self, batch: BatchLoader[K, V]) -> DataLoader[K, V]:
        loader = self._loaders.get(batch)
        if loader is None:

            async def load(keys: list[K]) -> Sequence[V]:
                return await batch(self, keys)

            loader = self._loaders[batch] = DataLoader(load_fn=load, max_batch_size=500)
        return loader


Info = strawberry.Info[Context, None]


def selected_fields(info: Info) -> frozenset[str]:
    """The names of the fields that are selected directly below this one, in fragments too."""
    raw: GraphQLResolveInfo[Context] = info._raw_info  # noqa: SLF001  # Strawberry's own list is slower
    names: set[str] = set()
    waiting = [node.selection_set for node in raw.field_nodes if node.selection_set]
    seen: set[str] = set()
    while waiting:
        _collect(raw, waiting.pop(), names, waiting, seen)
    return frozenset(names)


def _collect(
    raw: GraphQLResolveInfo[Context],
    selections: SelectionSetNode,
    names: set[str],
    waiting: list[SelectionSetNode],
    seen: set[str],
) -> None:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            names.add(node.name.value)
        elif isinstance(node, InlineFragmentNode):
            waiting.append(node.selection_set)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            waiting.append(raw.fragments[node.name.value].selection_set)


def selected_paths(info: Info, depth: int = 3) -> frozenset[str]:
    """The paths of fields below this one, such as `nodes.owner`; with arguments `version()`."""
    raw: GraphQLResolveInfo[Context] = info._raw_info  # noqa: SLF001  # the same
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(node.selection_set, "", depth) for node in raw.field_nodes if node.selection_set]
    while waiting:
        selections, before, left = waiting.pop()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                path = f"{before}{node.name.value}"
                found.add(f"{path}()" if node.arguments else path)
                if node.selection_set and left > 1:
                    waiting.append((node.selection_set, f"{path}.", left - 1))
            elif isinstance(node, InlineFragmentNode):
                waiting.append((node.selection_set, before, left))
            elif isinstance(node, FragmentSpreadNode) and (node.name.value, before) not in seen:
                seen.add((node.name.value, before))
                waiting.append((raw.fragments[node.name.value].selection_set, before, left))
    return frozenset(found)
