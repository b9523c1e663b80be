"""Render a template's folder with parameters, without a server."""

from __future__ import annotations

from pathlib import Path

from coe.cli.folder_lookup import lookup_beside
from coe.cli.input_files import texts_of
from coe.errors import Problem, errors_in
from coe.json_types import JSON
from coe.language.lint import Stage, at_stage, lint
from coe.language.load import load
from coe.language.names.references import NameKind
from coe.templates.manifest import read_template, template_name_problems
from coe.templates.render import Target, render


def render_folder(
    folder: Path,
    *,
    namespace: str,
    name: str | None,
    parameters: JSON,
    title: str | None = None,
    process_owner: str | None = None,
) -> tuple[str | None, tuple[Problem, ...]]:
    """Render the template in a folder and check the definition.

    The names in the definition are looked up if the namespace is that of a team.

    Returns:
        The definition (None if the template or the parameters have errors), and all problems.
    """
    template, problems = read_template(texts_of(folder))
    if template is None:
        return None, problems
    manifest = template.manifest
    lookup = lookup_beside(folder)
    problems += at_stage(template_name_problems(template, lookup.known_names), Stage.DRAFT)
    target = Target(
        namespace=namespace,
        name=name or manifest.name,
        version=manifest.version,
        title=title or manifest.title,
        process_owner=process_owner or manifest.process_owner or "process-owner",
    )
    rendered = render(template, target, parameters)
    problems += rendered.problems
    if errors_in(problems):
        return None, problems
    loaded = load(rendered.text)
    problems += loaded.problems
    if loaded.definition is not None:
        teams = lookup.known_names.by_kind.get(NameKind.TEAM)
        in_team = teams is not None and namespace in teams.exist
        problems += lint(loaded.definition, known=lookup if in_team else None)
    return rendered.text, problems


def schema_of(folder: Path) -> JSON:
    """The JSON Schema of the parameters of the template in a folder; anything if it has errors."""
    template, _ = read_template(texts_of(folder))
    return template.manifest.parameters if template is not None else {}
