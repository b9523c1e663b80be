r"""Regular expressions of ECMA-262 (Unicode mode), read for an engine of linear time.

The engine's own language is another one: it knows `(?i)`, `\A`, `a**` and `\p{Greek}`, which are
errors in ECMA-262, and reads `\b` otherwise. So a pattern is read here first. What ECMA-262 does
not have is refused, what the engine reads otherwise is written for it, and what it cannot do is
refused with the reason. Punctuation may be escaped that need not be (`\-`, `\@`), and `]` and `}`
may stand alone: both mean the same in each mode of ECMA-262.

The engine has no look-around. Conditions on the beginning or the end of the whole text are taken
apart, as they are separate questions about it: `^(?=A)(?!B)C` is found where `^A` and `^C` are
found and `^B` is not; so is `C(?<!D)$`. Back-references and other look-around are not supported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from coe.language.json_schema.unicode_properties import is_property

MAX_LENGTH: Final = 10_000
"""Characters of a pattern."""
_HEX: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,8})\}")
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})\??", re.ASCII)
_GROUP_NAME: Final = re.compile(r"\?<([\w$]+)>")
_MODIFIED: Final = re.compile(r"\?[ims]*(?:-[ims]*)?[:)]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PROPERTY: Final = re.compile(r"[pP]\{([A-Za-z_]+=)?([A-Za-z0-9_]+)\}", re.ASCII)
# What stands after a backslash: classes, control characters, and characters that mean themselves.
_SIMPLE: Final = frozenset("dDsSwWfnrtv" + " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_LOOKS: Final = {"?=": ("ahead", True), "?!": ("ahead", False)} | {
    "?<=": ("behind", True),
    "?<!": ("behind", False),
}
_NOTHING: Final = r"[^\s\S]"
_ANYTHING: Final = r"[\s\S]"
_MAX_DEPTH: Final = 100
_MAX_CODE_POINT: Final = 0x10FFFF
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)


class NotAPattern(ValueError):
    """A text is not a regular expression that can be used; the message completes "it …"."""


class NotSupported(NotAPattern):
    """A regular expression of ECMA-262 that the engine cannot apply."""


class Condition(NamedTuple):
    """What must be found in a text, or must not be, in the engine's language."""

    text: str
    is_wanted: bool = True


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression: it is found where all conditions of one alternative hold."""

    source: str
    alternatives: tuple[tuple[Condition, ...], ...]
    # Whether the engine reads the source itself as ECMA-262 does.
    is_plain: bool


@lru_cache(maxsize=1024)
def read_pattern(source: str, *, whole: bool = False) -> Pattern:
    """Read a pattern; with `whole` it must match a whole text, not a part of it.

    Raises:
        NotAPattern: It is not of ECMA-262, or it has what the engine cannot do.
    """
    if len(source) > MAX_LENGTH:
        raise NotAPattern(f"has more than {MAX_LENGTH:,} characters")
    reader = _Reader(source)
    found = reader.disjunction()
    if reader.place < len(source):
        raise reader.fault("has `)` without `(`")
    looks = any(term.look for terms in found for term in terms)
    if looks:
        alternatives = tuple(_conditions(terms, whole=whole) for terms in found)
    else:
        text = "|".join("".join(term.text for term in terms) for terms in found)
        alternatives = ((Condition(f"^(?:{text})$" if whole else text),),)
    return Pattern(source, alternatives, is_plain=not (looks or whole or reader.differs))


# ---------------------------------------------------------------- conditions
class _Term(NamedTuple):
    text: str
    # "ahead" or "behind" for look-around, else empty; then the text is what it looks for.
    look: str = ""
    is_wanted: bool = True
    place: int = 0


def _conditions(terms: list[_Term], *, whole: bool) -> tuple[Condition, ...]:
    """The conditions of one alternative of the whole pattern."""
    rest = list(terms)
    found: list[Condition] = []
    begins = _take(rest, 0, "^") or whole
    ends = _take(rest, -1, "$") or whole
    while begins and rest and rest[0].look == "ahead":
        term = rest.pop(0)
        found.append(Condition(f"^(?:{term.text})", term.is_wanted))
    while ends and rest and rest[-1].look == "behind":
        term = rest.pop()
        found.append(Condition(f"(?:{term.text})$", term.is_wanted))
    # What must come next, at the end of what is searched, may as well be part of it.
    if rest and not ends and rest[-1].look == "ahead" and rest[-1].is_wanted:
        rest[-1] = _Term(f"(?:{rest[-1].text})")
    if rest and not begins and rest[0].look == "behind" and rest[0].is_wanted:
        rest[0] = _Term(f"(?:{rest[0].text})")
    for term in rest:
        if term.look:
            raise NotSupported(_LOOK_AROUND.format(term.place + 1))
    text = "".join(term.text for term in rest)
    text = ("^" if begins else "") + f"(?:{text})" + ("$" if ends else "")
    return (Condition(text), *found)


def _take(terms: list[_Term], index: int, text: str) -> bool:
    if terms and terms[index] == _Term(text):
        terms.pop(index)
        return True
    return False


_LOOK_AROUND: Final = (
    "has look-around at character {}, which is supported right after `^`, as in `^(?!x)`, "
    "and right before `$`, as in `(?<!x)$`, outside of groups"
)


# ---------------------------------------------------------------- reading
@dataclass(slots=True)
class _Reader:
    source: str
    place: int = 0
    depth: int = 0
    # Whether something was written otherwise for the engine.
    differs: bool = False
    names: set[str] = field(default_factory=set)

    def fault(self, message: str) -> NotAPattern:
        return NotAPattern(f"{message}, at character {self.place + 1}")

    def peek(self) -> str:
        return self.source[self.place : self.place + 1]

    def starts(self, text: str) -> bool:
        return self.source.startswith(text, self.place)

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        return expression.match(self.source, self.place)

    # ------------------------------------------------------------ terms
    def disjunction(self) -> list[list[_Term]]:
        """Alternatives of terms, up to the end or to a `)`."""
        found: list[list[_Term]] = [[]]
        while (char := self.peek()) and char != ")":
            if char == "|":
                self.place += 1
                found.append([])
            else:
                found[-1].append(self.term())
        return found

    def term(self) -> _Term:
        char = self.peek()
        if char in "*+?" or (char == "{" and self.match(_QUANTIFIER)):
            raise self.fault(f"has `{char}` with nothing to repeat")
        if char == "{":
            raise self.fault("has `{`, which is written `\\{` as a character")
        begin = self.place
        if char in "^$":
            self.place += 1
            return _Term(char)
        if char == "(":
            term = self.group(begin)
            return term if term.look else _Term(term.text + self.quantifier())
        if char == "[":
            return _Term(self.character_class() + self.quantifier())
        if char == "\\":
            if self.source[begin + 1 : begin + 2] in ("b", "B"):
                self.place += 2
                self.differs = True  # the engine's words are those of Unicode
                return _Term(f"(?-u:{self.source[begin : self.place]})")
            return _Term(self.escape() + self.quantifier())
        self.place += 1
        return _Term(char + self.quantifier())

    def quantifier(self) -> str:
        found = self.match(_QUANTIFIER)
        if found is None:
            return ""
        least, _, most = found.groups()
        if most and int(most[:9]) < int(least[:9]):
            raise self.fault(f"repeats `{found[0]}`, with its least above its most")
        self.place = found.end()
        return found[0]

    def group(self, begin: int) -> _Term:
        self.place += 1
        look, opening = None, "("
        if self.peek() == "?":
            look = next(filter(self.starts, _LOOKS), None)
            opening = self.opening(look)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.fault(f"has more than {_MAX_DEPTH} groups inside one another")
        found = self.disjunction()
        self.depth -= 1
        if self.peek() != ")":
            self.place = begin
            raise self.fault("has `(` without `)`")
        self.place += 1
        for term in (term for terms in found for term in terms if term.look):
            raise NotSupported(_LOOK_AROUND.format(term.place + 1))
        text = "|".join("".join(term.text for term in terms) for terms in found)
        if look:
            kind, is_wanted = _LOOKS[look]
            return _Term(text, kind, is_wanted, begin)
        return _Term(f"{opening}{text})")

    def opening(self, look: str | None) -> str:
        """Read what follows the `(` of a group that has a `?`, and write it for the engine."""
        if look:
            self.place += len(look)
            return ""
        if self.starts("?:"):
            self.place += 2
            return "(?:"
        named = self.match(_GROUP_NAME)
        if named is None or named[1][0].isdigit():
            flags = "has flags in the pattern" if self.match(_MODIFIED) else "has an unknown group"
            raise self.fault(flags)
        if named[1] in self.names:
            raise self.fault(f"has the group `{named[1]}` twice")
        self.names.add(named[1])
        self.place = named.end()
        if _PLAIN_NAME.fullmatch(named[1]):
            return f"({named[0]}"
        self.differs = True
        return "("

    # ------------------------------------------------------------ characters
    def escape(self, *, in_class: bool = False) -> str:
        """Read an escape, outside of a class or in one, and write it for the engine."""
        begin = self.place
        self.place += 1
        char = self.peek()
        if not char:
            raise self.fault("ends with a backslash")
        if char in "xu":
            return self.hexadecimal(begin)
        code = self.control(in_class=in_class)
        if code is not None:
            return self.code_point(code)
        if char in "pP":
            self.property_escape()
        elif char in _SIMPLE:
            self.place += 1
            if char in "<>":  # beginnings and ends of words in the engine
                self.differs = True
                return char
        elif char.isdigit() or char == "k":
            message = f"has a back-reference at character {begin + 1}, which is not supported"
            raise NotSupported(message)
        else:
            raise self.fault(f"has `\\{char}`, which is no escape of ECMA-262")
        return self.source[begin : self.place]

    def control(self, *, in_class: bool) -> int | None:
        """Read an escape of a control character that the engine does not know."""
        char, after = self.peek(), self.source[self.place + 1 : self.place + 2]
        if char == "c" and after.isascii() and after.isalpha():
            self.place += 2
            return ord(after) % 32
        if (char == "0" and not after.isdigit()) or (char == "b" and in_class):
            self.place += 1
            return 8 if char == "b" else 0
        return None

    def property_escape(self) -> None:
        found = self.match(_PROPERTY)
        name = (found[1] or "")[:-1] if found else ""
        if found is None or not is_property(name, found[2]):
            raise self.fault("has an unknown property of characters, such as `\\p{Greek}`")
        self.place = found.end()

    def hexadecimal(self, begin: int) -> str:
        found = self.match(_HEX)
        if found is None:
            raise self.fault("has an incomplete hexadecimal escape")
        code = int(found[1] or found[2] or found[3], 16)
        self.place = found.end()
        if code in _HIGH and found[2]:
            low = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self.source, self.place)
            if low:
                self.place = low.end()
                return self.code_point(0x10000 + (code - 0xD800) * 0x400 + int(low[1], 16) - 0xDC00)
        if code in _HIGH or code in _LOW:
            raise self.fault("has half of a surrogate pair, which is not a character")
        if code > _MAX_CODE_POINT:
            raise self.fault("has a number beyond the last character")
        return self.source[begin : self.place]

    def code_point(self, code: int) -> str:
        self.differs = True
        return f"\\x{{{code:X}}}"

    def character_class(self) -> str:
        begin = self.place
        self.place += 1
        if self.peek() == "^":
            self.place += 1
        if self.peek() == "]":
            self.differs = True
            self.place += 1
            return _ANYTHING if self.source[begin + 1] == "^" else _NOTHING
        written = self.source[begin : self.place]
        while self.peek() != "]":
            low = self.atom(begin)
            written += low
            if not (self.starts("-") and not self.starts("-]")):
                continue
            self.place += 1
            high = self.atom(begin)
            written += f"-{high}"
            if _is_set(low) or _is_set(high):
                raise self.fault("has a range of which one end is not a character")
            if _code(low) > _code(high):
                raise self.fault("has a range that ends before it begins")
        self.place += 1
        return written + "]"

    def atom(self, begin: int) -> str:
        char = self.peek()
        if not char:
            self.place = begin
            raise self.fault("has `[` without `]`")
        if char == "\\":
            return self.escape(in_class=True)
        self.place += 1
        return char


def _is_set(atom: str) -> bool:
    return len(atom) > 1 and atom[1] in "dDsSwWpP"


_CONTROL_CODES: Final = {"f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


def _code(atom: str) -> int:
    """The code point of an atom of a class, as it was written for the engine."""
    if len(atom) == 1:
        return ord(atom)
    if atom[1] in "xu":
        return int(atom[2:].strip("{}"), 16)
    return _CONTROL_CODES.get(atom[1], ord(atom[1]))
