from __future__ import annotations

from dataclasses import replace

import pytest

from coe.catalog.flows.documents import at_version, read_flow
from coe.json_types import JSON
from coe.language.source import read
from coe.templates.manifest import TemplateFiles, read_template
from coe.templates.render import Target, render, unknown_parameters, write_yaml
from tests.factories.templates import FLOW, MANIFEST, files

TARGET = Target("sales", "welcome", "1.0.0", "Welcome: all", "sales-owner")


def template(**changed: str) -> TemplateFiles:
    found, problems = read_template(files(**changed))
    assert problems == ()
    assert found is not None
    return found


def test_the_rendering_is_addressed_typed_and_has_defaults() -> None:
    rendered = render(template(), TARGET, {"words": "Hello"})
    assert rendered.problems == ()
    assert rendered.parameters == {"words": "Hello", "twice": False, "limits": {"most": 3}}
    assert rendered.text.startswith("# Made from coe/greeting@1.0.0\n")
    assert read(rendered.text).data == rendered.data
    about = rendered.data["document"]
    assert isinstance(about, dict)
    assert about["namespace"] == "sales"
    assert about["version"] == "1.0.0"
    assert about["title"] == "Welcome: all"
    assert about["metadata"] == {
        "processOwner": "sales-owner",
        "domain": "trade",
        "dataClass": "INTERNAL",
        "madeFrom": "coe/greeting@1.0.0",
    }
    assert rendered.data["do"] == [
        {"say": {"set": {"said": '${ "Hello" + " " + .name }', "most": 3}}}
    ]


def test_another_version_is_as_if_it_had_been_read() -> None:
    rendered = render(template(), TARGET, {"words": "Hello"})
    document, _ = read_flow(rendered.text)
    assert document is not None
    changed = at_version(document, "2.10.0-rc.1")
    expected, _ = read_flow(
        render(template(), replace(TARGET, version="2.10.0-rc.1"), {"words": "Hello"}).text
    )
    assert expected is not None
    assert changed.definition is not None
    assert changed.source.text == expected.source.text
    assert changed.source.data == expected.source.data
    assert (changed.resource, changed.digest) == (expected.resource, expected.digest)
    assert expected.definition is not None
    assert changed.definition.document == expected.definition.document
    assert list(changed.definition.tasks) == list(expected.definition.tasks)
    assert changed.definition.source is changed.source
    for pointer in ("/document/version", "/document/title", "/do/0/say", ""):
        assert changed.source.locate(pointer) == expected.source.locate(pointer)
    assert document.definition is not None
    assert document.definition.document.version == "1.0.0"


def test_the_same_parameters_render_the_same_text() -> None:
    first = render(template(), TARGET, {"words": "Hello", "twice": True})
    again = render(template(), TARGET, {"twice": True, "words": "Hello"})
    assert first.text == again.text


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, {("INPUT_REQUIRED", "/parameters/words")}),
        ({"words": 7}, {("INPUT_TYPE", "/parameters/words")}),
        (
            {"words": "x" * 41, "limits": {"most": 10}, "twize": True},
            {
                ("INPUT_MAXLENGTH", "/parameters/words"),
                ("INPUT_MAXIMUM", "/parameters/limits/most"),
                ("INPUT_ADDITIONALPROPERTIES", "/parameters/twize"),
            },
        ),
        ([], {("INPUT_TYPE", "/parameters")}),
        (None, {("INPUT_TYPE", "/parameters")}),
    ],
)
def test_bad_parameters_are_located(parameters: JSON, found: set[tuple[str, str]]) -> None:
    problems = render(template(), TARGET, parameters).problems
    assert {(problem.code, problem.path) for problem in problems} == found


def test_help_says_what_is_wanted_and_no_message_repeats_a_value() -> None:
    problems = render(template(), TARGET, {"words": 471147, "twize": True}).problems
    by_path = {problem.path: problem for problem in problems}
    assert by_path["/parameters/words"].help == "What to say; such as Hello"
    assert by_path["/parameters/twize"].message == "`twize` is not known here"
    assert by_path["/parameters/twize"].help == (
        "did you mean `twice`? known here: words, twice, limits"
    )
    assert not any("471147" in str(problem) for problem in problems)


def test_an_expression_cannot_be_smuggled_in() -> None:
    rendered = render(template(), TARGET, {"words": "${ $secrets }", "twice": True})
    assert ("INPUT_EXPRESSION", "/parameters/words") in {
        (problem.code, problem.path) for problem in rendered.problems
    }
    titled = replace(TARGET, title="${ $secrets }")
    (problem,) = render(template(), titled, {"words": "Hello"}).problems
    assert (problem.code, problem.path) == ("INPUT_PLACEHOLDER", "/flow.yaml")
    assert "/document/title" in problem.message


@pytest.mark.parametrize(
    ("changed", "path", "line"),
    [
        ({"manifest": MANIFEST.replace("title:", "titel:")}, "/template.yaml", 5),
        (
            {"manifest": MANIFEST.replace("type: object\n  add", "type: array\n  add")},
            "/template.yaml",
            10,
        ),
        ({"manifest": MANIFEST.replace("maxLength: 40", "maxLength: long")}, "/template.yaml", 15),
        ({"manifest": "["}, "/template.yaml", 1),
        ({"flow": "a: [\n"}, "/flow.yaml", 2),
        ({"flow": "- a\n"}, "/flow.yaml", 1),
    ],
)
def test_slips_of_the_files_are_located(changed: dict[str, str], path: str, line: int) -> None:
    found, problems = read_template(files(**changed))
    assert found is None
    assert (path, line) in {(problem.path, problem.line) for problem in problems}


def test_files_that_are_missing_or_have_strange_names() -> None:
    texts = files()
    del texts["tests.yaml"]
    texts["../escape"] = ""
    _, problems = read_template(texts)
    assert {problem.path for problem in problems} == {"", "/..~1escape"}


def test_parameters_that_no_schema_knows() -> None:
    flow = FLOW.replace("said: $(params.words)", "said: $(params.wordz)")
    assert unknown_parameters(template(flow=flow)) == ("wordz",)


def test_yaml_is_read_back_as_it_was() -> None:
    data: JSON = {
        "text": ["on", "yes", "1.0", "null", "~", " x ", "a: b", "# c", "${ {a: 1} }", "é", ""],
        "block": "one\ntwo\n",
        "trailing": "one\n\n",
        "long": "word " * 60,
        "number": [1, 1.5, True, None],
        "on": {"empty": {}, "none": []},
    }
    assert read(write_yaml(data)).data == data
