"""What every resolver has at hand: the actor, sessions of its own, and loaders of this request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from coe.runs.engine import EngineHealth
from coe.work import Platform, Read, RequestInfo, Work

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Load = Callable[["Context", list[K]], Awaitable[Sequence[V]]]
"""Values for the keys, in their order, in as few statements as can be; one session for all."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What is known of the engine, and whether it was ever seen up."""

    health: EngineHealth
    seen: bool


@dataclass(slots=True)
class Context:
    """One request. A root field and a batch of a loader each open their own session."""

    platform: Platform
    actor: Actor
    request: RequestInfo
    document: DocumentNode
    engine: Callable[[], EngineStatus]
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)

    def read(self) -> AbstractAsyncContextManager[Read]:
        """A session for reading as this actor."""
        return self.platform.read(self.actor, self.request)

    def work(self) -> AbstractAsyncContextManager[Work]:
        """A transaction as this actor, committed at its end."""
        return self.platform.work(self.actor, self.request)

    async def load(self, batch: Load[K, V], key: K) -> V:
        """The value for a key, asked for together with all others of this moment."""
        return await self._loader(batch).load(key)

    async def load_many(self, batch: Load[K, V], keys: Sequence[K]) -> list[V]:
        """The values for some keys, in their order."""
        return await self._loader(batch).load_many(keys)

    def forget(self) -> None:
        """Drop what was loaded: a mutation has changed it."""
        self._loaders.clear()

    def _loader(self, batch: Load[K, V]) -> DataLoader[K, V]:
        loader = self._loaders.get(batch)
        if loader is None:

            async def load(keys: list[K]) -> Sequence[V]:
                return await batch(self, keys)

            loader = self._loaders[batch] = DataLoader(load_fn=load, max_batch_size=500)
        return loader


Info = strawberry.Info[Context, None]


def batch(query: Callable[[Read, Sequence[K]], Awaitable[Mapping[K, V]]]) -> Load[K, V | None]:
    """Make a loader's batch of a query over many keys; what it leaves out is None."""

    async def load(context: Context, keys: list[K]) -> list[V | None]:
        async with context.read() as read:
            found = await query(read, keys)
        return [found.get(key) for key in keys]

    return load


def chosen(info: Info) -> frozenset[str]:
    """The names of the fields that are asked for directly below this one, in fragments too."""
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
