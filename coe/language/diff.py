"""Two versions of a flow, compared by steps and by what a caller sees.

Breaking for a caller is: an input that was accepted and now is refused, an output that was not
promised before or is not promised any more, and an error type that is new.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from coe.errors import Problem, Severity
from coe.language.error_types import normal_type
from coe.language.fields import JSON
from coe.language.load import load_source
from coe.language.model import Definition
from coe.language.narrowing import narrowings
from coe.language.source import Source, tokens
from coe.language.task import Task
from coe.language.tasks import RaiseTask, TryTask

Step = Literal["major", "minor", "patch", "none"]

INPUT_NARROWED: Final = "OWS901"
OUTPUT_WIDENED: Final = "OWS902"
ERROR_ADDED: Final = "OWS903"
STEP_ADDED: Final = "OWS911"
STEP_REMOVED: Final = "OWS912"
STEP_CHANGED: Final = "OWS913"
STEPS_REORDERED: Final = "OWS914"
SETTING_CHANGED: Final = "OWS915"
VERSION_STEP: Final = "OWS920"

_BREAKING: Final = frozenset((INPUT_NARROWED, OUTPUT_WIDENED, ERROR_ADDED))
# What may change without a caller or a run noticing.
_SILENT: Final = frozenset(("title", "summary", "tags", "metadata", "description", "version"))


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What differs between two versions.

    `changes` are WARNING where they break callers, else INFO; `asks` is the least step of the
    version number (semver) that is due.
    """

    unified: str
    breaking: bool
    changes: tuple[Problem, ...]
    asks: Step


def diff(old: Source | Definition, new: Source | Definition) -> VersionDiff:
    """Compare two definitions, or two local flows' manifests (which have no steps)."""
    before, after = (_side(each) for each in (old, new))
    changes = [*_contract(before, after), *_steps(before, after), *_settings(before, after)]
    breaking = any(change.code in _BREAKING for change in changes)
    asks: Step = "none"
    if before.source.data != after.source.data:
        asks = "major" if breaking else "minor" if changes else "patch"
    changes.extend(_version_step(before, after, asks))
    return VersionDiff(_unified(before, after), breaking, tuple(changes), asks)


@dataclass(frozen=True, slots=True)
class _Side:
    source: Source
    definition: Definition | None

    @property
    def data(self) -> dict[str, Any]:
        """The document."""
        return self.source.data if isinstance(self.source.data, dict) else {}

    @property
    def about(self) -> dict[str, Any]:
        """What a definition says of itself under `document`, and a manifest at its top."""
        about = self.data.get("document", self.data)
        return about if isinstance(about, dict) else {}

    def schema(self, part: str) -> JSON:
        """The schema of the input or the output; None where there is none."""
        found: Any = self.data
        for key in (part, "schema", "document"):
            found = found.get(key) if isinstance(found, dict) else None
        schema: JSON = found
        return schema

    def problem(self, code: str, message: str, path: str) -> Problem:
        """A change, placed in this side's document."""
        severity = Severity.WARNING if code in _BREAKING else Severity.INFO
        mark = self.source.locate(path)
        return Problem(code, message, severity, path, *(mark or (None, None)))


def _side(each: Source | Definition) -> _Side:
    if isinstance(each, Definition):
        return _Side(each.source, each)
    return _Side(each, load_source(each).definition)


# ---------------------------------------------------------------- what a caller sees
def _contract(before: _Side, after: _Side) -> Iterator[Problem]:
    place = "/input/schema/document"
    for found in narrowings(before.schema("input"), after.schema("input")):
        message = f"input {found.path or '/'} {found.message}"
        yield after.problem(INPUT_NARROWED, message, place)
    # A caller reads the output: whatever is new to the old schema is new to the caller.
    place = "/output/schema/document"
    for found in narrowings(after.schema("output"), before.schema("output")):
        what = {
            "required": "is not promised any more",
            "false": "may be given now, and was not allowed before",
        }
        message = what.get(found.keyword, f"may have values that the old `{found.keyword}` refuses")
        yield after.problem(OUTPUT_WIDENED, f"output {found.path or '/'} {message}", place)
    for path in _lost(before.schema("output"), after.schema("output")):
        yield after.problem(OUTPUT_WIDENED, f"output {path} is gone", place)
    raised_before, raised_after = _raised(before.definition), _raised(after.definition)
    for kind, pointer in raised_after.items():
        if kind not in raised_before:
            yield after.problem(ERROR_ADDED, f"a caller may now see the error `{kind}`", pointer)


def _lost(old: JSON, new: JSON, path: str = "") -> Iterator[str]:
    """Properties that an output described, did not promise, and now does not describe."""
    before = old.get("properties", {}) if isinstance(old, dict) else {}
    after = new.get("properties", {}) if isinstance(new, dict) else {}
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    required = old.get("required", []) if isinstance(old, dict) else []
    for key, schema in before.items():
        if key in after:
            yield from _lost(schema, after[key], f"{path}/{key}")
        elif isinstance(required, list) and key not in required:
            yield f"{path}/{key}"


