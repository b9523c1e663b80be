"""Who opens the sealed contents of versions: whoever hands them out goes through `disclose`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OPENS_FOR_THE_PLATFORM = {
    "coe/catalog/actions.py": "checks a version for publication",
    "coe/catalog/decision_tables/actions.py": "the table that a run evaluates",
    "coe/catalog/flows/checking.py": "the input schemas of called flows, to check the call",
    "coe/catalog/flows/contents.py": "the flow that a run executes",
    "coe/catalog/queries.py": "changelogs and comments: what people wrote about a version",
    "coe/catalog/versions/disclosure.py": "hands out, and notes it",
    "coe/catalog/versions/earlier_publications.py": "whether the row says what the content says",
    "coe/catalog/versions/saving.py": "the warnings of what the actor itself saves",
    "coe/review/drafts.py": "the parts of a draft that its change keeps",
    "coe/review/submission.py": "the tables that the tests of a draft evaluate",
}
CONCLUDES = {
    "coe/review/submission.py": "runs the tests of the draft",
    "coe/runs/decisions/decision_replay.py": "the outcomes of cases, recorded as a replay",
    "coe/templates/instance.py": "the number of the next version",
}
"""Who gets contents that it does not hand out."""


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted((ROOT / "coe").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "unseal" in text or "handed_out" in text:
            yield str(file.relative_to(ROOT)), ast.parse(text)


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_only_these_open_the_contents_of_versions() -> None:
    opening = {
        name
        for name, tree in _modules()
        if any(
            isinstance(call.func, ast.Name) and call.func.id == "unseal" for call in _calls(tree)
        )
    }
    assert opening == set(OPENS_FOR_THE_PLATFORM)


def test_only_these_keep_what_they_read_to_the_platform() -> None:
    keeping = {
        name
        for name, tree in _modules()
        for call in _calls(tree)
        for each in call.keywords
        if each.arg == "handed_out"
        and isinstance(each.value, ast.Constant)
        and not each.value.value
    }
    assert keeping == set(CONCLUDES)


def test_only_one_module_makes_what_takes_readings() -> None:
    making = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "coe").rglob("*.py")
        if "Readings()" in file.read_text(encoding="utf-8")
    }
    assert making == {"coe/work.py"}
