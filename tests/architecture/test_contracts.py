"""Each import contract fails where it is broken: a breach of each is planted in a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
NAMES = [contract["name"] for contract in CONTRACTS]

# The contract, the file, and the import that is planted in it.
BREACHES = {
    "The house: a module imports only what stands below it": (
        "coe/catalog/models.py",
        "import coe.runs.models",
    ),
    "No packages or modules import one another in a circle": (
        "coe/runs/tables.py",
        "import coe.runs.completion",
    ),
    "The pure packages know no database and no network": (
        "coe/machine/facts.py",
        "import sqlalchemy",
    ),
    "coe.api imports no sqlalchemy": ("coe/api/types/runs.py", "import sqlalchemy"),
    "Inside coe.api: routes, the schema, root fields, types, what all of them use": (
        "coe/api/types/runs.py",
        "import coe.api.schema",
    ),
    "Inside a package: actions, then queries, then models": (
        "coe/catalog/models.py",
        "import coe.catalog.queries",
    ),
    "The API's process never imports prefect": (
        "coe/app.py",
        "import coe.engines.prefect_worker",
    ),
    "The SDK imports the errors and the formats only": ("coe/sdk/client.py", "import coe.settings"),
    "Only coe.access imports casbin": ("coe/work.py", "import casbin"),
    "Only coe.crypto imports cryptography": ("coe/leaves/leaf.py", "import cryptography"),
    "Only coe.crypto imports joserfc": ("coe/leaves/leaf.py", "import joserfc"),
    "Only coe.api imports strawberry": ("coe/catalog/queries.py", "import strawberry"),
    "Only coe.engines imports prefect": ("coe/execution/engine.py", "import prefect"),
    "Only coe.telemetry imports prometheus_client": (
        "coe/runs/journal.py",
        "import prometheus_client",
    ),
    "Only coe.search imports tantivy": ("coe/catalog/search/query.py", "import tantivy"),
    "Only coe.language.json_schema imports jsonschema_rs": (
        "coe/language/load.py",
        "import jsonschema_rs",
    ),
}
# No module imports jq by name: a worker process loads the extension from its file.
JQ = re.compile(r"^\s*(?:import|from) jq\b|\"jq\", file|find_spec\(\"jq\"\)", re.MULTILINE)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy of the code with every breach in it."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(
        ROOT / "coe", copy / "coe", ignore=shutil.ignore_patterns("static", "__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", copy)
    for file, statement in BREACHES.values():
        with (copy / file).open("a") as module:
            module.write(f"\n{statement}\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_each_contract_has_a_planted_breach() -> None:
    assert sorted(NAMES) == sorted(BREACHES)


@pytest.mark.parametrize("name", NAMES)
def test_a_breach_is_found(report: str, name: str) -> None:
    assert f"{name} BROKEN" in report
    section = _sections(report)[name]
    file, statement = BREACHES[name]
    importing, imported = file.removesuffix(".py"), statement.split()[1]
    assert importing.rpartition("/")[2] in section
    assert imported.rpartition(".")[2] in section


def test_only_the_workers_of_expressions_load_jq() -> None:
    sources = {path: path.read_text() for path in (ROOT / "coe").rglob("*.py")}
    loading = [str(path.relative_to(ROOT)) for path, text in sources.items() if JQ.search(text)]
    folder = "coe/language/expressions"
    assert sorted(loading) == [f"{folder}/jq_process.py", f"{folder}/jq_worker.py"]
    assert JQ.search("import jq\n")


def _sections(report: str) -> dict[str, str]:
    """The report of each broken contract."""
    heading = re.compile(rf"^({'|'.join(map(re.escape, NAMES))})\n-+\n", re.MULTILINE)
    _, *parts = heading.split(report)
    return dict(zip(parts[::2], parts[1::2], strict=True))
