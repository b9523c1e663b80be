from __future__ import annotations

import pytest

from coe.language.suggestions import closest, did_you_mean


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("thne", ("then", "timeout"), "then"),
        ("Then", ("then",), "then"),
        ("ENDPIONT", ("endpoint", "method"), "endpoint"),
        ("zzz", ("then",), None),
        ("x", (), None),
    ],
)
def test_a_misspelt_word_is_guessed(word: str, known: tuple[str, ...], meant: str | None) -> None:
    assert closest(word, known) == meant
    assert did_you_mean(word, known) == (f", did you mean `{meant}`?" if meant else "")


def test_among_very_many_words_none_is_guessed() -> None:
    assert closest("word1", [f"word{number}" for number in range(1000)]) is None
