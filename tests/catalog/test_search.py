from __future__ import annotations

import itertools
from typing import Any

import pytest

from coe.access.actor import Actor, DataClass
from coe.catalog import actions
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import Hits
from coe.catalog.search.query import (
    CatalogFilter,
    CatalogOrder,
    CatalogSearch,
    complete,
    search,
)
from coe.errors import Invalid
from coe.search.highlights import Highlight
from coe.work import Platform
from tests.factories.catalog import central, local, published, register
from tests.factories.people import AUDITOR, COE_REVIEWER, OUTSIDER, SALES_OWNER, WAREHOUSE_DEVELOPER


@pytest.fixture
async def filled(platform: Platform) -> Platform:
    await published(platform, WAREHOUSE_DEVELOPER, local())
    await published(
        platform,
        SALES_OWNER,
        central(
            "order-to-cash",
            title="Order to cash",
            summary="From an order to the money.",
            calls="warehouse/pick-and-pack@^1",
        ),
    )
    await register(
        platform,
        SALES_OWNER,
        central("returns", summary="Takes goods of an order back.", systems="sales/crm"),
    )
    await register(
        platform,
        SALES_OWNER,
        central(
            "complaints",
            title="Complaints <b>& more</b>",
            summary="Hears customers.",
            tags="service",
            step="escalateToBoard",
        ),
    )
    await register(
        platform,
        SALES_OWNER,
        central(
            "vip-order",
            title="VIP order",
            data_class="PERSONAL",
            tags="order, vip",
            systems="sales/crm, warehouse/wms",
        ),
    )
    await register(
        platform, SALES_OWNER, central("open-order", title="Open order", data_class="PUBLIC")
    )
    return platform


async def _find(platform: Platform, actor: Actor, **request: Any) -> Hits:
    async with platform.read(actor) as read:
        return await search(read, CatalogSearch(**request))


def _refs(found: Hits) -> list[str]:
    return [hit.entry.ref for hit in found.items]


