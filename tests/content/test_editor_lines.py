"""Each shipped file starts with the line by which editors complete it, and fits its schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from coe.catalog.flows.manifest_schema import LOCAL_FLOW_FILE, local_flow_schema
from coe.language.source import read
from coe.templates.manifest_schema import (
    TEMPLATE_FILE,
    TEMPLATE_FLOW_FILE,
    template_flow_schema,
    template_schema,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    file
    for pattern in ("flows/**/*.yaml", "templates/**/*.yaml", "catalog/decisions/*.yaml")
    for file in ROOT.glob(pattern)
    if file != ROOT / "catalog/decisions/tests.yaml"  # tests of tables have no schema
)
LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_shipped_file_names_its_schema_and_fits_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    line = LINE.match(text)
    assert line is not None
    schema = (file.parent / line[1]).resolve()
    assert schema.is_relative_to(ROOT / "coe")
    validator = jsonschema_rs.Draft202012Validator(json.loads(schema.read_text()))
    problems = [str(error) for error in validator.iter_errors(read(text).data)]
    assert problems == []


def test_the_schemas_of_manifests_are_those_of_the_models() -> None:
    # To update: `write_schema` of coe.catalog.flows.manifest_schema.
    assert json.loads(LOCAL_FLOW_FILE.read_text()) == local_flow_schema()
    assert json.loads(TEMPLATE_FILE.read_text()) == template_schema()
    assert json.loads(TEMPLATE_FLOW_FILE.read_text()) == template_flow_schema()
