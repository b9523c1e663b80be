"""`coe flow try`: its options, its one object, its exit codes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coe.cli.main import cli

FLOW = """
document: {dsl: 1.0.3, namespace: sales, name: pay, version: 1.0.0}
do:
  - rest: {wait: P3D}
  - fetch:
      try:
        - get: {call: http, with: {method: get, endpoint: 'http://erp.acme.example/credit/{id}'}}
      catch: {retry: {limit: {attempt: {count: 2}}, delay: PT1M}}
  - ask:
      call: 'humanTask:1@default'
      with: {title: Decide, candidates: {roles: [r]}, outcomes: [approved, rejected]}
  - received: {listen: {to: {one: {with: {type: paid}}}}}
  - announce: {emit: {event: {with: {type: done.v1, source: 'https://acme.example'}}}}
  - done: {set: {paid: '${ $context }', outcome: yes}}
"""
ANSWERS = """
stubs:
  get: [{fault: 503}, {error: {type: about:blank, status: 500}}, {output: {limit: 5}}]
  /do/2/ask: {outcome: approved, after: PT3H}
events: [{type: paid, source: erp, id: '1', data: {x: 1}}]
"""


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    return file


def stub(folder: Path, text: str) -> str:
    file = folder / "stubs.yaml"
    file.write_text(text)
    return str(file)


def tried(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["flow", "try", *map(str, arguments)], input=given)


def test_one_object_with_the_steps_in_the_order_of_their_start(flow: Path, tmp_path: Path) -> None:
    done = tried(flow, "--stub", stub(tmp_path, ANSWERS), "--now", "2026-11-01", "--output", "json")
    assert done.exit_code == 0, done.output
    trace = json.loads(done.stdout)
    assert set(trace) == {"state", "output", "error", "steps", "events"}
    assert trace["state"] == "COMPLETED"
    assert trace["error"] is None
    assert [(step["name"], step["attempt"], step["state"]) for step in trace["steps"]] == [
        ("rest", 1, "COMPLETED"),
        ("fetch", 1, "COMPLETED"),
        ("get", 1, "FAULTED"),
        ("get", 2, "FAULTED"),
        ("get", 3, "COMPLETED"),
        ("ask", 1, "COMPLETED"),
        ("received", 1, "COMPLETED"),
        ("announce", 1, "COMPLETED"),
        ("done", 1, "COMPLETED"),
    ]
    assert all(set(step) == {"path", "name", "kind", "state", "attempt"} for step in trace["steps"])
    assert trace["steps"][2] == {
        "path": "/do/1/fetch/try/0/get",
        "name": "get",
        "kind": "http",
        "state": "FAULTED",
        "attempt": 1,
    }
    # The clock is simulated: three days, two retries of a minute and three hours later.
    [event] = trace["events"]
    assert (event["type"], event["time"]) == ("done.v1", "2026-11-04T03:02:00Z")


def test_what_nothing_answers_waits_and_what_fails_faults(flow: Path, tmp_path: Path) -> None:
    waits = tried(flow, "--stub", stub(tmp_path, "get: {output: 1}"), "--output", "json")
    assert (waits.exit_code, json.loads(waits.stdout)["state"]) == (4, "WAITING")
    faults = tried(flow, "--stub", stub(tmp_path, "get: {fault: 404}"), "--output", "json")
    trace = json.loads(faults.stdout)
    assert (faults.exit_code, trace["state"], trace["output"]) == (3, "FAULTED", None)
    assert (trace["error"]["status"], trace["error"]["instance"]) == (
        404,
        "/do/1/fetch/try/0/get",
    )


@pytest.mark.parametrize("text", ['{"id": "7", "n": [1, 2.5, null]}', "id: '7'\nn: [1, 2.5, ~]\n"])
def test_the_input_is_json_or_yaml_of_a_file_or_stdin(text: str, tmp_path: Path) -> None:
    flow = tmp_path / "echo.yaml"
    flow.write_text(FLOW.split("do:", maxsplit=1)[0] + "do: [{echo: {set: '${ . }'}}]")
    given = tmp_path / "input"
    given.write_text(text)
    for arguments, stdin in (("--input", given), None), (("--input", "-"), text):
        done = tried(flow, *arguments, "--output", "json", given=stdin)
        assert json.loads(done.stdout)["output"] == {"id": "7", "n": [1, 2.5, None]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--now", "yesterday"], "RFC 3339"),
        (["--resolve", "erp"], "HOST=URL"),
        (["--resolve", "erp=ftp://x"], "HOST=URL"),
        (["--resolve", "=http://x"], "HOST=URL"),
        (["--output", "xml"], "xml"),
        (["--nothing"], "--nothing"),
    ],
)
def test_wrong_usage_ends_with_two(flow: Path, arguments: list[str], expected: str) -> None:
    done = tried(flow, *arguments)
    assert done.exit_code == 2
    assert expected in done.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "a": 2}', "`a` occurs twice"),
        ("a: 1\na: 2\n", "`a` occurs twice"),
        ("a: [", "not YAML"),
        ("", "empty"),
        ("NaN: .nan", "not a JSON value"),
    ],
)
def test_an_input_that_cannot_be_read_is_wrong_usage(flow: Path, text: str, expected: str) -> None:
    done = tried(flow, "--input", "-", given=text)
    assert done.exit_code == 2
    assert expected in done.output


@pytest.mark.parametrize("option", ["--input", "--stub"])
def test_a_missing_file_is_wrong_usage(flow: Path, option: str) -> None:
    done = tried(flow, option, flow.parent / "nowhere.yaml")
    assert done.exit_code == 2
    assert option in done.output
    assert "nowhere.yaml cannot be read" in done.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]", "an object"),
        ("get: {outptu: 1}", "did you mean `output`"),
        ("get: {output: 1, fault: 503}", "one thing"),
        ("get: 5", "must be an object"),
        ("get: {after: soon, output: 1}", "no"),
        ("{stubs: {get: {output: 1}}, events: {type: a}}", "must be an array"),
        ("get: {output: 1}\nget: {output: 2}", "occurs twice"),
    ],
)
def test_invalid_stubs_are_wrong_usage(
    flow: Path, tmp_path: Path, text: str, expected: str
) -> None:
    done = tried(flow, "--stub", stub(tmp_path, text))
    assert done.exit_code == 2, done.output
    assert expected in done.output


def test_an_answer_that_is_not_used_is_reported(flow: Path, tmp_path: Path) -> None:
    text = "{get: {output: 1}, axk: {outcome: approved}, ask: {outcome: maybe}}"
    done = tried(flow, "--stub", stub(tmp_path, text), "--output", "json")
    assert json.loads(done.stdout)["state"] == "WAITING"
    assert "no step `axk`" in done.stderr
    assert "did you mean `ask`" in done.stderr
    assert "maybe" in done.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("wait: P3D", "wiat: P3D"), "did you mean `wait`"),
        (("wait: P3D", "wait: P3D, then: nowhere"), "no task `nowhere`"),
        (("call: http", "call: htp"), "did you mean `http`"),
        (("count: 2", "count: two"), "a whole number"),
        (("wait: P3D", "run: {shell: {command: ls}}"), "`run.shell` is not supported"),
        (("do:\n", "do: [\n"), "not YAML"),
    ],
)
def test_a_definition_with_problems_ends_with_one(
    flow: Path, change: tuple[str, str], expected: str
) -> None:
    flow.write_text(FLOW.replace(*change))
    done = tried(flow)
    assert done.exit_code == 1
    assert expected in done.stderr


def test_a_wrong_expression_is_no_problem_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW.split("do:", 1)[0] + "do:\n  - a: {set: '${ $nothing }'}\n")
    done = tried(file, "--output", "json")
    assert done.exit_code == 3, done.output
    assert json.loads(done.stdout)["error"]["instance"] == "/do/0/a"


class _Erp(BaseHTTPRequestHandler):
    """A service on a loopback address."""

    def do_GET(self) -> None:  # http.server's name
        body = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name
        """Say nothing."""


@pytest.fixture
def erp() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Erp)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_loopback_addresses_are_reached_through_resolve_only(tmp_path: Path, erp: str) -> None:
    file = tmp_path / "flow.yaml"
    call = "- get: {call: http, with: {method: get, endpoint: 'HOST/credit/{id}'}}"
    head = FLOW.split("do:", maxsplit=1)[0]
    file.write_text(f"{head}do:\n  {call.replace('HOST', 'http://erp.acme.example')}\n")
    arguments = ("--input", "-", "--output", "json")
    done = tried(file, *arguments, "--resolve", f"erp.acme.example={erp}", given="id: 7")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["output"]["path"] == "/credit/7"
    file.write_text(f"{head}do:\n  {call.replace('HOST', erp)}\n")
    refused = tried(file, *arguments, given="id: 7")
    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["error"]["status"] == 403
