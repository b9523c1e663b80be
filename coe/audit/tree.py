"""The stored tree: its nodes, and the proofs and roots computed from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    SmallInteger,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    NodeId,
    Span,
    consistency_spans,
    inclusion_spans,
    nodes_of,
    span_hash,
)
from coe.audit.records import AUDIT_EVENTS, AUDIT_NODES
from coe.errors import CoeError


class TreeDamaged(CoeError):
    """The stored tree of the audit log lacks a node: verify the log to find what is wrong."""


async def read_nodes(session: AsyncSession, ids: Iterable[NodeId]) -> dict[NodeId, bytes]:
    """The hashes of complete subtrees; one that is not stored is left out."""
    wanted = set(ids)
    leaves = [node.offset for node in wanted if node.level == 0]
    inner = [node for node in wanted if node.level > 0]
    found: dict[NodeId, bytes] = {}
    if leaves:
        for row in await session.execute(_select_leaves(leaves)):
            found[NodeId(0, row.position)] = row.leaf_hash
    if inner:
        for row in await session.execute(_select_inner(inner)):
            found[NodeId(row.level, row.offset)] = row.hash
    return found


async def read_completed(session: AsyncSession, start: int, stop: int) -> dict[NodeId, bytes]:
    """The inner nodes whose last leaf is at a position in [start, stop)."""
    levels = range(1, max(stop.bit_length(), 1))
    spans = func.unnest(
        bindparam("levels", list(levels), ARRAY(SmallInteger)),
        bindparam("starts", [start >> level for level in levels], ARRAY(BigInteger)),
        bindparam("stops", [stop >> level for level in levels], ARRAY(BigInteger)),
    ).table_valued("level", "start", "stop", name="span")
    span = spans.render_derived().c
    statement = select(AUDIT_NODES.c.level, AUDIT_NODES.c.offset, AUDIT_NODES.c.hash).where(
        AUDIT_NODES.c.level == span.level,
        AUDIT_NODES.c.offset >= span.start,
        AUDIT_NODES.c.offset < span.stop,
    )
    rows = await session.execute(statement)
    return {NodeId(row.level, row.offset): row.hash for row in rows}


def _select_leaves(positions: Sequence[int]) -> Select[Any]:
    return select(AUDIT_EVENTS.c.position, AUDIT_EVENTS.c.leaf_hash).where(
        AUDIT_EVENTS.c.position == func.any(bindparam("leaves", positions, ARRAY(BigInteger))),
        AUDIT_EVENTS.c.leaf_hash.is_not(None),
    )


def _select_inner(nodes: Sequence[NodeId]) -> Select[Any]:
    names = (
        func.unnest(
            bindparam("levels", [node.level for node in nodes], ARRAY(SmallInteger)),
            bindparam("offsets", [node.offset for node in nodes], ARRAY(BigInteger)),
        )
        .table_valued("level", "offset", name="wanted")
        .render_derived()
    )
    return select(AUDIT_NODES.c.level, AUDIT_NODES.c.offset, AUDIT_NODES.c.hash).join(
        names,
        tuple_(AUDIT_NODES.c.level, AUDIT_NODES.c.offset) == tuple_(names.c.level, names.c.offset),
    )


async def frontier_at(session: AsyncSession, size: int) -> Frontier:
    """The tree of the first `size` leaves, to which leaves can be added.

    Raises:
        TreeDamaged: A node of it is not stored.
    """
    ids = list(nodes_of(Span(0, size)))
    nodes = await read_nodes(session, ids)
    if len(nodes) != len(ids):
        raise TreeDamaged
    return Frontier(size, [nodes[node] for node in ids])


async def root_at(session: AsyncSession, size: int) -> bytes:
    """The root over the first `size` leaves, from the stored nodes.

    Raises:
        TreeDamaged: A node of it is not stored.
    """
    return (await frontier_at(session, size)).root() if size else EMPTY_ROOT


async def inclusion_paths(
    session: AsyncSession, positions: Collection[int], size: int
) -> dict[int, tuple[bytes, ...]]:
    """The inclusion proofs of leaves in the tree of `size` leaves, with two reads in total.

    Raises:
        ValueError: The tree has no such leaf.
        TreeDamaged: A node is not stored.
    """
    spans = {position: inclusion_spans(position, size) for position in positions}
    proofs = await _hashes(session, list(spans.values()))
    return dict(zip(spans, proofs, strict=True))


async def consistency_path(session: AsyncSession, old: int, new: int) -> tuple[bytes, ...]:
    """The consistency proof: the tree of `new` leaves starts with that of `old` leaves.

    Raises:
        ValueError: Not 0 < old <= new.
        TreeDamaged: A node is not stored.
    """
    return (await _hashes(session, [consistency_spans(old, new)]))[0]


async def _hashes(
    session: AsyncSession, proofs: Sequence[Sequence[Span]]
) -> list[tuple[bytes, ...]]:
    ids = {node for spans in proofs for span in spans for node in nodes_of(span)}
    nodes = await read_nodes(session, ids)
    if len(nodes) != len(ids):
        raise TreeDamaged
    return [tuple(span_hash(span, nodes) for span in spans) for spans in proofs]
