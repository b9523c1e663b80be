from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from coe.search.asking import By, Criterion, Found, Mode, Question
from coe.search.entries import IndexedEntry, VersionState
from coe.search.highlights import Highlighter
from coe.search.index import STATES, EntryIndex
from coe.search.parsing import parse
from coe.search.reach import Reach, Reader
from coe.search.synonyms import Synonyms

CLASSES = frozenset({"PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL"})
ALL = Reach(CLASSES, every=CLASSES)
NONE = Reach(every=CLASSES)
EVERYBODY = Reader("auditor", ALL, ALL, ALL)
DAY = datetime(2026, 5, 1, tzinfo=UTC)
SYNONYMS = Synonyms([["O2C", "order to cash"], {"say": ["PO"], "mean": ["purchase"]}])


def entry(ref: str, title: str, summary: str = "", **more: Any) -> IndexedEntry:
    namespace, name = ref.split("/")
    given: dict[str, Any] = {
        "kind": "FLOW",
        "team": namespace,
        "data_class": "INTERNAL",
        "lifecycle": "PUBLISHED",
        "updated_at": DAY,
    } | more
    given.setdefault("versions", (VersionState(given["lifecycle"], given["data_class"]),))
    return IndexedEntry(
        uuid5(UUID(int=0), ref), namespace, name, title=title, summary=summary, **given
    )


LIBRARY = (
    entry("coe/order-to-cash", "Order to cash", "From an order to the money.", kind="TEMPLATE"),
    entry(
        "sales/confirm",
        "Confirm order",
        "Tells the customer.",
        steps=("callCustomer",),
        systems=("sales/crm",),
    ),
    entry(
        "finance/purchase", "Approval of purchases", "By amount.", kind="DECISION", tags=("sox",)
    ),
    entry(
        "coe/buying", "Purchase approval", "Asks the lead.", kind="TEMPLATE", parameters=("P2D",)
    ),
    entry("ops/format", "Reformat disks", "Reads and posts a formula.", description="order cash"),
    entry(
        "hr/rechnung", "Rechnungen prüfen", "Prüft die Rechnung und gibt sie für den Einkauf frei"
    ),
    entry("old/order", "Order archive", "Retired.", lifecycle="RETIRED"),
)


@pytest.fixture(scope="module")
def index() -> EntryIndex:
    made = EntryIndex(SYNONYMS)
    made.build(LIBRARY)
    return made


def find(index: EntryIndex, text: str, reader: Reader = EVERYBODY, **more: Any) -> Found:
    return index.find(Question(parse(text), reader, **more))


def refs(found: Found, entries: tuple[IndexedEntry, ...] = LIBRARY) -> list[str]:
    names = {each.id: each.ref for each in entries}
    return [names[place.id] for place in found.places]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("order to cash", "coe/order-to-cash"),
        ("coe/order-to-cash", "coe/order-to-cash"),
        ("O2C", "coe/order-to-cash"),
        ("PO", "coe/buying"),
        ("purchase approval template", "coe/buying"),
        ("purchase approval table", "finance/purchase"),
        ("P2D", "coe/buying"),
        ("call customers", "sales/confirm"),
        ("Rechnung", "hr/rechnung"),
        ("confi", "sales/confirm"),
        ("purchace", "coe/buying"),
        ('"order cash"', "ops/format"),
        ("tag:sox", "finance/purchase"),
        ("purchase kind:decision", "finance/purchase"),
        ("is:retired", "old/order"),
        ("order system:crm", "sales/confirm"),
        ("system:sales/crm", "sales/confirm"),
    ],
)
def test_what_comes_first(index: EntryIndex, text: str, first: str) -> None:
    assert refs(find(index, text))[0] == first


@pytest.mark.parametrize("text", ["xylophone", "redd", "cahs", "owner:nobody", "!!"])
def test_what_is_not_there_is_not_found(index: EntryIndex, text: str) -> None:
    found = find(index, text)
    assert (refs(found), found.total) == ([], 0) or parse(text).empty


def test_a_short_word_finds_no_longer_ones_if_it_means_something(index: EntryIndex) -> None:
    assert "ops/format" not in refs(find(index, "PO"))


