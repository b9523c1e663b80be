"""The sinks of checkpoints as the operator sees them: added, removed, and what they keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete

from coe.access.actor import Actor
from coe.audit.events import Tag
from coe.audit.outside import Outside
from coe.audit.sinks.configured import open_sinks
from coe.audit.sinks.sink import Sink, SinkFailed
from coe.audit.sinks.state import AUDIT_SINKS, SinkState, add_sink, known_sinks, sink_states
from coe.crypto.signing import VerifyKey
from coe.db import Database
from coe.errors import Conflict, NotFound
from coe.identifiers import PLATFORM_TEAM
from coe.installation.keys import compare_keys
from coe.json_types import JSON
from coe.settings import Settings
from coe.work import Platform

OPERATOR: Final = Actor.of("service:content", display_name="The operator")


@dataclass(frozen=True, slots=True)
class ListedSink:
    """A sink of the file or of the database, and what it keeps; `state` is None if not added."""

    name: str
    kind: str
    state: SinkState | None
    configured: bool


async def add(settings: Settings, name: str, *, again: bool) -> str:
    """Know a sink of the file from now on, whatever it keeps; return its kind.

    Raises:
        NotFound: The file has no sink of this name.
        Conflict: The database knows it already, and not `again`.
    """
    sink = _configured(settings, name)
    platform, sealing = await _open(settings)
    try:
        async with sealing.session() as session:
            known = await known_sinks(session)
            if name in known and not again:
                raise Conflict(f"{name} is known; --again has it begin anew, whatever it keeps")
            before = known[name].tree_size if name in known else None
            detail: dict[str, JSON] = {"kind": sink.kind, "before": before}
            await _record(platform, Tag.AUDIT_SINK_ADD, name, detail)
            await add_sink(session, platform.macs, sink)
            await session.commit()
    finally:
        await sealing.close()
        await platform.close()
    return sink.kind


async def remove(settings: Settings, name: str) -> None:
    """Forget a sink: nothing is compared with it any more.

    Raises:
        NotFound: The database knows none of this name.
    """
    platform, sealing = await _open(settings)
    try:
        async with sealing.session() as session:
            known = await known_sinks(session)
            if name not in known:
                raise NotFound(f"the database knows no sink {name} (coe sink list)")
            before: dict[str, JSON] = {"before": known[name].tree_size}
            await _record(platform, Tag.AUDIT_SINK_REMOVE, name, before)
            await session.execute(delete(AUDIT_SINKS).where(AUDIT_SINKS.c.name == name))
            await session.commit()
    finally:
        await sealing.close()
        await platform.close()


async def list_sinks(settings: Settings) -> list[ListedSink]:
    """The sinks of the file and those that the database knows."""
    configured = {each.name: each for each in open_sinks(settings.checkpoint_sinks_file)}
    database = Database(settings.serving_url, name="coe-sinks", pool_size=1)
    try:
        async with database.session() as session:
            known = {each.name: each for each in await sink_states(session)}
    finally:
        await database.close()
    return [
        ListedSink(
            name,
            configured[name].kind if name in configured else known[name].kind,
            known.get(name),
            name in configured,
        )
        for name in sorted({*configured, *known})
    ]


async def add_sinks(outside: Outside, sinks: Sequence[Sink], key: VerifyKey) -> None:
    """Add the newest checkpoints that sinks keep."""
    for sink in sinks:
        if not sink.readable:
            outside.mute[sink.name] = sink.kind
            continue
        try:
            outside.add(sink.name, await sink.newest(), key)
        except SinkFailed as error:
            outside.unread[sink.name] = error.message


def _configured(settings: Settings, name: str) -> Sink:
    sinks = open_sinks(settings.checkpoint_sinks_file, settings.ca_file)
    found = next((each for each in sinks if each.name == name), None)
    if found is None:
        raise NotFound(f"COE_CHECKPOINT_SINKS_FILE has no sink {name}: name it there first")
    return found


async def _open(settings: Settings) -> tuple[Platform, Database]:
    await compare_keys(settings)
    platform = Platform.open(settings, name="coe-sinks", pool_size=1)
    return platform, Database.sealing(settings, name="coe-sinks", pool_size=1)


async def _record(platform: Platform, tag: Tag, name: str, detail: dict[str, JSON]) -> None:
    async with platform.work(OPERATOR) as work:
        await work.record(tag, resource=f"audit:sink:{name}", team=PLATFORM_TEAM, detail=detail)
