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
    assert set(trace) == {"state", "output", "error", "steps", "events", "missing", "unmatched"}
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
    assert trace["steps"][2] == {
        "path": "/do/1/fetch/try/0/get",
        "name": "get",
        "kind": "http",
        "state": "FAULTED",
        "attempt": 1,
        "iteration": None,
        "startedAt": "2026-11-04T00:00:00Z",
        "endedAt": "2026-11-04T00:00:00Z",
        "input": None,
        "output": None,
        "context": None,
        "error": trace["steps"][2]["error"],
    }
    assert trace["steps"][2]["error"]["status"] == 503
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
        ('{"a": 1, "a": 2}', "stands twice"),
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
    assert "nowhere.yaml' does not exist" in done.output


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


def test_a_mistyped_stub_is_wrong_usage_and_nothing_runs(flow: Path, tmp_path: Path) -> None:
    text = "{get: {output: 1}, axk: {outcome: approved}}"
    done = tried(flow, "--stub", stub(tmp_path, text), "--output", "json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no step `axk`, did you mean `ask`?" in done.stderr


def test_an_answer_that_nobody_could_give_is_reported(flow: Path, tmp_path: Path) -> None:
    text = "{get: {output: 1}, ask: {outcome: maybe}}"
    done = tried(flow, "--stub", stub(tmp_path, text), "--output", "json")
    assert json.loads(done.stdout)["state"] == "WAITING"
    assert "maybe" in done.stderr


def test_an_event_that_no_door_would_let_in_is_reported(flow: Path, tmp_path: Path) -> None:
    text = "{stubs: {get: {output: 1}}, events: [{type: paid, time: soon}, {type: '', data: 1}]}"
    done = tried(flow, "--stub", stub(tmp_path, text))
    assert "event 1: /time: the attribute must be a time of RFC 3339" in done.stderr
    assert "event 2: /type: the attribute is empty" in done.stderr


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


class _ErpServer(HTTPServer):
    """A service on a loopback address, which keeps what it received."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Erp)
        self.received: list[str] = []


class _Erp(BaseHTTPRequestHandler):
    server: _ErpServer

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(length)
        self.server.received.append(f"{self.command} {self.path}")
        answer = {"path": self.path, "access_token": "token-0001", "expires_in": 60}
        document = {
            "openapi": "3.0.4",
            "servers": [{"url": "http://orders.acme.example"}],
            "paths": {"/orders": {"post": {"operationId": "order"}}},
        }
        body = json.dumps(document if self.path == "/openapi.json" else answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name
        """Say nothing."""


for _method in ("GET", "POST", "DELETE"):
    setattr(_Erp, f"do_{_method}", _Erp._answer)


@pytest.fixture
def erp() -> Iterator[_ErpServer]:
    server = _ErpServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: _ErpServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def received(server: _ErpServer) -> list[str]:
    return server.received


def written(folder: Path, tasks: str) -> Path:
    file = folder / "flow.yaml"
    file.write_text(FLOW.split("do:", maxsplit=1)[0] + "do:\n" + tasks)
    return file


def test_loopback_addresses_are_reached_through_resolve_only(
    tmp_path: Path, erp: _ErpServer
) -> None:
    call = "- get: {call: http, with: {method: get, endpoint: 'HOST/credit/{id}'}}"
    file = written(tmp_path, call.replace("HOST", "http://erp.acme.example"))
    arguments = ("--input", "-", "--output", "json")
    resolve = ("--resolve", f"erp.acme.example={url(erp)}")
    done = tried(file, *arguments, *resolve, given="id: 7")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["output"]["path"] == "/credit/7"
    file = written(tmp_path, call.replace("HOST", url(erp)))
    refused = tried(file, *arguments, "--live", given="id: 7")
    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["error"]["status"] == 403
    assert received(erp) == ["GET /credit/7"]


CALLS = """
- all:
    fork:
      branches:
        - drop: {call: http, with: {method: delete, endpoint: 'http://erp.acme.example/all'}}
        - guarded:
            call: http
            with:
              method: post
              endpoint:
                uri: http://erp.acme.example/guarded
                authentication:
                  oauth2:
                    authority: http://login.acme.example
                    grant: client_credentials
                    client: {id: flows, secret: canary-0001}
        - order:
            call: openapi
            with:
              document: {endpoint: 'http://docs.acme.example/openapi.json'}
              operationId: order
        - tell:
            call: notify:1@default
            with: {channel: mail, to: [a@b.example], subject: s, body: b}
"""


def test_nothing_leaves_the_process_unless_it_is_allowed(tmp_path: Path, erp: _ErpServer) -> None:
    file = written(tmp_path, CALLS)
    hosts = {name: f"{name}.acme.example" for name in ("erp", "login", "docs", "orders")}

    def missing(*allowed: str) -> dict[str, str | None]:
        received(erp).clear()
        resolve = [f"--resolve={hosts[name]}={url(erp)}" for name in allowed]
        done = tried(file, *resolve, "--output", "json")
        trace = json.loads(done.stdout)
        assert (done.exit_code, trace["state"]) == (4, "WAITING")
        return {each["step"]: each["host"] for each in trace["missing"]}

    assert missing() == {
        "drop": hosts["erp"],
        "guarded": hosts["login"],
        "order": hosts["docs"],
        "tell": None,
    }
    assert received(erp) == []
    assert missing("erp") == {"guarded": hosts["login"], "order": hosts["docs"], "tell": None}
    assert received(erp) == ["DELETE /all"]
    assert missing("login", "docs") == {
        "drop": hosts["erp"],
        "guarded": hosts["erp"],
        "order": hosts["orders"],
        "tell": None,
    }
    assert received(erp) == ["POST /oauth2/token", "GET /openapi.json"]
    assert missing(*hosts) == {"tell": None}


def test_a_call_that_nothing_answers_is_not_caught_and_does_not_time_out(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        - careful:
            try: [{drop: {call: http, with: {method: delete, endpoint: 'http://erp.acme.example'}}}]
            catch: {do: [{never: {set: {caught: true}}}]}
            timeout: {after: PT1M}
        """,
    )
    trace = json.loads(tried(file, "--output", "json").stdout)
    assert [step["name"] for step in trace["steps"]] == ["careful", "drop"]
    assert trace["state"] == "WAITING"


