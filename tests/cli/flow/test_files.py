"""`coe flow check`, `diagram` and `diff`: files in, text or data out."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from coe.cli.flow.file_kinds import kind_of
from coe.cli.main import cli
from coe.language.source import MAX_BYTES
from tests.factories.catalog import central

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = ROOT / "flows" / "teams" / "finance" / "credit_check.yaml"
FLOW = """
document: {dsl: 1.0.3, namespace: Sales-2, name: decide, version: 1.0.0}
do:
  - fetch: {call: http, with: {method: get, endpoint: 'http://erp.acme.example/credit'}}
  - done: {set: {outcome: '${ .outcome }'}}
"""


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "a flow.yaml"
    file.write_text(FLOW)
    return file


def coe(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["flow", *map(str, arguments)])


# ---------------------------------------------------------------- check
def test_what_publication_refuses_is_an_error_with_for_publication(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    script = "- a: {run: {script: {language: python, code: 'print(1)'}}, timeout: {after: PT5S}}\n"
    file.write_text(FLOW.replace("do:\n", f"do:\n  {script}"))
    severity = {
        stage: [
            each["severity"]
            for each in json.loads(coe("check", file, "--for", stage, "--output", "json").stdout)
            if each["code"] == "OWS050"
        ]
        for stage in ("draft", "publication")
    }
    assert severity == {"draft": ["WARNING"], "publication": ["ERROR"]}


def test_for_publication_the_tests_are_run(tmp_path: Path) -> None:
    file, tests = tmp_path / "order.yaml", tmp_path / "tests.yaml"
    file.write_text(central())

    def found() -> set[tuple[str, str]]:
        done = coe("check", file, "--for", "publication", "--output", "json")
        errors = [each for each in json.loads(done.stdout) if each["severity"] == "ERROR"]
        return {(Path(each["file"]).name, each["code"]) for each in errors}

    assert found() == {("tests.yaml", "COE060")}
    tests.write_text("tests: [{name: a, input: {orderId: a}, expect: {output: {orderId: b}}}]")
    assert found() == {("tests.yaml", "TEST_FAILED")}
    tests.write_text("tests: [{name: a, input: {orderId: a}, expect: {output: {orderId: a}}}]")
    assert found() == set()


def listed(*files: Path) -> list[dict[str, object]]:
    done = coe("check", *files, "--output", "json")
    assert done.exit_code == 1
    found: list[dict[str, object]] = json.loads(done.stdout)
    keys = ["file", "line", "column", "code", "severity", "message", "path", "help"]
    assert all(list(each) == keys for each in found)
    return found


def test_what_cannot_be_read_is_reported_as_a_problem(tmp_path: Path) -> None:
    files = {
        "missing.yaml": None,
        "junk.yaml": b"a: 1\n\xff\x00",
        "empty.yaml": b"",
        "large.yaml": b"a: " + b"x" * 1_100_000,
        "cut.yaml": b"a: " + "\N{EURO SIGN}".encode() * (MAX_BYTES // 3 + 9),
        "manifest.yaml": b"kind: localFlow\n\xff",
    }
    for name, content in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / name for name in (*files, "folder")]
    found = [
        (Path(str(each["file"])).name, each["code"], each["line"], each["column"])
        for each in listed(*paths)
    ]
    assert found == [
        ("missing.yaml", "OWS007", 1, 1),
        ("junk.yaml", "OWS007", 2, 1),
        ("empty.yaml", "OWS005", 1, 1),
        ("large.yaml", "OWS002", 1, 1),
        ("cut.yaml", "OWS002", 1, 1),
        ("manifest.yaml", "OWS007", 2, 1),
        ("folder", "OWS007", 1, 1),
    ]


def test_a_template_gets_advice_how_to_check_it() -> None:
    [found] = listed(ROOT / "templates" / "order-to-cash" / "flow.yaml")
    assert found["code"] == "OWS007"
    assert "coe template render" in str(found["help"])


def test_files_come_in_the_order_in_which_they_were_named(flow: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    names = [each["file"] for each in listed(missing, flow, missing)]
    assert names[0] == str(missing)
    assert set(names[1:]) == {str(flow)}


def test_without_errors_it_ends_with_zero() -> None:
    done = coe("check", ROOT / "flows", "--for", "publication", "--output", "json")
    assert done.exit_code == 0
    [channel] = json.loads(done.stdout)  # only the installation knows it
    assert (channel["code"], channel["severity"]) == ("OWS084", "INFO")


CONTENT = {
    "catalog/teams/sales.yaml": "team: sales\nmembers: [{subject: ada, roles: [lead]}]\n",
    "catalog/systems/crm.yaml": "kind: System\nnamespace: sales\nname: crm\n",
    "policies/roles.yaml": "roles: {lead: leads}\n",
    "flows/other.yml": (
        "document: {dsl: 1.0.3, namespace: sales, name: other, version: 1.2.0}\n"
        "input: {schema: {document: {type: object, required: [id]}}}\n"
        "do:\n  - a: {set: {x: 1}}\n"
    ),
    "flows/order process.yaml": """
