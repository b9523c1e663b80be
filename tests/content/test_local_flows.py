"""Each shipped local flow has a manifest that is valid and names its function."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from coe import content
from coe.catalog.flows.documents import read_flow
from coe.errors import errors_in

ROOT = content.root()
MANIFESTS = sorted((ROOT / "flows" / "teams").glob("*/*.yaml"))
SOURCES = sorted((ROOT / "flows" / "teams").glob("*/*.py"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_valid_and_names_its_function(path: Path) -> None:
    document, problems = read_flow(path.read_text())
    assert document is not None, problems
    assert document.manifest is not None
    assert errors_in(problems) == ()
    assert document.namespace == path.parent.name
    file, _, function = document.manifest.entrypoint.rpartition(":")
    assert ROOT / file == path.with_suffix(".py")
    functions = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.AsyncFunctionDef)
    }
    assert functions.get(function) == ["run_id"]


def test_every_source_has_its_manifest() -> None:
    assert [path.with_suffix(".yaml") for path in SOURCES] == MANIFESTS
