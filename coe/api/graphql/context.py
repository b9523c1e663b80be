"""The context of a request: the actor, sessions for it, and the request's data loaders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
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
from coe.audit.readings import Readings
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

    `readings` takes the definitions that are read in all of them, to be recorded together.
    """

    platform: Platform
    actor: Actor
    request: RequestInfo
    document: DocumentNode
    engine: Callable[[], EngineStatus]
    readings: Readings
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)

    def read(self) -> AbstractAsyncContextManager[Read]:
        """Open a session for reading as this actor."""
        return self.platform.read(self.actor, self.request, self.readings)

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
