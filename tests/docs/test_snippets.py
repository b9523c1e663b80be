"""Every snippet of the documents is checked: a reader may copy it.

YAML is loaded as what it is (a definition, a part of one, a manifest, a suite …), GraphQL is
validated against the schema, commands exist with their options, Python compiles, JSON parses.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from graphql import parse, validate
from ruamel.yaml import YAML

from coe.api.schema import make_schema
from coe.catalog.flows.documents import read_flow
from coe.channels import Channels
from coe.cli.main import cli
from coe.decisions.load import load_decision
from coe.errors import Problem, Severity
from coe.identity.signin.issuers import Issuers
from coe.language.lint import lint
from coe.language.load import load
from coe.search.synonyms import Synonyms
from coe.secrets import SecretStore
from coe.templates.manifest import TemplateManifest
from coe.templates.placeholders import Filling
from coe.testing.suite_format import read_suite
from tests.factories.promql import exported, metrics_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^( *)```([a-z]*)([^\n]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
WITHOUT_CHECK = {"text", "", "console", "sh", "mermaid", "sql"}
"""Pictures and output; the commands in them are checked apart."""
DEFINITION_KEYS = {"document", "do", "input", "output", "use", "timeout", "schedule"}
DOCUMENT = """document:
  dsl: 1.0.3
  namespace: sales
  name: example
  version: 1.0.0
  title: Example
  summary: An example.
  metadata: {processOwner: sales-owner, domain: sales, dataClass: INTERNAL, tags: [example]}
"""
INPUT = "input: {schema: {document: {type: object, examples: [{}]}}}\n"
DONE = "do:\n  - done: {set: {done: true}}\n"
PARAMETERS: dict[str, Any] = {"notify": True, "groups": ["finance/lead", "sales/lead"]}


@dataclass(frozen=True)
class Snippet:
    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def snippets() -> Iterator[Snippet]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            indent, language, title, body = match.groups()
            line = text[: match.start()].count("\n") + 1
            if indent:
                body = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
            yield Snippet(page, line, language, title.strip(), body)


SNIPPETS = list(snippets())


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_snippet_is_right(snippet: Snippet, tmp_path: Path) -> None:
    match snippet.language:
        case "yaml":
            assert list(_yaml_problems(snippet, tmp_path)) == []
        case "json":
            json.loads(snippet.text)
        case "python":
            compile(snippet.text, str(snippet), "exec")
        case "graphql":
            assert validate(make_schema()._schema, parse(snippet.text)) == []
        case "promql":
            for query in snippet.text.splitlines():
                assert metrics_of(query) <= exported()
        case language:
            assert language in WITHOUT_CHECK, f"```{language} is not checked"


def _yaml_problems(snippet: Snippet, folder: Path) -> Iterator[str]:
    data = YAML(typ="safe", pure=True).load(snippet.text)
    if isinstance(data, list):
        yield from _definition(f"{DOCUMENT}do:\n{_indented(snippet.text)}{INPUT}")
    elif snippet.title == "template":
        yield from _template(data)
    elif data.get("kind") == "localFlow":
        yield from _errors(read_flow(snippet.text)[1])
    elif data.get("kind") == "template":
        TemplateManifest.model_validate(data)
    elif "tests" in data:
        _, problems = read_suite(snippet.text)
        yield from map(str, problems)
    elif "rules" in data:
        yield from _errors(load_decision(snippet.text).problems)
    elif "synonyms" in data:
        Synonyms.of(data)
    elif {"secrets", "channels", "issuers"} & set(data):
        yield from _operator_file(snippet.text, folder)
    else:
        assert set(data) <= DEFINITION_KEYS, f"what is this? {set(data)}"
        head = "" if "document" in data else DOCUMENT
        rest = ("" if "do" in data else DONE) + ("" if "input" in data or not head else INPUT)
        yield from _definition(head + snippet.text + rest)


def _definition(text: str) -> Iterator[str]:
    loaded = load(text)
    yield from _errors(loaded.problems)
    if loaded.definition:
        yield from _errors(lint(loaded.definition))


def _template(data: Any) -> Iterator[str]:
    filling = Filling({"params": PARAMETERS})
    filled = filling.fill(data)
    yield from _errors(filling.problems)
    text = io.StringIO()
    YAML().dump(filled, text)
    yield from _definition(DOCUMENT + text.getvalue() + INPUT)


def _operator_file(text: str, folder: Path) -> Iterator[str]:
    file = folder / "operator.yaml"
    file.write_text(text.replace("…", "x"))
    file.chmod(0o600)
    if text.startswith("issuers"):
        assert Issuers(file).current()
        return
    store = SecretStore(file) if text.startswith("secrets") else Channels(file)
    assert store is not None
    yield from ()


def _errors(problems: Any) -> Iterator[str]:
    for problem in problems:
        assert isinstance(problem, Problem)
        if problem.severity is Severity.ERROR:
            yield f"{problem.code} {problem.path}: {problem.message}"


def _indented(text: str) -> str:
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))


# ---------------------------------------------------------------- commands
def commands() -> Iterator[tuple[str, str]]:
    """Each command in a block of code or in backticks, with its place."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(
            r"(?:^ *(?:\$ )?|`)(?:\.venv/bin/)?(coe [a-z][^`\n]*)", text, re.MULTILINE
        ):
            line = text[: match.start(1)].count("\n") + 1
            yield f"{page.relative_to(ROOT)}:{line}", match[1]


@pytest.mark.parametrize(("place", "line"), list(commands()), ids=lambda value: value[:60])
def test_a_command_has_its_options(place: str, line: str) -> None:
    line = re.split(r" [|>#<] | {2,}", line)[0].replace("…", "").rstrip(" ,.)\\")
    try:
        words = shlex.split(line)[1:]
    except ValueError:
        words = line.split()[1:]
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            break
        command = found
        words.pop(0)
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    for word in words:
        option = word.split("=")[0].strip("[],")
        if option.startswith("--"):
            assert option in known, f"{place}: `coe … {option}`"
