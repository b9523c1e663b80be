"""Reads of the templates; batch functions by ids, for DataLoaders."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from coe.templates.rows import OriginRow, TemplateContent, TemplateUsage
from coe.work import Read


async def template_contents(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, TemplateContent]:
    """Files and parameter schemas of template versions, opened and checked by their digest."""
    ...


async def usage(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, TemplateUsage]:
    """For each template the flows made from it, counted over all teams."""
    ...


async def origins(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, OriginRow]:
    """For each flow version made from a template, where it came from."""
    ...
