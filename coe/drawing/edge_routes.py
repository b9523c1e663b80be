"""The routes of edges: straight lines and right angles between layers, never through a node.

Between two layers lies a channel. An edge crosses it downwards and runs sideways on a track of the
channel; edges to the same node share a track. Long and backward edges run in lanes beside the
nodes: forward on the left, backward on the right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from coe.drawing.edge_tracks import ABOVE, TRACK, Net, assign
from coe.drawing.layers import Layered, Pair

Point = tuple[float, float]

_LANE: Final = 14.0
_PORTS: Final = 16.0
# A bend that is out of line by less than this is removed, if this much stays free beside the edge.
_SLIGHT: Final = 30.0
_CLEAR: Final = 9.0
_SAME: Final = 0.3


class Size(NamedTuple):
    """The size of a node; edges leave it within `port` of its middle."""

    width: float
    height: float
    port: float


@dataclass(slots=True)
class EdgeRoutes:
    """The y of each layer's top, the points of each edge, and the extent of the graph."""

    tops: list[float]
    points: dict[Pair, list[Point]]
    left: float
    right: float
    height: float


@dataclass(slots=True)
class _Lane:
    target: int
    back: bool
    first: int
    last: int
    x: float = 0.0


_Key = tuple[str, int]


class Router:
    """Finds the routes of the edges of one layered graph."""

    def __init__(self, graph: Layered, sizes: Sequence[Size], sideways: Sequence[Pair]) -> None:
        self._graph = graph
        self._sizes = sizes
        self._sideways = sideways
        self._bends: set[int] = set(range(graph.first_bend, len(graph.of)))
        self._nets: list[dict[_Key, Net]] = [{} for _ in range(len(graph.layers) + 1)]
        self._ports: dict[Pair, float] = {}
        self._lanes: dict[Pair, _Lane] = {}

    def routes(self) -> EdgeRoutes:
        """Compute the routes."""
        self._straighten()
        left, right = self._extent()
        left, right = self._open_lanes(left, right)
        self._choose_ports()
        self._fill_channels()
        heights = [assign(list(channel.values())) for channel in self._nets]
        tops, tracks, height = self._stack(heights)
        points = {pair: self._route(pair, tops, tracks) for pair in self._pairs()}
        return EdgeRoutes(tops, points, left, right, height)

    # ------------------------------------------------------------ the x axis
    def _straighten(self) -> None:
        """Remove slight bends from edges that pass several layers, where there is room."""
        places = {
            node: (layer, place) for layer in self._graph.layers for place, node in enumerate(layer)
        }
        for chain in self._graph.chains.values():
            for order in (chain, chain[::-1]):
                for one, other in pairwise(order):
                    if other in self._bends:
                        self._align(other, self._graph.middle[one], *places[other])

    def _align(self, bend: int, x: float, layer: list[int], place: int) -> None:
        """Move a bend to a near x, if no node is in between."""
        middle = self._graph.middle
        if abs(middle[bend] - x) >= _SLIGHT:
            return
        left, right = layer[place - 1 : place], layer[place + 1 : place + 2]
        free = all(middle[n] + self._half(n) + _CLEAR <= x for n in left)
        if free and all(middle[n] - self._half(n) - _CLEAR >= x for n in right):
            middle[bend] = x

    def _half(self, node: int) -> float:
        return 0.0 if node in self._bends else self._sizes[node].width / 2

    def _extent(self) -> tuple[float, float]:
        halves = [size.width / 2 for size in self._sizes] + [0.0] * len(self._bends)
        middle = self._graph.middle
        return (
            min((x - half for x, half in zip(middle, halves, strict=True)), default=0.0),
            max((x + half for x, half in zip(middle, halves, strict=True)), default=0.0),
        )

    def _open_lanes(self, left: float, right: float) -> tuple[float, float]:
        """Open a lane for each node that long or backward edges lead to; give the new extent."""
        of = self._graph.of
        shared: dict[tuple[int, bool], _Lane] = {}
        for source, target in self._sideways:
            back = of[target] <= of[source]
            channels = sorted((of[source] + 1, of[target]))
            lane = shared.setdefault((target, back), _Lane(target, back, *channels))
            lane.first, lane.last = min(lane.first, channels[0]), max(lane.last, channels[1])
            self._lanes[source, target] = lane
        rows: dict[bool, list[list[_Lane]]] = {True: [], False: []}
        for lane in sorted(shared.values(), key=lambda lane: (lane.last - lane.first, lane.target)):
            side = rows[lane.back]
            row = next((r for r in side if all(_apart(lane, other) for other in r)), None)
            if row is None:
                row = []
                side.append(row)
            row.append(lane)
            away = _LANE * (side.index(row) + 1)
            lane.x = right + away if lane.back else left - away
        return left - _LANE * len(rows[False]), right + _LANE * len(rows[True])

    def _choose_ports(self) -> None:
        """Choose where on the lower side of each node its edges start."""
        middle = self._graph.middle
        leaving: defaultdict[int, list[tuple[float, Pair]]] = defaultdict(list)
        for pair, chain in self._graph.chains.items():
            leaving[pair[0]].append((middle[chain[1]], pair))
        for pair, lane in self._lanes.items():
            leaving[pair[0]].append((lane.x, pair))
        for node, found in leaving.items():
            found.sort()
            half = self._sizes[node].port
            least, most = middle[node] - half, middle[node] + half
            wanted = [min(max(x, least), most) for x, _ in found]
            if len(found) == 1 and abs(found[0][0] - middle[node]) >= _PORTS:
                wanted = [middle[node]]
            places = _apart_by(wanted, _PORTS, least, most)
            for place, (_, pair) in zip(places, found, strict=True):
                self._ports[pair] = place

    # ------------------------------------------------------------ channels
    def _pairs(self) -> list[Pair]:
        return [*self._graph.chains, *self._lanes]

    def _fill_channels(self) -> None:
        """Enter every edge into the channels that it crosses."""
        of, middle = self._graph.of, self._graph.middle
        for pair, chain in self._graph.chains.items():
            x = self._ports[pair]
            for node in chain[1:]:
                net = self._net(of[node], ("node", node))
                net.upper.add(x)
                x = middle[node]
                net.lower.add(x)
        for pair, lane in self._lanes.items():
            leaving = self._net(of[pair[0]] + 1, self._lane_key(pair))
            leaving.upper.add(self._ports[pair])
            (leaving.upper if lane.back else leaving.lower).add(lane.x)
            coming = self._net(of[lane.target], ("node", lane.target))
            (coming.lower if lane.back else coming.upper).add(lane.x)
            coming.lower.add(middle[lane.target])

    def _lane_key(self, pair: Pair) -> _Key:
        return ("back" if self._lanes[pair].back else "far", pair[1])

    def _net(self, channel: int, key: _Key) -> Net:
        return self._nets[channel].setdefault(key, Net())

    def _stack(self, heights: Sequence[float]) -> tuple[list[float], list[float], float]:
        """The y of each layer's top, of each channel's first track, and of the lower end."""
        tops: list[float] = []
        tracks: list[float] = []
        y = 0.0
        for layer, height in zip([*self._graph.layers, []], heights, strict=True):
            tracks.append(y + ABOVE)
            y += height
            if len(tops) < len(self._graph.layers):
                tops.append(y)
            y += max((self._height(node) for node in layer), default=0.0)
        return tops, tracks, y

    def _height(self, node: int) -> float:
        return 0.0 if node in self._bends else self._sizes[node].height

    # ------------------------------------------------------------ points
    def _route(self, pair: Pair, tops: Sequence[float], tracks: Sequence[float]) -> list[Point]:
        of, middle = self._graph.of, self._graph.middle
        source, target = pair
        x = self._ports[pair]
        points = [(x, tops[of[source]] + self._height(source))]
        if pair in self._lanes:
            lane = self._lanes[pair]
            out = self._y(of[source] + 1, self._lane_key(pair), tracks)
            into = self._y(of[target], ("node", target), tracks)
            points += [(x, out), (lane.x, out), (lane.x, into), (middle[target], into)]
        else:
            for node in self._graph.chains[pair][1:]:
                if abs(middle[node] - x) > _SAME:
                    y = self._y(of[node], ("node", node), tracks)
                    points += [(x, y), (middle[node], y)]
                    x = middle[node]
        return [*points, (middle[target], tops[of[target]])]

    def _y(self, channel: int, key: _Key, tracks: Sequence[float]) -> float:
        return tracks[channel] + TRACK * max(self._nets[channel][key].track, 0)


def _apart(one: _Lane, other: _Lane) -> bool:
    return one.last < other.first or other.last < one.first


def _apart_by(wanted: Sequence[float], gap: float, least: float, most: float) -> list[float]:
    """Ascending places between two bounds, `gap` apart if possible, near the wanted ones."""
    gap = min(gap, (most - least) / max(len(wanted) - 1, 1))
    places = list(wanted)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    places[-1] = min(places[-1], most)
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - gap)
    return places
