"""The shapes of steps and marks, which identify performer and kind without colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.drawing import icons
from coe.drawing.edge_routes import Point
from coe.drawing.graph import GraphNode
from coe.drawing.palette import (
    bordered_colours,
    icon_colours,
    line_colours,
    shape_colours,
    text_colours,
)
from coe.drawing.text import number as n

_ROUND: Final = 22.0


def look_of(node: GraphNode) -> str:
    """The name of a node's colours: its performer, "error" for `raise`, "control" for marks."""
    return "error" if node.icon == "raise" else "control" if node.is_mark else node.performer


def node_icon(node: GraphNode) -> str:
    """The icon of a node."""
    return "timer" if node.icon == "start" else node.icon


def text_side(node: GraphNode) -> float:
    """The distance that the shape of a step keeps between its side and its text."""
    if node.icon in ("switch", "listen"):
        return 16.0
    return 8.0 if node.performer in ("foreign", "human") or node.icon in ("emit", "raise") else 0.0


def outline(
    node: GraphNode, place: tuple[float, float, float, float], state: str = ""
) -> Iterator[str]:
    """The outline of a step, with a thick line in the colour of its state if it has one."""
    x, y, w, h = place
    look = look_of(node)
    colours = bordered_colours(look, state) if state else shape_colours(look)
    weight = 2.6 if state else 1.4
    dashed = ' stroke-dasharray="5 4"' if node.icon == "unsupported" else ""
    yield f'<path d="{_path(node, x, y, w, h)}" stroke-width="{weight}"{dashed} {colours}/>'
    line = f'stroke-width="1.4" {shape_colours(look)}'
    if node.icon == "flow":
        bars = f"M{n(x + 6)} {n(y)}v{n(h)}M{n(x + w - 6)} {n(y)}v{n(h)}"
        yield f'<path d="{bars}" {line}/>'
    elif node.icon == "table":
        yield f'<path d="M{n(x)} {n(y + 6)}h{n(w)}" {line}/>'


def _path(node: GraphNode, x: float, y: float, w: float, h: float) -> str:
    """The path data of an outline."""
    if node.icon == "switch":
        return _polygon((x + 14, y), (x + w - 14, y), (x + w, y + h / 2), (x + w - 14, y + h),
                        (x + 14, y + h), (x, y + h / 2))  # fmt: skip
    if node.icon == "listen":
        return _polygon((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x + 12, y + h / 2))
    if node.icon == "emit":
        return _polygon(
            (x, y), (x + w - 12, y), (x + w, y + h / 2), (x + w - 12, y + h), (x, y + h)
        )
    if node.icon in ("timer", "start"):
        c = 9.0
        return _polygon((x + c, y), (x + w - c, y), (x + w, y + c), (x + w, y + h - c),
                        (x + w - c, y + h), (x + c, y + h), (x, y + h - c), (x, y + c))  # fmt: skip
    if node.icon == "raise":
        c = 12.0
        return _polygon((x + c, y), (x + w, y), (x + w, y + h - c), (x + w - c, y + h),
                        (x, y + h), (x, y + c))  # fmt: skip
    round_ = (
        min(h / 2, _ROUND) if node.icon == "human" else 2.0 if node.performer == "foreign" else 6.0
    )
    return _rounded(x, y, w, h, round_)


def _polygon(*points: Point) -> str:
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points) + "z"


def _rounded(x: float, y: float, w: float, h: float, r: float) -> str:
    arc = f"a{n(r)} {n(r)} 0 0 1"
    return (
        f"M{n(x + r)} {n(y)}h{n(w - 2 * r)}{arc} {n(r)} {n(r)}v{n(h - 2 * r)}{arc} {n(-r)} {n(r)}"
        f"h{n(2 * r - w)}{arc} {n(-r)} {n(-r)}v{n(2 * r - h)}{arc} {n(r)} {n(-r)}z"
    )


def mark(icon: str, x: float, y: float) -> Iterator[str]:
    """A mark, centred at (x, y)."""
    radius, look = _ROUNDS[icon]
    centre = f'cx="{n(x)}" cy="{n(y)}"'
    yield f'<circle {centre} r="{radius}" stroke-width="2" {shape_colours(look)}/>'
    if icon == "start":
        yield f'<path d="M{n(x - 3)} {n(y - 5)}l8 5-8 5z" {text_colours("terminal")}/>'
    elif icon == "finish":
        yield f'<circle {centre} r="7" {shape_colours("terminal")}/>'
    elif icon == "stop":
        square = f"M{n(x - 4.5)} {n(y - 4.5)}h9v9h-9z"
        yield f'<path d="{square}" stroke-width="0" {line_colours("error")}/>'
    elif icon == "again":
        yield icons.icon_path("again", x - 7, y - 7, icon_colours("control"), 14)


_ROUNDS: Final = {
    "start": (11, "terminal"),
    "finish": (12, "ring"),
    "stop": (11, "ring"),
    "exit": (8, "ring"),
    "again": (11, "control"),
}
