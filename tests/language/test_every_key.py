"""Every key of the language is read where runs are executed, describes only, or is reported."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import coe.language.model
from coe.catalog.flows.manifest import FlowMetadata
from coe.errors import Problem, Severity
from coe.language.fields import Model, alias
from coe.language.functions import FUNCTIONS
from coe.language.lint import NO_STANDARDS, Stage, lint
from coe.language.load import load
from coe.language.metadata import METADATA_KEYS
from coe.language.schedules import TIME_ZONE
from tests.factories.definitions import flow

ROOT = Path(coe.language.model.__file__).parents[3]
# What executes runs and starts them, and the language's own look-ups (`retry_of`, `timeout_of`).
RUNTIME = (
    "coe/events",
    "coe/execution",
    "coe/human_tasks",
    "coe/language/branches",
    "coe/language/durations.py",
    "coe/language/expressions",
    "coe/language/model",
    "coe/language/openapi",
    "coe/language/schedules.py",
    "coe/leaves",
    "coe/machine",
    "coe/runs",
    "coe/schedules",
)
UPSTREAM = Path(__file__).with_name("upstream") / "workflow.json"

# Keys that change nothing in a run, and promise nothing: why.
DESCRIBES = {
    "Backoff.constant": "the delay is constant without it too",
    "Document.summary": "the catalog shows it",
    "Use.catalogs": "a declaration: each call of its functions is refused",
}
CALL = "- a: {call: http, with: {method: get, endpoint: {uri: 'https://x', authentication: %s}}}"
OAUTH = "{oauth2: {authority: 'https://x', grant: %s, %s}}"
# Keys that nothing evaluates: tasks with the key, more of the document, and the code that says so.
REPORTED = {
    "DataSchema.format": (
        "- a: {wait: PT1S, input: {schema: {format: 'json:draft-07', document: {}}}}",
        "",
        "OWS050",
    ),
    "Document.tags": ("- a: {wait: PT1S}", "tags: {x: y}", "OWS057"),
    "EvaluateOptions.language": ("- a: {wait: PT1S}", "evaluate: {language: js}\n", "OWS019"),
    "EvaluateOptions.mode": ("- a: {wait: PT1S}", "evaluate: {mode: loose}\n", "OWS019"),
    "OAuth2Endpoints.introspection": (
        CALL % OAUTH % ("client_credentials", "endpoints: {introspection: /i}"),
        "",
        "OWS050",
    ),
    "OAuth2Endpoints.revocation": (
        CALL % OAUTH % ("client_credentials", "endpoints: {revocation: /r}"),
        "",
        "OWS050",
    ),
    "RunProcess.container": ("- a: {run: {container: {image: x}}}", "", "OWS050"),
    "RunProcess.return_": (
        "- a: {run: {return: code, workflow: {namespace: a, name: b, version: 1.0.0}}}",
        "",
        "OWS050",
    ),
    "RunProcess.script": ("- a: {run: {script: {language: python, code: x}}}", "", "OWS050"),
    "RunProcess.shell": ("- a: {run: {shell: {command: x}}}", "", "OWS050"),
}


def problems(tasks: str, more: str = "", about: str = "") -> tuple[Problem, ...]:
    """The problems at publication."""
    loaded = load(flow(tasks, more=more, about=about))
    assert loaded.definition is not None, loaded.problems
    return lint(loaded.definition, standards=NO_STANDARDS, stage=Stage.PUBLICATION)


def models(kind: type[Model] = Model) -> Iterator[type[Model]]:
    for each in kind.__subclasses__():
        yield each
        yield from models(each)


def keys() -> set[str]:
    """Every key of the supported parts of the language, as model and field."""
    for module in pkgutil.iter_modules(coe.language.model.__path__):
        importlib.import_module(f"{coe.language.model.__name__}.{module.name}")
    return {
        f"{model.__name__}.{field}"
        for model in models()
        if model.__module__.startswith(coe.language.model.__name__)
        and not model.__module__.endswith(".unsupported")
        for field in model.__annotations__
        if field in model.model_fields
    }


def words_of_the_runtime() -> tuple[set[str], set[str]]:
    """The attributes that the runtime reads, and its literal texts: keys of evaluated data."""
    attributes: set[str] = set()
    texts: set[str] = set()
    for place in RUNTIME:
        path = ROOT / place
        for file in [path] if path.is_file() else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    attributes.add(node.attr)
                elif (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and "coe/language/model" not in file.as_posix()
                ):
                    texts.add(node.value)
    return attributes, texts


def test_every_key_is_read_or_listed() -> None:
    attributes, texts = words_of_the_runtime()
    unread = {
        key
        for key in keys()
        if (field := key.partition(".")[2]) not in attributes and alias(field) not in texts
    }
    assert unread == DESCRIBES.keys() | REPORTED.keys()


def test_every_argument_of_a_function_is_read() -> None:
    attributes, texts = words_of_the_runtime()
    arguments = {name for each in FUNCTIONS.values() for name in each.arguments["properties"]}
    assert len(arguments) > 20
    assert {name for name in arguments if name not in attributes | texts} <= {"maxConcurrency"}
    assert "max_concurrency" in attributes


@pytest.mark.parametrize("key", REPORTED)
def test_a_key_that_nothing_evaluates_is_reported(key: str) -> None:
    tasks, more, code = REPORTED[key]
    part = {"about" if key.startswith("Document.") else "more": more}
    assert [each.code for each in problems(tasks, **part)] == [code]


def test_a_grant_that_needs_a_person_is_reported() -> None:
    tasks = CALL % OAUTH % ("authorization_code", "client: {id: x}")
    found = problems(tasks)
    assert [(each.code, each.severity) for each in found] == [("OWS050", Severity.ERROR)]


def test_no_part_of_the_language_takes_unknown_keys() -> None:
    keys()
    open_parts = [model.__name__ for model in models() if model.model_config["extra"] != "forbid"]
    assert open_parts == ["EventProperties"]


def test_every_key_of_the_specification_is_a_key_here_or_refused() -> None:
    def names(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (
                part.get("properties", {}) if isinstance(part.get("properties"), dict) else ()
            )
            for inner in part.values():
                yield from names(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from names(inner)

    keys()
    ours = {alias(field) for model in models() for field in model.model_fields}
    for name in sorted(set(names(json.loads(UPSTREAM.read_text()))) - ours):
        loaded = load(flow(f"- a: {{wait: PT1S, {name}: {{}}}}"))
        assert loaded.definition is None, name


@pytest.mark.parametrize(
    ("tasks", "place"),
    [
        (
            "- s: {fork: {branches: [{a: {wait: PT1S, then: b}}, {b: {wait: PT1S}}]}}",
            "/do/0/s/fork/branches/0/a/then",
        ),
        (
            "- s: {fork: {branches: [{a: {switch: [{x: {then: b}}]}}, {b: {wait: PT1S}}]}}",
            "/do/0/s/fork/branches/0/a/switch/0/x/then",
        ),
    ],
)
def test_a_directive_of_a_branch_that_nothing_follows_is_an_error(tasks: str, place: str) -> None:
    [problem] = problems(tasks)
    assert (problem.code, problem.path) == ("OWS021", place)


def test_a_directive_of_a_declared_function_that_nothing_follows_is_an_error() -> None:
    more = "use: {functions: {f: {set: {a: 1}, then: b}}}\n"
    [problem] = problems("- a: {call: f}\n- b: {wait: PT1S}", more)
    assert (problem.code, problem.path) == ("OWS021", "/use/functions/f/then")


def test_metadata_that_looks_misspelt_is_a_warning() -> None:
    assert {alias(name) for name in FlowMetadata.model_fields} | {TIME_ZONE} == set(METADATA_KEYS)
    about = "metadata: {sytems: [a/b], proccessOwner: x, costCentre: 7}"
    found = problems("- a: {wait: PT1S}", about=about)
    assert [(each.code, each.severity, each.path) for each in found] == [
        ("OWS057", Severity.WARNING, "/document/metadata/sytems"),
        ("OWS057", Severity.WARNING, "/document/metadata/proccessOwner"),
    ]
    assert "did you mean `systems`?" in found[0].message
