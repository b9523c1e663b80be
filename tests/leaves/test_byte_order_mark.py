"""A byte order mark before JSON is accepted wherever JSON is read (RFC 8259, section 8.1)."""

from __future__ import annotations

import codecs
from pathlib import Path

import httpx
import pytest

from coe.cli.flow.definition_files import read_definition
from coe.cli.flow.local_trial import read_value
from coe.cli.flow.suite_files import suites_in
from coe.cli.input_files import read_text_input, read_value_input, texts_of
from coe.json_types import read_json
from coe.leaves import http_response, oauth2, openapi_fetch
from coe.leaves.transport import HttpResponse
from coe.testing.decision_files import DecisionFiles


def test_in_an_answer_a_problem_a_token_and_a_document() -> None:
    marked = codecs.BOM_UTF8 + b'{"title": "Out of stock", "openapi": "3.0.4"}'
    assert read_json(marked) == {"title": "Out of stock", "openapi": "3.0.4"}
    headers = httpx.Headers({"content-type": "application/problem+json"})
    response = HttpResponse(422, "Unprocessable", headers, marked)
    error = http_response._status_error(response, "/do/0/a", redirect=False)
    assert error is not None
    assert error["title"] == "Out of stock"
    assert oauth2._json_object(marked) == {"title": "Out of stock", "openapi": "3.0.4"}
    assert openapi_fetch._read(marked, "https://a.example").version == "3.0"
    assert openapi_fetch._read(codecs.BOM_UTF8 + b"openapi: 3.1.0", "").version == "3.1"


@pytest.mark.parametrize("text", ['{"a": 1}', "a: 1"])
def test_in_a_file_of_the_command_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "input"
    file.write_bytes(codecs.BOM_UTF8 + text.encode())
    assert read_text_input(str(file)) == text
    assert read_value(read_text_input(str(file))) == {"a": 1}
    assert read_value_input(str(file)) == {"a": 1}


def test_in_every_file_of_a_folder(tmp_path: Path) -> None:
    """The mark would be a part of the text, and so of its digest."""
    texts = {"flow.yaml": "do: []\n", "tests.yaml": "tests: []\n", "order.json": "{}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(codecs.BOM_UTF8 + text.encode())
    assert read_definition(tmp_path / "flow.yaml") == texts["flow.yaml"]
    assert texts_of(tmp_path) == texts
    [suite] = suites_in(tmp_path)
    assert suite.texts() == texts
    documents = [source.text for _, source in DecisionFiles(_tables(tmp_path / "d")).sources]
    assert documents == ["decision: {}\n"]


def _tables(folder: Path) -> Path:
    folder.mkdir()
    (folder / "table.yaml").write_bytes(codecs.BOM_UTF8 + b"decision: {}\n")
    return folder
