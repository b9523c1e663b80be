r"""Patterns are read as ECMA-262 has them (Unicode mode), whatever the engine would read.

The table was compared with `new RegExp(pattern, "u")` of Node.js 20, as were some thousands of
random patterns.
"""

from __future__ import annotations

import pytest

from coe.language.json_schema.ecmascript import (
    MAX_LENGTH,
    NotAPattern,
    NotSupported,
    read_pattern,
)
from coe.language.json_schema.validator import check_pattern, has_format, matches


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        # classes of characters
        (r"^\d$", ["1"], ["\u0661", "a"]),
        (r"^\w$", ["a", "_", "9"], ["\u00e9", "-"]),
        (r"^\s$", ["\ufeff", "\u00a0", "\u2028", "\v"], ["\u0085", "\u180e"]),
        (r"^\S$", ["\u0085"], ["\ufeff"]),
        ("^.$", ["\U0001f600", "\u0085"], ["\n", "\r", "\u2028", "\u2029"]),
        (r"\bno\b", ["no!", "\u00e9no"], ["none"]),
        (r"\Bno", ["ano"], ["no", "\u00e9no"]),
        ("^[a-z&&0-9]+$", ["a&b9"], ["A"]),
        ("^[+--/]+$", ["+,-/"], ["0"]),
        ("^[[:alpha:]$", ["a", ":", "["], ["b"]),
        ("^[^]$", ["\n", "a"], [""]),
        ("a[]|b", ["b"], ["a"]),
        (r"^[\b]$", ["\b"], ["b"]),
        (r"^[\w-]$", ["a", "-"], ["+"]),
        # escapes
        (r"^\0\cA\cz$", ["\x00\x01\x1a"], ["0"]),
        (r"^\x41\u0042\u{43}$", ["ABC"], ["abc"]),
        (r"^\uD83D\uDE00$", ["\U0001f600"], ["u"]),
        (r"^[\uD83D\uDE00-\u{1F602}]$", ["\U0001f601"], ["\U0001f603"]),
        (r"^\<\-\@\ \&\]}$", ["<-@ &]}"], [""]),
        # properties
        (r"^\p{L}\p{Letter}\p{gc=Lu}$", ["\u00e9aA"], ["aaa"]),
        (r"^\p{Script=Greek}\p{sc=Grek}\p{scx=Greek}$", ["\u03a9\u03a9\u03a9"], ["aaa"]),
        (r"^\p{ASCII}\P{White_Space}$", ["a\u00e9"], ["a "]),
        # groups
        ("^(?<a$>x)(?:y|z)?$", ["x", "xz"], ["y"]),
        ("^(|a)b{0,2}?$", ["", "abb"], ["abbb"]),
        # look-around at the ends
        (r"^(?=.*\d)(?=.*[a-z]).{3,}$", ["ab1", "1bc"], ["a1", "abc", "123"]),
        ("^(?!admin$)[a-z]+$", ["administrator", "user"], ["admin"]),
        ("^(?!-)[a-z-]+(?<!-)$", ["a-b", "a"], ["-a", "a-"]),
        ("^a(?=b)", ["ab", "abc"], ["a", "ac"]),
        ("(?<=a)b$", ["ab", "cab"], ["b", "cb"]),
        ("^(?!a)b|c", ["b", "xc"], ["ab", "a"]),
        ("(?<!x)$", ["", "ax!"], ["x"]),
    ],
)
def test_a_pattern_is_that_of_ecma_262(
    pattern: str, found: list[str], not_found: list[str]
) -> None:
    assert [text for text in found if not matches(pattern, text)] == []
    assert [text for text in not_found if matches(pattern, text)] == []
    assert has_format("regex", pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?i)a", "has flags in the pattern, at character 2"),
        ("(?i:a)", "has flags"),
        ("(?P<n>a)", "has an unknown group, at character 2"),
        ("(?#comment)a", "unknown group"),
        ("(?<n>a)(?<n>b)", "has the group `n` twice"),
        (r"a\z", r"has `\z`, which is no escape of ECMA-262, at character 3"),
        (r"\Aa", r"has `\A`"),
        (r"\h", r"has `\h`"),
        (r"\pL", "unknown property"),
        (r"\p{Greek}", "unknown property"),
        (r"\p{letter}", "unknown property"),
        (r"\p{sc=Klingon}", "is too large, or has an unknown script"),
        (r"\x4", "incomplete hexadecimal"),
        (r"\u12", "incomplete hexadecimal"),
        (r"\u{110000}", "beyond the last character"),
        (r"[\uD800-\uDBFF]", "half of a surrogate pair"),
        (r"\c1", r"has `\c`"),
        ("\\", "ends with a backslash"),
        ("a**", "has `*` with nothing to repeat, at character 3"),
        ("^*", "nothing to repeat"),
        ("a++", "nothing to repeat"),
        ("a{2}{3}", "nothing to repeat"),
        ("{2}", "nothing to repeat"),
        ("a{,3}", r"has `{`, which is written `\{` as a character"),
        ("a{2,1}", "least above its most"),
        ("(?=a)*", "nothing to repeat"),
        ("[z-a]", "ends before it begins"),
        (r"[\d-z]", "one end is not a character"),
        ("[a", "has `[` without `]`, at character 1"),
        ("(a", "has `(` without `)`, at character 1"),
        ("a)", "has `)` without `(`, at character 2"),
        ("(" * 200 + ")" * 200, "inside one another"),
        ("a" * (MAX_LENGTH + 1), "has more than 10,000 characters"),
    ],
)
def test_what_ecma_262_does_not_have_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(NotAPattern) as refused:
        check_pattern(pattern)
    assert message in str(refused.value)
    assert not isinstance(refused.value, NotSupported)
    assert not matches(pattern, "a")


@pytest.mark.parametrize(
    "pattern", ["a(?=b)c", "a(?!b)", "(?<!a)b", "((?!a).)*", r"(a)\1", r"(?<n>a)\k<n>", "(?=a)b"]
)
def test_what_the_engine_cannot_do_is_refused_but_is_a_regex(pattern: str) -> None:
    with pytest.raises(NotSupported, match="character"):
        check_pattern(pattern)
    assert has_format("regex", pattern)


def test_a_whole_match_holds_for_each_alternative() -> None:
    for pattern in ("a|ab", "^a|ab$", "(?!b)(a|ab)(?<!c)"):
        assert [matches(pattern, text, whole=True) for text in ("a", "ab", "abc", "xa")] == [
            *(True, True),
            *(False, False),
        ]


def test_most_patterns_are_left_to_the_library() -> None:
    for plain in (r"^[A-Z]{2}\d{4,}$", "^.+@.+$", r"^\w+(-\w+)*$", "[&-]"):
        assert read_pattern(plain).is_plain
    for other in (r"\bx", "^(?!a)", "[]"):
        assert not read_pattern(other).is_plain
