"""Every command of the command line, with its examples, and a server that answers as told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import click
from click.testing import CliRunner, Result
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    parse,
    validate,
)

from coe.cli.flow.skeleton import NewFlow, central_files
from coe.cli.grammar import Noun, Verb
from coe.cli.main import COMMANDS, cli
from coe.errors import CoeError, Invalid
from tests.factories.certificates import Authority
from tests.factories.keys import signing_key

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: GraphQLSchema = build_schema((ROOT / "coe" / "api" / "schema.graphql").read_text())
OF_THE_DEMO = {"demo-api", "demo-company"}
"""Processes that `coe demo` starts; nobody types them."""
PROCESSES = {"demo", "gateway", "loops", "sealer", "up", "worker central", "worker team"}
"""Commands that run until they are stopped."""
PRINTS_A_TEXT = {"completion"}


def verbs() -> Iterator[tuple[str, Verb]]:
    """Each command that does something, by its words."""
    for noun in sorted(set(COMMANDS) - OF_THE_DEMO):
        command = cli.get_command(click.Context(cli), noun)
        assert isinstance(command, Noun | Verb), f"coe {noun} is neither a Noun nor a Verb"
        if isinstance(command, Noun):
            for name, verb in sorted(command.commands.items()):
                assert isinstance(verb, Verb), f"coe {noun} {name} is not a Verb"
                yield f"{noun} {name}", verb
        elif isinstance(command, Verb):
            yield noun, command


VERBS = dict(verbs())


def options_of(verb: Verb) -> set[str]:
    return {each.name for each in verb.params if each.name}


def calls_a_server(words: str) -> bool:
    return "url" in options_of(VERBS[words]) and words != "login"


def examples(words: str) -> list[list[str]]:
    """The examples of a command as the arguments after `coe`, without what the shell does."""
    lines = VERBS[words].examples_of(words.split(maxsplit=1)[0])
    typed = [re.split(" [<>] ", line)[0] for line in lines if line.startswith("coe ")]
    return [shlex.split(line)[1:] for line in typed]


@dataclass
class Server:
    """Takes the place of the API: checks each document, and answers with an error or made data.

    With `bare`, every value that may be missing is: of the leaves, or of all but the first objects.
    """

    error: CoeError | None = None
    bare: Literal["", "leaves", "all"] = ""
    fields: set[str] = field(default_factory=set)
    calls: int = 0
    given: list[Mapping[str, object]] = field(default_factory=list)

    def call(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        self.calls += 1
        self.given.append(variables or {})
        document = _document(query)
        operations = [
            each for each in document.definitions if isinstance(each, OperationDefinitionNode)
        ]
        for operation in operations:
            kind = operation.operation.value.title()
            self.fields |= {
                f"{kind}.{each.name.value}"
                for each in operation.selection_set.selections
                if isinstance(each, FieldNode)
            }
        if self.error is not None:
            raise self.error
        result = execute_sync(
            SCHEMA,
            document,
            variable_values=dict(variables or {}),
            field_resolver=self._made,
            type_resolver=lambda _, info, kind: next(
                each.name
                for each in info.schema.get_possible_types(kind)
                if f"... on {each.name} " in query or "... on" not in query
            ),
        )
        if result.errors:
            raise Invalid((), str(result.errors))
        assert result.data is not None
        return result.data

    def _made(self, parent: object, info: GraphQLResolveInfo, **arguments: object) -> Any:
        if self.bare and not isinstance(info.return_type, GraphQLNonNull):
            leaf = is_leaf_type(get_named_type(info.return_type))
            first = len([key for key in info.path.as_list() if isinstance(key, str)]) <= FIRST
            if leaf or (self.bare == "all" and not first):
                return None
            if not leaf and info.field_name in BY_NAME:
                return {}
        return _made(parent, info, **arguments)


FIRST = 2
"""The levels of objects that a command has asked for by name: what it changes, what it reads."""
RUN_ID = "UnVuOjAxYTIwNGFkLWE2OWUtNzBhMi05ODZlLWNiMzZjMzY4YjViMQ"
VALUES: dict[str, Any] = {
    "String": "text",
    "ID": RUN_ID,
    "Int": 0,
    "Float": 0.5,
    "Boolean": True,
    "JSON": {},
    "DateTime": "2026-11-22T15:04:05Z",
    "Duration": "PT1S",
    "Long": 1,
}
BY_NAME: dict[str, Any] = {"problems": [], "hasNextPage": False, "error": None, "ref": "a/b@1.0.0"}
BY_NAME |= {"digest": f"5f70bf18a0860070{0:048}", "voided": None}


def _made(_: object, info: GraphQLResolveInfo, **__: object) -> Any:
    """A value of the field's type: a list has one item, a run is completed."""
    if info.field_name in BY_NAME:
        return BY_NAME[info.field_name]
    kind = get_named_type(info.return_type)
    value: Any = {}
    if isinstance(kind, GraphQLEnumType):
        value = "COMPLETED" if "COMPLETED" in kind.values else next(iter(kind.values))
    elif is_leaf_type(kind):
        value = VALUES[kind.name]
    return [value] if isinstance(get_nullable_type(info.return_type), GraphQLList) else value


