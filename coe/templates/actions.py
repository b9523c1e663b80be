"""Verbs of the templates; their lifecycle (submit, review, publish …) is the catalog's."""

from __future__ import annotations

from collections.abc import Mapping

from coe.catalog.rows import Preview, Saved
from coe.templates.rows import Instantiation
from coe.work import Read, Work


async def register_template(
    work: Work, files: Mapping[str, str], *, changelog: str | None = None
) -> Saved:
    """Save a version of a template, path to content, as a draft.

    Raises:
        Invalid: The problems of its files; nothing is saved.
        Forbidden: `template:register` in the team of its namespace is refused.
    """
    ...


async def preview(read: Read, request: Instantiation) -> Preview:
    """What `instantiate` would save, and what stands in its way; saves nothing."""
    ...


async def instantiate(work: Work, request: Instantiation) -> Saved:
    """Render a template into a team's namespace as a draft version, with its origin.

    Raises:
        Invalid: The problems of the parameters or of the rendered definition; nothing is saved.
        NotFound: No such template, or it may not be read.
        Forbidden: `template:instantiate` in the team is refused.
    """
    ...
