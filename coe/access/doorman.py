"""Who sends a bearer token, and the version of the policy: one statement, without a session.

What it decides is what `coe.access.tokens` and `coe.access.people` decide; only the reading is in
one statement. Nothing is remembered from one request to the next, so a revocation counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import ARRAY, LargeBinary, Select, any_, bindparam, select

from coe.access import people, tokens
from coe.access.models import AccessToken, Membership, Person
from coe.access.records import STATE, policy_version
from coe.access.token_text import is_token
from coe.access.tokens import FoundToken
from coe.crypto.mac import MacKeys
from coe.db import DirectConnections
from coe.db.plans import Plan
from coe.db.tables import table_of
from coe.errors import Unauthenticated

_TOKENS: Final = table_of(AccessToken)
_MEMBERSHIPS: Final = table_of(Membership)
_PEOPLE: Final = table_of(Person)
_EXTRA: Final = ("member_name", "person_state", "person_name", "version", "digest")


@dataclass(frozen=True, slots=True)
class Entered:
    """A token whose actor is let in, and the version of the policy in force at that moment."""

    found: FoundToken
    policy_version: str


def _statement() -> Select[Any]:
    codes = bindparam("codes", type_=ARRAY(LargeBinary))
    line = tokens.line_of(_TOKENS.c.token_hash == any_(codes)).get_final_froms()[0]
    name = (
        select(_MEMBERSHIPS.c.display_name)
        .where(_MEMBERSHIPS.c.subject == line.c.subject)
        .order_by(_MEMBERSHIPS.c.team)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            line,
            name.label(_EXTRA[0]),
            _PEOPLE.c.state.label(_EXTRA[1]),
            _PEOPLE.c.display_name.label(_EXTRA[2]),
            STATE.c.version.label(_EXTRA[3]),
            STATE.c.digest.label(_EXTRA[4]),
        )
        .outerjoin(_PEOPLE, _PEOPLE.c.subject == line.c.subject)
        .outerjoin(STATE, STATE.c.id == 1)
        .order_by(line.c.depth)
    )


_STATEMENT: Final = _statement()
_PLAN: Final = Plan(_STATEMENT)
_NAMES: Final = tuple(_STATEMENT.selected_columns.keys())


async def enter(
    connections: DirectConnections, macs: MacKeys, bearer: str, *, now: datetime
) -> Entered:
    """Find the actor of a token in the database, and let it in.

    Raises:
        Unauthenticated: As `tokens.authenticate` and `people.admit` say.
    """
    if not is_token(bearer):
        raise Unauthenticated
    codes = tokens.text_codes(macs, bearer)
    rows = await _PLAN.fetch(connections, codes=codes)
    line = [SimpleNamespace(**dict(zip(_NAMES, row, strict=True))) for row in rows]
    found = tokens.found_token(macs, line, now)
    first = line[0]
    actor = replace(found.actor, display_name=first.member_name or found.actor.subject)
    actor = people.admitted(actor, first.person_state, first.person_name)
    return Entered(replace(found, actor=actor), policy_version(first.version, first.digest))
