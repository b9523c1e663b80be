"""A laid-out graph as SVG elements: steps, boxes, text and states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.drawing import icons
from coe.drawing.boxes import SMALL_SIZE, STATUS_LINE, Box, Label, Region
from coe.drawing.edges import arrow_head, route_elements
from coe.drawing.graph import GraphNode
from coe.drawing.legend import ICON_MEANINGS, MARK_MEANINGS, legend_key
from coe.drawing.palette import bordered_colours, icon_colours, shape_colours, text_colours
from coe.drawing.run_overlay import STATES, RunOverlay
from coe.drawing.shapes import look_of, mark, node_icon, outline, text_side
from coe.drawing.text import number as n
from coe.drawing.text import safe

_ASCENT: Final = 0.78


class Painter:
    """Paints regions, with the states of a run if there is one."""

    def __init__(self, overlay: RunOverlay | None) -> None:
        self._overlay = overlay

    def region(self, region: Region, depth: int = 0) -> Iterator[str]:
        """Paint a region with everything inside it."""
        if region.framed:
            yield from _frame(region)
        for (x1, y1), (x2, y2) in region.bars:
            yield (
                f'<path d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}" stroke-width="4" '
                f'stroke-linecap="round" {shape_colours("edge")}/>'
            )
        for route in region.routes:
            yield from route_elements(route)
        for label in region.labels:
            yield from _label(label)
        for box in region.boxes:
            yield from self._box(box, depth)

    def _box(self, box: Box, depth: int) -> Iterator[str]:
        node = box.node
        yield "<g>"
        yield f"<title>{safe(self._tooltip(node))}</title>"
        if node.is_mark and not node.label:
            yield from mark(node.icon, box.x + box.width / 2, box.y + box.height / 2)
        elif box.regions:
            yield from self._holder(box, depth)
        else:
            yield from self._step(box)
        yield "</g>"

    def _tooltip(self, node: GraphNode) -> str:
        """The tooltip of a node: all of its text, not shortened."""
        parts = [node.name or MARK_MEANINGS.get(node.icon, ""), node.label, node.condition]
        parts.append(ICON_MEANINGS.get(legend_key(node), ""))
        if self._overlay is not None and not node.is_mark:
            parts.append("; ".join(self._overlay.status(node.key)) or "not reached")
        return "\n".join(part for part in parts if part)

    # ------------------------------------------------------------ steps
    def _step(self, box: Box) -> Iterator[str]:
        node, look = box.node, look_of(box.node)
        state = self._state(node)
        yield from outline(node, (box.x, box.y, box.width, box.height), state)
        side = text_side(node)
        left = box.x + 12 + side
        content = sum(line.height for line in box.lines)
        status = STATUS_LINE * len(box.status) + (4 if box.status else 0)
        y = box.y + (box.height - status - content) / 2
        first = box.lines[0].height if box.lines else 16.0
        yield icons.icon_path(node_icon(node), left - 1, y + (first - 16) / 2, icon_colours(look))
        yield from _text(box, left + 26, y, look)
        if state:
            yield from self._status(box, box.x + 8 + side, box.y + box.height - status, state)

    def _holder(self, box: Box, depth: int) -> Iterator[str]:
        """Paint a step that holds others: a box with a head, and the regions inside."""
        look = "inner" if depth % 2 else "box"
        state = self._state(box.node)
        place = f'x="{n(box.x)}" y="{n(box.y)}" width="{n(box.width)}" height="{n(box.height)}"'
        colours = (
            f'stroke-width="2.6" {bordered_colours(look, state)}' if state else shape_colours(look)
        )
        yield f'<rect {place} rx="9" {colours}/>'
        first = box.lines[0].height if box.lines else 16.0
        yield icons.icon_path(
            box.node.icon, box.x + 14, box.y + 10 + (first - 16) / 2, icon_colours(look)
        )
        yield from _text(box, box.x + 40, box.y + 10, look)
        if state:
            y = box.y + 10 + sum(line.height for line in box.lines) + 6
            yield from self._status(box, box.x + 14, y, state)
        if len(box.regions) > 1:
            yield from _error_link(box.regions[0], box.regions[1])
        for region in box.regions:
            yield from self.region(region, depth + 1)

    def _state(self, node: GraphNode) -> str:
        state = self._overlay.state(node.key) if self._overlay else None
        return STATES[state] if state else ""

    def _status(self, box: Box, x: float, y: float, state: str) -> Iterator[str]:
        """Paint the strip with the state of a step."""
        wide = box.width - 2 * (x - box.x)
        high = STATUS_LINE * len(box.status)
        place = f'x="{n(x)}" y="{n(y - 1)}" width="{n(wide)}" height="{n(high)}"'
        yield f'<rect {place} rx="4" {shape_colours(state)}/>'
        yield icons.icon_path(state, x + 4, y + 1.5, icon_colours(state), 12)
        for index, text in enumerate(box.status):
            down = y + 11 + index * STATUS_LINE
            weight = ' font-weight="600"' if index == 0 else ""
            yield (
                f'<text x="{n(x + 20)}" y="{n(down)}" font-size="{SMALL_SIZE}"{weight} '
                f"{text_colours(state)}>{safe(text)}</text>"
            )


# ---------------------------------------------------------------- text
def _text(box: Box, x: float, y: float, look: str) -> Iterator[str]:
    for line in box.lines:
        extra = {"name": ' font-weight="600"', "condition": ' font-style="italic"'}.get(
            line.kind, ""
        )
        down = y + line.size * _ASCENT + (line.height - line.size) / 2 + 1
        yield (
            f'<text x="{n(x)}" y="{n(down)}" font-size="{n(line.size)}"{extra} '
            f"{text_colours(look)}>{safe(line.text)}</text>"
        )
        y += line.height


def _label(label: Label) -> Iterator[str]:
    left, top = label.x - label.width / 2, label.y - label.height / 2
    yield (
        f'<rect x="{n(left)}" y="{n(top)}" width="{n(label.width)}" height="{n(label.height)}" '
        f'rx="4" {shape_colours("label")}/>'
    )
    for index, text in enumerate(label.lines):
        yield (
            f'<text x="{n(label.x)}" y="{n(top + 13 + 15 * index)}" text-anchor="middle" '
            f'font-size="{SMALL_SIZE}" font-weight="500" {text_colours("edge")}>{safe(text)}</text>'
        )


# ---------------------------------------------------------------- errors
def _frame(region: Region) -> Iterator[str]:
    """Paint the frame around the steps of a `try`, or of its `catch`."""
    caught = region.group.role == "catch"
    look = "catch" if caught else "body"
    place = f'x="{n(region.x)}" y="{n(region.y)}" '
    place += f'width="{n(region.width)}" height="{n(region.height)}"'
    dashed = ' stroke-dasharray="6 4"' if caught else ""
    yield f'<rect {place} rx="8" stroke-width="1.4"{dashed} {shape_colours(look)}/>'
    if caught:
        yield icons.icon_path("raise", region.x + 10, region.y + 9, icon_colours("error"), 14)
        yield (
            f'<text x="{n(region.x + 28)}" y="{n(region.y + 20)}" font-size="{SMALL_SIZE}" '
            f'font-weight="600" {text_colours("error")}>{safe(region.group.label)}</text>'
        )


def _error_link(body: Region, catch: Region) -> Iterator[str]:
    """Paint the arrow from the steps of a `try` to those of its `catch`."""
    y = catch.y + 17
    start, end = (body.x + body.width, y), (catch.x, y)
    yield (
        f'<path d="M{n(start[0])} {n(y)}H{n(end[0] - 6)}" stroke-width="1.5" '
        f'stroke-dasharray="5 4" {shape_colours("error-edge")}/>'
    )
    yield arrow_head(end, start, "error-edge")
    yield icons.icon_path("raise", (start[0] + end[0]) / 2 - 9, y - 19, icon_colours("error"), 14)