def test_most_words_are_enough_only_if_no_entry_has_all(index: EntryIndex) -> None:
    found = find(index, "employee order")
    assert found.plan.mode is Mode.MOST
    assert "sales/confirm" in refs(found)
    assert find(index, "confirm order").plan.mode is Mode.ALL
    assert refs(find(index, "confirm order")) == ["sales/confirm"]


def test_errors_of_typing_are_corrected_by_words_that_are_there(index: EntryIndex) -> None:
    found = find(index, "aproval of purchses")
    assert found.plan.mode is Mode.NEAR
    assert found.plan.corrected == {"aproval": ("approval",), "purchses": ("purchases",)}
    assert set(refs(found)) == {"finance/purchase", "coe/buying"}


def test_excluded_words_and_qualifiers(index: EntryIndex) -> None:
    assert "coe/order-to-cash" not in refs(find(index, "order -cash"))
    negated = (Criterion("owners", ("sales",), negated=True),)
    assert "sales/confirm" not in refs(find(index, "order", criteria=negated))


CELLS = [
    entry(
        f"{team}/e{n}",
        "Order",
        team=team,
        data_class=data_class,
        owners=owners,
        versions=(VersionState("PUBLISHED", data_class, owners),),
    )
    for n, (team, data_class, owners) in enumerate(
        itertools.product(("a", "b", "c"), sorted(CLASSES), ((), ("me",)))
    )
]
SOME = frozenset({"PUBLIC", "INTERNAL"})
REACHES = [
    NONE,
    ALL,
    Reach(SOME, every=CLASSES),
    Reach(frozenset(), {"a": CLASSES, "b": SOME}, CLASSES),
    Reach(CLASSES, {"a": frozenset(), "b": SOME}, CLASSES),
]


def _allows(reach: Reach, each: IndexedEntry) -> bool:
    return each.data_class in reach.teams.get(each.team, reach.elsewhere)


def test_exactly_what_the_reader_may_read_is_found_and_counted() -> None:
    index = EntryIndex()
    index.build(CELLS)
    for everything, owned in itertools.product(REACHES, REACHES):
        reader = Reader("me", everything, owned, NONE)
        allowed = {
            each.id
            for each in CELLS
            if _allows(everything, each) or ("me" in each.owners and _allows(owned, each))
        }
        found = find(index, "order", reader, first=100, facets=True)
        assert {place.id for place in found.places} == allowed
        assert found.total == len(allowed)
        assert sum(found.facets["owners"].values()) == len(allowed)
        assert sum(found.facets["lifecycles"].values()) == len(allowed)


def test_states_of_versions_that_may_not_be_read_are_not_counted() -> None:
    hidden = VersionState("IN_REVIEW", "PERSONAL", authors=("author",))
    mixed = entry("a/mixed", "Order", versions=(VersionState("PUBLISHED", "INTERNAL"), hidden))
    index = EntryIndex()
    index.build([mixed, entry("a/plain", "Order")])
    public = Reach(SOME, every=CLASSES)
    for subject, states in (
        ("somebody", {"PUBLISHED": 2}),
        ("author", {"PUBLISHED": 2, "IN_REVIEW": 1}),
    ):
        reader = Reader(subject, public, NONE, ALL)
        assert find(index, "order", reader, facets=True).facets["lifecycles"] == states
        for state in STATES:
            wanted = (Criterion("lifecycles", (state,)),)
            assert find(index, "", reader, criteria=wanted).total == states.get(state, 0)


def test_each_facet_ignores_its_own_filter(index: EntryIndex) -> None:
    wanted = (Criterion("kinds", ("TEMPLATE",)), Criterion("owners", ("coe",)))
    found = find(index, "", criteria=wanted, facets=True)
    assert found.total == 2
    assert found.facets["kinds"] == {"TEMPLATE": 2}
    assert found.facets["owners"] == {"coe": 2}
    kinds = find(index, "", criteria=wanted[1:], facets=True).facets["kinds"]
    assert kinds == {"TEMPLATE": 2}
    owners = find(index, "", criteria=wanted[:1], facets=True).facets["owners"]
    assert owners == {"coe": 2}
    assert index.count(Question(parse("order"), EVERYBODY)).total == find(index, "order").total