@cache
def _document(query: str) -> DocumentNode:
    try:
        document = parse(query)
    except GraphQLError as error:
        raise Invalid((), str(error)) from None
    problems = validate(SCHEMA, document)
    if problems:
        raise Invalid((), f"{query} is not of the schema: {problems}")
    return document


def run(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
    """Run a command line in this process."""
    clean = dict.fromkeys(("COE_URL", "COE_TOKEN", "COE_PROFILE", "COE_ID_TOKEN", "COE_CLIENT_ID"))
    return CliRunner(env={**clean, **environment}).invoke(cli, list(arguments), input=stdin)


ORDER_TESTS = """\
defaults: {input: {amount: 5}, stubs: {limit: {output: {}}}}
tests:
  - {name: it ends, expect: {state: COMPLETED}}
  - {name: nothing comes, stubs: {limit: {silent: true}}, expect: {error: {status: 408}}}
"""


_NAMES = (".env", ".yaml", ".json", ".graphql", ".vkey", " flows", "templates/", "catalog/")


def fill(folder: Path, words: str | None = None) -> None:
    """Make the files that the examples name; nothing for a command whose examples name none."""
    typed = " ".join(VERBS[words].examples) if words else ""
    if "corp-ca.pem" in typed:
        Authority(folder, "corp-ca")
    if words and not any(each in typed for each in _NAMES):
        return
    (folder / "catalog").symlink_to(ROOT / "catalog")
    (folder / "templates").mkdir()
    (folder / "templates" / "order-to-cash").symlink_to(ROOT / "templates" / "order-to-cash")
    (folder / "flows").mkdir()
    about = NewFlow("sales", "refund", "A refund", "sales-owner", "INTERNAL")
    for name, text in central_files(about).items():
        (folder / "flows" / name).write_text(text)
    flow = (ROOT / "tests" / "cli" / "order.yaml").read_text()
    texts = {
        "order.yaml": flow,
        "order.tests.yaml": ORDER_TESTS,
        "order2.yaml": flow.replace("version: 1.0.0", "version: 1.0.1"),
        "stubs.yaml": "limit: {output: {limit: 9000}}\n",
        "order.json": '{"amount": 5}',
        "payment.json": '{"specversion": "1.0", "id": "1", "source": "/x", "type": "a.b"}',
        "coe.env": "COE_PORT=8701\n",
        "case.json": '{"amount": 100, "kind": "goods"}',
        "limit.yaml": (ROOT / "catalog" / "decisions" / "purchase-approval.yaml").read_text(),
        "answer.json": '{"limit": 5}',
        "parameters.json": '{"creditLimit": "500.00"}',
        "runs.graphql": "query ($state: RunState!) {"
        " runs(filter: {states: [$state]}) { totalCount } }",
        "audit.jsonl": "{}\n",
        "log.vkey": f"{signing_key().vkey}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
