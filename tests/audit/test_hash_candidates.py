from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from coe.audit.findings import Findings
from coe.audit.hash_candidates import CandidateTree
from coe.audit.merkle import Frontier, NodeId, leaf_hash

LEAVES = [leaf_hash(b"event %d" % number) for number in range(70)]


def grown(size: int) -> tuple[dict[NodeId, bytes], list[bytes]]:
    """The nodes of the tree, and its root at each size."""
    frontier, nodes, roots = Frontier(), {}, [b""]
    for leaf in LEAVES[:size]:
        nodes.update(frontier.append(leaf))
        roots.append(frontier.root())
    return nodes, roots


@settings(max_examples=300)
@given(st.data())
def test_what_was_changed_is_blamed_and_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    nodes, roots = grown(size)
    signed = data.draw(st.sets(st.integers(1, size))) | {size}
    rows = data.draw(st.sets(st.integers(0, size - 1), max_size=2))
    broken = data.draw(st.sets(st.sampled_from(sorted(nodes)), max_size=3)) if nodes else set()
    stored = nodes | {node: leaf_hash(nodes[node]) for node in broken}

    findings = Findings()
    tree = CandidateTree(findings)
    for position, leaf in enumerate(LEAVES[:size]):
        # A changed row: what its columns give now, and the leaf hash that was sealed.
        leaves = [leaf_hash(leaf), leaf] if position in rows else [leaf]
        tree.append(leaves, stored, damaged=position in rows)
        if tree.size in signed:
            assert tree.settle(roots[tree.size]) is True
    tree.conclude()
    assert {problem.path for problem in findings.list()} == {
        f"/nodes/{node.level}/{node.offset}" for node in broken
    }


@given(st.data())
def test_a_row_that_is_gone_hides_no_changed_node_above_it(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, len(LEAVES)))
    nodes, roots = grown(size)
    gone = data.draw(st.integers(0, size - 1))
    findings = Findings()
    tree = CandidateTree(findings)
    for position, leaf in enumerate(LEAVES[:size]):
        missing = position == gone
        tree.append([] if missing else [leaf], nodes, damaged=missing)
    alone = gone == size - 1 and size % 2 == 1
    assert tree.settle(roots[size]) is (None if alone else True)
    assert tree.settle(bytes(32)) is (None if alone else False)
    tree.conclude()
    assert findings.list() == ()


@given(st.integers(2, 60), st.data())
def test_a_row_rewritten_with_its_leaf_is_found_in_its_smallest_subtree(
    size: int, data: st.DataObject
) -> None:
    nodes, roots = grown(size)
    position = data.draw(st.integers(0, size - 1))
    findings = Findings()
    tree = CandidateTree(findings)
    for number, leaf in enumerate(LEAVES[:size]):
        tree.append([leaf_hash(leaf) if number == position else leaf], nodes)
    fits = tree.settle(roots[size])
    if position == size - 1 and size % 2 == 1:
        assert fits is False
    else:
        assert fits is True
        (problem,) = findings.list()
        assert f"{position & ~1} to {position | 1}" in problem.message
