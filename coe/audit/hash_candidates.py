"""A tree rebuilt from what may have been changed: which explanation do the signed roots leave?

For each complete subtree there may be several claims to its hash: the one that the events below
it give, and the one that is stored. Where they differ, something was changed, but not yet is it
known what: the parent agrees with one of them, and at the latest a signed root does. A claim
carries what must have been changed if it is the true one; when a claim is confirmed, that is so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from coe.audit.findings import FindingCode, Findings, node_finding, tree_changed
from coe.audit.merkle import NodeId, node_hash
from coe.errors import Problem

_CLAIMS: Final = 16
_FAULTS: Final = 100
_ROOTS: Final = 64


class HashCandidate(NamedTuple):
    """A hash that a subtree may have had, and what was changed since if it had it."""

    hash: bytes
    faults: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Subtree:
    """`damaged`: an event below is known to be changed or missing, and its leaf is not sure."""

    claims: tuple[HashCandidate, ...]
    damaged: bool = False


class _Root(NamedTuple):
    hash: bytes
    chosen: tuple[HashCandidate, ...]

    @property
    def faults(self) -> tuple[Problem, ...]:
        return tuple(problem for claim in self.chosen for problem in claim.faults)


class CandidateTree:
    """The tree over the events so far, with its open questions."""

    def __init__(self, findings: Findings) -> None:
        """Begin with no events; nodes that are not stored go to the findings at once."""
        self.size = 0
        self._findings = findings
        self._peaks: list[_Subtree] = []

    def append(
        self, leaves: Sequence[bytes], stored: Mapping[NodeId, bytes], *, damaged: bool = False
    ) -> None:
        """Add an event: the leaf hashes that it may have had, none if it is not there.

        `stored` has the inner nodes that it completes.
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
        """Hold the tree against a signed root of its size.

        True: it fits, and what must have been changed for it is found. False: no claims lead to
        it. None: an event is missing whose hash nothing tells.
        """
        roots = self._roots()
        if not roots:
            return None
        fitting = [candidate for candidate in roots if candidate.hash == root]
        if not fitting:
            return False
        best = min(fitting, key=lambda candidate: len(candidate.faults))
        self._findings.add(*best.faults)
        self._peaks = [_Subtree((HashCandidate(claim.hash),)) for claim in best.chosen]
        return True

    def conclude(self) -> None:
        """Where no signed root decided, take the least that must have been changed."""
        for subtree in self._peaks:
            self._findings.add(*_cheapest(subtree))

    def _join(
        self, node: NodeId, left: _Subtree, right: _Subtree, stored: bytes | None
    ) -> _Subtree:
        pairs = [
            HashCandidate(node_hash(one.hash, other.hash), (one.faults + other.faults)[:_FAULTS])
            for one, other in itertools.product(left.claims, right.claims)
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
        rebuilt = [HashCandidate(pair.hash, (*pair.faults, changed)[:_FAULTS]) for pair in pairs]
        return _Subtree(_least([HashCandidate(stored, below[:_FAULTS]), *rebuilt]), damaged)

    def _roots(self) -> list[_Root]:
        """What the whole tree's hash may be, with the claim of each subtree that gives it."""
        roots: list[_Root] = []
        for subtree in reversed(self._peaks):
            if not subtree.claims:
                return []
            if not roots:
                roots = [_Root(claim.hash, (claim,)) for claim in subtree.claims]
                continue
            roots = [
                _Root(node_hash(claim.hash, root.hash), (claim, *root.chosen))
                for claim, root in itertools.product(subtree.claims, roots)
            ]
            roots = sorted(roots, key=lambda root: len(root.faults))[:_ROOTS]
        return roots


def _least(claims: Iterable[HashCandidate]) -> tuple[HashCandidate, ...]:
    return tuple(sorted(claims, key=lambda claim: len(claim.faults))[:_CLAIMS])


def _cheapest(subtree: _Subtree) -> tuple[Problem, ...]:
    return subtree.claims[0].faults if subtree.claims else ()
