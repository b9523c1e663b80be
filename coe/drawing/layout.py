"""Laying out a graph: each scope by itself, from the inside out, then as one box in its own."""

from __future__ import annotations

from typing import Final

from coe.drawing.boxes import (
    SMALL,
    STATUS_LINE,
    Box,
    Course,
    Label,
    Region,
    lines_of,
    measured,
    text_width,
)
from coe.drawing.edge_routes import Router, Size
from coe.drawing.graph import Edge, Group, Node
from coe.drawing.layers import Pair, backward, layered, spread
from coe.drawing.run_overlay import RunOverlay
from coe.drawing.text import width, wrap

_PAD: Final = 18.0
_GAP: Final = 34.0
_BEND_GAP: Final = 18.0
_LABEL: Final = 150.0
_LABEL_LINE: Final = 15.0
_BAR: Final = 26.0
# Branches in more width than this go into rows.
_WIDEST: Final = 1500.0


def arranged(group: Group, overlay: RunOverlay | None = None) -> Region:
    """A group laid out, with all inside it; its upper left corner is at 0, 0."""
    if group.role == "branches":
        return _branches(group, overlay)
    region = Region(group, boxes=[_box(node, overlay) for node in group.nodes])
    _sequence(region)
    return region


# ---------------------------------------------------------------- one step
def _box(node: Node, overlay: RunOverlay | None) -> Box:
    """A node with its size, and what is inside it at its place."""
    box = measured(node, overlay)
    if not node.groups:
        return box
    regions = [arranged(group, overlay) for group in node.groups]
    framed = len(regions) > 1
    inner = 0.0
    for region in regions:
        if framed:
            _frame(region)
    body, *catches = regions
    inner = body.width
    link = 0.0
    if catches:
        link = _error_gap(node.groups[1])
        inner += link + catches[0].width
    box.lines = lines_of(node, max(inner - 40, 200.0))
    box.width = max(inner + 2 * _PAD, text_width(box.lines) + 70, box.width if box.status else 0)
    status = STATUS_LINE * len(box.status) + (8 if box.status else 0)
    box.head = 20 + sum(line.height for line in box.lines) + status
    left = (box.width - inner) / 2
    body.move(left, box.head)
    for catch in catches:
        catch.move(left + body.width + link, box.head)
    box.height = box.head + max(region.height for region in regions) + _PAD
    box.regions = regions
    return box


def _frame(region: Region) -> None:
    """Room for a frame around a region, and for what it is called."""
    region.framed = True
    top = _PAD + (20.0 if region.group.role == "catch" else 0.0)
    least = width(region.group.label, SMALL, bold=True) + 40 if region.group.role == "catch" else 0
    side = max(_PAD, (least - region.width) / 2)
    region.move(side, top)
    region.x = region.y = 0.0
    region.width += 2 * side
    region.height += top + _PAD


def _error_gap(catch: Group) -> float:
    """The way from what is tried to what is done after an error."""
    return 46.0 if catch.nodes else 0.0


# ---------------------------------------------------------------- at once
def _branches(group: Group, overlay: RunOverlay | None) -> Region:
    """Branches side by side between two bars; very many in rows without."""
    region = Region(group, boxes=[_box(node, overlay) for node in group.nodes])
    rows: list[list[Box]] = [[]]
    used = 0.0
    for box in region.boxes:
        if rows[-1] and used + box.width > _WIDEST:
            rows.append([])
            used = 0.0
        rows[-1].append(box)
        used += box.width + _GAP
    barred = len(rows) == 1
    y = _BAR if barred else 4.0
    for row in rows:
        x = 0.0
        for box in row:
            _put(box, x, y)
            x += box.width + _GAP
        region.width = max(region.width, x - _GAP)
        y += max(box.height for box in row) + _GAP
    y -= _GAP
    if barred:
        y += _BAR
        region.bars = [((0.0, 2.0), (region.width, 2.0)), ((0.0, y - 2), (region.width, y - 2))]
        for index, box in enumerate(rows[0]):
            middle = box.x + box.width / 2
            edge = Edge(index, index)
            region.courses.append(Course(edge, [(middle, 2.0), (middle, box.y)]))
            lower = [(middle, box.y + box.height), (middle, y - 2)]
            region.courses.append(Course(edge, lower, arrow=False))
    region.height = y
    return region


def _put(box: Box, x: float, y: float) -> None:
    """Move a box with what is inside it."""
    for region in box.regions:
        region.move(x - box.x, y - box.y)
    box.x, box.y = x, y


# ---------------------------------------------------------------- one after the other
def _sequence(region: Region) -> None:
    """The boxes of a scope in layers, with the ways between them."""
    boxes, edges = region.boxes, region.group.edges
    labels = {len(boxes) + n: edge for n, edge in enumerate(e for e in edges if e.label)}
    told = {node: _label(edge) for node, edge in labels.items()}
    sizes = [box.size for box in boxes]
    sizes += [Size(each.width, each.height, max(0.0, each.width / 2 - 8)) for each in told.values()]
    ways = _ways(edges, labels)
    loose = _loose(len(boxes), list(ways))
    back = backward(len(sizes), [*ways, *loose])
    ahead = [pair for pair in ways if pair not in back]
    graph = layered(len(sizes), ahead, [pair for pair in loose if pair not in back])
    widths = [size.width for size in sizes] + [0.0] * (len(graph.of) - len(sizes))
    spread(graph, widths, _GAP, _BEND_GAP)
    sideways = [pair for pair in ways if pair not in graph.chains]
    found = Router(graph, sizes, sideways).courses()
    for node, box in enumerate(boxes):
        _put(box, graph.middle[node] - box.width / 2, found.tops[graph.of[node]])
    for node, label in told.items():
        label.x = graph.middle[node]
        label.y = found.tops[graph.of[node]] + label.height / 2
    region.labels = list(told.values())
    region.courses = [
        Course(edge, found.points[pair], arrow=pair[1] < len(boxes)) for pair, edge in ways.items()
    ]
    region.width, region.height = found.right - found.left, found.height
    region.move(-found.left, 0.0)
    region.x = region.y = 0.0


def _ways(edges: tuple[Edge, ...], labels: dict[int, Edge]) -> dict[Pair, Edge]:
    """The ways from node to node, where a label is a node between two."""
    found: dict[Pair, Edge] = {}
    places = {edge: node for node, edge in labels.items()}
    for edge in edges:
        if edge in places:
            found[edge.source, places[edge]] = edge
            found[places[edge], edge.target] = edge
        else:
            found[edge.source, edge.target] = edge
    return found


def _loose(count: int, ways: list[Pair]) -> list[Pair]:
    """Links that keep what nothing leads to below what stands before it."""
    after: dict[int, list[int]] = {}
    for source, target in ways:
        after.setdefault(source, []).append(target)
    reached: set[int] = set()
    links = []
    for node in range(count):
        if node not in reached and node:
            links.append((node - 1, node))
        ahead = [node]
        while ahead:
            here = ahead.pop()
            if here not in reached:
                reached.add(here)
                ahead += after.get(here, ())
    return links


def _label(edge: Edge) -> Label:
    lines = tuple(wrap(edge.label, SMALL, _LABEL, lines=3))
    wide = max(width(line, SMALL, bold=True) for line in lines) + 12
    return Label(lines, 0.0, 0.0, wide, len(lines) * _LABEL_LINE + 4)
