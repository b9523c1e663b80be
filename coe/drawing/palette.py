"""Colours of drawings, light and dark. Text on its fill has a contrast of 7:1 or more (WCAG AAA).

Each shape carries its light colours, so that a drawing also shows without its style sheet. The
style sheet has the dark colours, for readers who prefer them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Look(NamedTuple):
    """The colours of a shape: its fill, its line, and the text on it."""

    fill: str
    line: str
    text: str


# By the performer of a step, by the purpose of a box, and by the state of a step.
LIGHT: Final = {
    "human": Look("#fff3c4", "#8a6100", "#3d2b00"),
    "foreign": Look("#e4ddfb", "#5b3fb5", "#24145c"),
    "automatic": Look("#dcebfa", "#1f5f99", "#0b2b4a"),
    "control": Look("#f1f3f5", "#5c6770", "#20262b"),
    "unsupported": Look("#ffffff", "#6b7278", "#3c4247"),
    "error": Look("#fdeeec", "#b42318", "#6b130b"),
    "terminal": Look("#20262b", "#20262b", "#ffffff"),
    "box": Look("#f8f9fb", "#8a94a0", "#20262b"),
    "inner": Look("#ffffff", "#8a94a0", "#20262b"),
    "page": Look("#ffffff", "#ffffff", "#20262b"),
    "edge": Look("none", "#4a545d", "#2b3238"),
    "label": Look("#ffffff", "none", "#2b3238"),
    "ring": Look("#ffffff", "#20262b", "#20262b"),
    "body": Look("none", "#b6bec6", "#20262b"),
    "catch": Look("#fff8f7", "#b42318", "#6b130b"),
    "error-edge": Look("none", "#b42318", "#6b130b"),
    "running": Look("#d5e8fb", "#1f5f99", "#0b2b4a"),
    "waiting": Look("#fdeec2", "#8a6100", "#3d2b00"),
    "retrying": Look("#ffe3cc", "#b54708", "#4f1e02"),
    "completed": Look("#d6f2dd", "#1a7f37", "#0c3d1a"),
    "faulted": Look("#ffdcd7", "#b42318", "#5c1009"),
    "cancelled": Look("#e3e6e9", "#5c6770", "#20262b"),
    "skipped": Look("#f6f7f8", "#8a94a0", "#3c4247"),
}
DARK: Final = {
    "human": Look("#3a2c05", "#d9a92e", "#ffefb8"),
    "foreign": Look("#2a2152", "#a48cf2", "#ece6ff"),
    "automatic": Look("#12304d", "#6fb1ec", "#e0f0ff"),
    "control": Look("#262d34", "#98a4af", "#eef1f4"),
    "unsupported": Look("#14181c", "#8f99a3", "#d3d9de"),
    "error": Look("#3a1512", "#f08a80", "#ffe0dc"),
    "terminal": Look("#e6eaee", "#e6eaee", "#14181c"),
    "box": Look("#1b2026", "#6f7b86", "#e6eaee"),
    "inner": Look("#14181c", "#6f7b86", "#e6eaee"),
    "page": Look("#14181c", "#14181c", "#e6eaee"),
    "edge": Look("none", "#a9b4be", "#dfe4e9"),
    "label": Look("#14181c", "none", "#dfe4e9"),
    "ring": Look("#14181c", "#e6eaee", "#e6eaee"),
    "body": Look("none", "#4d5862", "#e6eaee"),
    "catch": Look("#241312", "#f08a80", "#ffe0dc"),
    "error-edge": Look("none", "#f08a80", "#ffe0dc"),
    "running": Look("#12304d", "#6fb1ec", "#e0f0ff"),
    "waiting": Look("#3a2c05", "#d9a92e", "#ffefb8"),
    "retrying": Look("#43220b", "#f2a25c", "#ffe8d1"),
    "completed": Look("#0f331b", "#5bc77a", "#d8f7e0"),
    "faulted": Look("#4a1711", "#f08a80", "#ffe0dc"),
    "cancelled": Look("#2b3137", "#98a4af", "#e6eaee"),
    "skipped": Look("#1b2026", "#6f7b86", "#d3d9de"),
}


def style_sheet() -> str:
    """The style sheet: the dark colours, for screens of readers who prefer them."""
    rules = []
    for name, look in DARK.items():
        rules.append(f".coe-drawing .{name}{{fill:{look.fill};stroke:{look.line}}}")
        rules.append(f".coe-drawing .{name}-text{{fill:{look.text}}}")
        rules.append(f".coe-drawing .{name}-icon{{stroke:{look.text}}}")
        rules.append(f".coe-drawing .{name}-line{{fill:{look.line};stroke:{look.line}}}")
        rules.append(f".coe-drawing .{name}-border{{stroke:{look.line}}}")
    return "@media screen and (prefers-color-scheme:dark){" + "".join(rules) + "}"


def shape_colours(name: str) -> str:
    """The colour attributes of a shape."""
    look = LIGHT[name]
    return f'class="{name}" fill="{look.fill}" stroke="{look.line}"'


def bordered_colours(name: str, state: str) -> str:
    """The colour attributes of a shape whose line shows a state."""
    return f'class="{name} {state}-border" fill="{LIGHT[name].fill}" stroke="{LIGHT[state].line}"'


def text_colours(name: str) -> str:
    """The colour attributes of text."""
    return f'class="{name}-text" fill="{LIGHT[name].text}"'


def icon_colours(name: str) -> str:
    """The colour attributes of an icon."""
    return f'class="{name}-icon" fill="none" stroke="{LIGHT[name].text}"'


def line_colours(name: str) -> str:
    """The colour attributes of a shape filled with the line colour, such as an arrow head."""
    line = LIGHT[name].line
    return f'class="{name}-line" fill="{line}" stroke="{line}"'
