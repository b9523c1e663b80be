"""Save and open the origins of instantiated flow versions; the parameters are sealed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Table, func, select
from sqlmodel import SQLModel

from coe.catalog.models import EntryVersion
from coe.catalog.records import VersionRecord
from coe.catalog.tables import ENTRIES
from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.json_types import JSON
from coe.templates.models import TemplateOrigin
from coe.work import Work

ORIGINS: Table = SQLModel.metadata.tables["template_origins"]
_PURPOSE = "catalog"


async def keep_origin(
    work: Work,
    flow: EntryVersion,
    template: VersionRecord,
    parameters: JSON,
) -> None:
    """Save the origin of a flow version, and update the number of flows of the template."""
    place = _place(flow.id, flow.team)
    work.session.add(
        TemplateOrigin(
            flow_version_id=flow.id,
            flow_entry_id=flow.entry_id,
            flow_team=flow.team,
            template_version_id=template.id,
            template_entry_id=template.entry_id,
            digest=flow.digest,
            parameters_sealed=await work.keyring.seal_json(place, _PURPOSE, parameters),
            created_at=work.now,
        ),
    )
    await work.session.flush()
    await count_flows(work, template.entry_id)


async def template_of(work: Work, flow: EntryVersion) -> UUID | None:
    """The id of the template from which a version was made, if it was."""
    found: UUID | None = await work.session.scalar(
        select(ORIGINS.c.template_entry_id).where(ORIGINS.c.flow_version_id == flow.id),
    )
    return found


async def count_flows(work: Work, template: UUID) -> None:
    """Update the number of flows that were made from a template."""
    flows = select(func.count(ORIGINS.c.flow_entry_id.distinct())).where(
        ORIGINS.c.template_entry_id == template,
    )
    counted = ENTRIES.update().where(ENTRIES.c.id == template)
    await work.session.execute(counted.values(uses=flows.scalar_subquery()))


async def open_parameters(keyring: Keyring, flow_version: UUID, team: str, sealed: bytes) -> JSON:
    """Open the parameters of a flow's version.

    Raises:
        CoeError: The parameters were changed or moved.
    """
    return await keyring.open_json(_place(flow_version, team), _PURPOSE, sealed)


def _place(flow_version: UUID, team: str) -> Cell:
    return Cell(
        table="template_origins",
        row=str(flow_version),
        column="parameters_sealed",
        team=team,
    )
