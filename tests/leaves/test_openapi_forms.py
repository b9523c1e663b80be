"""The Encoding Object of OpenAPI: how the properties of a form are written."""

from __future__ import annotations

from email.parser import BytesParser
from typing import Any

import pytest

from coe.language.openapi.document import OpenApiDocument
from coe.language.openapi.references import OpenApiError
from coe.leaves.http_body import encode_body
from coe.leaves.run import run_leaf
from tests.factories.http_service import fails, service
from tests.leaves.test_openapi import Service, op

__all__ = ["service"]

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data"


def encoded(
    kind: str, encoding: dict[str, Any], body: dict[str, Any], version: str = "3.1.1"
) -> tuple[bytes, str]:
    """The body of an operation whose form has these encodings."""
    media = {"schema": {"type": "object"}, "encoding": encoding}
    operation = {"operationId": "send", "requestBody": {"content": {kind: media}}}
    document = OpenApiDocument({"openapi": version, "paths": {"/": {"post": operation}}})
    found = document.operation("send").body
    assert found is not None
    content, media_type = encode_body(body, found.kinds[0], found.encodings)
    assert content is not None
    assert media_type is not None
    return content, media_type


def parts(
    encoding: dict[str, Any], body: dict[str, Any], version: str = "3.1.1"
) -> list[tuple[Any, ...]]:
    """The parts of a multipart form: name, media type, content and other headers of each."""
    content, kind = encoded(PARTS, encoding, body, version)
    message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    known = {"content-type", "content-disposition"}
    return [
        (
            part.get_param("name", header="content-disposition"),
            part["content-type"],
            part.get_payload(decode=True),
            {name: value for name, value in part.items() if name.lower() not in known},
        )
        for part in message.get_payload()
    ]


@pytest.mark.parametrize(
    ("encoding", "value", "wanted"),
    [
        ({"style": "form", "explode": False}, [1, 2], "ids=1,2"),
        ({"explode": False}, ["a,b", "c d"], "ids=a%2Cb,c%20d"),
        ({"style": "form"}, [1, 2], "ids=1&ids=2"),
        ({"style": "spaceDelimited"}, [1, 2], "ids=1%202"),
        ({"style": "pipeDelimited"}, [1, 2], "ids=1%7C2"),
        ({"style": "deepObject"}, {"a": 1, "b": {"c": 2}}, "ids%5Ba%5D=1&ids%5Bb%5D%5Bc%5D=2"),
        ({"explode": False}, {"a": 1}, "ids=a,1"),
        ({"explode": True}, {"a": 1}, "a=1"),
        ({"allowReserved": True}, "a/b?c&d=e+f", "ids=a/b?c%26d%3De%2Bf"),
        ({"contentType": "application/json"}, "a b", "ids=%22a+b%22"),
        ({"contentType": "application/json"}, [{"a": 1}], "ids=%7B%22a%22%3A1%7D"),
        ({"contentType": "text/plain"}, "a b", "ids=a+b"),
        ({"style": "form", "contentType": "application/json"}, "a", "ids=a"),
        ({}, [1, {"a": 1}], "ids=1&ids=%7B%22a%22%3A1%7D"),
    ],
)
def test_a_property_of_a_form_is_written_as_its_encoding_says(
    encoding: dict[str, Any], value: Any, wanted: str
) -> None:
    content, kind = encoded(FORM, {"ids": encoding}, {"ids": value, "more": "x"})
    assert (content.decode(), kind) == (f"{wanted}&more=x", FORM)


