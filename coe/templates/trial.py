"""Try a template: render it with each of its examples, and check each flow.

A template whose examples have problems is not saved: its users would meet them.
"""

from __future__ import annotations

from dataclasses import replace

from coe.catalog.flows.checking import check
from coe.catalog.names import check_names
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.lint.stages import Stage, at_stage
from coe.language.names.references import named_by
from coe.templates.computed import manifest_source, rendered_flow, wrong_parameters
from coe.templates.manifest import FLOW, MANIFEST, TemplateFiles, in_file
from coe.templates.render import Target
from coe.work import Read


async def try_out(read: Read, template: TemplateFiles) -> tuple[Problem, ...]:
    """The problems of all flows that the template's examples give, each once."""
    found = dict.fromkeys(await read.compute(wrong_parameters, template))
    for parameters in examples_of(template):
        found |= dict.fromkeys(await _try(read, template, parameters))
    source, team = await read.compute(manifest_source, template), template.manifest.namespace
    named = await check_names(read, source, named_by(source.data), team)
    found |= dict.fromkeys(in_file(MANIFEST, each) for each in at_stage(named, Stage.DRAFT))
    return tuple(found)


def examples_of(template: TemplateFiles) -> tuple[JSON, ...]:
    """The parameters to try: the examples of the schema, else its defaults alone."""
    examples = template.manifest.parameters.get("examples")
    return tuple(examples) if isinstance(examples, list) and examples else ({},)


def sample_target(template: TemplateFiles) -> Target:
    """A flow in the template's own namespace."""
    manifest = template.manifest
    return Target(
        namespace=manifest.namespace,
        name=manifest.name,
        version="1.0.0",
        title=manifest.title,
        process_owner=manifest.process_owner or "nobody",
    )


async def _try(read: Read, template: TemplateFiles, parameters: JSON) -> list[Problem]:
    rendered, document, found = await read.compute(
        rendered_flow, template, sample_target(template), parameters
    )
    mistakes = [
        in_file(
            MANIFEST,
            replace(each, message=f"an example of the parameters: {each.path} {each.message}"),
        )
        if each.code.startswith("INPUT_")
        else each
        for each in rendered.problems
    ]
    if mistakes:
        return mistakes
    if document is not None:
        found += await check(read, document, Stage.TEMPLATE, sample=True)
    return [in_file(FLOW, replace(each, line=None, column=None)) for each in found]
