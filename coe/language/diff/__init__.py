"""Compare two versions of a flow: their steps, and their contract with callers.

A change breaks callers if an input that was accepted is now refused, if an output is new or no
longer guaranteed, or if the flow can raise a new error type.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.diff.errors import escaping_errors
from coe.language.diff.steps import step_changes
from coe.language.json_schema.compatibility import narrowings
from coe.language.load import load_source
from coe.language.model.definition import Definition
from coe.language.schedules import starts_by
from coe.language.source import Source

VersionStep = Literal["major", "minor", "patch", "none"]

INPUT_NARROWED: Final = "OWS901"
OUTPUT_WIDENED: Final = "OWS902"
ERROR_ADDED: Final = "OWS903"
SETTING_CHANGED: Final = "OWS915"
VERSION_STEP: Final = "OWS920"

_BREAKING: Final = frozenset((INPUT_NARROWED, OUTPUT_WIDENED, ERROR_ADDED))
# Keys whose change affects neither callers nor runs.
_SILENT: Final = frozenset(("title", "summary", "tags", "metadata", "description", "version"))


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """The differences between two versions.

    A change has severity WARNING if it breaks callers, else INFO. `asks` is the least step of the
    version number (semver) that the changes need.
    """

    unified: str
    breaking: bool
    changes: tuple[Problem, ...]
    asks: VersionStep


def diff(old: Source | Definition, new: Source | Definition) -> VersionDiff:
    """Compare two definitions, or two local flows' manifests (which have no steps)."""
    before, after = (_version(each) for each in (old, new))
    changes = [*_contract(before, after), *_steps(before, after), *_settings(before, after)]
    breaking = any(change.code in _BREAKING for change in changes)
    due: VersionStep = "none"
    if before.source.data != after.source.data:
        due = "major" if breaking else "minor" if changes else "patch"
    changes.extend(_version_step(before, after, due))
    return VersionDiff(_unified(before, after), breaking, tuple(changes), due)


@dataclass(frozen=True, slots=True)
class _Version:
    source: Source
    definition: Definition | None

    @property
    def data(self) -> dict[str, Any]:
        """The document."""
        return self.source.data if isinstance(self.source.data, dict) else {}

    @property
    def about(self) -> dict[str, Any]:
        """The description of the flow: `document` of a definition, a manifest as a whole."""
        about = self.data.get("document", self.data)
        return about if isinstance(about, dict) else {}

    def schema(self, part: str) -> JSON:
        """The schema of the input or the output; None if there is none."""
        schema: JSON = self.described(part).get("document")
        return schema

    def described(self, part: str) -> dict[str, Any]:
        """The `schema` of the input or the output: `format`, `document`, `resource`."""
        found: Any = self.data
        for key in (part, "schema"):
            found = found.get(key) if isinstance(found, dict) else None
        given: dict[str, Any] = {"format": "json"}
        return given | found if isinstance(found, dict) else given

    def problem(self, code: str, message: str, path: str) -> Problem:
        """A change, located in this version's document."""
        severity = Severity.WARNING if code in _BREAKING else Severity.INFO
        return self.source.problem(code, message, path, severity=severity)


def _version(each: Source | Definition) -> _Version:
    if isinstance(each, Definition):
        return _Version(each.source, each)
    return _Version(each, load_source(each).definition)


