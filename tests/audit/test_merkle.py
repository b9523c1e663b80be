from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    NodeId,
    Span,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    node_hash,
    nodes_of,
    span_hash,
    verify_consistency,
    verify_inclusion,
)

# The leaves, roots and proofs of the Certificate Transparency reference implementation.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def by_definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word by word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = max(1 << bit for bit in range(32) if 1 << bit < len(entries))
    left, right = by_definition(entries[:split]), by_definition(entries[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def entries_of(size: int) -> list[bytes]:
    return [b"event %d" % number for number in range(size)]


def grow(entries: list[bytes]) -> tuple[Frontier, dict[NodeId, bytes]]:
    frontier, nodes = Frontier(), {}
    for number, entry in enumerate(entries):
        nodes[NodeId(0, number)] = leaf_hash(entry)
        nodes.update(frontier.append(leaf_hash(entry)))
    return frontier, nodes


def proof(spans: list[Span], nodes: dict[NodeId, bytes]) -> list[bytes]:
    return [span_hash(span, nodes) for span in spans]


def test_roots_are_those_of_the_reference() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == by_definition([])
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        frontier.append(leaf_hash(entry))
        assert frontier.root().hex() == root


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference(
    index: int, size: int, path: list[str]
) -> None:
    _, nodes = grow(ENTRIES)
    assert [node.hex() for node in proof(inclusion_spans(index, size), nodes)] == path
    assert verify_inclusion(
        leaf_hash(ENTRIES[index]),
        index,
        size,
        [bytes.fromhex(node) for node in path],
        bytes.fromhex(ROOTS[size - 1]),
    )


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference(old: int, new: int, path: list[str]) -> None:
    _, nodes = grow(ENTRIES)
    assert [node.hex() for node in proof(consistency_spans(old, new), nodes)] == path
    roots = [bytes.fromhex(root) for root in ROOTS]
    decoded = [bytes.fromhex(node) for node in path]
    assert verify_consistency(old, new, roots[old - 1], roots[new - 1], decoded)


@given(st.integers(0, 200))
def test_the_frontier_has_the_root_of_the_definition(size: int) -> None:
    entries = entries_of(size)
    frontier, nodes = grow(entries)
    assert frontier.root() == by_definition(entries)
    peaks = [nodes[node] for node in nodes_of(Span(0, size))]
    assert Frontier(size, peaks).root() == frontier.root()


@given(st.data())
def test_every_leaf_is_proved_and_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index = data.draw(st.integers(0, size - 1))
    frontier, nodes = grow(entries_of(size))
    leaf, root = nodes[NodeId(0, index)], frontier.root()
    path = proof(inclusion_spans(index, size), nodes)
    assert len(path) <= (size - 1).bit_length()
    assert verify_inclusion(leaf, index, size, path, root)

    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    assert not verify_inclusion(leaf, other, size, path, root)
    assert not verify_inclusion(leaf_hash(b"forged"), index, size, path, root)
    assert not verify_inclusion(leaf, index, size, [*path, root], root)
    if path:
        assert not verify_inclusion(leaf, index, size, path[:-1], root)
        wrong = data.draw(st.integers(0, len(path) * 256 - 1))
        tampered = [bytearray(node) for node in path]
        tampered[wrong // 256][wrong % 256 // 8] ^= 1 << wrong % 8
        assert not verify_inclusion(leaf, index, size, [bytes(node) for node in tampered], root)


@given(st.data())
def test_every_extension_is_proved_and_nothing_else(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 130))
    old = data.draw(st.integers(1, new))
    _, nodes = grow(entries_of(new))
    roots = [by_definition(entries_of(size)) for size in (old, new)]
    path = proof(consistency_spans(old, new), nodes)
    assert verify_consistency(old, new, roots[0], roots[1], path)

    forged = by_definition([*entries_of(old - 1), b"forged"])
    assert not verify_consistency(old, new, forged, roots[1], path)
    assert not verify_consistency(old, new, roots[0], forged, path)
    assert not verify_consistency(old, new, roots[0], roots[1], [*path, forged])
    if path:
        assert not verify_consistency(old, new, roots[0], roots[1], path[:-1])
        for number in range(len(path)):
            tampered = [*path[:number], forged, *path[number + 1 :]]
            assert not verify_consistency(old, new, roots[0], roots[1], tampered)


@given(st.integers(2, 5000), st.data())
def test_a_proof_needs_logarithmically_many_stored_hashes(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    needed = [node for span in inclusion_spans(index, size) for node in nodes_of(span)]
    assert len(needed) <= 2 * size.bit_length()
    assert all((node.offset + 1) << node.level <= size for node in needed)


def test_a_leaf_cannot_pass_for_an_inner_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_there_is_no_proof_of_a_leaf_outside(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_spans(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 2)])
def test_there_is_no_proof_of_a_smaller_or_empty_tree(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="consistency"):
        consistency_spans(old, new)


def test_a_frontier_needs_the_subtrees_of_its_size() -> None:
    with pytest.raises(ValueError, match="complete subtrees"):
        Frontier(3, [EMPTY_ROOT])
