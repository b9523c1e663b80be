"""Text in drawings: its width, wrapping, and escaping for XML.

No font is available where drawings are made. Widths are estimates above those of the usual
sans-serif fonts, so text never leaves its box.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category, east_asian_width
from xml.sax.saxutils import escape

# Widths in em, of a wide sans-serif face.
_NARROW: Final = frozenset("iIjl.,:;'|!`")
_SLIM: Final = frozenset('ftr()[]{}-/\\ "°*')
_BROAD: Final = frozenset("mwMWQOGD@%&+=<>#~…—")
_BOLD: Final = 1.08
# A word that is too long is broken before a capital and after a joining character.
_JOINTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[-_/.@:,])(?=\w)")
_ELLIPSIS: Final = "…"


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """An upper bound of the width of a line, in pixels at a font size."""
    total = sum(_em(character) for character in text)
    return total * size * (_BOLD if bold else 1)


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.34
    if character in _SLIM:
        return 0.42
    if character in _BROAD:
        return 0.92
    if not character.isascii():
        if category(character).startswith("M"):
            return 0
        return 1.05 if east_asian_width(character) in "WF" else 0.75
    return 0.7 if character.isupper() else 0.63


def wrap_text(text: str, size: float, most: float, *, lines: int, bold: bool = False) -> list[str]:
    """Wrap a text to lines of at most `most` pixels; an ellipsis replaces what exceeds `lines`."""
    found: list[str] = []
    line = ""
    for spaced, part in _parts(text, size, most, bold=bold):
        longer = f"{line} {part}" if spaced and line else line + part
        if line and text_width(longer, size, bold=bold) > most:
            found.append(line)
            if len(found) == lines:
                return [*found[:-1], _shortened(found[-1] + _ELLIPSIS, size, most, bold=bold)]
            line = part
        else:
            line = longer
    return [*found, line] if line else found


def _parts(text: str, size: float, most: float, *, bold: bool) -> list[tuple[bool, str]]:
    """The unbreakable parts of a text, each with whether a space precedes it."""
    parts: list[tuple[bool, str]] = []
    for word in text.split():
        pieces = [word] if text_width(word, size, bold=bold) <= most else _JOINTS.split(word)
        for index, piece in enumerate(pieces):
            parts += [
                (index == 0 and n == 0, bit)
                for n, bit in enumerate(_cut(piece, size, most, bold=bold))
            ]
    return parts


def _cut(piece: str, size: float, most: float, *, bold: bool) -> list[str]:
    """Cut a piece without a joint at the end of the line."""
    bits = [""]
    for character in piece:
        if bits[-1] and text_width(bits[-1] + character, size, bold=bold) > most:
            bits.append("")
        bits[-1] += character
    return bits


def _shortened(line: str, size: float, most: float, *, bold: bool) -> str:
    while len(line) > 1 and text_width(line, size, bold=bold) > most:
        line = line[:-2].rstrip() + _ELLIPSIS
    return line


def safe(text: str) -> str:
    """Escape text for XML character data and double-quoted attributes.

    Characters that XML 1.0 does not allow are removed, and so are characters that change the
    writing direction, which could make one name look like another.
    """
    kept = "".join(c for c in text if c in "\t\n" or category(c) not in ("Cc", "Cf", "Cs", "Cn"))
    return escape(kept, {'"': "&quot;"})


def number(value: float) -> str:
    """Format a coordinate with at most one decimal."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))
