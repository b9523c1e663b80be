"""Enough of jq's syntax to see which functions and variables a program uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from coe.language.expressions.jq_worker import UNAVAILABLE

# Functions and variables that a program may not use, and statements that load files.
FORBIDDEN_FUNCTIONS: Final = frozenset(name.partition("(")[0] for name in UNAVAILABLE)
FORBIDDEN_VARIABLES: Final = frozenset(("ENV", "__prog_args", "__prog_name"))
FORBIDDEN_STATEMENTS: Final = frozenset(("import", "include"))

_TOKEN: Final = re.compile(
    r"(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<string>\")|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<field>\.\s*[A-Za-z_]\w*)|(?P<variable>\$\s*(?:[A-Za-z_]\w*::)*[A-Za-z_]\w*)"
    r"|(?P<format>@\w+)|(?P<word>(?:[A-Za-z_]\w*::)*[A-Za-z_]\w*)"
    r"|(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|(?P<other>.)",
    re.ASCII | re.DOTALL,
)
_TEXT: Final = re.compile(r"[^\"\\]*(?:\\[^(][^\"\\]*)*", re.DOTALL)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}", "\\(": ")"}


# The longest program in characters.
MAX_PROGRAM_LENGTH: Final = 65_536
# The longest program whose scan is cached, in characters.
_MAX_REMEMBERED_LENGTH: Final = 2_000
# Half of a surrogate pair, which no encoding has.
_HALF_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# The text after a word that is the key of an object.
_AFTER_KEY: Final = re.compile(r"\s*[:,}]")

# Paths of keys from the input or a variable: most programs are of this form.
_PATH: Final = re.compile(r"(\$[A-Za-z_]\w*|)((?:\.[A-Za-z_]\w*)*)", re.ASCII)


def key_path(program: str) -> tuple[str, tuple[str, ...]] | None:
    """The variable (or "" for the input) and the keys of a program that only follows keys."""
    return _key_path(program) if len(program) <= _MAX_REMEMBERED_LENGTH else None


@lru_cache(maxsize=4096)
def _key_path(program: str) -> tuple[str, tuple[str, ...]] | None:
    match = _PATH.fullmatch(program) if program != "." else _PATH.fullmatch("")
    if match is None or not program:
        return None
    return match[1][1:], tuple(match[2].split(".")[1:])


@dataclass(frozen=True, slots=True)
class Scanned:
    """The functions and variables that a program uses, and its first syntax error."""

    words: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    fault: str | None = None

    @property
    def forbidden(self) -> str | None:
        """The first name that a flow may not use; None if there is none."""
        functions = sorted(self.words & (FORBIDDEN_FUNCTIONS | FORBIDDEN_STATEMENTS))
        variables = sorted(f"${name}" for name in self.variables & FORBIDDEN_VARIABLES)
        return next(iter(functions + variables), None)


@dataclass(slots=True)
class _Scanner:
    text: str
    words: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    brackets: list[str] = field(default_factory=list)
    previous: str = ""

    def run(self) -> str | None:
        """Scan the text; returns its first syntax error."""
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                return "it is not jq"
            kind, token, at = match.lastgroup, match[0], match.end()
            if kind == "string":
                at, fault = self._string(at)
            elif kind == "close":
                at, fault = self._close(token, at)
            elif kind == "comment" and token.rstrip("\r").endswith("\\"):
                fault = "a comment ends with a backslash"
            else:
                fault = None
                self._note(kind, token, at)
            if fault:
                return fault
            if kind not in ("space", "comment"):
                self.previous = token
        return f"`{self.brackets[-1]}` is not closed" if self.brackets else None

    def _string(self, at: int) -> tuple[int, str | None]:
        """Continue inside a string, to its closing quote or the next interpolation."""
        match = _TEXT.match(self.text, at)
        end = match.end() if match else at
        if self.text.startswith('"', end):
            return end + 1, None
        if self.text.startswith("\\(", end):
            self.brackets.append("\\(")
            return end + 2, None
        return end, "a string is not closed"

    def _close(self, token: str, at: int) -> tuple[int, str | None]:
        if not self.brackets or _CLOSING[self.brackets[-1]] != token:
            return at, f"`{token}` closes nothing"
        if self.brackets.pop() == "\\(":
            return self._string(at)
        return at, None

    def _note(self, kind: str | None, token: str, at: int) -> None:
        if kind == "open":
            self.brackets.append(token)
        elif kind == "variable":
            self.variables.add(token[1:].strip())
        elif kind == "word" and not self._is_key(at):
            (self.defined if self.previous == "def" else self.words).add(token)

    def _is_key(self, at: int) -> bool:
        """Whether a word that ends here is a key of an object, and not a function."""
        if not self.brackets or self.brackets[-1] != "{" or self.previous not in ("{", ","):
            return False
        return _AFTER_KEY.match(self.text, at) is not None


def scan(program: str) -> Scanned:
    """Scan a program for functions (without those it defines), keywords and variables."""
    if len(program) > MAX_PROGRAM_LENGTH:
        return Scanned(fault=f"it is longer than {MAX_PROGRAM_LENGTH:,} characters")
    return _scan_kept(program) if len(program) <= _MAX_REMEMBERED_LENGTH else _scan(program)


@lru_cache(maxsize=4096)
def _scan_kept(program: str) -> Scanned:
    return _scan(program)


def _scan(program: str) -> Scanned:
    if "\0" in program:
        return Scanned(fault="it contains the character NUL, at which jq stops reading")
    if _HALF_SURROGATE.search(program):
        return Scanned(fault="it contains half of a surrogate pair")
    scanner = _Scanner(program)
    fault = scanner.run() if program.strip() else "it is empty"
    return Scanned(frozenset(scanner.words - scanner.defined), frozenset(scanner.variables), fault)
