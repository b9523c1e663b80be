"""SVG drawings of definitions, laid out in layers, on request with the states of a run.

A drawing is one file without scripts, fonts or external references; the same input gives the same
bytes. Shape, icon and colour show who performs a step, and a legend explains them. The `<desc>`
lists the steps in reading order for people who cannot see the drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.drawing.graph import NodeGroup, definition_graph, single_step_graph
from coe.drawing.layout import lay_out
from coe.drawing.legend import ICON_MEANINGS, legend, legend_key
from coe.drawing.paint import Painter
from coe.drawing.palette import shape_colours, style_sheet, text_colours
from coe.drawing.run_overlay import RunOverlay, StepOverlay
from coe.drawing.text import number as n
from coe.drawing.text import safe, wrap_text
from coe.language.model.definition import Definition

__all__ = ["RunOverlay", "StepOverlay", "svg", "svg_of", "svg_of_box"]

_MARGIN: Final = 24.0
_TITLE: Final = 18.0
_MIN_WIDTH: Final = 460.0
# The description of a drawing names at most this many steps.
_MAX_NAMED_STEPS: Final = 200


def svg(definition: Definition, run: RunOverlay | None = None) -> str:
    """Draw a definition as an SVG document, with the states and times of a run if given.

    It takes about a millisecond a step, and works for every definition that loads.
    """
    about = definition.document
    title = about.title or about.name
    return svg_of(definition_graph(definition), title, about.ref, run)


def svg_of_box(title: str, ref: str, run: RunOverlay | None = None) -> str:
    """Draw a flow whose steps are not known, such as a team's local flow."""
    return svg_of(single_step_graph(title), title, ref, run)


def svg_of(group: NodeGroup, title: str, ref: str, run: RunOverlay | None = None) -> str:
    """Draw a graph as an SVG document."""
    region = lay_out(group, run)
    heading = title if run is None or not run.title else f"{title}: {run.title}"
    wide = max(region.width, _MIN_WIDTH)
    lines = wrap_text(heading, _TITLE, wide, lines=3, bold=True)
    top = _MARGIN + 24 * len(lines) + 24
    key = legend(group.walk(), run, wide)
    height = top + region.height + 30 + key.height + _MARGIN
    region.move(_MARGIN + (wide - region.width) / 2, top)
    parts = [
        *_opening(wide + 2 * _MARGIN, height, heading, _description(group, run)),
        *_heading(lines, ref),
        *Painter(run).region(region),
        *_rule(wide, height - _MARGIN - key.height - 14),
        *key.elements(_MARGIN, height - _MARGIN - key.height),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _opening(wide: float, height: float, title: str, description: str) -> Iterator[str]:
    size = f'width="{n(wide)}" height="{n(height)}" viewBox="0 0 {n(wide)} {n(height)}"'
    fonts = "font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif\""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" class="coe-drawing" {fonts} '
        f'aria-label="{safe(title)}">'
    )
    yield f"<title>{safe(title)}</title>"
    yield f"<desc>{safe(description)}</desc>"
    yield f"<style>{style_sheet()}</style>"
    yield f'<rect width="100%" height="100%" {shape_colours("page")}/>'


def _heading(lines: list[str], ref: str) -> Iterator[str]:
    y = _MARGIN + _TITLE
    for line in lines:
        yield (
            f'<text x="{n(_MARGIN)}" y="{n(y)}" font-size="{n(_TITLE)}" font-weight="700" '
            f"{text_colours('page')}>{safe(line)}</text>"
        )
        y += 24
    place = f'x="{n(_MARGIN)}" y="{n(y - 3)}"'
    yield f'<text {place} font-size="12" {text_colours("page")}>{safe(ref)}</text>'


def _rule(wide: float, y: float) -> Iterator[str]:
    yield f'<path d="M{n(_MARGIN)} {n(y)}h{n(wide)}" stroke-width="1" {shape_colours("body")}/>'


def _description(group: NodeGroup, run: RunOverlay | None) -> str:
    """The steps in the order of the text, as one sentence."""
    steps = [node for node in group.walk() if not node.is_mark]
    parts = []
    for node in steps[:_MAX_NAMED_STEPS]:
        kind = ICON_MEANINGS.get(legend_key(node), "").lower()
        state = "; ".join(run.status(node.key)) if run is not None else ""
        parts.append(f"{node.name} ({kind}{'; ' + state if state else ''})")
    more = f" and {len(steps) - _MAX_NAMED_STEPS} more" if len(steps) > _MAX_NAMED_STEPS else ""
    return f"{len(steps)} steps: {', '.join(parts)}{more}."
