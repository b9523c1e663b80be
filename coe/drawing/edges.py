"""Edges as SVG: lines with rounded corners and an arrow head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coe.drawing.boxes import EdgeRoute
from coe.drawing.edge_routes import Point
from coe.drawing.palette import line_colours, shape_colours
from coe.drawing.text import number as n

_CORNER: Final = 6.0
_HEAD: Final = 8.0


def route_elements(route: EdgeRoute) -> Iterator[str]:
    """An edge with its arrow head."""
    look = "error-edge" if route.edge.kind == "error" else "edge"
    dashed = ' stroke-dasharray="5 4"' if look == "error-edge" else ""
    points = _without_straight_points(route.points)
    if route.arrow:
        points = [*points[:-1], _shortened(points[-2], points[-1])]
    yield (f'<path d="{_path(points)}" stroke-width="1.5"{dashed} {shape_colours(look)}/>')
    if route.arrow:
        yield arrow_head(route.points[-1], points[-2], look)


def _without_straight_points(points: Sequence[Point]) -> list[Point]:
    """Drop the points that lie on a straight line between others."""
    found: list[Point] = []
    for point in points:
        if found and point == found[-1]:
            continue
        if len(found) > 1 and _straight(found[-2], found[-1], point):
            found[-1] = point
        else:
            found.append(point)
    return found


def _straight(a: Point, b: Point, c: Point) -> bool:
    return (abs(a[0] - b[0]) < 0.05 and abs(b[0] - c[0]) < 0.05) or (  # noqa: PLR2004  # pixels
        abs(a[1] - b[1]) < 0.05 and abs(b[1] - c[1]) < 0.05  # noqa: PLR2004  # the same
    )


def _shortened(before: Point, end: Point) -> Point:
    """The end of a line, a little before the tip of its arrow."""
    (x0, y0), (x, y) = before, end
    length = max(abs(x - x0), abs(y - y0), 0.001)
    back = min(_HEAD - 2, length)
    return x - (x - x0) / length * back, y - (y - y0) / length * back


def _path(points: Sequence[Point]) -> str:
    """The path data of a line through points with rounded corners."""
    parts = [f"M{n(points[0][0])} {n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        parts.append(f"L{n(start[0])} {n(start[1])}")
        parts.append(f"Q{n(corner[0])} {n(corner[1])} {n(end[0])} {n(end[1])}")
    parts.append(f"L{n(points[-1][0])} {n(points[-1][1])}")
    return "".join(parts)


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _toward(start: Point, goal: Point, distance: float) -> Point:
    length = max(_distance(start, goal), 0.001)
    return (
        start[0] + (goal[0] - start[0]) / length * distance,
        start[1] + (goal[1] - start[1]) / length * distance,
    )


def arrow_head(tip: Point, before: Point, look: str) -> str:
    """The head of an arrow that points from `before` to `tip`."""
    x, y = tip
    if abs(before[0] - x) > abs(before[1] - y):
        length = _HEAD if before[0] < x else -_HEAD
        path = f"M{n(x)} {n(y)}L{n(x - length)} {n(y - 4)}V{n(y + 4)}z"
    else:
        length = _HEAD if before[1] < y else -_HEAD
        path = f"M{n(x)} {n(y)}L{n(x - 4)} {n(y - length)}H{n(x + 4)}z"
    return f'<path d="{path}" stroke-width="0" {line_colours(look)}/>'
