"""Tracks of a channel: the height at which each edge runs sideways without overlaps."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

TRACK: Final = 10.0
ABOVE: Final = 12.0  # from a node's lower edge to the first track
BELOW: Final = 18.0  # from the last track to the next node: room for the arrow head
# Vertical lines whose x differs by less overlap.
_SAME: Final = 3.0
_MIN_LENGTH: Final = 0.3


@dataclass(slots=True, eq=False)
class Net:
    """Edges of a channel that share a track, by the x of their lines upwards and downwards."""

    upper: set[float] = field(default_factory=set)
    lower: set[float] = field(default_factory=set)
    track: int = -1

    @property
    def start(self) -> float:
        """The x of the left end."""
        return min(self.upper | self.lower)

    @property
    def end(self) -> float:
        """The x of the right end."""
        return max(self.upper | self.lower)


def assign(nets: Sequence[Net]) -> float:
    """Assign tracks, counted from the top, to the nets of a channel; give the channel's height."""
    sideways = sorted((net for net in nets if net.end - net.start > _MIN_LENGTH), key=_turn_order)
    below = _nets_below(sideways)
    waiting = [0] * len(sideways)
    for others in below:
        for other in others:
            waiting[other] += 1
    least = [0] * len(sideways)
    ready = [place for place, count in enumerate(waiting) if not count]
    left = dict.fromkeys(range(len(sideways)))
    rows: list[list[tuple[float, float]]] = []
    while left:
        # In a cycle of nets that wait for each other the first goes on; two lines then touch.
        place = heapq.heappop(ready) if ready else next(iter(left))
        if place not in left:
            continue
        del left[place]
        net = sideways[place]
        net.track = _take_row(rows, (net.start, net.end), least[place])
        for other in below[place]:
            least[other] = max(least[other], net.track + 1)
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, other)
    return ABOVE + BELOW + TRACK * max(len(rows) - 1, 0) if nets else 0.0


def _nets_below(nets: Sequence[Net]) -> list[set[int]]:
    """For each net, the nets that need a lower track because lines of both have the same x."""
    ends_at: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for place, net in enumerate(nets):
        for x in net.lower:
            ends_at[int(x // _SAME)].append((x, place))
    found: list[set[int]] = [set() for _ in nets]
    for place, net in enumerate(nets):
        for x in net.upper:
            near = int(x // _SAME)
            for bucket in (near - 1, near, near + 1):
                found[place] |= {
                    other
                    for y, other in ends_at.get(bucket, ())
                    if other != place and abs(x - y) < _SAME
                }
    return found


def _take_row(rows: list[list[tuple[float, float]]], span: tuple[float, float], least: int) -> int:
    """The first row, from `least` on, that has room for a span; the span is added to it."""
    start, end = span
    rows += [[] for _ in range(least - len(rows))]
    for index in range(least, len(rows)):
        if all(end + TRACK < other[0] or other[1] + TRACK < start for other in rows[index]):
            rows[index].append(span)
            return index
    rows.append([span])
    return len(rows) - 1


def _turn_order(net: Net) -> tuple[int, float]:
    """The sort key that makes edges cross least: those that go far to a side turn first."""
    source = sum(net.upper) / len(net.upper) if net.upper else net.end
    goal = sum(net.lower) / len(net.lower) if net.lower else net.end
    return (0, -source) if goal >= source else (1, source)
