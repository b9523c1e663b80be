"""Every style of OpenAPI, by the examples of the specification (3.1.1, "Style Examples")."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from coe.language.openapi.parameters import (
    Parameter,
    cookie_pairs,
    header_text,
    path_text,
    query_pairs,
)

TEXT = "blue"
LIST = ["blue", "black", "brown"]
MAP = {"R": 100, "G": 200, "B": 150}


def written(style: str, place: str, value: Any, **more: Any) -> str:
    """A value as it is sent; a star behind the style says that it explodes."""
    name, explode = style.rstrip("*"), style.endswith("*")
    parameter = Parameter("color", place, style=name, explode=explode, **more)
    match place:
        case "path":
            return path_text(parameter, value)
        case "query":
            return "&".join(query_pairs(parameter, value))
        case "header":
            return header_text(parameter, value)
        case _:
            return "; ".join(cookie_pairs(parameter, value))


@pytest.mark.parametrize(
    ("style", "place", "text", "array", "mapping"),
    [
        (
            "matrix",
            "path",
            ";color=blue",
            ";color=blue,black,brown",
            ";color=R,100,G,200,B,150",
        ),
        (
            "matrix*",
            "path",
            ";color=blue",
            ";color=blue;color=black;color=brown",
            ";R=100;G=200;B=150",
        ),
        ("label", "path", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
        ("label*", "path", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
        ("simple", "path", "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("simple*", "path", "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("simple", "header", "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("simple*", "header", "blue", "blue,black,brown", "R=100,G=200,B=150"),
        (
            "form",
            "query",
            "color=blue",
            "color=blue,black,brown",
            "color=R,100,G,200,B,150",
        ),
        (
            "form*",
            "query",
            "color=blue",
            "color=blue&color=black&color=brown",
            "R=100&G=200&B=150",
        ),
        (
            "spaceDelimited",
            "query",
            "color=blue",
            "color=blue%20black%20brown",
            "color=R%20100%20G%20200%20B%20150",
        ),
        (
            "pipeDelimited",
            "query",
            "color=blue",
            "color=blue%7Cblack%7Cbrown",
            "color=R%7C100%7CG%7C200%7CB%7C150",
        ),
        (
            "deepObject*",
            "query",
            "color=blue",
            "color=blue&color=black&color=brown",
            "color[R]=100&color[G]=200&color[B]=150",
        ),
        ("form", "cookie", "color=blue", "color=blue,black,brown", None),
        ("csv", "query", "color=blue", "color=blue,black,brown", None),
        ("ssv", "query", "color=blue", "color=blue%20black%20brown", None),
        ("tsv", "query", "color=blue", "color=blue%09black%09brown", None),
        ("pipes", "header", "blue", "blue|black|brown", None),
        ("pipes", "path", "blue", "blue%7Cblack%7Cbrown", None),
    ],
)
def test_the_table_of_styles(
    style: str,
    place: str,
    text: str,
    array: str,
    mapping: str | None,
) -> None:
    assert written(style, place, TEXT) == text
    assert written(style, place, LIST) == array
    if mapping is not None:
        brackets = written(style, place, MAP).replace("%5B", "[").replace("%5D", "]")
        assert brackets == mapping


def test_other_values_and_null() -> None:
    yes: Any = True
    assert written("form*", "query", yes) == "color=true"
    assert written("form*", "query", 1.5) == "color=1.5"
    assert written("form*", "query", []) == ""
    assert written("form", "query", []) == ""
    assert written("form", "query", ["a", None]) == "color=a"
    assert written("form*", "query", "") == "color="
    assert written("simple", "header", {"a": {"b": 1}}) == 'a,{"b":1}'


def test_separators_in_values_are_encoded() -> None:
    assert written("form", "query", ["a,b", "c&d"]) == "color=a%2Cb,c%26d"
    assert written("simple", "path", "a/b?c#d") == "a%2Fb%3Fc%23d"
    assert written("matrix*", "path", "a;b=c") == ";color=a%3Bb%3Dc"


def test_objects_in_objects() -> None:
    value = {"a": {"b": [1, 2]}, "c": None}
    assert unquote(written("deepObject*", "query", value)) == "color[a][b]=1&color[a][b]=2"


def test_reserved_characters_and_media_types() -> None:
    query = written("form*", "query", "/a?b=c%20d é", allow_reserved=True)
    assert query == "color=/a?b=c%20d%20%C3%A9"
    assert written("form*", "query", {"a": 1}, media="application/json") == (
        "color=%7B%22a%22%3A1%7D"
    )
    assert written("simple*", "header", [1], media="application/json") == "[1]"
    assert written("simple*", "path", [1], media="application/json") == "%5B1%5D"


@pytest.mark.parametrize("value", ["", ".", "..", [], {}])
def test_a_path_is_not_left(value: Any) -> None:
    with pytest.raises(ValueError, match="another resource"):
        written("simple", "path", value)
