"""The tests of a draft that is about to be submitted: found, run, and handed to the verb.

`coe.catalog.actions.submit_for_review` requires their result. They run before its transaction:
they take seconds, and nothing may be locked meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from sqlalchemy import select, tuple_

from coe.access.actor import Actor
from coe.catalog.models import LIVE, EntryKind, Lifecycle
from coe.catalog.names import asked_names
from coe.catalog.queries import aliases, find_version, versions_by_id
from coe.catalog.records import VERSION_COLUMNS, VersionRecord
from coe.catalog.refs import read_ref
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.evidence import TestEvidence, is_tested
from coe.catalog.versions.lifecycle import RUNNABLE, LifecycleAction, permission_for
from coe.catalog.versions.sealing import unseal
from coe.language.lint import published
from coe.review.queries import files_of
from coe.review.suites import SuiteRequest, run_tests
from coe.templates.manifest import TESTS
from coe.templates.queries import origins
from coe.work import Platform, Read, RequestInfo

_PATH: Final = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)+")


async def gather_evidence(
    platform: Platform, actor: Actor, ref: str, request: RequestInfo | None = None
) -> TestEvidence | None:
    """Run the tests of a draft that the actor may submit.

    None where there is nothing to run: the version has no tests, is no draft, or may not be
    submitted by the actor. The verb says so.
    """
    async with platform.read(actor, request) as read:
        suite = await _suite_of(read, ref)
    if suite is None:
        return None
    return await run_tests(platform, suite, published(platform.settings.content_dir))


async def _suite_of(read: Read, ref: str) -> SuiteRequest | None:
    parsed = read_ref(ref)
    if parsed is None or parsed.exact is None:
        return None
    version = await find_version(read, ref)
    if version is None or not _may_submit(read, version):
        return None
    files = await files_of(read, version, handed_out=False)
    template = await _template_of(read, version)
    if TESTS not in files:
        files = {}
        if template is None:
            return None
    tables, other_refs = await _tables(read, files.values())
    return SuiteRequest(
        kind=version.kind,
        digest=version.digest,
        tests_digest=version.tests_digest,
        files=files,
        tables=tables,
        aliases=other_refs,
        template=template,
        names=await asked_names(read),
    )


def _may_submit(read: Read, version: VersionRecord) -> bool:
    if version.lifecycle is not Lifecycle.DRAFT or not is_tested(version.kind, version.flow_kind):
        return False
    permission = permission_for(version.kind, LifecycleAction.SUBMIT)
    decision = read.decide(permission, team=version.team, data_class=version.data_class)
    return decision.allowed


async def _template_of(read: Read, version: VersionRecord) -> str | None:
    """The published template of which a flow's version is an unchanged rendering."""
    origin = (await origins(read, [version.id])).get(version.id)
    if origin is None or origin.changed:
        return None
    template = (await versions_by_id(read, [origin.template_version_id])).get(
        origin.template_version_id
    )
    return template.ref if template and template.lifecycle in RUNNABLE else None


def _possible_names(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Everything in the texts that could be the name of an entry."""
    paths = (found.split("/") for text in texts for found in _PATH.findall(text))
    return sorted({pair for path in paths for pair in pairwise(path)})


async def _tables(read: Read, texts: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of the decision tables that these texts name, by exact ref, and other refs of them.

    A template names them in ways that depend on its parameters, so a table counts if its name
    occurs. Only those count that the actor may read: what a test reports would tell of the others.
    """
    names = select(ENTRIES.c.id, ENTRIES.c.namespace, ENTRIES.c.name).where(
        ENTRIES.c.kind == EntryKind.DECISION,
        tuple_(ENTRIES.c.namespace, ENTRIES.c.name).in_(_possible_names(texts)),
    )
    named = {
        row.id: f"{row.namespace}/{row.name}" for row in (await read.session.execute(names)).all()
    }
    query = select(*VERSION_COLUMNS, VERSIONS.c.content_sealed).where(
        VERSIONS.c.entry_id.in_(named),
        readable_versions(read),
    )
    found: dict[str, str] = {}
    for row in (await read.session.execute(query)).all():
        version = VERSION_COLUMNS.record(row)
        column, sealed = "content_sealed", row.content_sealed
        content = await unseal(read.keyring, version.id, version.team, column, sealed)
        found[version.ref] = str(content["definition"] if isinstance(content, dict) else content)
    other: dict[str, str] = {}
    for ident, versions in (await aliases(read, list(named))).items():
        for alias, exact in versions.items():
            other[f"{named[ident]}@{alias}"] = f"{named[ident]}@{exact}"
        if LIVE in versions:
            other[named[ident]] = f"{named[ident]}@{versions[LIVE]}"
    return found, other
