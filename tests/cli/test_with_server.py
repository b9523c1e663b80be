"""The commands against the API: a run with a human task, the catalog, the log, tokens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coe.cli.documents import plain_id
from coe.cli.main import PROGRAM, cli
from tests.cli.conftest import Served
from tests.factories.api_documents import local
from tests.factories.lifecycle import publish_version
from tests.factories.people import COE_LEAD
from tests.factories.runs import APPROVAL, central, publish
from tests.factories.templates import files

INPUT = '{"customer": "Wilhelmina Zwicknagel"}'


def data(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def test_a_run_is_followed_answered_and_taken_up_again(served: Served) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    empty = await served.coe("sales-owner", "flow", "run", "sales/asks", stdin="null")
    assert (empty.exit_code, "the input is null" in empty.stderr) == (1, True)
    left = await served.coe("sales-owner", "flow", "run", "sales/asks", stdin=INPUT)
    assert left.exit_code == 4, left.output
    assert "waits for finance" in left.stdout
    key = left.stderr.split("coe run watch ")[1].strip()
    shown = await served.coe("sales-owner", "run", "show", key)
    assert "WAITING" in shown.stdout
    own = await served.coe("sales-owner", "task", "list", "--claimable", "--output", "json")
    assert data(own)["nodes"] == []
    listed = data(await served.coe("finance-approver", "task", "list", "--output", "json"))
    task = plain_id(listed["nodes"][0]["id"])
    about = await served.coe("finance-approver", "task", "show", task)
    assert "limit" in about.stdout
    assert (await served.coe("finance-approver", "task", "claim", task)).exit_code == 0
    assert (await served.coe("sales-owner", "task", "release", task)).exit_code == 5
    answer = ("task", "complete", task, "--outcome", "approved")
    wrong = await served.coe("finance-approver", *answer, "--set", "limit=much")
    assert wrong.exit_code == 1, wrong.output
    assert "--set limit" in wrong.stderr
    missing = await served.coe("finance-approver", *answer, "--set", "other=1")
    assert (missing.exit_code, "limit" in missing.stderr) == (1, True)
    assert (await served.coe("finance-approver", "task", "complete", task)).exit_code == 2
    done = await served.coe("finance-approver", *answer, "--set", "limit=5000")
    assert done.exit_code == 0, done.output
    ended = await served.coe("sales-owner", "run", "watch", key, "--output", "json")
    assert data(ended)["state"] == "COMPLETED"
    output = data(await served.coe("sales-owner", "run", "output", key, "--output", "json"))
    assert output["answer"] == {"limit": 5000}
    found = data(
        await served.coe("sales-owner", "run", "list", "--flow", "sales/asks", "-o", "json")
    )
    assert [plain_id(each["id"]) for each in found["nodes"]] == [key]
    unread = await served.coe("auditor", "run", "output", key)
    assert (unread.exit_code, "who may: sales-owner (" in unread.stderr) == (5, True), unread.stderr
    hidden = await served.coe("outsider", "run", "show", key)
    assert hidden.exit_code == 6


async def test_a_run_that_is_cancelled_says_by_whom_and_why(served: Served) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    started = await served.coe(
        "sales-owner", "flow", "run", "sales/asks", "--no-follow", "-o", "json", stdin=INPUT
    )
    key = plain_id(data(started)["id"])
    assert (await served.coe("sales-owner", "run", "cancel", key)).exit_code == 2
    done = await served.coe("sales-owner", "run", "cancel", key, "--reason", "ordered twice")
    assert done.exit_code == 0, done.output
    ended = await served.coe("sales-owner", "run", "watch", key)
    assert ended.exit_code == 3, ended.output
    assert "ordered twice" in ended.stdout
    assert "None" not in ended.output
    again = await served.coe("sales-owner", "run", "retry", key, "--reason", "no")
    assert again.exit_code == 8


async def test_a_new_flow_goes_from_a_folder_to_the_catalog(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = await served.coe(
        "sales-owner", "flow", "new", "sales/refund", "--process-owner", "sales-owner"
    )
    assert made.exit_code == 0, made.output
    again = await served.coe("sales-owner", "flow", "new", "sales/refund", "--process-owner", "x")
    assert again.exit_code == 8
    assert Path("refund/flow.yaml").read_text().startswith("# yaml-language-server: $schema=http")
    assert (await served.coe("sales-owner", "flow", "check", "refund")).exit_code == 0
    tested = await served.coe("sales-owner", "flow", "test", "refund")
    assert tested.exit_code == 0, tested.output
    preview = await served.coe("sales-owner", "flow", "preview", "refund/flow.yaml")
    assert preview.exit_code == 0, preview.output
    saved = await served.coe("sales-owner", "flow", "register", "refund/flow.yaml")
    assert "sales/refund@0.1.0 DRAFT" in saved.stdout, saved.output
    versions = data(
        await served.coe("sales-owner", "flow", "versions", "sales/refund", "--output", "json")
    )
    assert [each["lifecycle"] for each in versions["nodes"]] == ["DRAFT"]
    definition = await served.coe(
        "sales-owner", "flow", "show", "sales/refund@0.1.0", "--definition"
    )
    assert definition.stdout == Path("refund/flow.yaml").read_text()


async def test_tests_that_are_named_for_a_local_flow_are_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("local.yaml").write_text(local())
    Path("tests.yaml").write_text("tests: [{name: it counts, expect: {state: COMPLETED}}]")
    command = ("flow", "register", "local.yaml", "--no-import")
    refused = await served.coe("warehouse-developer", *command, "--tests", "tests.yaml")
    assert refused.exit_code == 1
    assert "a local flow has no tests here" in refused.output
    Path("tests.yaml").write_text("tests: [{name: it counts}]")
    wrong = await served.coe("warehouse-developer", *command, "--tests", "tests.yaml")
    assert wrong.stderr.startswith("tests.yaml:1:9: error")
    assert (await served.coe("warehouse-developer", *command)).exit_code == 0


async def test_a_review_is_listed_shown_and_decided(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ref = "sales/refund@0.1.0"
    for line in (
        ("flow", "new", "sales/refund", "--process-owner", "sales-owner"),
        ("flow", "register", "refund/flow.yaml"),
        ("flow", "submit", ref, "--comment", "the first one"),
    ):
        done = await served.coe("sales-owner", *line)
        assert done.exit_code == 0, done.output
    again = await served.coe("sales-owner", "flow", "submit", ref)
    assert (again.exit_code, "cannot be submitted" in again.stderr) == (8, True)
    early = await served.coe("sales-owner", "flow", "publish", ref)
    assert early.exit_code == 8
    assert f"{ref} has 0 of the 1 approvals" in early.stderr
    assert "coe flow review" in early.stderr
    listed = data(await served.coe("coe-lead", "review", "list", "--waiting", "-o", "json"))
    assert [each["version"]["ref"] for each in listed["nodes"]] == [ref]
    for named in (ref, "sales/refund"):
        shown = await served.coe("coe-lead", "review", "show", named)
        assert (shown.exit_code, "the first one" in shown.stdout) == (0, True), shown.output
    undecided = await served.coe("coe-lead", "flow", "review", ref, "--comment", "fits")
    assert (undecided.exit_code, "--approve or --refuse" in undecided.stderr) == (2, True)
    approved = await served.coe("coe-lead", "flow", "review", ref, "--approve", "--comment", "fits")
    assert approved.exit_code == 0, approved.output


async def test_a_token_lives_from_its_issue_to_its_revocation(served: Served) -> None:
    issued = data(
        await served.coe(
            "sales-owner", "token", "issue", "sales-owner", "--name", "laptop", "-o", "json"
        )
    )
    kept = await served.coe(
        "sales-owner", "login", served.url, "--token", issued["token"], "--profile", "mine"
    )
    assert kept.exit_code == 0, kept.output
    listed = data(await served.coe("sales-owner", "token", "list", "--active", "-o", "json"))
    assert [each["name"] for each in listed["nodes"]] == ["laptop"]
    key = plain_id(issued["id"])
    revoke = ("token", "revoke", key, "--reason", "lost")
    assert (await served.coe("outsider", *revoke)).exit_code == 6
    assert (await served.coe("sales-owner", *revoke)).exit_code == 0
    assert (await served.coe("sales-owner", *revoke)).exit_code == 8


async def test_the_log_is_read_exported_and_verified(served: Served, tmp_path: Path) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    about = ("--resource", "sales/asks", "--since", "1h")
    for _ in range(50):
        listed = data(await served.coe("auditor", "audit", "list", *about, "-o", "json"))
        if len(listed["nodes"]) >= 4:
            break
    table = await served.coe("auditor", "audit", "list", *about)
    assert plain_id(listed["nodes"][0]["id"]) in table.stdout
    for key in (listed["nodes"][0]["id"], plain_id(listed["nodes"][0]["id"])):
        event = await served.coe("auditor", "audit", "show", key)
        assert "proven in the tree of" in event.stdout, event.output
    file = tmp_path / "part.jsonl"
    exported = await served.coe("auditor", "audit", "export", "--to", str(file), *about)
    assert exported.exit_code == 0, exported.output
    key = served.platform.signer.vkey
    remembered = data(await served.coe("auditor", "audit", "verify", str(file), "-o", "json"))
    assert (remembered["ok"], remembered["keySource"]) == (True, "remembered")
    pinned = await served.coe("auditor", "audit", "verify", str(file), "--key", key)
    assert (pinned.exit_code, pinned.stderr) == (0, "")
    (tmp_path / "log.vkey").write_text(key)
    loose_file = await served.coe(
        "auditor", "audit", "verify", str(file), "--key", str(tmp_path / "log.vkey")
    )
    assert (loose_file.exit_code, "--key @FILE" in loose_file.stderr) == (2, True)
    other = key.replace("+", "x+", 1)
    assert (
        await served.coe("auditor", "audit", "verify", str(file), "--key", other)
    ).exit_code == 2
    whole = await served.coe("auditor", "audit", "verify")
    assert whole.exit_code == 0, whole.output
    grown = await served.coe("auditor", "audit", "checkpoint", "--from", "1")
    assert grown.exit_code == 0, grown.output
    wrong = await served.coe("auditor", "audit", "export", "--to", "x", "--action", "flow:publsh")
    assert (wrong.exit_code, "did you mean" in wrong.stderr) == (1, True)
    empty = await served.coe("auditor", "audit", "list", "--action", "run:cancle")
    assert empty.exit_code == 1


async def test_access_is_explained_and_reviewed(served: Served) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    me = await served.coe("sales-owner", "access", "me")
    assert me.stdout.startswith("sales-owner")
    asked = ("access", "explain", "sales-owner", "flow:review", "flow:sales/asks@1.0.0")
    told = data(await served.coe("auditor", *asked, "--output", "json"))
    assert told["allowed"] is False
    mistyped = await served.coe("auditor", "access", "explain", "sales-owner", "flow:reveiw", "x")
    assert mistyped.stderr.count("there is no permission") == 1
    assert "did you mean `flow:review`" in mistyped.stderr
    who = data(
        await served.coe("auditor", "access", "who", "flow:review", "flow:sales/asks", "-o", "json")
    )
    assert "coe-lead" in {each["subject"] for each in who}
    assert "sales-owner" not in {each["subject"] for each in who}


TESTS = """
tests:
  - name: it greets
    input: {name: Ada}
    expect: {state: COMPLETED, output: {said: Hello Ada, most: 3}}
