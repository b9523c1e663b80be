"""Who counts as one person: an actor and the maker of its credential.

A lead who makes a token for a service could otherwise start a run as the service and approve it as
herself. Each act that a rule may ask for later is kept with its persons (`Actor.persons`), beside
the subject that did it: in `requester_persons`, `author_persons` or `persons` of its row. A rule
asks whether any of them is one of the actor's.

A relation that an actor has only through such a person can refuse, and never allow: who made a
token does not get to read what the service may read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, cast, or_
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.actor import Actor

AGAINST_PREFIX: Final = "against:"
"""Before a relation that only counts against the actor."""


def acted(
    actor: Actor, subject: ColumnElement[Any], persons: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether the actor did something, or a person who counts as one with it.

    Args:
        actor: The actor.
        subject: The column of who did it.
        persons: The column of its persons; rows of earlier releases have none.
    """
    mine = sorted(actor.persons)
    return or_(subject.in_(mine), persons.bool_op("&&")(cast(mine, ARRAY(Text))))


def relation(actor: Actor, name: str, subject: str | None, persons: Collection[str]) -> set[str]:
    """The relation of the actor to an act: its own, one against it, or none.

    Args:
        actor: The actor.
        name: The relation (`coe.access.policy_lines.Relation`).
        subject: Who did it, if anybody has.
        persons: Those who count as having done it, in rows that have them.
    """
    if subject == actor.subject:
        return {str(name)}
    others = {subject, *persons}
    return {AGAINST_PREFIX + name} if others & actor.persons else set()