@pytest.mark.parametrize(
    ("encoding", "value", "wanted"),
    [
        (
            {"contentType": "application/vnd.acme.meta+json"},
            {"x": 1},
            [("application/vnd.acme.meta+json", b'{"x":1}')],
        ),
        ({"contentType": "application/json"}, "a", [("application/json", b'"a"')]),
        ({"contentType": "image/png, image/jpeg"}, "AAEC", [("image/png", b"\x00\x01\x02")]),
        ({"contentType": "image/*"}, "AAEC", [("application/octet-stream", b"\x00\x01\x02")]),
        ({"contentType": "image/*, image/gif"}, "AAEC", [("image/gif", b"\x00\x01\x02")]),
        ({"contentType": "text/*"}, "a", [("text/plain", b"a")]),
        ({"contentType": "text/csv"}, ["a", "b"], [("text/csv", b"a"), ("text/csv", b"b")]),
        (
            {},
            ["a", {"x": 1}],
            [("text/plain; charset=utf-8", b"a"), ("application/json", b'{"x":1}')],
        ),
        ({"explode": False}, ["a", "b,c"], [("text/plain; charset=utf-8", b"a,b,c")]),
    ],
)
def test_a_part_is_written_as_its_encoding_says(
    encoding: dict[str, Any], value: Any, wanted: list[tuple[str, bytes]]
) -> None:
    found = parts({"meta": encoding}, {"meta": value})
    assert [(name, *rest) for name, *rest, _ in found] == [("meta", *each) for each in wanted]


def test_in_a_multipart_form_of_3_0_styles_are_ignored() -> None:
    encoding = {"meta": {"explode": False, "contentType": "text/csv"}}
    assert [each[1:3] for each in parts(encoding, {"meta": ["a", "b"]}, "3.0.4")] == [
        ("text/csv", b"a"),
        ("text/csv", b"b"),
    ]


def test_a_part_has_the_headers_that_have_one_value() -> None:
    headers = {
        "X-Kind": {"schema": {"const": "meta"}},
        "X-Default": {"schema": {"default": 7}},
        "X-One": {"schema": {"enum": ["only"]}},
        "X-Free": {"schema": {"type": "string"}},
        "Content-Type": {"required": True, "schema": {}},
    }
    [(_, kind, _, more)] = parts({"meta": {"headers": headers}}, {"meta": "a"})
    assert kind == "text/plain; charset=utf-8"
    assert more == {"X-Kind": "meta", "X-Default": "7", "X-One": "only"}


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ({"style": "matrix"}, "the encoding of `meta` has the unknown style `matrix`"),
        (
            {"headers": {"X-Free": {"required": True, "schema": {"type": "string"}}}},
            "the part `meta` needs the header `X-Free`, which has no fixed value",
        ),
    ],
)
def test_an_encoding_that_cannot_be_followed_is_refused(
    encoding: dict[str, Any], message: str
) -> None:
    with pytest.raises(OpenApiError, match=message):
        encoded(PARTS, {"meta": encoding}, {"meta": "a"})


@pytest.mark.parametrize(
    ("kind", "value"), [("application/xml", {"a": 1}), ("image/png", "no base64")]
)
def test_a_value_that_its_type_cannot_hold_is_refused(kind: str, value: Any) -> None:
    for form in (FORM, PARTS):
        with pytest.raises(ValueError, match=r"sent as|base64"):
            encoded(form, {"meta": {"contentType": kind}}, {"meta": value})


def test_the_same_parts_give_the_same_bytes_and_others_another_boundary() -> None:
    one, two = ({"meta": text} for text in ("a", "b"))
    assert encoded(PARTS, {}, one) == encoded(PARTS, {}, one)
    assert encoded(PARTS, {}, one)[1] != encoded(PARTS, {}, two)[1]


async def test_a_call_sends_what_the_encoding_says(service: Service) -> None:
    document = "forms-3.0.yaml"
    form = await run_leaf(op("sendForm", document, parameters={"ids": [1, 2]}), service[0])
    assert isinstance(form, dict)
    assert form["body"] == "ids=1,2"
    sent = await run_leaf(op("sendParts", document, parameters={"meta": {"x": 1}}), service[0])
    assert isinstance(sent, dict)
    assert 'Content-Type: application/vnd.acme.meta+json\r\n\r\n{"x":1}\r\n' in str(sent["body"])
    error = await fails(op("sendParts", document, parameters={"picture": "no base64"}), service[0])
    assert error["status"] == 400
    assert error["detail"] == "its body cannot be sent as multipart/form-data"