# ---------------------------------------------------------------- what a caller sees
def _contract(before: _Version, after: _Version) -> Iterator[Problem]:
    place = "/input/schema/document"
    for found in narrowings(before.schema("input"), after.schema("input")):
        message = f"input {found.path or '/'} {found.message}"
        yield after.problem(INPUT_NARROWED, message, place)
    if _elsewhere(before, after, "input"):
        message = "the input has another schema, which cannot be compared here"
        yield after.problem(INPUT_NARROWED, message, "/input/schema")
    if _elsewhere(before, after, "output"):
        message = "the output has another schema, which cannot be compared here"
        yield after.problem(OUTPUT_WIDENED, message, "/output/schema")
    # A caller reads the output: a value that the old schema refuses is new to the caller.
    place = "/output/schema/document"
    for found in narrowings(after.schema("output"), before.schema("output")):
        what = {
            "required": "is no longer guaranteed",
            "false": "is allowed now, and was not before",
        }
        message = what.get(found.keyword, f"may have values that the old `{found.keyword}` refuses")
        yield after.problem(OUTPUT_WIDENED, f"output {found.path or '/'} {message}", place)
    for path in _lost(before.schema("output"), after.schema("output")):
        yield after.problem(OUTPUT_WIDENED, f"output {path} is gone", place)
    if before.definition is not None and after.definition is not None:
        known = escaping_errors(before.definition)
        for kind, pointer in escaping_errors(after.definition).items():
            if kind not in known:
                yield after.problem(
                    ERROR_ADDED, f"a caller may now see the error `{kind}`", pointer
                )


def _elsewhere(before: _Version, after: _Version, part: str) -> bool:
    """Whether the schemas cannot be compared: one is at an address, or of another format."""
    schemas = [side.described(part) for side in (before, after)]
    bare = [{key: value for key, value in each.items() if key != "document"} for each in schemas]
    outside = any("resource" in each for each in schemas)
    return bare[0] != bare[1] and (outside or bare[0].get("format") != bare[1].get("format"))


def _lost(old: JSON, new: JSON, path: str = "") -> Iterator[str]:
    """Optional properties that the old output describes and the new one does not."""
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


# ---------------------------------------------------------------- steps
def _steps(before: _Version, after: _Version) -> Iterator[Problem]:
    if before.definition is None or after.definition is None:
        return
    for found in step_changes(before.definition, after.definition):
        yield after.problem(found.code, found.message, found.pointer)


# ---------------------------------------------------------------- the rest
def _settings(before: _Version, after: _Version) -> Iterator[Problem]:
    """Changes of the other keys at the top of the document."""
    for key in dict.fromkeys((*before.data, *after.data)):
        if key in ("document", "do") or key in _SILENT:
            continue
        if before.data.get(key) != after.data.get(key):
            yield after.problem(SETTING_CHANGED, _setting(before, after, key), f"/{key}")


def _setting(before: _Version, after: _Version, key: str) -> str:
    """The message for a changed key; of the schedule and the timeout with the old value."""
    if key == "schedule" and before.definition and after.definition:
        words = [starts_by(each) or "nothing" for each in (before.definition, after.definition)]
        if words[0] != words[1]:
            return f"what starts it has changed: {words[0]} is now {words[1]}"
    if key == "timeout":
        old, new = (json.dumps(side.data.get(key)) for side in (before, after))
        return f"`timeout` has changed: {old} is now {new}"
    return f"`{key}` has changed"


def _version_step(before: _Version, after: _Version, due: VersionStep) -> Iterator[Problem]:
    """A warning if the version number rises by less than is due."""
    old, new = (_numbers(side.about.get("version")) for side in (before, after))
    if old is None or new is None or due == "none":
        return
    major, minor, patch = old
    if due == "major" and major == 0:
        due = "minor"  # before 1.0.0 a minor step may break (semver.org, section 4)
    least = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }[due]
    if new < least:
        text = ".".join(map(str, least))
        message = f"these changes need a {due} step: the version should be {text} or later"
        path = "/document/version" if "document" in after.data else "/version"
        yield after.source.problem(VERSION_STEP, message, path, severity=Severity.WARNING)


def _numbers(version: Any) -> tuple[int, int, int] | None:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version) if isinstance(version, str) else None
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _unified(before: _Version, after: _Version) -> str:
    texts = [side.source.text or json.dumps(side.data, indent=2) for side in (before, after)]
    names = [str(side.about.get("version", "")) for side in (before, after)]
    lines = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(), names[0], names[1], lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
