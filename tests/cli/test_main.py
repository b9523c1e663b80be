"""The command line, as far as it needs no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coe.cli.grammar import report
from coe.cli.main import COMMANDS, cli
from coe.cli.output import problem_line
from coe.errors import Forbidden, Invalid, NotFound, Problem, Unavailable

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates" / "order-to-cash"
HEAVY = {"sqlalchemy", "pydantic", "prefect", "httpx", "fastapi", "strawberry", "casbin", "ruamel"}


def coe(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    done = coe(name, "--help")
    assert done.exit_code == 0, done.output
    assert "Usage" in done.output


@pytest.mark.parametrize("noun", ["decision", "flow"])
def test_a_version_of_any_kind_has_the_same_lifecycle(noun: str) -> None:
    listed = coe(noun, "--help").output
    for verb in ("register", "submit", "review", "publish"):
        assert f"\n  {verb} " in listed, verb


@pytest.mark.parametrize("noun", ["decision", "flow"])
def test_a_list_that_is_elsewhere_is_named(noun: str) -> None:
    done = coe(noun, "list")
    assert done.exit_code == 2
    assert f"coe catalog search --kind {noun.upper()}" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from coe.cli.main import cli\n"
        "CliRunner().invoke(cli, ['--help'])\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_check_finds_nothing_in_what_is_shipped() -> None:
    done = coe("flow", "check", str(ROOT / "flows"))
    assert done.exit_code == 0, done.output


def test_check_locates_a_misspelt_key_and_suggests_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(
        "document: {dsl: 1.0.3, namespace: sales, name: x, version: 1.0.0}\n"
        "do:\n"
        "  - first:\n"
        "      set: {a: 1}\n"
        "      thne: end\n",
    )
    done = coe("flow", "check", str(file), "--output", "json")
    assert done.exit_code == 1
    problem = next(item for item in json.loads(done.output) if "thne" in item["message"])
    assert (problem["line"], problem["severity"]) == (5, "ERROR")
    assert "then" in f"{problem['message']} {problem['help']}"
    sarif = coe("flow", "check", str(file), "--output", "sarif")
    assert json.loads(sarif.output)["version"] == "2.1.0"


def test_check_of_a_manifest_names_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("kind: localFlow\nnamespace: warehouse\nname: mine\n")
    done = coe("flow", "check", str(file))
    assert done.exit_code == 1
    assert "entrypoint" in done.output


def test_render_prints_the_definition() -> None:
    done = coe("template", "render", str(TEMPLATE), "--parameters", '{"creditLimit": "500.00"}')
    assert done.exit_code == 0, done.output
    assert '"500.00"' in done.output
    assert "$(" not in done.output


def test_render_locates_a_bad_parameter() -> None:
    done = coe("template", "render", str(TEMPLATE), "--parameters", '{"creditLimit": 5}')
    assert done.exit_code == 1
    assert "/parameters/creditLimit" in done.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Forbidden("no", rule="p, x", permission="flow:review"), 5),
        (NotFound(), 6),
        (Unavailable(), 7),
        (Invalid([Problem("INPUT", "bad", path="/a")]), 1),
    ],
)
def test_errors_have_their_exit_codes(error: Exception, code: int) -> None:
    assert report(error) == code  # type: ignore[arg-type]


def test_a_command_without_a_token_says_how_to_give_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coe.cli.main", "catalog", "search", "order"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 5
    assert "COE_TOKEN" in done.stderr


def _search(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coe.cli.main", "catalog", "search", "order"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"} | environment,
    )


@pytest.mark.parametrize("url", ["127.0.0.1:8700", "coe", "http://[", "http://127.0.0.1:99999"])
def test_an_invalid_address_is_wrong_usage(url: str) -> None:
    done = _search(COE_URL=url, COE_TOKEN="x")
    assert done.returncode == 2
    assert "COE_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("token", ["d\N{LATIN SMALL LETTER O WITH DIAERESIS}", "a\nb", "a b"])
def test_an_invalid_token_is_refused(token: str) -> None:
    done = _search(COE_TOKEN=token)
    assert done.returncode == 5
    assert "copy it again" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_bundle_is_not_an_internal_error(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text("{}\n")
    done = coe("audit", "verify", str(file))
    assert done.exit_code == 1


def test_a_bundle_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file / "x", tmp_path / "nowhere" / "x"):
        done = coe("audit", "export", "--to", str(path), "--token", "x")
        assert (done.exit_code, "--to" in done.stderr) == (2, True)
    assert not (tmp_path / "nowhere").exists()


def test_a_problem_without_a_line_names_file_and_path() -> None:
    problem = Problem("INPUT_TYPE", "wrong", path="/lines/0")
    assert problem_line(problem, "a.json") == "a.json: /lines/0: error INPUT_TYPE: wrong"
    assert problem_line(Problem("INPUT_FILES", "wrong")) == "error INPUT_FILES: wrong"


def test_a_wrong_setting_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coe.cli.main", "migrate", "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COE_PORT": "many"},
    )
    assert done.returncode == 1
    assert "COE_PORT" in done.stderr
    assert "Traceback" not in done.stderr
