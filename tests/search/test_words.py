from __future__ import annotations

import pytest
import yaml

from coe import content
from coe.search.parsing import Qualifier, parse
from coe.search.ranking import edits_allowed
from coe.search.synonyms import Synonyms, SynonymsRefused
from coe.search.words import edits, fold, language_of, stems, words_in


def test_words_are_split_folded_and_stemmed_in_both_languages() -> None:
    assert words_in("checkCredit order-to-cash O2C due_in 10.5") == [
        *("check", "Credit", "order", "to", "cash", "O2C", "due", "in", "10", "5")
    ]
    assert fold("Bonität") == "bonitat"
    assert set(stems("orders")) & set(stems("ordering")) & set(stems("order"))
    assert set(stems("rechnungen")) & set(stems("rechnung"))


def test_the_language_is_that_of_the_small_words() -> None:
    assert language_of("Prüft die Rechnung und gibt sie frei") == "de"
    assert language_of("Checks the invoice and releases it") == "en"
    assert language_of("ERP") == "en"


@pytest.mark.parametrize(
    ("one", "other", "number"),
    [
        ("order", "order", 0),
        ("order", "odrer", 1),
        ("order", "orders", 1),
        ("order", "rde", 2),
        ("refund", "read", 3),
        ("", "ab", 2),
    ],
)
def test_edits_count_transposed_letters_once(one: str, other: str, number: int) -> None:
    assert edits(one, other, 9) == edits(other, one, 9) == number


def test_short_words_and_numbers_must_be_right() -> None:
    assert [edits_allowed(word) for word in ("cash", "order", "dispatches", "12345")] == [
        *(0, 1, 2, 0)
    ]


def test_a_text_has_words_phrases_exclusions_and_qualifiers() -> None:
    parsed = parse('the orders of "exact words" -draft owner:team:finance -is:in-review kind:flow')
    assert parsed.words == ("orders",)
    assert parsed.phrases == (("exact", "words"),)
    assert parsed.excluded == (("draft",),)
    assert parsed.qualifiers == (
        Qualifier("owners", "finance"),
        Qualifier("lifecycles", "IN_REVIEW", negated=True),
        Qualifier("kinds", "FLOW"),
    )
    assert parse("a:b http://x").words == ("b", "http", "x")
    assert parse(None).empty
    assert parse(" !!! ").empty


def test_words_of_kinds_need_not_be_there_unless_they_are_all() -> None:
    assert parse("order process").words == ("order",)
    assert parse("order process").soft == ("process",)
    assert parse("process").words == ("process",)
    assert parse("Bestellprozess").words == ("bestell",)
    assert parse("to the").words == ("to", "the")


def test_the_last_word_may_go_on_being_typed() -> None:
    assert parse("order cas").typed == "cas"
    assert parse("order process").typed is None


STRANGE = ("'", "a & | !", '"', "-", "- -a", ":*", "owner:", '-"', "💥", "\0x", "x" * 5000, "_ _")


def test_every_text_is_parsed() -> None:
    for text in STRANGE:
        parse(text)


def test_synonyms_hold_both_ways_and_in_one_way_only() -> None:
    found = Synonyms([["O2C", "order to cash"], {"say": ["PO"], "mean": ["purchase order"]}])
    assert found.others(("o2c",)) == (("order", "cash"),)
    assert found.others(("orders", "cash")) == (("o2c",),)
    assert found.others(("po",)) == (("purchase", "order"),)
    assert found.others(("purchase", "order")) == ()
    assert list(found.spans(("fast", "order", "cash"))) == [
        (("fast",), ()),
        (("order", "cash"), (("o2c",),)),
    ]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], "synonyms: must be a list"),
        ({"synonyms": [["one"]]}, "synonyms/0"),
        ({"synonyms": [["PO", "purchase"], {"say": ["x"]}]}, "synonyms/1"),
        ({"synonyms": [["PO", "one two three four five six"]]}, "synonyms/0/1"),
        ({"synonyms": [["PO", "to the"]]}, "synonyms/0/1"),
    ],
)
def test_synonyms_of_another_form_are_refused_with_their_place(
    document: object, where: str
) -> None:
    with pytest.raises(SynonymsRefused, match=where):
        Synonyms.of(document)


def test_the_shipped_synonyms_are_many_and_can_be_read() -> None:
    text = (content.root() / "catalog/synonyms.yaml").read_text()
    assert Synonyms.of(yaml.safe_load(text)).groups >= 150
