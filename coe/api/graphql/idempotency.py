"""`clientMutationId`: of mutations with one key, one is carried out, and all get its answer."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from enum import Enum

import orjson

from coe.access.actor import Actor
from coe.api.graphql.context import Context
from coe.errors import Invalid
from coe.idempotency import Receipt, carry_out_once
from coe.json_types import JSON
from coe.work import Work


async def once(
    context: Context,
    mutation: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[Receipt]],
) -> Receipt:
    """Carry out a mutation in its transaction, or return the receipt that its key already has.

    The problems of an input that is not valid are in the receipt too.

    Args:
        context: The request; its loaders are emptied, because the mutation may change their values.
        mutation: The name of the mutation: a key belongs to one.
        key: The `clientMutationId`, unique per actor for 24 hours; without it no answer is kept.
        given: The input, of which a digest is kept, sealed.
        verb: The change, in the transaction that it is given.

    Raises:
        Conflict: The key was used with another input.
    """
    try:
        async with context.work() as work:
            if key is None:
                return await verb(work)
            digest = _digest(mutation, given, context.actor)
            return await carry_out_once(work, key, digest, verb)
    except Invalid as error:
        return Receipt(problems=error.problems)
    finally:
        context.forget()


def _digest(mutation: str, given: object, actor: Actor) -> str:
    """The digest of the input, and of the scopes and the team of the token.

    A call with others is another input, because an answer may hold more than they allow.
    """
    whole: dict[str, JSON] = {
        "mutation": mutation,
        "given": _plain(given),
        "scopes": None if actor.scopes is None else [*sorted(actor.scopes)],
        "team": actor.bound_to,
    }
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: object) -> JSON:
    """A value of an input as JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
