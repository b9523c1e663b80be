"""Hash candidates: find which rows or nodes of the stored tree were changed.

A complete subtree can have several candidates for its hash: the one computed from the events below
it, and the stored one. If they differ, something was changed, but it is not known yet what: the
parent node agrees with one candidate, and at the latest a signed root does. Each candidate carries
the changes that must have happened if it is the true hash. They are reported when a node or a root
confirms it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from coe.audit.findings import FindingCode, Findings, node_finding, tree_changed
from coe.audit.merkle import NodeId, node_hash
from coe.errors import Problem

_MAX_CANDIDATES: Final = 16
_MAX_CHANGES: Final = 100
_MAX_ROOTS: Final = 64


class HashCandidate(NamedTuple):
    """A hash that a subtree may have had, and the changes since then if it had it."""

    hash: bytes
    changes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Subtree:
    """`damaged`: an event below is changed or missing, so its leaf hash is not certain."""

    candidates: tuple[HashCandidate, ...]
    damaged: bool = False


class _Root(NamedTuple):
    hash: bytes
    chosen: tuple[HashCandidate, ...]

    @property
    def changes(self) -> tuple[Problem, ...]:
        return tuple(problem for candidate in self.chosen for problem in candidate.changes)


class CandidateTree:
    """The tree over the events so far, with the candidates that are not decided yet.

    Nodes that are not stored are findings at once.
    """

    def __init__(self, findings: Findings) -> None:
        self.size = 0
        self._findings = findings
        self._peaks: list[_Subtree] = []

    def append(
        self, leaves: Sequence[bytes], stored: Mapping[NodeId, bytes], *, damaged: bool = False
    ) -> None:
        """Add an event with its possible leaf hashes; none if the event is missing.

        `stored` has the inner nodes that the event completes.
        """
        subtree = _Subtree(tuple(HashCandidate(leaf) for leaf in leaves), damaged)
        offset, level = self.size, 0
        while offset & 1:
            offset, level = offset >> 1, level + 1
            node = NodeId(level, offset)
            subtree = self._join(node, self._peaks.pop(), subtree, stored.get(node))
        self._peaks.append(subtree)
        self.size += 1

    def settle(self, root: bytes) -> bool | None:
        """Compare the tree with a signed root of its size.

        Returns:
            True if candidates lead to the root; the changes that they imply become findings. False
            if no candidates lead to it. None if the hash of a missing event is unknown.
        """
        roots = self._roots()
        if not roots:
            return None
        fitting = [each for each in roots if each.hash == root]
        if not fitting:
            return False
        best = min(fitting, key=lambda each: len(each.changes))
        self._findings.add(*best.changes)
        self._peaks = [_Subtree((HashCandidate(each.hash),)) for each in best.chosen]
        return True

    def conclude(self) -> None:
        """Report the fewest possible changes where no signed root decided."""
        for subtree in self._peaks:
            self._findings.add(*_cheapest(subtree))

    def _join(
        self, node: NodeId, left: _Subtree, right: _Subtree, stored: bytes | None
    ) -> _Subtree:
        pairs = [
            HashCandidate(
                node_hash(one.hash, other.hash),
                (one.changes + other.changes)[:_MAX_CHANGES],
            )
            for one, other in itertools.product(left.candidates, right.candidates)
        ]
        fitting = [pair for pair in pairs if pair.hash == stored]
        if fitting:
            return _Subtree(_least(fitting)[:1])
        damaged = left.damaged or right.damaged
        if stored is None:
            self._findings.add(node_finding(FindingCode.NODE_MISSING, *node, "is missing"))
            return _Subtree(_least(pairs), damaged)
        changed = node_finding(FindingCode.NODE_CHANGED, *node, "was changed")
        below = _cheapest(left) + _cheapest(right)
        if not below and not damaged:
            first = node.offset << node.level
            last = first + (1 << node.level) - 1
            below = (tree_changed(first, last, "one was changed, and its leaf hash with it"),)
        rebuilt = [
            HashCandidate(pair.hash, (*pair.changes, changed)[:_MAX_CHANGES]) for pair in pairs
        ]
        return _Subtree(_least([HashCandidate(stored, below[:_MAX_CHANGES]), *rebuilt]), damaged)

    def _roots(self) -> list[_Root]:
        """The possible roots of the tree, each with its candidate of every subtree."""
        roots: list[_Root] = []
        for subtree in reversed(self._peaks):
            if not subtree.candidates:
                return []
            if not roots:
                roots = [_Root(each.hash, (each,)) for each in subtree.candidates]
                continue
            roots = [
                _Root(node_hash(each.hash, root.hash), (each, *root.chosen))
                for each, root in itertools.product(subtree.candidates, roots)
            ]
            roots = sorted(roots, key=lambda root: len(root.changes))[:_MAX_ROOTS]
        return roots


def _least(candidates: Iterable[HashCandidate]) -> tuple[HashCandidate, ...]:
    return tuple(sorted(candidates, key=lambda each: len(each.changes))[:_MAX_CANDIDATES])


def _cheapest(subtree: _Subtree) -> tuple[Problem, ...]:
    return subtree.candidates[0].changes if subtree.candidates else ()
