"""Render a template's folder with parameters, without a server."""

from __future__ import annotations

from pathlib import Path

from coe.errors import Problem, errors_in
from coe.json_types import JSON
from coe.language.lint import lint
from coe.language.load import load
from coe.templates.manifest import read_template
from coe.templates.render import Target, render


def render_folder(
    folder: Path,
    *,
    namespace: str,
    name: str | None,
    parameters: JSON,
) -> tuple[str | None, tuple[Problem, ...]]:
    """Render the template in a folder and check the definition.

    Returns:
        The definition (None if the template or the parameters have errors), and all problems.
    """
    template, problems = read_template(_texts(folder))
    if template is None:
        return None, problems
    manifest = template.manifest
    target = Target(
        namespace=namespace,
        name=name or manifest.name,
        version=manifest.version,
        title=manifest.title,
        process_owner=manifest.process_owner or "process-owner",
    )
    rendered = render(template, target, parameters)
    problems += rendered.problems
    if errors_in(problems):
        return None, problems
    loaded = load(rendered.text)
    problems += loaded.problems
    if loaded.definition is not None:
        problems += lint(loaded.definition)
    return rendered.text, problems


def _texts(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}
