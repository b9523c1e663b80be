"""What an actor may read of the catalog, as SQL predicates for every query.

An actor may read the teams and classes of its roles. It may have relations besides: process owner
or deputy of an entry, author of a version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, FromClause, and_, func, or_

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.access.persons import acted, relation
from coe.access.policy_lines import Relation
from coe.access.scope import AccessScope
from coe.catalog.models import Entry, EntryVersion
from coe.catalog.owners import is_owner
from coe.catalog.records import EntryRecord, VersionRecord
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.work import Read

Readers = Mapping[Relation, ColumnElement[bool]]
"""The relations that let an actor read rows of a table, each with whether the actor has it."""


def readable_entries(read: Read, relations: Collection[str] = ()) -> ColumnElement[bool]:
    """What the actor may read, over the table of entries.

    `relations` are the actor's relations to all requested entries, as the caller verified.
    """
    return _readable(read, ENTRIES, relations, entry_readers(read))


def entry_readers(read: Read) -> Readers:
    """The relations by which the actor may read an entry; one is enough."""
    subject = read.actor.subject
    return {Relation.OWNER: or_(ENTRIES.c.process_owner == subject, ENTRIES.c.deputy == subject)}


def readable_versions(read: Read, relations: Collection[str] = ()) -> ColumnElement[bool]:
    """The same over the table of versions."""
    return _readable(read, VERSIONS, relations, version_readers(read))


def version_readers(read: Read) -> Readers:
    """The relations by which the actor may read a version; one is enough."""
    subject, card = read.actor.subject, VERSIONS.c.card
    owned = or_(card["process_owner"].astext == subject, card["deputy"].astext == subject)
    return {Relation.OWNER: owned, Relation.AUTHOR: wrote(subject)}


def relations_to(
    read: Read, entry: Entry | EntryRecord, version: EntryVersion | VersionRecord | None
) -> frozenset[str]:
    """The actor's relations to an entry and a version of it."""
    found: set[str] = set()
    subject = read.actor.subject
    if is_owner(read, entry):
        found.add(Relation.OWNER)
    if version is not None:
        found |= author_relation(read.actor, version)
    if version is not None and version.published_by == subject:
        found.add(Relation.PUBLISHER)
    return frozenset(found)


def author_relation(actor: Actor, version: EntryVersion | VersionRecord) -> set[str]:
    """Whether the actor is one of the authors of a version, or counts as one with an author."""
    authors = {version.created_by, *version.editors}
    subject = actor.subject if actor.subject in authors else None
    return relation(actor, Relation.AUTHOR, subject, authors | {*version.author_persons})


def wrote(subject: str) -> ColumnElement[bool]:
    """Whether a person wrote a version while it was a draft."""
    return or_(VERSIONS.c.created_by == subject, VERSIONS.c.editors.contains([subject]))


def wrote_as_one(actor: Actor) -> ColumnElement[bool]:
    """Whether the actor wrote a version, or a person who counts as one with it."""
    theirs = func.array_cat(VERSIONS.c.editors, VERSIONS.c.author_persons)
    return acted(actor, VERSIONS.c.created_by, theirs)


def _readable(
    read: Read, table: FromClause, relations: Collection[str], readers: Readers
) -> ColumnElement[bool]:
    cells = (table.c.team, table.c.data_class)
    related = (
        and_(holds, _scope(read, {relation}).clause(*cells)) for relation, holds in readers.items()
    )
    return or_(_scope(read, relations).clause(*cells), *related)


def _scope(read: Read, relations: Collection[str]) -> AccessScope:
    return read.policy.scope(read.actor, Permission.ENTRY_READ, relations=relations)
