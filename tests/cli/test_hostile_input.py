"""No file and no argument leads to a traceback: the message is about the input, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coe.cli.api_client import ApiClient
from coe.cli.main import cli
from tests.cli.commands import PROCESSES, VERBS, Server, examples, fill, options_of, run

DEEP = 3000
FILES = {
    "half of a surrogate pair": b'{"a": "\\ud800"}',
    "half of a surrogate pair in YAML": b'a: "\\uD800"\n',
    "deep JSON": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep YAML": b"".join(b" " * level + b"a:\n" for level in range(300)),
    "400 digits": b'{"amount": ' + b"1" * 400 + b"}",
    "400 digits in YAML": b"amount: " + b"1" * 400 + b"\n",
    "5000 digits": b'{"amount": ' + b"7" * 5000 + b"}",
    "a huge exponent": b'{"amount": 1e999999}',
    "not a number": b'{"amount": NaN}',
    "NUL": b'{"a": "\x00"}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "an alias of itself": b"a: &a [*a]\n",
    "a date": b"a: 2026-13-45\n",
    "a tag": b"!!python/object/apply:os.system [ls]\n",
    "nothing": b"",
    "only a sign": b"-",
    "a list": b"[1, 2]",
    "colours": b"\x1b[31m: x\n",
}
ARGUMENTS = ["\udcff", "9" * 400, "", "\x1b[31m", "@"]
NEEDS_MORE = {"content load", "migrate", "audit key"}
WORDS = sorted(set(VERBS) - PROCESSES - NEEDS_MORE)


def _with_files(words: str) -> Iterator[tuple[list[str], str]]:
    """Each example with the file or folder that it names."""
    for arguments in examples(words):
        for argument in arguments:
            if argument.endswith((".yaml", ".json", ".graphql", ".jsonl", ".vkey", "flows")):
                yield arguments, argument


def _takes_a_file(words: str) -> bool:
    return any("--to" not in arguments for arguments, _ in _with_files(words))


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    callspec = getattr(request.node, "callspec", None)
    fill(tmp_path, callspec.params.get("words") if callspec else None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    server = Server()
    monkeypatch.setattr(ApiClient, "call", lambda _, query, given=None: server.call(query, given))
    return tmp_path


@pytest.mark.parametrize("words", [each for each in WORDS if _takes_a_file(each)])
def test_a_file_is_refused_with_its_name(words: str, folder: Path) -> None:
    arguments, argument = next(_with_files(words))
    given = folder / argument.removeprefix("@")
    given = given / "flow.yaml" if given.is_dir() else given
    for content in FILES.values():
        given.write_bytes(content)
        _check(words, arguments, about=argument)


@pytest.mark.parametrize("words", WORDS)
def test_an_argument_is_refused(words: str, folder: Path) -> None:
    arguments = max(examples(words), key=len)
    for place in range(len(words.split()), len(arguments)):
        for argument in ARGUMENTS:
            _check(words, [*arguments[:place], argument, *arguments[place + 1 :]])


def test_standard_input_is_refused_with_its_name(folder: Path) -> None:
    for content in FILES.values():
        done = run("event", "send", "-", "--token", "x", stdin=content)
        assert done.exit_code in {0, 1}, done.output
        assert done.exit_code == 0 or "stdin" in done.stderr


def _check(words: str, arguments: list[str], about: str | None = None) -> None:
    more = ["--token", "x"] if "token" in options_of(VERBS[words]) else []
    done = run(*arguments, *more, stdin="{}")
    told = f"{arguments}: {done.exit_code}\n{done.output}"
    assert done.exit_code in {0, 1, 2, 3, 4, 5, 6, 7, 8}, told
    assert "Traceback" not in done.output, told
    assert "fault of coe" not in done.output, told
    if about is not None and done.exit_code in {1, 2}:
        option = arguments[arguments.index(about) - 1]
        by_server = words == "api query"
        named = about in done.output or option in done.output or "this input" in done.output
        assert named or by_server or about[0] == "@", told


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RecursionError(), 1, "nested too deeply"),
        ("\udcff".encode, 1, "not valid Unicode"),
        (PermissionError(13, "Permission denied", "x.yaml"), 1, "x.yaml: Permission denied"),
        (ConnectionRefusedError(111, "refused"), 7, "cannot be reached"),
    ],
)
def test_what_no_reader_has_located_is_still_the_inputs_fault(
    error: object, code: int, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        if isinstance(error, Exception):
            raise error
        assert callable(error)
        error()

    monkeypatch.setattr(ApiClient, "call", broken)
    done = run("team", "list", "--token", "x")
    assert (done.exit_code, "Traceback" in done.output) == (code, False)
    assert message in done.stderr


def test_an_error_of_ours_is_called_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(ApiClient, "call", broken)
    done = run("team", "list", "--token", "x")
    assert (done.exit_code, "Traceback" in done.output) == (70, False)
    assert "fault of coe" in done.stderr
    shown = run("--debug", "team", "list", "--token", "x")
    assert "Traceback" in shown.stderr
    assert "test_hostile_input" in shown.stderr
    assert cli.name
