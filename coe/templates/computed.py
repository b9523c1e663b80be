"""What is computed of a template's files, in a process that can be killed (`coe.confined`)."""

from __future__ import annotations

from collections.abc import Mapping

from coe.catalog.flows.computed import flow_of
from coe.catalog.flows.documents import FlowDocument
from coe.errors import Problem, errors_in
from coe.json_types import JSON
from coe.language.source import Source, read
from coe.templates.manifest import FLOW, MANIFEST, TemplateFiles, in_file, read_template
from coe.templates.render import Rendered, Target, render, unknown_parameters
from coe.templates.rendered_tests import rendered_tests

__all__ = ["manifest_source", "rendered_flow", "rendered_tests", "template_of", "wrong_parameters"]


def template_of(files: Mapping[str, str]) -> tuple[TemplateFiles | None, tuple[Problem, ...]]:
    """Read a template's files, as `read_template`."""
    return read_template(files)


def rendered_flow(
    files: TemplateFiles, target: Target, parameters: JSON
) -> tuple[Rendered, FlowDocument | None, tuple[Problem, ...]]:
    """Render a template and read the flow: the rendering has problems of its own."""
    rendered = render(files, target, parameters)
    if errors_in(rendered.problems):
        return rendered, None, ()
    return rendered, *flow_of(rendered.text)


def wrong_parameters(files: TemplateFiles) -> tuple[Problem, ...]:
    """The problems of placeholders that name no parameter."""
    return tuple(
        in_file(FLOW, Problem("INPUT_PLACEHOLDER", f"there is no parameter {name!r}"))
        for name in unknown_parameters(files)
    )


def manifest_source(files: TemplateFiles) -> Source:
    """The manifest as a document, in which names are located."""
    return read(files.texts[MANIFEST], file=MANIFEST)