async def test_the_title_weighs_more_than_the_summary_and_the_summary_more_than_nothing(
    filled: Platform,
) -> None:
    found = await _find(filled, SALES_OWNER, text="order")
    refs = _refs(found)
    assert refs[0] == "sales/order-to-cash"
    assert set(refs[:3]) == {"sales/order-to-cash", "sales/open-order", "sales/vip-order"}
    assert "sales/complaints" not in refs
    assert found.total == len(refs) == 5
    scores = [hit.score for hit in found.items if hit.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5


async def test_words_are_stemmed_prefixes_match_and_all_are_needed(filled: Platform) -> None:
    assert _refs(await _find(filled, SALES_OWNER, text="orders cash")) == ["sales/order-to-cash"]
    assert _refs(await _find(filled, SALES_OWNER, text="compl")) == ["sales/complaints"]
    assert _refs(await _find(filled, SALES_OWNER, text="sales/order-to-cash")) == [
        "sales/order-to-cash"
    ]


async def test_steps_are_found_by_their_words(filled: Platform) -> None:
    found = await _find(filled, SALES_OWNER, text="escalate board")
    assert _refs(found) == ["sales/complaints"]
    [steps] = [each for each in found.items[0].highlights if each.field == "steps"]
    assert steps.fragment == "<mark>escalate</mark> To <mark>Board</mark>"


async def test_typos_are_forgiven_only_where_nothing_matches(filled: Platform) -> None:
    found = await _find(filled, SALES_OWNER, text="ordre to cash")
    assert _refs(found) == ["sales/order-to-cash"]
    assert found.did_you_mean == "order cash"
    assert "ordre → order" in (found.note or "")
    assert _refs(await _find(filled, SALES_OWNER, text="csah")) == []
    found = await _find(filled, SALES_OWNER, text="complants")
    assert _refs(found) == ["sales/complaints"]
    assert "<mark>Complaints</mark>" in found.items[0].highlights[0].fragment
    nothing = await _find(filled, SALES_OWNER, text="xylophone")
    assert (_refs(nothing), nothing.did_you_mean) == ([], None)
    assert "ask your centre of excellence" in (nothing.note or "")


async def test_most_words_are_enough_if_no_entry_has_all_and_that_is_said(
    filled: Platform,
) -> None:
    found = await _find(filled, SALES_OWNER, text="xylophone complaints")
    assert _refs(found) == ["sales/complaints"]
    assert found.note == (
        "No entry has all of: xylophone, complaints. Those with the most of them are shown."
    )


async def test_qualifiers_narrow_as_filters_do(filled: Platform) -> None:
    for text, refs in (
        ("order owner:warehouse", {"warehouse/pick-and-pack"}),
        ("system:crm -tag:vip", {"sales/returns"}),
        ("is:published kind:flow", {"sales/order-to-cash", "warehouse/pick-and-pack"}),
        ("class:public", {"sales/open-order"}),
        ("owner:nobody", set()),
    ):
        assert set(_refs(await _find(filled, SALES_OWNER, text=text))) == refs, text


async def test_completions_are_of_what_the_actor_may_read(filled: Platform) -> None:
    async with filled.read(SALES_OWNER) as read:
        assert await complete(read, "order ow") == ["order owner:"]
        assert await complete(read, "tag:vi") == ["tag:vip"]
    async with filled.read(OUTSIDER) as read:
        assert await complete(read, "tag:vi") == []
        assert await complete(read, "compl") == []
        with pytest.raises(Invalid):
            await complete(read, "x", first=101)


async def test_operators_of_web_search(filled: Platform) -> None:
    assert _refs(await _find(filled, SALES_OWNER, text='"order to cash"')) == [
        "sales/order-to-cash"
    ]
    assert "sales/order-to-cash" not in _refs(await _find(filled, SALES_OWNER, text="order -cash"))


STRANGE = (
    *("'", "a & | !", "');--", "\\", ":*", "<->", "%", "💥", "the", "a" * 5000, "\x00order"),
    *("'':*", "é" * 300, '"', "or", "- -a", "_", "a_b"),
)


async def test_no_text_breaks_the_search(filled: Platform) -> None:
    for text in STRANGE:
        await _find(filled, SALES_OWNER, text=text)


@pytest.mark.parametrize("text", ["!!!", "-", '""', "_ _", "→", "*"])
async def test_a_text_without_words_finds_nothing_and_says_so(filled: Platform, text: str) -> None:
    found = await _find(filled, SALES_OWNER, text=text)
    assert (found.items, found.total) == ((), 0)
    assert found.note == "The text has no word: entries are found by letters and digits."
    for given in (None, "", "  ", "order"):
        found = await _find(filled, SALES_OWNER, text=given)
        assert found.total > 0
        assert found.note is None


async def test_highlights_are_escaped(filled: Platform) -> None:
    found = await _find(filled, SALES_OWNER, text="complaints")
    title = "<mark>Complaints</mark> &lt;b&gt;&amp; more&lt;/b&gt;"
    assert found.items[0].highlights[0] == Highlight("title", title)
    near = await _find(filled, SALES_OWNER, text="complaimts")
    assert near.items[0].highlights[0] == Highlight("title", title)


async def test_only_what_the_actor_may_read_is_found_and_counted(filled: Platform) -> None:
    assert "sales/vip-order" in _refs(await _find(filled, SALES_OWNER, text="order"))
    for actor, refs in (
        (OUTSIDER, {"sales/open-order"}),
        (
            WAREHOUSE_DEVELOPER,
            {
                "sales/open-order",
                "sales/order-to-cash",
                "sales/returns",
                "warehouse/pick-and-pack",
            },
        ),
    ):
        found = await _find(filled, actor, text="order")
        assert set(_refs(found)) == refs
        assert found.total == len(refs)
        assert sum(_facet(found, "kinds").values()) == len(refs)
    assert "vip" not in _facet(await _find(filled, WAREHOUSE_DEVELOPER), "tags")
    assert "sales/vip-order" in _refs(await _find(filled, AUDITOR, text="vip"))


def _facet(found: Hits, name: str) -> dict[str, int]:
    (facet,) = [each for each in found.facets if each.name == name]
    return {value.value: value.count for value in facet.values}


async def test_each_facet_ignores_its_own_filter(filled: Platform) -> None:
    everything = await _find(filled, SALES_OWNER)
    assert _facet(everything, "owners") == {"sales": 5, "warehouse": 1}
    assert _facet(everything, "tags")["order"] == 5
    assert _facet(everything, "systems") == {"sales/crm": 2, "warehouse/wms": 1}
    narrowed = await _find(
        filled,
        SALES_OWNER,
        filter=CatalogFilter(owners=("sales",), lifecycles=(Lifecycle.PUBLISHED,)),
    )
    assert _refs(narrowed) == ["sales/order-to-cash"]
    assert narrowed.total == 1
    assert _facet(narrowed, "owners") == {"sales": 1, "warehouse": 1}
    assert _facet(narrowed, "lifecycles") == {"DRAFT": 4, "PUBLISHED": 1}
    assert _facet(narrowed, "kinds") == {"FLOW": 1}


FILTERS: list[tuple[CatalogFilter, set[str]]] = [
    (CatalogFilter(kinds=(EntryKind.TEMPLATE,)), set()),
    (CatalogFilter(tags=("vip", "service")), {"sales/vip-order", "sales/complaints"}),
    (CatalogFilter(systems=("warehouse/wms",)), {"sales/vip-order"}),
    (CatalogFilter(domains=("logistics",)), set()),
    (CatalogFilter(data_classes=(DataClass.PUBLIC,)), {"sales/open-order"}),
    (
        CatalogFilter(tags=("order",), owners=("warehouse",)),
        {"warehouse/pick-and-pack"},
    ),
]


async def test_filters(filled: Platform) -> None:
    for wanted, refs in FILTERS:
        assert set(_refs(await _find(filled, SALES_OWNER, filter=wanted))) == refs, wanted


async def test_pages_in_every_order_hold_each_entry_once(filled: Platform) -> None:
    for order, text in itertools.product(CatalogOrder, (None, "order")):
        whole = _refs(await _find(filled, SALES_OWNER, order=order, text=text))
        paged: list[str] = []
        after = None
        while True:
            page = await _find(filled, SALES_OWNER, order=order, text=text, first=2, after=after)
            paged += _refs(page)
            assert page.has_previous is (after is not None)
            if not page.has_next:
                break
            after = page.cursors[-1]
        assert paged == whole
        assert len(set(paged)) == len(paged) == (5 if text else 6)


async def test_orders(filled: Platform) -> None:
    by_title = await _find(filled, SALES_OWNER, order=CatalogOrder.TITLE)
    titles = [hit.entry.title.lower() for hit in by_title.items]
    assert titles == sorted(titles)
    assert (
        _refs(await _find(filled, SALES_OWNER, order=CatalogOrder.UPDATED))[0] == "sales/open-order"
    )
    most_used = await _find(filled, SALES_OWNER, order=CatalogOrder.MOST_USED)
    assert (most_used.items[0].entry.ref, most_used.items[0].entry.uses) == (
        "warehouse/pick-and-pack",
        1,
    )


async def test_a_cursor_of_another_order_or_a_wrong_size_is_refused(filled: Platform) -> None:
    page = await _find(filled, SALES_OWNER, order=CatalogOrder.TITLE, first=1)
    for request in (
        {"order": CatalogOrder.UPDATED, "after": page.cursors[0]},
        {"after": "garbage"},
        {"first": -1},
        {"first": 1000},
    ):
        with pytest.raises(Invalid):
            await _find(filled, SALES_OWNER, **request)


async def test_a_new_version_in_review_of_a_published_entry_is_found_by_its_state(
    platform: Platform,
) -> None:
    await published(platform, SALES_OWNER, central())
    saved = await register(
        platform, SALES_OWNER, central(version="1.1.0", data_class="CONFIDENTIAL")
    )
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, saved.version.ref)
    wanted = CatalogSearch(filter=CatalogFilter(lifecycles=(Lifecycle.IN_REVIEW,)))
    for actor, found in ((COE_REVIEWER, ["sales/returns"]), (WAREHOUSE_DEVELOPER, [])):
        async with platform.read(actor) as read:
            hits = await search(read, wanted)
        assert [hit.entry.ref for hit in hits.items] == found
        states = {"PUBLISHED": 1, "IN_REVIEW": 1} if found else {"PUBLISHED": 1}
        assert _facet(hits, "lifecycles") == states
        assert hits.total == len(found)
