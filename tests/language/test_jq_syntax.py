from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.language.expressions.jq_process import CompileCheck, compile_errors
from coe.language.expressions.jq_syntax import key_path, scan


@pytest.mark.parametrize(
    ("program", "forbidden"),
    [
        ("env", "env"),
        ("env.HOME", "env"),
        (".a | env", "env"),
        ('"\\(env)"', "env"),
        ('"a\\("b\\(env)")"', "env"),
        ('@base64 "x\\(env)"', "env"),
        ("$ENV.PATH", "$ENV"),
        ("$ ENV", "$ENV"),
        ("$__prog_args", "$__prog_args"),
        ("input", "input"),
        ("[inputs]", "inputs"),
        ("now | todate", "now"),
        ('debug("x")', "debug"),
        ("halt_error(1)", "halt_error"),
        ("localtime", "localtime"),
        ('import "a" as a; 1', "import"),
        ('include "a"; 1', "include"),
        ("{env: env}", "env"),
        ("{(env): 1}", "env"),
        # Keys, fields, text, comments and functions that the program defines do not count.
        ("{env: 1}", None),
        ("{env}", None),
        ("{a: 1, env}", None),
        (".env", None),
        (".env.now", None),
        ('"env"', None),
        (".a # env\n", None),
        ("def env: 1; env", None),
        ('."env"', None),
    ],
)
def test_forbidden_names_are_found(program: str, forbidden: str | None) -> None:
    scanned = scan(program)
    assert scanned.fault is None
    assert scanned.forbidden == forbidden


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("(1", "`(` is not closed"),
        ("1)", "`)` closes nothing"),
        ("1) | (2", "`)` closes nothing"),
        ("[1)", "`)` closes nothing"),
        ('"a', "a string is not closed"),
        ('"\\(1"', "a string is not closed"),
        ("{a: 1", "`{` is not closed"),
        ("1 # \\", "a comment ends with a backslash"),
    ],
)
def test_a_program_stays_inside_its_brackets(program: str, fault: str) -> None:
    assert fault in (scan(program).fault or "")


def test_variables_are_found() -> None:
    assert scan('$a + "\\($b)" | . as $c | {$d}').variables == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("program", "path"),
    [
        (".", ("", ())),
        (".a", ("", ("a",))),
        (".a.b_1", ("", ("a", "b_1"))),
        ("$x", ("x", ())),
        ("$x.a", ("x", ("a",))),
        ("", None),
        ("..", None),
        (".a?", None),
        (".a[0]", None),
        (".a + 1", None),
        (". a", None),
        ('."a"', None),
        ("$__loc__.file", ("__loc__", ("file",))),
    ],
)
def test_a_path_is_distinguished_from_a_program(
    program: str, path: tuple[str, tuple[str, ...]] | None
) -> None:
    assert key_path(program) == path


def test_programs_are_compiled_together_and_have_their_own_errors() -> None:
    checks = [
        CompileCheck(".a | tostring", ()),
        CompileCheck(".a |", ()),
        CompileCheck("$x", ("x",)),
        CompileCheck("$y", ("x",)),
        CompileCheck("nothing_like_it", ()),
        CompileCheck(". # comment", ()),
    ]
    first, second, third, fourth, fifth, sixth = compile_errors(checks)
    assert first is None
    assert "syntax error" in (second or "")
    assert third is None
    assert "$y is not defined" in (fourth or "")
    assert "nothing_like_it/0 is not defined" in (fifth or "")
    assert sixth is None


def test_a_program_that_kills_the_compiler_is_found_among_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Thousands of closures, with little more memory than the interpreter needs itself.
    monkeypatch.setattr("coe.language.expressions.jq_process.MEMORY_LIMIT", 25 * 1024 * 1024)
    killer = "[1,2,3]|map(.+1)," * 3800 + "1"
    assert scan(killer).fault is None
    errors = compile_errors(
        [CompileCheck(".a + 1", ()), CompileCheck(killer, ()), CompileCheck(".b + 1", ())]
    )
    assert errors[0] is None
    assert errors[1] is not None
    assert errors[2] is None


@given(st.text(alphabet='()[]{}"\\#\n .a1,|$', max_size=12))
def test_a_program_that_passes_the_scan_cannot_leave_its_brackets(program: str) -> None:
    """Wherever jq takes `[(1),(PROGRAM)]`, the scan must have seen balanced brackets."""
    scanned = scan(program)
    if scanned.fault is None:
        depth = 0
        for character in _outside_of_text(program):
            depth += (character in "([{") - (character in ")]}")
            assert depth >= 0
        assert depth == 0


def _outside_of_text(program: str) -> str:
    """A program without strings (interpolations and all) and comments, written anew."""
    kept: list[str] = []
    at, strings = 0, 0
    while at < len(program):
        if program[at] == '"':
            at = _string_end(program, at + 1)
            strings += 1
        elif program[at] == "#":
            at = program.find("\n", at)
            at = len(program) if at < 0 else at
        else:
            kept.append(program[at])
            at += 1
    return "".join(kept)


def _string_end(program: str, at: int) -> int:
    while at < len(program) and program[at] != '"':
        if program.startswith("\\(", at):
            at = _interpolation_end(program, at + 2)
        elif program[at] == "\\":
            at += 2
        else:
            at += 1
    return at + 1


def _interpolation_end(program: str, at: int) -> int:
    depth = 1
    while at < len(program) and depth:
        if program[at] == '"':
            at = _string_end(program, at + 1)
        elif program[at] == "#":
            end = program.find("\n", at)
            at = len(program) if end < 0 else end
        else:
            depth += (program[at] in "([{") - (program[at] in ")]}")
            at += 1
    return at
