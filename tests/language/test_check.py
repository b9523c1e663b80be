from __future__ import annotations

import json
from pathlib import Path

import pytest

from coe.language.check import as_sarif, check, has_errors
from coe.language.lint import NO_STANDARDS
from tests.language.test_standards import GOOD


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    good, misspelt, broken = (
        tmp_path / name for name in ("good.yaml", "misspelt.yaml", "broken.yaml")
    )
    good.write_text(GOOD)
    misspelt.write_text(GOOD.replace("dueIn: P1D", "dueIn: P1D\n        due: P1D", 1))
    broken.write_text("a: [")
    return [good, misspelt, broken, tmp_path / "missing.yaml"]


def test_every_file_is_checked(files: list[Path]) -> None:
    found = check(files)
    assert [(Path(each.file).name, each.problem.code) for each in found] == [
        ("misspelt.yaml", "OWS055"),
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


def test_text_has_one_line_for_each_problem(files: list[Path]) -> None:
    lines = [str(each) for each in check(files)]
    assert len(lines) == 3
    assert lines[0].startswith(f"{files[1]}:49:9: error OWS055: ")


def test_json_has_the_promised_keys(files: list[Path]) -> None:
    listed = [each.to_json() for each in check(files)]
    assert listed[0] == {
        "file": str(files[1]),
        "line": 49,
        "column": 9,
        "code": "OWS055",
        "severity": "ERROR",
        "message": "`humanTask:1@default`: /due is not known here",
        "path": "/do/1/approve/with/due",
        "help": "did you mean `dueIn`? known here: title, instructions, context, candidates, "
        "exclude, form, outcomes, approvals, dueIn, remind, escalate",
    }


def test_sarif_points_at_the_line(files: list[Path]) -> None:
    log = json.loads(as_sarif(check(files)))
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
    assert not loaded & {"asyncio", "jsonschema_rs", "sqlalchemy", "prefect", "ruamel.yaml", "jq"}


HEAD = "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.0.0}\n"

SLIPS = [
    (
        "a misspelt key, read as what is meant",
        """do:
  - a: {set: {x: 1}, thne: nowhere}
  - b: {set: {y: "${ .a | }"}}
""",
        [("OWS010", 3), ("OWS021", 3), ("OWS040", 4)],
    ),
    (
        "an unknown key, left out",
        """colour: red
do:
  - a: {raise: {error: gone}}
""",
        [("OWS010", 2), ("OWS031", 4)],
    ),
    (
        "a misspelt type of task",
        """do:
  - a:
      cal: http
      with: {method: get, endpont: 'https://x.example/'}
      timeout: gone
""",
        [("OWS010", 4), ("OWS010", 5), ("OWS032", 6)],
    ),
    (
        "a task with a wrong value, taken for one that does nothing",
        """do:
  - a:
      do:
        - b: {wait: P1M, then: end}
        - c: {wait: PT1S}
        - c: {wait: PT1S}
  - d: {if: ".x |", wait: 5 seconds}
""",
        [("OWS015", 5), ("OWS022", 6), ("OWS020", 7), ("OWS022", 7), ("OWS014", 8)],
    ),
    (
        "a broken switch, of which it is not known where it leads",
        """do:
  - a: {switch: [{x: {when: .p, then: [c]}}], then: end}
  - c: {call: gone}
""",
        [("OWS012", 3), ("OWS033", 4)],
    ),
    (
        "a head without a name",
        """document: {dsl: 1.0, namespace: A_B}
do:
  - a: {set: {x: 1}, then: b}
""",
        [("OWS011", 1), ("OWS011", 1), ("OWS012", 1), ("OWS012", 1), ("OWS021", 3)],
    ),
    (
        "no tasks at all",
        "input: {from: '.x |'}\n",
        [("OWS011", 1)],
    ),
]


@pytest.mark.parametrize(("case", "text", "expected"), SLIPS, ids=[each[0] for each in SLIPS])
def test_an_error_does_not_hide_other_problems(
    case: str, text: str, expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    file = tmp_path / f"{case}.yaml"
    file.write_text(text if text.startswith("document") else HEAD + text)
    found = [each.problem for each in check([file], standards=NO_STANDARDS)]
    assert [(each.code, each.line) for each in found] == expected