def _raised(definition: Definition | None) -> dict[str, str]:
    """The error types that `raise` tasks let out of a flow, with the pointer of the first."""
    found: dict[str, str] = {}

    def visit(task: Task, caught: tuple[TryTask, ...]) -> None:
        if definition and isinstance(task, RaiseTask):
            error = definition.error_of(task.raise_)
            kind = normal_type(error.type)
            if not any(_catches(each, kind, error.status) for each in caught):
                found.setdefault(kind, task.pointer)
        for scope in task.scopes():
            inside = isinstance(task, TryTask) and scope.pointer == "/try"
            for inner in scope.tasks:
                visit(inner, (*caught, task) if inside and isinstance(task, TryTask) else caught)

    for top in definition.do if definition else ():
        visit(top, ())
    return found


def _catches(task: TryTask, kind: str, status: int) -> bool:
    """Whether a try surely catches errors of a type."""
    catch = task.catch
    if catch.when or catch.except_when or (catch.retry and not catch.do):
        return False
    wanted = catch.errors.with_ if catch.errors else None
    if wanted is None:
        return True
    if wanted.instance or wanted.title or wanted.detail:
        return False
    return (wanted.type is None or normal_type(wanted.type) == kind) and (
        wanted.status in (None, status)
    )


# ---------------------------------------------------------------- steps
def _steps(before: _Side, after: _Side) -> Iterator[Problem]:
    old, new = _own(before), _own(after)
    for name, (pointer, content) in new.items():
        if name not in old:
            yield after.problem(STEP_ADDED, f"step `{name}` is new", pointer)
        elif content != old[name][1]:
            keys = ", ".join(f"`{key}`" for key in _differing(old[name][1], content))
            message = f"step `{name}` does something else: {keys}"
            yield after.problem(STEP_CHANGED, message, pointer)
    for name in old:
        if name not in new:
            yield after.problem(STEP_REMOVED, f"step `{name}` is gone", _parent(name, new))
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield after.problem(STEPS_REORDERED, "steps come in another order", "/do")


def _own(side: _Side) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each step by its names from the top, with its pointer and what is its own."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for task in side.definition.walk() if side.definition else ():
        parts = [part for part in tokens(task.pointer) if not part.isdecimal()]
        name = "/".join(parts[1:] if parts[0] == "do" else parts)
        found[name] = (task.pointer, _without_scopes(_at(side.data, task.pointer), task))
    return found


def _without_scopes(data: Any, task: Task) -> dict[str, Any]:
    """A task's data without its lists of tasks, and without what nobody notices."""
    own: dict[str, Any] = json.loads(json.dumps(data))
    own.pop("metadata", None)
    for scope in task.scopes():
        *parents, last = tokens(scope.pointer)
        inner: Any = own
        for key in parents:
            inner = inner[key]
        inner.pop(last, None)
    return own


def _at(data: Any, pointer: str) -> Any:
    for token in tokens(pointer):
        data = data[int(token)] if isinstance(data, list) else data[token]
    return data


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys((*old, *new))
    return [key for key in keys if old.get(key) != new.get(key)]


def _parent(name: str, new: Mapping[str, tuple[str, dict[str, Any]]]) -> str:
    """The pointer of the nearest step around a step that is gone."""
    parts = name.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if (around := "/".join(parts[:end])) in new:
            return new[around][0]
    return "/do"


# ---------------------------------------------------------------- the rest
def _settings(before: _Side, after: _Side) -> Iterator[Problem]:
    """Top-level parts that differ beyond what callers see and steps do."""
    for key in dict.fromkeys((*before.data, *after.data)):
        if key in ("document", "do") or key in _SILENT:
            continue
        if before.data.get(key) != after.data.get(key):
            yield after.problem(SETTING_CHANGED, f"`{key}` has changed", f"/{key}")


def _version_step(before: _Side, after: _Side, asks: Step) -> Iterator[Problem]:
    """A warning where the version number goes up by less than is due."""
    old, new = (_numbers(side.about.get("version")) for side in (before, after))
    if old is None or new is None or asks == "none":
        return
    major, minor, patch = old
    if asks == "major" and major == 0:
        asks = "minor"  # before 1.0.0 a minor step may break (semver.org, section 4)
    due = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }[asks]
    if new < due:
        text = ".".join(map(str, due))
        message = f"these changes ask for a {asks} step: the version should be {text} or later"
        path = "/document/version" if "document" in after.data else "/version"
        mark = after.source.locate(path)
        yield Problem(VERSION_STEP, message, Severity.WARNING, path, *(mark or (None, None)))


def _numbers(version: Any) -> tuple[int, int, int] | None:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version) if isinstance(version, str) else None
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _unified(before: _Side, after: _Side) -> str:
    texts = [side.source.text or json.dumps(side.data, indent=2) for side in (before, after)]
    names = [str(side.about.get("version", "")) for side in (before, after)]
    lines = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(), names[0], names[1], lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
