"""The centre's standards (policies/standards.yaml): their severity, options and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from coe import content
from coe.errors import Severity
from coe.language.source import read


class Standard(BaseModel):
    """One standard; `options` are parameters of its rule, such as a list of names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    why: str
    severity: Severity = Severity.ERROR
    options: Mapping[str, list[str] | int | str] = Field(default_factory=dict)

    def texts(self, name: str) -> tuple[str, ...]:
        """An option that is a list of texts."""
        value = self.options.get(name, [])
        return tuple(value) if isinstance(value, list) else ()


class Standards(BaseModel):
    """The standards in force by code; the rules of other codes are not checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    standards: Mapping[str, Standard] = Field(default_factory=dict)


NO_STANDARDS = Standards()


def load_standards(file: Path) -> Standards:
    """Read a standards file; raises pydantic's ValidationError or Unreadable."""
    return Standards.model_validate(read(file.read_text(), file=str(file)).data)


@lru_cache(maxsize=8)
def published(root: Path | None = None) -> Standards:
    """The standards of the content folder, by default of the installed content."""
    return load_standards(content.root(root) / "policies" / "standards.yaml")
