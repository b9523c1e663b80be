"""Drawings of definitions as SVG: laid out in layers, with a run's states laid over on demand.

One file without scripts, fonts or references to elsewhere, the same bytes for the same input. Who
does a step is told by shape, icon and colour, with a legend. Reading order, for who cannot see the
drawing, is in its `<desc>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.drawing.graph import Group, graph, single
from coe.drawing.layout import arranged
from coe.drawing.legend import SIGN_NAMES, legend, legend_key
from coe.drawing.paint import Painter
from coe.drawing.palette import ink, shape, style_sheet
from coe.drawing.run_overlay import RunOverlay, StepOverlay
from coe.drawing.text import number as n
from coe.drawing.text import safe, wrap
from coe.language.model.definition import Definition

__all__ = ["RunOverlay", "StepOverlay", "svg", "svg_of", "svg_of_box"]

_MARGIN: Final = 24.0
_TITLE: Final = 18.0
_LEAST: Final = 460.0
# Most steps that the description of a drawing names one by one.
_NAMED: Final = 200


def svg(definition: Definition, run: RunOverlay | None = None) -> str:
    """A definition as an SVG document, with a run's states and times if they are given.

    Takes about a millisecond a step. Raises nothing for what is in a definition that loads.
    """
    about = definition.document
    title = about.title or about.name
    return svg_of(graph(definition), title, about.ref, run)


def svg_of_box(title: str, ref: str, run: RunOverlay | None = None) -> str:
    """The drawing of a flow of which no steps are known, such as a team's local flow."""
    return svg_of(single(title), title, ref, run)


def svg_of(group: Group, title: str, ref: str, run: RunOverlay | None = None) -> str:
    """A graph as an SVG document."""
    region = arranged(group, run)
    told = title if run is None or not run.title else f"{title}: {run.title}"
    wide = max(region.width, _LEAST)
    heading = wrap(told, _TITLE, wide, lines=3, bold=True)
    top = _MARGIN + 24 * len(heading) + 24
    key = legend(group.walk(), run, wide)
    height = top + region.height + 30 + key.height + _MARGIN
    region.move(_MARGIN + (wide - region.width) / 2, top)
    parts = [
        *_opening(wide + 2 * _MARGIN, height, told, _described(group, run)),
        *_heading(heading, ref),
        *Painter(run).region(region),
        *_ruled(wide, height - _MARGIN - key.height - 14),
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
    yield f'<rect width="100%" height="100%" {shape("page")}/>'


def _heading(lines: list[str], ref: str) -> Iterator[str]:
    y = _MARGIN + _TITLE
    for line in lines:
        yield (
            f'<text x="{n(_MARGIN)}" y="{n(y)}" font-size="{n(_TITLE)}" font-weight="700" '
            f"{ink('page')}>{safe(line)}</text>"
        )
        y += 24
    yield f'<text x="{n(_MARGIN)}" y="{n(y - 3)}" font-size="12" {ink("page")}>{safe(ref)}</text>'


def _ruled(wide: float, y: float) -> Iterator[str]:
    yield (f'<path d="M{n(_MARGIN)} {n(y)}h{n(wide)}" stroke-width="1" {shape("tried")}/>')


def _described(group: Group, run: RunOverlay | None) -> str:
    """The steps in the order of the text, in words."""
    steps = [node for node in group.walk() if not node.is_mark]
    told = []
    for node in steps[:_NAMED]:
        kind = SIGN_NAMES.get(legend_key(node), "").lower()
        state = "; ".join(run.status(node.key)) if run is not None else ""
        told.append(f"{node.name} ({kind}{'; ' + state if state else ''})")
    more = f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    return f"{len(steps)} steps: {', '.join(told)}{more}."
