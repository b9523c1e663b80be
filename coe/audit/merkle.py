"""The Merkle tree of RFC 6962, section 2.1: hashes, proofs and their verification. Pure.

A subtree over 2^level leaves that starts at a multiple of 2^level is *complete*: its name is
`NodeId(level, offset)`, and its hash never changes. Each hash of a proof is one over a range of
leaves, and a range consists of few complete subtrees. A proof in a tree of n leaves therefore needs
at most 2·log2(n) stored hashes. The verification algorithms are those of RFC 9162, sections 2.1.3.2
and 2.1.4.2, which agree with RFC 6962.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class NodeId(NamedTuple):
    """A complete subtree: 2^level leaves from offset·2^level on; level 0 is a leaf."""

    level: int
    offset: int


class Span(NamedTuple):
    """The leaves from `start` up to but not including `end`."""

    start: int
    end: int


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows at its right edge, stored as the roots of its complete subtrees.

    `peaks` are those roots, in the order of `nodes_of`.
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            message = f"a tree of {size} leaves has {size.bit_count()} complete subtrees"
            raise ValueError(message)
        self.size = size
        self._peaks = list(peaks)

    def append(self, leaf: bytes) -> list[tuple[NodeId, bytes]]:
        """Add the hash of a leaf; return the inner nodes that it completes, lowest first."""
        completed = []
        offset, level, node = self.size, 0, leaf
        while offset & 1:
            node = node_hash(self._peaks.pop(), node)
            offset, level = offset >> 1, level + 1
            completed.append((NodeId(level, offset), node))
        self._peaks.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root hash of the tree so far."""
        return root_of_peaks(self._peaks) if self._peaks else EMPTY_ROOT


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """The hash over consecutive complete subtrees, largest first."""
    result = peaks[-1]
    for peak in reversed(peaks[:-1]):
        result = node_hash(peak, result)
    return result


def nodes_of(span: Span) -> Iterator[NodeId]:
    """The complete subtrees of a range of a proof, largest first."""
    start, end = span
    while start < end:
        level = (end - start).bit_length() - 1
        yield NodeId(level, start >> level)
        start += 1 << level


def span_hash(span: Span, hashes: Mapping[NodeId, bytes]) -> bytes:
    """The hash over a range, from the hashes of its complete subtrees.

    Raises:
        KeyError: The hash of one of them is missing.
    """
    return root_of_peaks([hashes[node] for node in nodes_of(span)])


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The ranges whose hashes are the inclusion proof of a leaf, from the leaf upwards.

    Raises:
        ValueError: The tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    spans, tree = [], Span(0, size)
    while tree.end - tree.start > 1:
        middle = tree.start + _split(tree.end - tree.start)
        left, right = Span(tree.start, middle), Span(middle, tree.end)
        tree, sibling = (left, right) if index < middle else (right, left)
        spans.append(sibling)
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The ranges whose hashes are the proof that the tree of `new` leaves extends that of `old`.

    Raises:
        ValueError: Not 0 < old <= new: an empty tree proves nothing.
    """
    if not 0 < old <= new:
        raise ValueError(f"there is no consistency proof from {old} to {new} leaves")
    spans, tree, whole = [], Span(0, new), True
    while tree.end != old:
        middle = tree.start + _split(tree.end - tree.start)
        left, right = Span(tree.start, middle), Span(middle, tree.end)
        if old <= middle:
            tree, sibling = left, right
        else:
            tree, sibling, whole = right, left, False
        spans.append(sibling)
    return [*([] if whole else [tree]), *spans[::-1]]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to; None if its length is wrong."""
    if not 0 <= index < size:
        return None
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return result if last == 0 else None


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Iterable[bytes], root: bytes
) -> bool:
    """Whether the tree with this root has the leaf with this hash at the index."""
    return root_from_inclusion(leaf, index, size, path) == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the tree with the new root starts with the leaves of the tree with the old root."""
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new or not path:
        return False
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_result = new_result = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_result = node_hash(sibling, old_result)
            new_result = node_hash(sibling, new_result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_result = node_hash(new_result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_result == old_root and new_result == new_root


def _split(leaves: int) -> int:
    """The largest power of two below the number of leaves."""
    return 1 << ((leaves - 1).bit_length() - 1)