"""


async def test_a_flow_is_made_from_a_published_template_with_its_tests(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("greeting").mkdir()
    for name, text in (files() | {"tests.yaml": TESTS}).items():
        Path("greeting", name).write_text(text)
    saved = await served.coe("coe-lead", "template", "register", "greeting")
    assert saved.exit_code == 0, saved.output
    ref = saved.stdout.split()[0]
    shown = await served.coe("coe-lead", "template", "show", ref)
    assert "words" in shown.stdout
    assert (await served.coe("coe-lead", "template", "show", "coe/greeting@9.0.0")).exit_code == 6
    asked = ("flow", "new", "sales/hi", "--template", ref, "--process-owner", "sales-owner")
    early = await served.coe("sales-owner", *asked)
    assert early.exit_code in {1, 6}
    assert not Path("hi").exists()
    await publish_version(served.platform, ref, author=COE_LEAD)
    lacking = await served.coe("sales-owner", *asked)
    assert (lacking.exit_code, "/parameters/words" in lacking.stderr) == (1, True)
    made = await served.coe("sales-owner", *asked, "--set", "words=Hello")
    assert made.exit_code == 0, made.output
    tested = await served.coe("sales-owner", "flow", "test", "hi")
    assert tested.exit_code == 0, tested.output
    assert "it greets" in tested.stdout


async def test_a_new_template_goes_from_a_folder_to_the_catalog(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await served.coe("coe-lead", "template", "new", "coe/refund")).exit_code == 2
    made = await served.coe(
        "coe-lead", "template", "new", "coe/refund", "--process-owner", "coe-lead"
    )
    assert made.exit_code == 0, made.output
    head = Path("refund/flow.yaml").read_text().splitlines()[0]
    assert head.endswith("/schemas/template-flow.schema.json")
    tested = await served.coe("coe-lead", "flow", "test", "refund")
    assert tested.exit_code == 0, tested.output
    saved = await served.coe("coe-lead", "template", "register", "refund")
    assert "coe/refund@0.1.0 DRAFT" in saved.stdout, saved.output
    again = await served.coe("coe-lead", "template", "new", "coe/refund", "--process-owner", "x")
    assert again.exit_code == 8


@pytest.mark.parametrize("name", ["input.yaml", "-", "input.json"])
async def test_the_input_of_a_run_is_json_or_yaml(
    served: Served, tmp_path: Path, name: str
) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    file = tmp_path / name
    text = "# who buys\ncustomer: Wilhelmina Zwicknagel\n"
    if name != "-":
        file.write_text(text)
    place = name if name == "-" else str(file)
    started = await served.coe(
        "sales-owner", "flow", "run", "sales/asks", "--no-follow", "--input", place, stdin=text
    )
    wanted = (2, "is not JSON") if name.endswith(".json") else (0, "REQUESTED")
    assert (started.exit_code, wanted[1] in started.output) == (wanted[0], True), started.output


async def test_a_shell_completes_what_the_server_knows(served: Served) -> None:
    await publish(served.platform, central("asks", APPROVAL))
    await publish(served.platform, central("other", APPROVAL))
    started = await served.coe(
        "sales-owner", "flow", "run", "sales/asks", "--no-follow", "-o", "json", stdin=INPUT
    )
    run_id = plain_id(data(started)["id"])

    async def completed(typed: str, *, who: str = "sales-owner") -> list[str]:
        given = {"_COE_COMPLETE": "bash_complete", "COMP_WORDS": typed}
        given |= {"COMP_CWORD": str(typed.count(" ")), "COE_URL": served.url}
        given["COE_TOKEN"] = f"demo-{who}"
        done = await asyncio.to_thread(CliRunner().invoke, cli, prog_name=PROGRAM, env=given)
        assert done.exit_code == 0, done.output
        return [line.removeprefix("plain,") for line in done.output.split()]

    assert await completed("coe flow show sales/") == ["sales/asks", "sales/other"]
    assert await completed("coe flow publish sales/o") == ["sales/other"]
    assert await completed("coe schedule pause sales/o") == ["sales/other"]
    assert await completed("coe flow show sales/asks@") == ["sales/asks@1.0.0"]
    assert await completed("coe template show sales/") == []
    assert await completed("coe run show ") == [run_id]
    assert await completed("coe run show ", who="outsider") == []
    assert await completed("coe run show ", who="nobody") == []