def test_what_is_hidden_changes_no_correction_and_no_completion() -> None:
    secret = entry("b/secret", "Zeppelin maintenance", data_class="PERSONAL")
    with_it, without = EntryIndex(), EntryIndex()
    with_it.build([*LIBRARY, secret])
    without.build(LIBRARY)
    public = Reader("somebody", Reach(SOME, every=CLASSES), NONE, NONE)
    for text in ("zeppelin", "zeppelim", "zepp", "order zeppelin", "maintenence"):
        seen, expected = find(with_it, text, public), find(without, text, public)
        assert (refs(seen), seen.total, seen.plan) == (
            *(refs(expected), expected.total, expected.plan),
        )
    for text in ("zep", "owner:", "maint", "order ow"):
        assert with_it.complete(public, text) == without.complete(public, text)
    assert with_it.complete(EVERYBODY, "zep") == ["zeppelin"]


def test_completions_of_qualifiers_and_words(index: EntryIndex) -> None:
    assert index.complete(EVERYBODY, "order own") == ["order owner:"]
    assert index.complete(EVERYBODY, "owner:co") == ["owner:coe"]
    assert index.complete(EVERYBODY, "-kind:te") == ["-kind:template"]
    assert index.complete(EVERYBODY, "is:ret") == ["is:retired"]
    assert index.complete(EVERYBODY, "purch")[0] in {"purchase", "purchases"}


def _many(number: int) -> list[IndexedEntry]:
    return [
        entry(f"t{n % 3}/e{n}", "Order", uses=n % 2, updated_at=DAY + timedelta(days=n % 4))
        for n in range(number)
    ]


@pytest.mark.parametrize("by", list(By))
def test_pages_have_each_entry_once_while_others_change(by: By) -> None:
    entries = _many(60)
    kept, moving = entries[:40], entries[40:]
    index = EntryIndex()
    index.build(kept)
    seen: list[UUID] = []
    after, changes = None, iter(moving)
    while True:
        found = find(index, "order", by=by, first=3, after=after)
        seen += [place.id for place in found.places]
        if not found.has_next:
            break
        after = found.places[-1]
        more = next(changes, None)
        if more is not None:
            index.apply([more, replace(more, name=f"{more.name}x", id=uuid5(more.id, "x"))])
        index.apply([], gone=[moving[0].id])
    whole = [each.id for each in kept]
    assert sorted(each for each in seen if each in set(whole)) == sorted(whole)
    assert len(seen) == len(set(seen))


def test_the_score_of_an_entry_does_not_depend_on_others() -> None:
    small, large = EntryIndex(), EntryIndex()
    small.build(LIBRARY)
    large.build([*LIBRARY, *_many(50)])
    for text in ("order to cash", "purchase approval", "rechnung"):
        keys = {place.id: place.key for place in find(small, text, first=100).places}
        others = {place.id: place.key for place in find(large, text, first=100).places}
        assert keys
        assert keys == {ident: key for ident, key in others.items() if ident in keys}


def test_a_change_is_applied_any_number_of_times(index: EntryIndex) -> None:
    own = EntryIndex()
    own.build(LIBRARY)
    changed = replace(LIBRARY[0], title="Quote to money")
    for _ in range(3):
        own.apply([changed], gone=[LIBRARY[1].id])
    assert own.size == len(LIBRARY) - 1
    assert refs(find(own, "quote")) == ["coe/order-to-cash"]
    assert refs(find(own, "confirm")) == []
    own.close()


def test_highlights_say_where_and_are_escaped(index: EntryIndex) -> None:
    text = "complants <b>credit"
    parsed = parse(text)
    plan = replace(find(index, "order").plan, corrected={"complants": ("complaints",)})
    marker = Highlighter(parsed, plan, SYNONYMS)
    long = "word " * 80 + "the open credit & more " + "word " * 80
    found = marker.highlights(
        [("title", "Complaints <b>& more</b>"), ("summary", "nothing"), ("body", long)]
    )
    assert [each.field for each in found] == ["title", "body"]
    assert found[0].fragment.startswith("<mark>Complaints</mark> &lt;")
    assert "open <mark>credit</mark> &amp; more" in found[1].fragment
    assert found[1].fragment.startswith("… word")
    assert found[1].fragment.endswith("word …")
    assert len(found[1].fragment) < 260
    assert Highlighter(parse("O2C"), plan, SYNONYMS).fragment("Order to cash") == (
        "<mark>Order</mark> to <mark>cash</mark>"
    )
