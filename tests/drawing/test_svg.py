"""The SVG is well-formed, harmless, reproducible, and readable without colour."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coe.drawing import RunOverlay, StepOverlay, svg, svg_of_box
from coe.drawing.icons import PATHS
from coe.drawing.palette import DARK, LIGHT
from coe.drawing.run_overlay import STATES, brief_duration
from coe.drawing.step_labels import icon_of, performer_of
from coe.drawing.text import safe, text_width, wrap_text
from tests.drawing.definitions import DEFINITIONS, defined
from tests.factories.definitions import loaded

SPACE = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "style", "g", "rect", "path", "circle", "text"}
STORY = """
- getCustomer:
    call: http
    with: {method: get, endpoint: 'https://crm.example.com/customers/{id}'}
- approve: {call: 'humanTask:1@default', with: {title: Approve, candidates: {roles: [r]}}}
- ship: {call: 'localFlow:1@default', with: {ref: warehouse/pick-and-pack@^1}}
- old: {call: grpc, with: {proto: {endpoint: 'https://x.example/p'}, service: {name: S, host: h}, method: m}}
- table: {call: 'decision:1@default', with: {ref: finance/limits}}
- later: {wait: PT5M}
- heard: {listen: {to: {one: {with: {type: t}}}}}
- sent: {emit: {event: {with: {type: t}}}}
- choose: {switch: [{a: {when: .x, then: end}}, {b: {then: continue}}]}
- tried:
    try: [{inner: {set: {a: 1}}}]
    catch: {do: [{undo: {set: {a: 1}}}]}
