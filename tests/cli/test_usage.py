"""Wrong usage is exit code 2 everywhere, and the message names the argument that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from coe.cli.api_client import ApiClient
from coe.cli.arguments import named
from coe.errors import CoeError, Invalid, Problem
from coe.tls import why_unreached
from tests.cli.commands import PROCESSES, VERBS, calls_a_server, examples, fill, run
from tests.factories.keys import signing_key

WRONG = "\udcff"
WRITTEN = {("demo", "--data-dir"), ("flow diagram", "--save"), ("audit export", "--to")}
"""Paths that a command makes."""
WRITTEN |= {("key new", "--to"), ("flow new", "--to"), ("template new", "--to")}
CHECKED_BY_CONTENT = {("flow check", "files"), ("decision check", "files")}
"""A file that cannot be read is one of the problems that these commands list."""


HERE = {"url", "token", "profile"}
"""Options that every command has which calls a server."""


def _is_file(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, click.Path)


def _is_text(parameter: click.Parameter) -> bool:
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    return isinstance(parameter.type, click.types.StringParamType) and not flag


def _parameters(wanted: Callable[[click.Parameter], object]) -> list[tuple[str, click.Parameter]]:
    """Each parameter of each command; what many commands share is taken once."""
    found: dict[object, tuple[str, click.Parameter]] = {}
    for words, verb in VERBS.items():
        if words in PROCESSES:
            continue
        for each in verb.params:
            shared = each.name in {"config", "after"} or (each.name in HERE and words != "login")
            if wanted(each) and not (shared and each.name in HERE):
                found.setdefault(each.name if shared else (words, each.name), (words, each))
    return list(found.values())


def _faults(words: str, parameter: click.Parameter, value: str, what: str) -> Iterator[str]:
    """What is wrong with how the command refuses a value, with good ones beside it."""
    typed = max(examples(words) or [words.split()], key=len)
    if isinstance(parameter, click.Option):
        arguments = [*typed, named(parameter), value]
    else:
        place = [each for each in VERBS[words].params if isinstance(each, click.Argument)]
        number = len(words.split()) + place.index(parameter)
        arguments = [*typed[:number], value, *typed[number + 1 :]]
    more = ["--token", "x"] if calls_a_server(words) or "--operator" in words else []
    done = run(*arguments, *more, stdin="")
    if done.exit_code != 2 or what not in done.stderr:
        yield f"{arguments}: {done.exit_code} {done.output}"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_path_is_not_empty_and_leads_to_a_file() -> None:
    faults: list[str] = []
    for words, each in _parameters(_is_file):
        faults += _faults(words, each, "", named(each))
        written = (words, named(each)) in WRITTEN
        if not written and (words, each.name) not in CHECKED_BY_CONTENT:
            faults += _faults(words, each, "no-such-file.yaml", "no-such-file.yaml")
    assert faults == []


def test_a_text_that_is_needed_is_not_empty() -> None:
    faults: list[str] = []
    for words, each in _parameters(lambda each: _is_text(each) and each.required):
        faults += _faults(words, each, " ", named(each))
    assert faults == []


def test_a_text_that_is_not_unicode_is_named() -> None:
    faults: list[str] = []
    for words, each in _parameters(_is_text):
        faults += _faults(words, each, WRONG, named(each))
    assert faults == []


def test_every_option_that_names_a_file_is_a_path() -> None:
    texts = {
        (words, named(each))
        for words, each in _parameters(lambda each: each.metavar == "FILE" and not _is_file(each))
    }
    assert texts == set()


@pytest.mark.parametrize("variable", ["COE_CLIENT_SECRET", "COE_CLIENT_ID"])
def test_a_variable_that_is_not_unicode_is_named(variable: str) -> None:
    machine = {"COE_CLIENT_ID": "a", "COE_CLIENT_SECRET": "b", variable: "\udcff"}
    done = run("team", "list", **machine)
    assert (done.exit_code, variable in done.stderr) == (5, True)


@pytest.mark.parametrize("key", ["abc", "", "@empty", "@no-such-file", "wrong id"])
def test_a_key_that_is_none_is_wrong_usage(key: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    if key == "wrong id":
        name, _, rest = signing_key().vkey.split("+", 2)
        key = f"{name}+00000000+{rest}"
    for arguments in (["verify", "audit.jsonl", "--key", key], ["trust", key]):
        done = run("audit", *arguments)
        assert done.exit_code == 2, done.output
        assert "KEY" in done.stderr.upper()
        assert "known_logs" not in done.stderr
        assert ("00000000" not in key) or "the id in this key" in done.stderr


# ---------------------------------------------------------------- what the server refuses
MOST = 100
"""So many texts at least become variables."""
MARK = "a-mark-of-this-test"


@dataclass
class _Refusing:
    """Takes the place of the client of the API."""

    refuse: Callable[[str, dict[str, Any]], None]

    async def execute(self, query: str, variables: dict[str, Any]) -> None:
        self.refuse(query, variables)

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


def _places(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the mark is in the variables of an operation."""
    if value == MARK:
        yield path
    members = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    for key, each in members:
        yield from _places(each, (*path, str(key)))


def test_what_the_server_refuses_of_a_variable_is_said_of_the_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[tuple[str, ...]] = []

    def refuse(_: str, given: dict[str, Any]) -> None:
        found.extend(_places(given))
        if not found:
            raise CoeError("not this operation", code="INVALID")
        name, *path = found[0]
        at = f" at .{'.'.join(path)}" if path else ""
        raise Invalid((), f"Variable '${name}' has invalid value{at}: Duration: it is not one")

    monkeypatch.setattr("coe.sdk.Client", lambda *_, **__: _Refusing(refuse))
    faults: list[str] = []
    seen = 0
    for words, each in _parameters(_is_text):
        if not calls_a_server(words):
            continue
        found.clear()
        wrong = list(_faults(words, each, MARK, named(each)))
        if found:  # else it is read here, or belongs to an operation after the first one
            seen += 1
            faults += wrong
    assert faults == []
    assert seen > MOST


def test_a_problem_of_a_variable_names_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Invalid([Problem("INPUT_TOKEN_EXPIRY", "too long", path="/expiresIn")])

    monkeypatch.setattr("coe.sdk.Client", lambda *_, **__: _Refusing(refuse))
    issue = ["token", "issue", "fiona", "--name", "x", "--expires-in", "P2Y", "--token", "x"]
    assert "--expires-in: error INPUT_TOKEN_EXPIRY" in run(*issue).stderr


def test_there_may_be_nothing_to_revoke(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"revokeTokens": {"ids": [], "problems": []}}
    monkeypatch.setattr(ApiClient, "call", lambda *_: answer)
    done = run("token", "revoke-all", "--team", "a", "--reason", "left", "--token", "x")
    assert (done.exit_code, "nothing to revoke" in done.stdout) == (0, True)


# ---------------------------------------------------------------- why a server is not reached
@pytest.mark.parametrize(
    ("scheme", "why"), [("https", "is the address http://"), ("http", "connection refused")]
)
async def test_a_server_that_is_not_reached_is_told_apart(scheme: str, why: str) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if scheme == "http":
        server.close()
        await server.wait_closed()
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.TransportError) as caught:
            await http.get(f"{scheme}://127.0.0.1:{port}")
    server.close()
    assert why in why_unreached(caught.value)


def test_prompts_are_asked_where_there_is_a_terminal_only() -> None:
    for words in ("login http://127.0.0.1:1", "login", "worker enrol warehouse"):
        done = run(*words.split(), stdin="")
        assert (done.exit_code, "give " in done.stderr) == (2, True), done.output
