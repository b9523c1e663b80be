"""Read the conditions of decision tables: the unary tests of S-FEEL (DMN), plain in YAML.

amount: "< 1000.00"          also <=, >, >=, = and !=
amount: "[1000..5000)"       from 1000 on, below 5000; ( and ] open and close as in mathematics
segment: key                 one value; several with commas or as a list: [key, standard]
segment: not(key, standard)  every other value, and the missing one of an optional input
express: true
delivery: ">= 2026-01-01"    or date("2026-01-01")
coupon: "null"               the value is missing
amount: "-"                  any value, the same as leaving it out
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from coe.decisions.conditions import (
    Anything,
    Between,
    Column,
    Condition,
    Equal,
    Not,
    NoValue,
    OneOf,
)
from coe.decisions.values import KINDS, Key, ValueType, WrongValue, decimals_of, key_of, text_of
from coe.json_types import JSON
from coe.language.suggestions import did_you_mean

MAX_LENGTH: Final = 4_000
"""Characters of a condition."""


class WrongCondition(ValueError):
    """A condition cannot be read; the message says why, `help` how to write it."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def read_condition(column: Column, written: JSON) -> Condition:
    """Read the condition that a rule has for an input.

    Raises:
        WrongCondition: It is no condition, or not one for an input of this type.
    """
    if isinstance(written, list):
        if not written:
            raise WrongCondition("an empty list is never true")
        return OneOf(tuple(read_condition(column, each) for each in written))
    if written is None:
        help = 'write "null" for no value; leave the key out, or write "-", for any value'
        raise WrongCondition("is empty", help)
    if isinstance(written, dict):
        raise WrongCondition(
            "is an object", 'write a value, a list of values or text such as "< 5"'
        )
    if isinstance(written, str):
        return _Parser(column, written).read()
    return Equal(_literal(column, written, str(written).lower()))


def _literal(column: Column, value: JSON, text: str) -> Key:
    """Read a value in a condition; the input must be able to have it."""
    help = None
    if column.kind is ValueType.STRING and not isinstance(value, str):
        help = f"quote it: '\"{text}\"'"
    try:
        key = key_of(column.kind, value)
    except WrongValue as error:
        raise WrongCondition(f"`{text[:80]}` {error}", help) from None
    if column.members is not None and key not in column.members:
        members = [
            text_of(column.kind, each).strip('"') for each in sorted(column.members, key=str)
        ]
        suggestion = did_you_mean(str(value), members)
        raise WrongCondition(
            f"`{text[:80]}` is no value of the input{suggestion}", f"it has {', '.join(members)}"
        )
    if column.decimals is not None and decimals_of(key) > column.decimals:
        raise WrongCondition(f"`{text[:80]}` has more than {column.decimals} decimals")
    if isinstance(value, float) and sum(map(str.isdigit, repr(value))) > _FLOAT_DIGITS:
        raise WrongCondition(f"`{text[:80]}` has more digits than are kept exactly", "quote it")
    return key


_FLOAT_DIGITS: Final = 15
_OPERATORS: Final[dict[str, Callable[[Key], Condition]]] = {
    "<": lambda key: Between(high=key, high_in=False),
    "<=": lambda key: Between(high=key),
    ">": lambda key: Between(low=key, low_in=False),
    ">=": lambda key: Between(low=key),
    "=": Equal,
    "!=": lambda key: Not(Equal(key)),
}
_OPENING: Final = frozenset({("sign", "["), ("sign", "]"), ("sign", "(")})
_CLOSING: Final = frozenset({("sign", "]"), ("sign", ")"), ("sign", "[")})
_UNORDERED: Final = frozenset({"=", "!="})
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<operator><=|>=|!=|<|>|=)|(?P<dots>\.\.)"
    r"|(?P<sign>[\[\](),])|(?P<word>(?:(?!\.\.)[^\s\"\[\](),<>=!])+))",
)
_CONSTRUCTORS: Final = {
    "date": ValueType.DATE,
    "date and time": ValueType.DATE_TIME,
    "duration": ValueType.DURATION,
}
_CONSTANTS: Final = {"true": True, "false": False}