- refuse: {raise: {error: {type: https://x.example/refused, status: 422}}}
"""  # noqa: E501  # one task a line


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  # our own drawing


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in parsed(drawing).iter(f"{SPACE}text")]


def titles(drawing: str) -> list[str]:
    return [element.text or "" for element in parsed(drawing).iter(f"{SPACE}title")]


def colours(text: str) -> Iterator[tuple[str, str, str]]:
    for name, look in (LIGHT if text == "light" else DARK).items():
        if look.fill != "none":
            yield name, look.fill, look.text
        else:
            yield name, (LIGHT if text == "light" else DARK)["box"].fill, look.text


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_can_be_read(scheme: str) -> None:
    looks = LIGHT if scheme == "light" else DARK
    for name, fill, text in colours(scheme):
        assert contrast(fill, text) >= 7, (scheme, name)
    for name, look in looks.items():
        # WCAG 1.4.11: lines with a meaning, against what is around them.
        if look.line != "none" and name not in {"page", "box", "inner", "body", "skipped"}:
            assert contrast(look.line, looks["box"].fill) >= 3, (scheme, name)


def test_both_schemes_have_the_same_looks() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert set(STATES.values()) <= LIGHT.keys() & PATHS.keys()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(DEFINITIONS)
def test_any_definition_gives_one_harmless_document(data: dict[str, Any]) -> None:
    drawing = svg(defined(data))
    root = parsed(drawing)
    assert {element.tag.removeprefix(SPACE) for element in root.iter()} <= ELEMENTS
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in attributes)
    assert "url(" not in drawing
    assert "NaN" not in drawing


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '"><image href=x onerror=alert(1)>',
        "</title></svg><script>",
        "]]>&amp;&lt;",
        "a\x00b\x1bc\ufffe\ud800",
        "a\u202egnp.exe",
    ],
)
def test_names_and_titles_cannot_leave_their_place(evil: str) -> None:
    import json  # noqa: PLC0415

    name = json.dumps(evil.replace("\x00", "").replace("\ud800", ""))
    definition = loaded(f"- {name}: {{wait: PT1S}}")
    drawing = svg(definition, RunOverlay({"/do/0/x": StepOverlay("FAULTED", error=evil)}, evil))
    root = parsed(drawing)
    assert {element.tag.removeprefix(SPACE) for element in root.iter()} <= ELEMENTS
    assert "\u202e" not in drawing
    parsed(svg_of_box(evil, evil))


def test_the_same_definition_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from tests.factories.definitions import loaded;"
        "from tests.drawing.test_svg import STORY; from coe.drawing import svg;"
        "print(hashlib.sha256(svg(loaded(STORY)).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_it_is_described_for_people_who_cannot_see_it() -> None:
    root = parsed(svg(loaded(STORY, more="").model_copy()))
    assert root.get("role") == "img"
    assert root.get("aria-label") == "order-to-cash"
    [described] = root.findall(f"{SPACE}desc")
    assert "approve (a person does it)" in (described.text or "")
    assert (root.findall(f"{SPACE}title")[0].text) == "order-to-cash"


def test_it_shows_without_its_style_sheet_and_in_the_dark_with_it() -> None:
    drawing = svg(loaded(STORY))
    bare = re.sub(r"<style>.*?</style>", "", drawing)
    assert f'fill="{LIGHT["human"].fill}"' in bare
    [style] = re.findall(r"<style>(.*?)</style>", drawing)
    assert style.startswith("@media screen and (prefers-color-scheme:dark)")
    used = set(re.findall(r'class="([^"]+)"', bare)) - {"coe-drawing"}
    for name in {each for names in used for each in names.split()}:
        assert f".{name}{{" in style, name


def test_shape_icon_colour_and_legend_show_the_performer() -> None:
    definition = loaded(STORY)
    drawing = svg(definition)
    seen: dict[str, tuple[str, str, str]] = {}
    for task in definition.do:
        only = parsed(svg(definition))
        [group] = [
            each
            for each in only.iter(f"{SPACE}g")
            if (each[0].text or "").split("\n")[0] == task.name
        ]
        if any(task.scopes()):
            continue
        outline, *rest = group.findall(f"{SPACE}path")
        kind = re.sub(r"[-\d. ]+", "", outline.get("d") or "") + str(
            outline.get("stroke-dasharray")
        )
        icon = next(each.get("d") or "" for each in rest if "icon" in (each.get("class") or ""))
        seen[task.name] = kind, icon, outline.get("class") or ""
    people, others, alien, not_here = (
        seen[name] for name in ("approve", "getCustomer", "ship", "old")
    )
    assert len({each[1] for each in (people, others, alien, not_here)}) == 4
    assert len({each[2] for each in (people, others, alien, not_here)}) == 4
    assert not_here[0].endswith("5 4")
    assert len({seen[name][1] for name in seen}) == len(seen)
    assert {"A person does it", "Another team's flow", "Not run here", "Decision table"} <= set(
        texts(drawing)
    )
    assert {(performer_of(t, "sales"), icon_of(t)) for t in definition.do} >= {
        ("human", "human"), ("foreign", "flow"), ("unsupported", "unsupported"),
    }  # fmt: skip


def test_the_legend_names_only_what_is_there() -> None:
    found = texts(svg(loaded("- a: {wait: PT1S}")))
    assert "Waits for a time" in found
    assert "A person does it" not in found
    assert not set(found) & {"Completed", "Faulted"}


def test_a_run_is_laid_over() -> None:
    definition = loaded(STORY)
    steps = {
        "/do/0/getCustomer": StepOverlay(
            "COMPLETED", timedelta(milliseconds=240), timedelta(hours=3), attempts=2
        ),
        "/do/1/approve": StepOverlay("WAITING", None, timedelta(days=1, hours=2)),
        "/do/2/ship": StepOverlay("FAULTED", executions=3, error="communication 503"),
    }
    drawing = svg(definition, RunOverlay(steps, "faulted"))
    found = texts(drawing)
    assert "order-to-cash: faulted" in found
    assert "completed worked 240 ms, waited 3 h, 2 attempts" in " ".join(found)
    assert {"waiting", "waited 1 d 2 h", "faulted, 3 times", "communication 503"} <= set(found)
    assert {"Completed", "Waiting", "Faulted", "Not reached (without a state)"} <= set(found)
    assert "Running" not in found
    [tooltip] = [each for each in titles(drawing) if each.startswith("ship\n")]
    assert "faulted, 3 times; communication 503" in tooltip
    assert any(each.startswith("old\n") and "not reached" in each for each in titles(drawing))


def test_an_unknown_state_or_pointer_changes_nothing() -> None:
    definition = loaded("- a: {wait: PT1S}")
    odd = RunOverlay({"/do/9/gone": StepOverlay("FAULTED"), "/do/0/a": StepOverlay("DREAMING")})
    assert "dreaming" not in svg(definition, odd)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(milliseconds=35), "35 ms"),
        (timedelta(seconds=1.24), "1.2 s"),
        (timedelta(seconds=2), "2 s"),
        (timedelta(seconds=59.7), "1 min"),
        (timedelta(hours=3, seconds=5), "3 h"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(seconds=-1), "0 ms"),
    ],
)
def test_durations_are_given_in_two_units(length: timedelta, text: str) -> None:
    assert brief_duration(length) == text


@given(st.text(), st.integers(1, 4))
def test_wrapped_lines_fit(text: str, lines: int) -> None:
    found = wrap_text(text, 13, 120, lines=lines)
    assert len(found) <= lines
    assert all(text_width(line, 13) <= 120 for line in found)
    if len(found) < lines:
        assert "".join("".join(found).split()) == "".join(text.split())


def test_long_names_break_at_their_joints() -> None:
    found = wrap_text("checkTheCreditOfTheCustomer", 13, 110, lines=3)
    assert len(found) > 1
    assert all(line[0].isupper() for line in found[1:])
    assert wrap_text("a-rather-long-name", 13, 60, lines=4)[0].endswith("-")


@given(st.text())
def test_safe_text_is_what_it_was_in_xml(text: str) -> None:
    found = parsed(f'<a b="{safe(text)}">{safe(text)}</a>')
    kept = safe(text).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    assert (found.text or "") == kept.replace("&amp;", "&")
