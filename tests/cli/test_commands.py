"""What holds for every command: its help, its examples, its formats, its exit codes, its reach."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from graphql import GraphQLEnumType, GraphQLInputObjectType

from coe.cli import documents
from coe.cli.api_client import ApiClient
from coe.errors import (
    CoeError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooCostly,
    Unauthenticated,
    Unavailable,
)
from coe.formats import instants
from tests.cli.commands import (
    PRINTS_A_TEXT,
    PROCESSES,
    SCHEMA,
    VERBS,
    Server,
    calls_a_server,
    examples,
    fill,
    options_of,
    run,
)
from tests.conftest import ROOT

ONLINE = sorted(words for words in VERBS if calls_a_server(words))
EXIT_CODES = [
    (Unauthenticated(), 5),
    (Forbidden(rule="p, x", permission="flow:review"), 5),
    (NotFound(), 6),
    (Unavailable(), 7),
    (Conflict(), 8),
    (Invalid([Problem("INPUT", "bad", path="/a")]), 1),
    (TooCostly(), 1),
    (CoeError(), 70),
]
NEED_MORE = {
    "audit export": "streams from /audit/bundle, see tests/e2e",
    "backup check": "needs a database, see tests/installation",
    "backup record": "needs a database, see tests/installation",
    "content load": "needs a database",
    "key list": "needs a database",
    "restore verify": "needs a database, see tests/installation",
    "sink add": "needs a database, see tests/installation",
    "sink list": "needs a database, see tests/installation",
    "sink remove": "needs a database, see tests/installation",
    "status": "needs a database, see tests/installation",
    "key new": "needs a database, see tests/installation",
    "migrate": "needs a database",
    "audit key": "needs the signing key",
    "worker enrol": "asks /auth/workers, see tests/cli/test_ci.py",
    "worker renew": "asks /auth/workers/key, see tests/cli/test_ci.py",
}
"""Commands whose examples need more than the API."""
ASK = {"flow new", "template instantiate", "template new"}
"""Commands that ask on a terminal for what an example leaves out."""


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """A server for the commands, and the files that their examples name in the folder of now."""
    callspec = getattr(request.node, "callspec", None)
    fill(tmp_path, callspec.params.get("words") if callspec else None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Server()
    monkeypatch.setattr(
        ApiClient, "call", lambda _, query, variables=None: made.call(query, variables)
    )
    return made


@pytest.mark.parametrize("words", sorted(VERBS))
def test_help_ends_with_an_example(words: str) -> None:
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert "\nExample" in done.output
    assert f"  coe {words}" in done.output or f"$(coe {words}" in done.output
    assert VERBS[words].get_short_help_str(), words


@pytest.mark.parametrize("words", sorted(VERBS))
def test_an_unknown_option_is_wrong_usage(words: str) -> None:
    assert run(*words.split(), "--no-such-option").exit_code == 2


@pytest.mark.parametrize("words", sorted(set(VERBS) - PROCESSES - PRINTS_A_TEXT))
def test_a_command_prints_a_table_or_data(words: str) -> None:
    [option] = [each for each in VERBS[words].params if each.name == "output"]
    assert "json" in option.type.choices  # type: ignore[attr-defined]
    assert run(*words.split(), "--output", "xml").exit_code == 2


@pytest.mark.parametrize("words", ONLINE)
def test_without_a_token_a_command_says_how_to_give_one(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, words)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    done = run(*_online(words))
    assert done.exit_code == 5, done.output
    assert "COE_TOKEN" in done.stderr


def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    done = run("team", "list", "--url", "http://127.0.0.1:9", "--token", "x")
    assert done.exit_code == 7
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize("words", sorted(set(ONLINE) - {"audit export"}))
def test_each_error_has_its_exit_code(words: str, server: Server) -> None:
    for error, code in EXIT_CODES:
        if words == "run watch" and isinstance(error, Unavailable):
            continue  # it asks again for a minute
        server.error = error
        arguments = _online(words)
        done = run(*arguments, "--token", "x", stdin=_stdin(arguments))
        assert done.exit_code == code, (error, done.output)
        assert "Traceback" not in done.output


@pytest.mark.parametrize("words", sorted(set(VERBS) - PROCESSES - PRINTS_A_TEXT - set(NEED_MORE)))
@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_the_examples_do_what_they_say(words: str, output: str, server: Server) -> None:
    for arguments in examples(words) if output == "table" else examples(words)[-1:]:
        if "--operator" in arguments:
            continue  # it needs the database, see tests/e2e
        if words.startswith("profile") or words == "logout":
            run("login", "http://127.0.0.1:9", "--token", "x", "--profile", "demo")
        if not {"-o", "--output"} & set(arguments):
            arguments += ["--output", output]
        more = ["--token", "x"] if "token" in options_of(VERBS[words]) else []
        done = run(*arguments, *more, stdin=_stdin(arguments))
        asks = words in ASK and done.exit_code == 2 and "Error: give " in done.stderr
        not_a_bundle = words == "audit verify" and done.exit_code == 1
        assert done.exit_code == 0 or asks or not_a_bundle, (arguments, done.output)
        if done.exit_code == 0 and arguments[-2:] == ["--output", output]:
            _read(output, done.stdout)


@pytest.mark.parametrize("words", sorted(set(ONLINE) - {"audit export"}))
@pytest.mark.parametrize("bare", ["leaves", "all"])
def test_what_is_missing_is_left_out_and_never_printed_as_none(
    words: str, bare: Literal["leaves", "all"], server: Server
) -> None:
    server.bare = bare
    for arguments in examples(words):
        if "--operator" in arguments or {"-o", "--output"} & set(arguments):
            continue
        done = run(*arguments, "--token", "x", stdin=_stdin(arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), (
            arguments,
            repr(done.exception),
        )
        assert re.search(r"\bNone\b", done.output) is None, (arguments, done.output)


def test_nothing_of_the_api_is_out_of_reach(server: Server) -> None:
    for words in sorted(set(ONLINE) - {"audit export"}):
        for arguments in examples(words):
            run(*arguments, "--token", "x", stdin=_stdin(arguments))
    assert server.calls
    fields = {
        f"{kind.name}.{name}"
        for kind in (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
        if kind is not None
        for name in kind.fields
    }
    assert fields - server.fields == set()


FILTERS = {
    "AuditFilter": "audit list",
    "CatalogFilter": "catalog search",
    "HumanTaskFilter": "task list",
    "RunFilter": "run list",
}


@pytest.mark.parametrize(("filter_type", "words"), sorted(FILTERS.items()))
def test_every_part_of_a_filter_is_an_option(filter_type: str, words: str, server: Server) -> None:
    arguments: list[str] = []
    for option in VERBS[words].params:
        if option.name in {"first", "after", "every", "output", "url", "profile", "text", "order"}:
            continue
        choices = getattr(option.type, "choices", None)
        if choices:
            of_enum = {
                name
                for name, kind in SCHEMA.type_map.items()
                if isinstance(kind, GraphQLEnumType) and set(kind.values) == set(choices)
            }
            assert of_enum, f"{option.name} has other choices than the API"
        value = choices[0] if choices else "2026-01-05" if option.metavar == "TIME" else "sales/x"
        flag = getattr(option, "is_flag", False)
        arguments += [option.opts[0]] if flag else [option.opts[0], str(value)]
    done = run(*words.split(), *arguments)
    assert done.exit_code == 0, done.output
    given = next(each["filter"] for each in server.given if "filter" in each)
    kind = SCHEMA.type_map[filter_type]
    assert isinstance(kind, GraphQLInputObjectType)
    assert isinstance(given, dict)
    assert set(given) == set(kind.fields)


def test_the_cases_of_a_replay_are_chosen_by_how_long_ago_too(server: Server) -> None:
    run("decision", "replay", "finance/limit@1.1.0", "--from", "12h", "--token", "x")
    given = server.given[-1]["input"]
    assert isinstance(given, dict)
    assert instants.read(str(given["after"])) < datetime.now(UTC)


def _online(words: str) -> list[str]:
    """An example that calls the server."""
    return [each for each in examples(words) if "--operator" not in each][-1]


def _stdin(arguments: list[str]) -> str | None:
    if arguments[:2] == ["event", "send"]:
        return '{"specversion": "1.0", "id": "1", "source": "/x", "type": "a.b"}'
    return "query { teams { slug } }" if arguments[:1] == ["api"] else "{}"


def _read(output: str, text: str) -> Any:
    if output == "json":
        return json.loads(text)
    return yaml.safe_load(text) if output == "yaml" else text


def test_the_inputs_with_a_key_are_those_of_the_contract() -> None:
    schema = (ROOT / "coe" / "api" / "schema.graphql").read_text()
    inputs = re.findall(r"input (\w+) \{(.*?)\n\}", schema, re.DOTALL)
    assert {name for name, fields in inputs if "clientMutationId" in fields} == documents.KEYED


def test_a_mutation_gets_a_key_where_it_takes_one() -> None:
    query = "mutation S($input: StartRunInput!) { startRun(input: $input) { run { id } } }"
    made = documents.with_key(query, {"input": {"flow": "a/b"}})["input"]
    assert isinstance(made, dict)
    assert set(made) == {"flow", "clientMutationId"}
    given = {"input": {"flow": "a/b", "clientMutationId": "mine"}}
    assert documents.with_key(query, given) == given
    assert documents.with_key(query.replace("Start", "Heartbeat"), {"input": {}}) == {"input": {}}
