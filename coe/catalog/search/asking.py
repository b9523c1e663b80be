"""A search of the catalog as a question to the index, and its answer as the catalog gives it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import orjson

from coe import paging
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.catalog.records import Facet, FacetValue
from coe.catalog.search.filters import criteria
from coe.catalog.search.loading import ALL_CLASSES
from coe.catalog.search.requests import CatalogOrder, CatalogSearch
from coe.search.asking import By, Found, Mode, Place, Plan, Question
from coe.search.parsing import MAX_WORDS, ParsedText, parse
from coe.search.reach import Reach, Reader
from coe.work import Read

NO_WORD: Final = "The text has no word: entries are found by letters and digits."
_MOST_SEEN: Final = 1_000_000
_ORDERS: Final = {
    CatalogOrder.TITLE: By.TITLE,
    CatalogOrder.UPDATED: By.UPDATE,
    CatalogOrder.MOST_USED: By.USE,
}


def reader_of(read: Read) -> Reader:
    """What the actor may read, as the index compares it."""
    return read.policy.keep(read.actor, "search", lambda: _reader(read))


def _reader(read: Read) -> Reader:
    return Reader(
        read.actor.subject,
        everything=_reach(read, ()),
        owned=_reach(read, {Relation.OWNER}),
        written=_reach(read, {Relation.AUTHOR}),
    )


def _reach(read: Read, relations: Collection[str]) -> Reach:
    scope = read.policy.scope(read.actor, Permission.ENTRY_READ, relations=relations)
    return Reach(
        frozenset(each.value for each in scope.elsewhere),
        {team: frozenset(each.value for each in classes) for team, classes in scope.teams.items()},
        ALL_CLASSES,
    )


def question_of(read: Read, request: CatalogSearch) -> Question:
    """The question to the index.

    Raises:
        Invalid: The filter or the cursor is not valid.
    """
    parsed = parse(request.text)
    by = _ORDERS.get(request.order, By.USE if parsed.empty else By.SCORE)
    browsed = parsed.empty and request.filter.plain  # then the cursor is one of a statement
    after = None if request.after is None or browsed else _place(by, request.after)
    return Question(
        parsed=parsed,
        reader=reader_of(read),
        criteria=criteria(request.filter),
        by=by,
        first=request.first,
        after=after,
        facets=request.facets,
    )


def facets_of(found: Found) -> tuple[Facet, ...]:
    """The facets, the most frequent values first."""
    return tuple(
        Facet(name, tuple(FacetValue(value, number) for value, number in values.items()))
        for name, values in found.facets.items()
    )


def note_on(parsed: ParsedText, plan: Plan) -> str | None:
    """How the text was understood, if not as it stands."""
    words = ", ".join(parsed.words)
    if plan.mode is Mode.MOST:
        return f"No entry has all of: {words}. Those with the most of them are shown."
    if plan.mode is Mode.NEAR:
        meant = ", ".join(f"{word} → {each[0]}" for word, each in plan.corrected.items())
        return f"Nothing has these words as typed; shown is what was probably meant: {meant}."
    if plan.mode is Mode.NONE:
        return (
            f"No entry that you may read has: {words}. If you miss a process, ask your centre of "
            "excellence for it."
        )
    return None


def did_you_mean(parsed: ParsedText, plan: Plan) -> str | None:
    """The words with their corrections, if there are some."""
    if not plan.corrected:
        return None
    return " ".join(plan.corrected.get(word, (word,))[0] for word in parsed.words)


# ---------------------------------------------------------------- cursors


def cursor_of(by: By, place: Place) -> str:
    """The cursor of an entry: its key and id, and how the text was understood."""
    plan = place.plan
    parts = [
        *(place.key, place.id.hex, place.seen, plan.mode.value),
        *({word: list(meant) for word, meant in plan.corrected.items()}, dict(plan.weights)),
        plan.least,
    ]
    return paging.encode(f"found {by.value}", (orjson.dumps(parts).decode(),))


def _place(by: By, cursor: str) -> Place:
    """The place of a cursor.

    Raises:
        Invalid: It is no cursor of this order.
    """
    (place,) = paging.decode(f"found {by.value}", cursor, (lambda text: _read_place(by, text),))
    return place  # type: ignore[no-any-return]  # as the reader made it


def _read_place(by: By, text: str) -> Place:
    key, ident, seen, mode, corrected, weights, least = orjson.loads(text)
    wanted: Any = {By.SCORE: float, By.TITLE: str}.get(by, int)
    plan = Plan(
        Mode(mode),
        {_text(word): tuple(map(_text, meant[:3])) for word, meant in corrected.items()},
        {_text(word): _number(weight, 4) for word, weight in weights.items()},
        int(_number(least, MAX_WORDS)),
    )
    if type(key) is not wanted or len(corrected) > MAX_WORDS or len(weights) > MAX_WORDS:
        raise ValueError
    return Place(key, UUID(hex=ident), int(_number(seen, _MOST_SEEN)), plan)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object, most: float) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError
    return value
