"""The shapes of steps and marks: who does a step and what it is can be told without its colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.drawing import icons
from coe.drawing.edge_routes import Point
from coe.drawing.graph import Node
from coe.drawing.palette import bordered, icon, ink, shape, solid
from coe.drawing.text import number as n

_ROUND: Final = 22.0


def look_of(node: Node) -> str:
    """The colours of a step: by who does it; what raises an error has its own."""
    return "error" if node.sign == "raise" else "control" if node.is_mark else node.doer


def icon_of(node: Node) -> str:
    """The icon of a step."""
    return "timer" if node.sign == "start" else node.sign


def text_side(node: Node) -> float:
    """How far its shape keeps the text of a step from its side."""
    if node.sign in ("switch", "listen"):
        return 16.0
    return 8.0 if node.doer in ("foreign", "human") or node.sign in ("emit", "raise") else 0.0


def outline(node: Node, place: tuple[float, float, float, float], state: str = "") -> Iterator[str]:
    """The shape of a step: who does it and what it is can be told without its colour."""
    x, y, w, h = place
    look = look_of(node)
    colours = bordered(look, state) if state else shape(look)
    weight = 2.6 if state else 1.4
    dashed = ' stroke-dasharray="5 4"' if node.sign == "unsupported" else ""
    yield f'<path d="{_path(node, x, y, w, h)}" stroke-width="{weight}"{dashed} {colours}/>'
    line = f'stroke-width="1.4" {shape(look)}'
    if node.sign == "flow":
        bars = f"M{n(x + 6)} {n(y)}v{n(h)}M{n(x + w - 6)} {n(y)}v{n(h)}"
        yield f'<path d="{bars}" {line}/>'
    elif node.sign == "table":
        yield f'<path d="M{n(x)} {n(y + 6)}h{n(w)}" {line}/>'


def _path(node: Node, x: float, y: float, w: float, h: float) -> str:
    """The outline of a shape."""
    if node.sign == "switch":
        return _polygon((x + 14, y), (x + w - 14, y), (x + w, y + h / 2), (x + w - 14, y + h),
                        (x + 14, y + h), (x, y + h / 2))  # fmt: skip
    if node.sign == "listen":
        return _polygon((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x + 12, y + h / 2))
    if node.sign == "emit":
        return _polygon(
            (x, y), (x + w - 12, y), (x + w, y + h / 2), (x + w - 12, y + h), (x, y + h)
        )
    if node.sign in ("timer", "start"):
        c = 9.0
        return _polygon((x + c, y), (x + w - c, y), (x + w, y + c), (x + w, y + h - c),
                        (x + w - c, y + h), (x + c, y + h), (x, y + h - c), (x, y + c))  # fmt: skip
    if node.sign == "raise":
        c = 12.0
        return _polygon((x + c, y), (x + w, y), (x + w, y + h - c), (x + w - c, y + h),
                        (x, y + h), (x, y + c))  # fmt: skip
    round_ = min(h / 2, _ROUND) if node.sign == "human" else 2.0 if node.doer == "foreign" else 6.0
    return _rounded(x, y, w, h, round_)


def _polygon(*points: Point) -> str:
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points) + "z"


def _rounded(x: float, y: float, w: float, h: float, r: float) -> str:
    arc = f"a{n(r)} {n(r)} 0 0 1"
    return (
        f"M{n(x + r)} {n(y)}h{n(w - 2 * r)}{arc} {n(r)} {n(r)}v{n(h - 2 * r)}{arc} {n(-r)} {n(r)}"
        f"h{n(2 * r - w)}{arc} {n(-r)} {n(-r)}v{n(2 * r - h)}{arc} {n(r)} {n(-r)}z"
    )


def mark(sign: str, x: float, y: float) -> Iterator[str]:
    """A mark around its middle."""
    radius, look = _ROUNDS[sign]
    centre = f'cx="{n(x)}" cy="{n(y)}"'
    yield f'<circle {centre} r="{radius}" stroke-width="2" {shape(look)}/>'
    if sign == "start":
        yield f'<path d="M{n(x - 3)} {n(y - 5)}l8 5-8 5z" {ink("terminal")}/>'
    elif sign == "finish":
        yield f'<circle {centre} r="7" {shape("terminal")}/>'
    elif sign == "stop":
        yield f'<path d="M{n(x - 4.5)} {n(y - 4.5)}h9v9h-9z" stroke-width="0" {solid("error")}/>'
    elif sign == "again":
        yield icons.drawn("again", x - 7, y - 7, icon("control"), 14)


_ROUNDS: Final = {
    "start": (11, "terminal"),
    "finish": (12, "ring"),
    "stop": (11, "ring"),
    "exit": (8, "ring"),
    "again": (11, "control"),
}