class _Parser:
    """Reads a condition's text, token by token."""

    def __init__(self, column: Column, text: str) -> None:
        self._column = column
        self._text = text.strip()
        self._tokens = list(self._split()) if len(text) <= MAX_LENGTH else []
        self._at = 0
        if len(text) > MAX_LENGTH:
            raise WrongCondition(f"has more than {MAX_LENGTH} characters", "write a list")

    def read(self) -> Condition:
        """Read the whole text."""
        if not self._text:
            raise WrongCondition("is empty", 'leave the key out, or write "-", for any value')
        if self._text == "-":
            return Anything()
        if self._is("word", "not") and self._is("sign", "(", ahead=1):
            self._at += 2
            found: Condition = Not(self._several())
            self._take(")")
        else:
            found = self._several()
        if self._at < len(self._tokens):
            raise self._unexpected()
        return found

    def _split(self) -> Iterator[tuple[str, str]]:
        place, text = 0, self._text
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise WrongCondition(f"`{text[place : place + 20].strip()}` has no meaning here")
            yield match.lastgroup, match[match.lastgroup]
            place = match.end()

    def _several(self) -> Condition:
        parts = [self._one()]
        while self._is("sign", ","):
            self._at += 1
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else OneOf(tuple(parts))

    def _one(self) -> Condition:
        kind, token = self._next()
        if kind == "operator":
            if not KINDS[self._column.kind].ordered and token not in _UNORDERED:
                message = f"`{token}` compares what has an order: this is {self._wanted()}"
                raise WrongCondition(message, "name its values")
            return _OPERATORS[token](self._value())
        if (kind, token) in _OPENING:
            return self._interval(token)
        self._at -= 1
        if self._is("word", "null") and not self._is("word", ahead=1):
            self._at += 1
            if not self._column.optional:
                raise WrongCondition(
                    "`null` is never true: the input must have a value",
                    "set `optional: true` there",
                )
            return NoValue()
        return Equal(self._value())

    def _interval(self, opening: str) -> Condition:
        if not KINDS[self._column.kind].ordered:
            raise WrongCondition(f"an interval is for what has an order: this is {self._wanted()}")
        low = self._value()
        if not self._is("dots"):
            raise self._unexpected("`..`")
        self._at += 1
        high = self._value()
        closing = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if closing not in _CLOSING:
            raise self._unexpected("`]` or `)`")
        self._at += 1
        if low > high:  # type: ignore[operator]  # two keys of one ordered type
            raise WrongCondition("the interval ends before it begins")
        return Between(low, high, low_in=opening == "[", high_in=closing == ("sign", "]"))

    def _value(self) -> Key:
        kind, token = self._next()
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", token[1:-1])
            return _literal(self._column, text, token)
        if kind != "word":
            self._at -= 1
            raise self._unexpected("a value")
        words = [token]
        while self._is("word"):
            words.append(self._next()[1])
        text = " ".join(words)
        if text in _CONSTRUCTORS and self._is("sign", "("):
            return self._constructed(text)
        if self._column.kind is ValueType.BOOLEAN:
            return _literal(self._column, _CONSTANTS.get(text, text), text)
        return _literal(self._column, text, text)

    def _constructed(self, name: str) -> Key:
        if _CONSTRUCTORS[name] is not self._column.kind:
            raise WrongCondition(f"`{name}(…)` is not {self._wanted()}")
        self._at += 1
        key = self._value()
        self._take(")")
        return key

    # ------------------------------------------------------------ tokens
    def _is(self, kind: str, token: str | None = None, *, ahead: int = 0) -> bool:
        place = self._at + ahead
        if place >= len(self._tokens):
            return False
        found, text = self._tokens[place]
        return found == kind and token in (None, text)

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise WrongCondition("ends where a value is expected")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, sign: str) -> None:
        if not self._is("sign", sign):
            raise self._unexpected(f"`{sign}`")
        self._at += 1

    def _unexpected(self, wanted: str | None = None) -> WrongCondition:
        found = f"`{self._tokens[self._at][1]}`" if self._at < len(self._tokens) else "its end"
        help = 'such as "< 10", "[1..5)", "a, b" or "not(a)"'
        return WrongCondition(
            f"{found} stands where {wanted} is expected" if wanted else f"{found} is one too many",
            help,
        )

    def _wanted(self) -> str:
        return KINDS[self._column.kind].wanted