def test_the_stubs_that_are_missing_can_be_copied(flow: Path, tmp_path: Path) -> None:
    text, state = "", "WAITING"
    for _ in range(5):
        done = tried(flow, "--stub", stub(tmp_path, text))
        state = done.stdout.splitlines()[-1].partition(":")[0]
        if state != "WAITING":
            break
        lines = done.stderr.splitlines()
        copied = [line for line in lines if line.startswith(("stubs:", "events:", "  "))]
        text = "\n".join(_merged(text.splitlines(), copied))
    assert state == "COMPLETED"


def test_a_stub_to_copy_has_each_field_that_the_form_requires(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        - ask:
            call: humanTask:1@default
            with:
              title: How much?
              candidates: {roles: [lead]}
              form:
                type: object
                required: [costCentre, days]
                properties:
                  costCentre: {type: string, pattern: "^[0-9]{4}$"}
                  days: {type: integer, minimum: 1}
        """,
    )
    done = tried(file)
    assert done.stdout.splitlines()[-1] == "WAITING"
    assert "ask: {outcome: done, answer: {costCentre: " in done.stderr
    assert "days: 1}}" in done.stderr


def _merged(lines: list[str], more: list[str]) -> list[str]:
    """Stub files, one after the other: each section with the lines of both."""
    sections: dict[str, list[str]] = {}
    for line in [*lines, *more]:
        if not line.startswith(" "):
            section = sections.setdefault(line, [])
        else:
            section.append(line)
    return [each for name, section in sections.items() for each in (name, *section)]


def test_the_data_between_steps_is_shown(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        - price:
            input: {from: .order}
            set: {total: '${ .n * 2 }'}
            output: {as: .total}
            export: {as: '{seen: .}'}
        - rest: {wait: PT1H}
        - each: {for: {in: '[1, 2]'}, do: [{item: {set: '${ $item }'}}]}
        - bad: {set: '${ error("no") }'}
        """,
    )
    given = "order: {n: 21}"
    trace = json.loads(tried(file, "--input", "-", "--output", "json", given=given).stdout)
    first, rest, _, one, two, bad = trace["steps"]
    assert (first["input"], first["output"], first["context"]) == ({"n": 21}, 42, {"seen": 42})
    assert (rest["input"], rest["startedAt"], rest["endedAt"]) == (
        42,
        "2026-01-05T09:00:00Z",
        "2026-01-05T10:00:00Z",
    )
    assert [(each["iteration"], each["output"]) for each in (one, two)] == [("0", 1), ("1", 2)]
    assert (bad["input"], bad["output"], bad["error"]["status"]) == (2, None, 400)
    shown = tried(file, "--input", "-", "--trace", given=given).stdout
    assert '2026-01-05T09:00:00Z  COMPLETED  set        price\n    input    {"n": 21}\n' in shown
    assert shown.count('    context  {"seen": 42}') == 1
    assert "    until    2026-01-05T10:00:00Z\n" in shown
    assert "set        item (iteration 1)\n" in shown
    assert "    error    {" in shown
    plain = tried(file, "--input", "-", given=given).stdout
    assert "input" not in plain


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    file = written(tmp_path, "- a: {input: {from: $secrets.erp}, set: '${ {k: .} }'}")
    file.write_text(file.read_text().replace("do:", "use: {secrets: [erp]}\ndo:"))
    text = "{stubs: {}, secrets: {erp: canary-0001}}"
    done = tried(file, "--stub", stub(tmp_path, text), "--output", "json")
    assert json.loads(done.stdout)["steps"][0]["input"] == "[REDACTED]"
    assert "canary-0001" not in done.output
