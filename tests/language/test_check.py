from __future__ import annotations

import json
from pathlib import Path

import pytest

from coe.language.check import FORMATS, check, has_errors
from tests.language.test_standards import GOOD


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    good, slip, broken = (tmp_path / name for name in ("good.yaml", "slip.yaml", "broken.yaml"))
    good.write_text(GOOD)
    slip.write_text(GOOD.replace("dueIn: P1D", "dueIn: P1D\n        due: P1D"))
    broken.write_text("a: [")
    return [good, slip, broken, tmp_path / "missing.yaml"]


def test_every_file_is_checked(files: list[Path]) -> None:
    found = check(files)
    assert [(Path(each.file).name, each.problem.code) for each in found] == [
        ("slip.yaml", "OWS055"),
        ("broken.yaml", "OWS001"),
        ("missing.yaml", "OWS007"),
    ]
    assert has_errors(found)
    assert not has_errors(check(files[:1]))


def test_a_good_file_alone_gives_nothing(files: list[Path]) -> None:
    assert check(files[:1]) == []


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert [each.problem.code for each in check([file])] == ["OWS007"]
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert check([file]) == []
    file.write_bytes(b"x" * 1_100_000)
    assert [each.problem.code for each in check([file])] == ["OWS002"]


def test_text_has_a_line_a_problem(files: list[Path]) -> None:
    lines = FORMATS["text"](check(files)).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{files[1]}:49:9: error OWS055: ")


def test_json_has_the_promised_keys(files: list[Path]) -> None:
    listed = json.loads(FORMATS["json"](check(files)))
    assert listed[0] == {
        "file": str(files[1]),
        "line": 49,
        "column": 9,
        "code": "OWS055",
        "severity": "ERROR",
        "message": "`humanTask:1@default`: /due is not known here",
        "path": "/do/1/approve/with/due",
        "help": None,
    }
    assert json.loads(FORMATS["json"]([])) == []


def test_sarif_points_at_the_line(files: list[Path]) -> None:
    log = json.loads(FORMATS["sarif"](check(files)))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    codes = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert codes == ["OWS001", "OWS007", "OWS055"]
    first = run["results"][0]
    assert codes[first["ruleIndex"]] == first["ruleId"] == "OWS055"
    assert first["level"] == "error"
    [location] = first["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 49, "startColumn": 9}
    [missing] = [each for each in run["results"] if each["ruleId"] == "OWS007"]
    [location] = missing["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1}


def test_importing_the_check_imports_nothing_heavy() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = "import coe.language.check, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "jsonschema", "sqlalchemy", "prefect", "ruamel.yaml", "jq"}
