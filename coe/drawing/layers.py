"""Nodes in layers: the layer of each node, the order within a layer, and the x coordinates.

`fast-sugiyama` orders the nodes within the layers. It knows no sizes, so we compute the
coordinates: each node is placed as close to its neighbours as the space in its layer allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fast_sugiyama import from_edges

Pair = tuple[int, int]

# An edge over more layers than this runs in a lane beside the nodes.
MAX_CHAIN_LAYERS: Final = 10
_SWEEPS: Final = 6
_USUAL: Final = 150.0
_IDLE: Final = 0.05
# The weight of a straight edge, by how many of its two ends are bends.
_STRAIGHT: Final = {0: 1.0, 1: 3.0, 2: 12.0}


@dataclass(slots=True)
class Layered:
    """Nodes by layer, and the x coordinate of the middle of each.

    Nodes from `first_bend` on are bends: places where an edge passes a layer. `chains` maps an edge
    to the nodes that it passes, its ends included.
    """

    layers: list[list[int]]
    of: list[int]
    first_bend: int
    chains: dict[Pair, list[int]]
    middle: list[float] = field(default_factory=list)


def cycle_closing_edges(count: int, edges: Sequence[Pair]) -> set[Pair]:
    """The edges that close a cycle, found in the order of the nodes."""
    after: defaultdict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        after[source].append(target)
    found: set[Pair] = {edge for edge in edges if edge[0] == edge[1]}
    state = [0] * count  # 1: on the current path; 2: visited with all successors
    for root in range(count):
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(after[root]))]
        while stack:
            node, following = stack[-1]
            goal = next(following, None)
            if goal is None:
                state[node] = 2
                stack.pop()
            elif state[goal] == 1:
                found.add((node, goal))
            elif not state[goal]:
                state[goal] = 1
                stack.append((goal, iter(after[goal])))
    return found


def assign_layers(count: int, edges: Iterable[Pair], invisible: Iterable[Pair] = ()) -> Layered:
    """Assign each node to the highest possible layer; the edges must be free of cycles.

    Edges over `MAX_CHAIN_LAYERS` or more layers get no chain. The `invisible` edges only keep nodes
    in their order and get none either.
    """
    edges, invisible = list(dict.fromkeys(edges)), list(invisible)
    of = _depths(count, [*edges, *invisible])
    chains: dict[Pair, list[int]] = {}
    bends = count
    for source, target in edges:
        between = of[target] - of[source] - 1
        if between < MAX_CHAIN_LAYERS:
            chains[source, target] = [source, *range(bends, bends + between), target]
            of += range(of[source] + 1, of[target])
            bends += between
    layers: list[list[int]] = [[] for _ in range(max(of, default=-1) + 1)]
    for node, layer in enumerate(of):
        layers[layer].append(node)
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    _order(layers, [*links, *invisible, *(e for e in edges if e not in chains)], of)
    return Layered(layers, of, count, chains)


def _depths(count: int, edges: Sequence[Pair]) -> list[int]:
    """For each node, the length of the longest path to it."""
    after: defaultdict[int, list[int]] = defaultdict(list)
    waiting = [0] * count
    for source, target in edges:
        after[source].append(target)
        waiting[target] += 1
    depth = [0] * count
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:
        for target in after[node]:
            depth[target] = max(depth[target], depth[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return depth


def _order(layers: list[list[int]], links: Sequence[Pair], of: Sequence[int]) -> None:
    """Order each layer so that few edges cross."""
    if all(len(layer) < 2 for layer in layers):  # noqa: PLR2004  # nothing to order
        return
    short = [(a, b) for a, b in links if of[b] == of[a] + 1]
    place: dict[int, tuple[int, float]] = {}
    found = from_edges(short, minimum_length=1, vertex_spacing=10, ranking_type="up")
    parts = sorted(found, key=lambda part: min(int(node) for node, _ in part[0]))
    for number, (positions, *_) in enumerate(parts):
        place |= {int(node): (number, x) for node, (x, _) in positions}
    for layer in layers:
        layer.sort(key=lambda node: (*place.get(node, (len(parts), 0.0)), node))
    steps = [b - a for layer in layers for a, b in pairwise(layer)]
    if sum(step < 0 for step in steps) > sum(step > 0 for step in steps):
        for layer in layers:  # the mirror image is equally good, and follows the order of the text
            layer.reverse()


# ---------------------------------------------------------------- along the x axis
def place_nodes(graph: Layered, widths: Sequence[float], gap: float, bend_gap: float) -> None:
    """Compute the x coordinate of the middle of every node."""
    placement = _Placement(graph, widths, gap, bend_gap)
    downwards = range(1, len(graph.layers))
    upwards = range(len(graph.layers) - 2, -1, -1)
    for _ in range(_SWEEPS):
        for index in downwards:
            placement.pull(index, -1)
        for index in upwards:
            placement.pull(index, 1)
    for index in downwards:
        placement.pull(index, -1)


class _Placement:
    """Moves the nodes of a graph along the x axis."""

    def __init__(
        self, graph: Layered, widths: Sequence[float], gap: float, bend_gap: float
    ) -> None:
        self._graph = graph
        self._links: list[list[tuple[int, float]]] = [[] for _ in graph.of]
        for chain in graph.chains.values():
            for one, other in pairwise(chain):
                strength = _STRAIGHT[(one >= graph.first_bend) + (other >= graph.first_bend)]
                self._links[one].append((other, strength))
                self._links[other].append((one, strength))
        # Wide nodes hardly move; edges can go around them.
        self._weights = [max(1.0, wide / _USUAL) ** 2 for wide in widths]
        self._gaps = [
            [
                (widths[a] + widths[b]) / 2 + (gap if max(a, b) < graph.first_bend else bend_gap)
                for a, b in pairwise(layer)
            ]
            for layer in graph.layers
        ]
        graph.middle = [0.0] * len(graph.of)
        for layer, gaps in zip(graph.layers, self._gaps, strict=True):
            _settle(layer, gaps, [(0.0, 1.0)] * len(layer), graph.middle)

    def pull(self, index: int, direction: int) -> None:
        """Move the nodes of a layer towards their neighbours above (-1) or below (1)."""
        graph, middle = self._graph, self._graph.middle
        wanted: list[tuple[float, float]] = []
        for node in graph.layers[index]:
            near = [(n, s) for n, s in self._links[node] if (graph.of[n] - index) * direction > 0]
            weight = sum(strength for _, strength in near)
            if near:
                goal = sum(middle[other] * strength for other, strength in near) / weight
                wanted.append((goal, weight * self._weights[node]))
            else:
                wanted.append((middle[node], _IDLE))
        _settle(graph.layers[index], self._gaps[index], wanted, middle)


def _settle(
    layer: Sequence[int],
    gaps: Sequence[float],
    wanted: Sequence[tuple[float, float]],
    middle: list[float],
) -> None:
    """Place nodes as close to their wanted x as the gaps allow (isotonic regression)."""
    offset = 0.0
    blocks: list[list[float]] = []  # each: sum of weighted wanted x, weight, number of nodes
    offsets: list[float] = []
    for place, (goal, weight) in enumerate(wanted):
        offset += gaps[place - 1] if place else 0.0
        offsets.append(offset)
        blocks.append([(goal - offset) * weight, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    place = 0
    for total, weight, nodes in blocks:
        for _ in range(int(nodes)):
            middle[layer[place]] = total / weight + offsets[place]
            place += 1