document:
  dsl: 1.0.3
  namespace: sales
  name: order
  version: 1.0.0
  metadata: {processOwner: adda, systems: [sales/crn]}
do:
  - ask: {call: 'humanTask:1@default', with: {title: x, candidates: {roles: [leed]}}}
  - one: {run: {workflow: {namespace: sales, name: othr, version: latest}}}
  - two: {call: 'localFlow:1@default', with: {ref: sales/other@^2}}
  - three: {call: 'localFlow:1@default', with: {ref: sales/other@^1, input: {}}}
  - four: {call: 'decision:1@default', with: {ref: sales/level}}
""",
    "flows/order.tests.yaml": "tests: []\n",
    "flows/notes.yaml": "hello: world\n",
    "flows/manifest.yaml": (
        MANIFEST.read_text()
        .replace("finance-lead", "ghost")
        .replace("namespace: finance", "namespace: sales")
    ),
}


def test_names_are_looked_up_in_the_content_folders(tmp_path: Path) -> None:
    for name, text in CONTENT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = coe("check", tmp_path / "flows", "--for", "publication", "--output", "json")
    found = {
        (Path(each["file"]).name, each["code"], each["severity"], each["message"])
        for each in json.loads(done.stdout)
        if each["code"].startswith(("OWS05", "OWS08"))
    }
    flow, manifest = "order process.yaml", "manifest.yaml"
    assert found == {
        (flow, "OWS080", "ERROR", "there is no person `adda`, did you mean `ada`?"),
        (flow, "OWS083", "ERROR", "there is no system `sales/crn`, did you mean `sales/crm`?"),
        (flow, "OWS081", "ERROR", "there is no role `leed`, did you mean `lead`?"),
        (
            flow,
            "OWS052",
            "WARNING",
            "no flow `sales/othr` is in the content folders, did you mean `sales/other`?",
        ),
        (flow, "OWS053", "ERROR", "the flow `sales/other` has no version for `sales/other@^2`"),
        (flow, "OWS054", "ERROR", "`sales/other@^1` refuses this input: /id is missing"),
        (
            flow,
            "OWS052",
            "INFO",
            (
                "the decision table `sales/level` is not looked up: "
                "there is no folder of decision tables"
            ),
        ),
        (manifest, "OWS080", "ERROR", "there is no person `ghost`"),
        (manifest, "OWS083", "ERROR", "there is no system `finance/erp`"),
    }
    assert done.exit_code == 1


def test_a_folder_with_any_file_names_is_checked_and_says_what_is_skipped(tmp_path: Path) -> None:
    for name, text in CONTENT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "flow.yaml").write_text("document: {}\n")
    done = coe("check", tmp_path, "--output", "json")
    checked = {Path(str(each["file"])).name for each in json.loads(done.stdout)}
    assert checked == {"order process.yaml", "other.yml", "manifest.yaml"}
    notes = dict(
        line.removeprefix(f"skipped {tmp_path}/").split(": ", 1)
        for line in done.stderr.splitlines()
    )
    assert notes == {
        "catalog/systems/crm.yaml": "a team or a system, which is checked when it is loaded",
        "catalog/teams/sales.yaml": "neither a definition (`document` and `do`) nor a manifest "
        "(`kind: localFlow`)",
        "flows/notes.yaml": "neither a definition (`document` and `do`) nor a manifest "
        "(`kind: localFlow`)",
        "flows/order.tests.yaml": "tests: coe flow test",
        "policies/roles.yaml": "neither a definition (`document` and `do`) nor a manifest "
        "(`kind: localFlow`)",
    }


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("document: {}\ndo: []\n", "DEFINITION"),
        ('{"document": {}, "do": []}', "DEFINITION"),
        ("# a comment\nkind: 'localFlow'\n", "MANIFEST"),
        ("kind: template\nname: x\n", "TEMPLATE"),
        ("kind: Team\n", "CONTENT"),
        ("tests:\n  - name: x\n    document: 1\n", "TESTS"),
        ("hitPolicy: unique\ndecision:\n  name: x\n", "DECISION"),
        ("document: [broken\n", "DEFINITION"),
        ("nested:\n  document: x\n", "OTHER"),
        ("", "OTHER"),
    ],
)
def test_a_file_is_told_by_its_keys(tmp_path: Path, content: str, kind: str) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(content)
    assert kind_of(file).name == kind


def test_sarif_names_files_as_uris(flow: Path) -> None:
    done = coe("check", flow, "--output", "sarif")
    log = json.loads(done.stdout)
    [run] = log["runs"]
    places = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in run["results"]
    }
    assert places == {flow.as_uri()}
    assert "%20" in flow.as_uri()
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[each["ruleIndex"]] == each["ruleId"] for each in run["results"])
    assert all(
        each["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
        for each in run["results"]
    )


# ---------------------------------------------------------------- diagram
def test_diagram_draws_every_step(flow: Path) -> None:
    done = coe("diagram", flow)
    assert done.exit_code == 0
    assert done.output.startswith("flowchart")
    assert all(step in done.output for step in ("fetch", "done"))


def test_diagram_draws_svg_into_a_file(flow: Path, tmp_path: Path) -> None:
    file = tmp_path / "drawn.svg"
    assert coe("diagram", flow, "--to", "svg", "--save", file).exit_code == 0
    assert "fetch" in "".join(ET.fromstring(file.read_text()).itertext())  # noqa: S314  # ours
    assert coe("diagram", flow, "--to", "svg").stdout == file.read_text()
    nowhere = coe("diagram", flow, "--save", tmp_path / "no" / "x.svg")
    assert nowhere.exit_code == 2


@pytest.mark.parametrize("to", ["svg", "mermaid"])
def test_a_manifest_is_one_box(to: str) -> None:
    done = coe("diagram", MANIFEST, "--to", to)
    assert done.exit_code == 0, done.output
    assert "credit" in done.output.lower()


def test_what_does_not_load_is_not_drawn(flow: Path) -> None:
    flow.write_text(FLOW.replace("set:", "sett:"))
    done = coe("diagram", flow)
    assert done.exit_code == 1
    assert "did you mean `set`" in done.stderr


# ---------------------------------------------------------------- diff
def test_diff_reports_breaking_changes_and_the_required_version_step(
    flow: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    schema = "input: {schema: {format: json, document: {type: object, required: [a]}}}\ndo:"
    new.write_text(FLOW.replace("do:", schema, 1))
    same = coe("diff", flow, flow)
    assert same.exit_code == 0
    assert "not breaking: requires no version step" in same.stdout
    done = coe("diff", flow, new, "--output", "json")
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert (result["breaking"], result["asks"]) == (True, "major")
    assert result["changes"][0]["code"] == "OWS901"
    text = coe("diff", flow, new)
    assert "breaking: requires a major version step" in text.stdout
    assert f"{new}:" in text.stdout


def test_diff_of_two_flows_says_so(flow: Path) -> None:
    done = coe("diff", flow, MANIFEST)
    assert done.exit_code == 1
    assert "they are not of one flow" in done.stderr
