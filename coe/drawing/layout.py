"""Layout of a graph: inner scopes first; a laid-out scope is one box in the scope around it."""

from __future__ import annotations

from typing import Final

from coe.drawing.boxes import (
    SMALL_SIZE,
    STATUS_LINE,
    Box,
    EdgeRoute,
    Label,
    Region,
    lines_of,
    measure,
    widest_line,
)
from coe.drawing.edge_routes import Router, Size
from coe.drawing.graph import GraphEdge, GraphNode, NodeGroup
from coe.drawing.layers import Pair, assign_layers, cycle_closing_edges, place_nodes
from coe.drawing.run_overlay import RunOverlay
from coe.drawing.text import text_width, wrap_text

_PAD: Final = 18.0
_GAP: Final = 34.0
_BEND_GAP: Final = 18.0
_LABEL: Final = 150.0
_LABEL_LINE: Final = 15.0
_BAR: Final = 26.0
# Branches that need more width than this are placed in rows.
_MAX_ROW_WIDTH: Final = 1500.0


def lay_out(group: NodeGroup, overlay: RunOverlay | None = None) -> Region:
    """Lay out a group and everything inside it; the upper left corner is at (0, 0)."""
    if group.role == "branches":
        return _branches(group, overlay)
    region = Region(group, boxes=[_box(node, overlay) for node in group.nodes])
    _sequence(region)
    return region


# ---------------------------------------------------------------- one step
def _box(node: GraphNode, overlay: RunOverlay | None) -> Box:
    """The box of a node, with the regions inside it in place."""
    box = measure(node, overlay)
    if not node.groups:
        return box
    regions = [lay_out(group, overlay) for group in node.groups]
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
    box.width = max(inner + 2 * _PAD, widest_line(box.lines) + 70, box.width if box.status else 0)
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
    """Make room for a frame around a region, and for its label."""
    region.framed = True
    top = _PAD + (20.0 if region.group.role == "catch" else 0.0)
    caught = region.group.role == "catch"
    least = text_width(region.group.label, SMALL_SIZE, bold=True) + 40 if caught else 0
    side = max(_PAD, (least - region.width) / 2)
    region.move(side, top)
    region.x = region.y = 0.0
    region.width += 2 * side
    region.height += top + _PAD


def _error_gap(catch: NodeGroup) -> float:
    """The distance between the steps of a `try` and the steps of its `catch`."""
    return 46.0 if catch.nodes else 0.0


# ---------------------------------------------------------------- at once
def _branches(group: NodeGroup, overlay: RunOverlay | None) -> Region:
    """Place branches side by side between two bars, or in rows without bars if there are many."""
    region = Region(group, boxes=[_box(node, overlay) for node in group.nodes])
    rows: list[list[Box]] = [[]]
    used = 0.0
    for box in region.boxes:
        if rows[-1] and used + box.width > _MAX_ROW_WIDTH:
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
            edge = GraphEdge(index, index)
            region.routes.append(EdgeRoute(edge, [(middle, 2.0), (middle, box.y)]))
            lower = [(middle, box.y + box.height), (middle, y - 2)]
            region.routes.append(EdgeRoute(edge, lower, arrow=False))
    region.height = y
    return region


def _put(box: Box, x: float, y: float) -> None:
    """Move a box with everything inside it."""
    for region in box.regions:
        region.move(x - box.x, y - box.y)
    box.x, box.y = x, y


# ---------------------------------------------------------------- one after the other
def _sequence(region: Region) -> None:
    """Place the boxes of a scope in layers, and route the edges between them."""
    boxes, edges = region.boxes, region.group.edges
    labelled = {len(boxes) + n: edge for n, edge in enumerate(e for e in edges if e.label)}
    labels = {node: _label(edge) for node, edge in labelled.items()}
    sizes = [box.size for box in boxes]
    sizes += [
        Size(each.width, each.height, max(0.0, each.width / 2 - 8)) for each in labels.values()
    ]
    pairs = _pairs(edges, labelled)
    loose = _order_links(len(boxes), list(pairs))
    back = cycle_closing_edges(len(sizes), [*pairs, *loose])
    ahead = [pair for pair in pairs if pair not in back]
    graph = assign_layers(len(sizes), ahead, [pair for pair in loose if pair not in back])
    widths = [size.width for size in sizes] + [0.0] * (len(graph.of) - len(sizes))
    place_nodes(graph, widths, _GAP, _BEND_GAP)
    sideways = [pair for pair in pairs if pair not in graph.chains]
    found = Router(graph, sizes, sideways).routes()
    for node, box in enumerate(boxes):
        _put(box, graph.middle[node] - box.width / 2, found.tops[graph.of[node]])
    for node, label in labels.items():
        label.x = graph.middle[node]
        label.y = found.tops[graph.of[node]] + label.height / 2
    region.labels = list(labels.values())
    region.routes = [
        EdgeRoute(edge, found.points[pair], arrow=pair[1] < len(boxes))
        for pair, edge in pairs.items()
    ]
    region.width, region.height = found.right - found.left, found.height
    region.move(-found.left, 0.0)
    region.x = region.y = 0.0


def _pairs(edges: tuple[GraphEdge, ...], labelled: dict[int, GraphEdge]) -> dict[Pair, GraphEdge]:
    """The edges from node to node, where the label of an edge is a node in its middle."""
    found: dict[Pair, GraphEdge] = {}
    places = {edge: node for node, edge in labelled.items()}
    for edge in edges:
        if edge in places:
            found[edge.source, places[edge]] = edge
            found[places[edge], edge.target] = edge
        else:
            found[edge.source, edge.target] = edge
    return found


def _order_links(count: int, pairs: list[Pair]) -> list[Pair]:
    """Links that keep a node without incoming edges below the node before it in the text."""
    after: dict[int, list[int]] = {}
    for source, target in pairs:
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


def _label(edge: GraphEdge) -> Label:
    lines = tuple(wrap_text(edge.label, SMALL_SIZE, _LABEL, lines=3))
    wide = max(text_width(line, SMALL_SIZE, bold=True) for line in lines) + 12
    return Label(lines, 0.0, 0.0, wide, len(lines) * _LABEL_LINE + 4)
