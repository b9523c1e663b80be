"""Claim, release, delegate and complete a human task."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.form import read_values, values_options
from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed

_CHANGE: Final = {
    name: document(
        f"mutation Change($input: {kind}!) "
        f"{{ {name}(input: $input) {{ task {{ ...taskLine }} problems {{ ...problem }} }} }}"
    )
    for name, kind in {
        "claimHumanTask": "HumanTaskInput",
        "releaseHumanTask": "HumanTaskInput",
        "delegateHumanTask": "DelegateHumanTaskInput",
        "completeHumanTask": "CompleteHumanTaskInput",
    }.items()
}
_FORM: Final = "query Form($id: ID!) { humanTask(id: $id) { id title state form outcomes } }"
_ANSWERS: Final = """
query Answers($id: ID!) {
  humanTask(id: $id) { approvals { by decision answer digest voided } }
}
"""
SHOWN_DIGEST: Final = 16
"""How many characters of a digest are shown, and the least that `--agree` takes."""
_TASK: Final = "01a204ad-a69e-70a2-985e-cb36c368b5b1"


@verb()
@click.argument("task")
@click.option("--comment", help="A note for the log.")
@example(f"coe task claim {_TASK}")
@printed()
@with_api
def claim(api: ApiClient, task: str, comment: str | None) -> Result:
    """Claim TASK, so that nobody else completes it."""
    return _change(api, "claimHumanTask", {"task": task, "comment": comment})


@verb()
@click.argument("task")
@click.option("--comment", help="A note for the log.")
@example(f"coe task release {_TASK}")
@printed()
@with_api
def release(api: ApiClient, task: str, comment: str | None) -> Result:
    """Release TASK, which is claimed, to all its candidates."""
    return _change(api, "releaseHumanTask", {"task": task, "comment": comment})


@verb()
@click.argument("task")
@click.argument("to")
@click.option("--comment", required=True, help="Why.")
@example(f"coe task delegate {_TASK} fiona --comment 'she knows the customer'")
@printed()
@with_api
def delegate(api: ApiClient, task: str, to: str, comment: str) -> Result:
    """Delegate TASK to TO, another of its candidates."""
    return _change(api, "delegateHumanTask", {"task": task, "to": to, "comment": comment})


@verb()
@click.argument("task")
@click.option("--outcome", help="One of its outcomes; it is asked if there are several.")
@values_options("answer", "the answer")
@click.option("--reason", help="Why.")
@click.option(
    "--agree",
    metavar="DIGEST",
    help="Approve the answer of an earlier approver with this digest, as `coe task show` has it.",
)
@example(
    f"coe task complete {_TASK}",
    f"coe task complete {_TASK} --outcome approved --set limit=5000 --reason 'known customer'",
    f"coe task complete {_TASK} --outcome rejected --answer answer.json",
    f"coe task complete {_TASK} --agree 5f70bf18a0860070",
)
@printed()
@with_api
def complete(
    api: ApiClient,
    task: str,
    outcome: str | None,
    file: str | None,
    pairs: tuple[str, ...],
    reason: str | None,
    agree: str | None,
) -> Result:
    """Complete TASK with an outcome and an answer; the run continues.

    The answer comes from a file or from `--set`; on a terminal, it is asked field by field. Where
    several people must give the same answer, `--agree` approves that of an earlier one; another
    answer starts over.
    """
    if agree is not None:
        if outcome is not None or file is not None or pairs:
            raise click.UsageError("--agree approves an answer that was given: give no other")
        return _change(api, "completeHumanTask", _agreed(api, task, agree) | {"reason": reason})
    form = api.call(_FORM, {"id": task})["humanTask"]
    asked = outcome is None and sys.stdin.isatty()
    chosen = _outcome(form, outcome)
    answer = read_values(form["form"], file=file, pairs=pairs, asking=form["title"])
    if asked and reason is None:
        reason = click.prompt("Reason (optional)", default="", show_default=False, err=True) or None
    given = {"task": task, "outcome": chosen, "answer": answer, "reason": reason}
    return _change(api, "completeHumanTask", given)


def _agreed(api: ApiClient, task: str, digest: str) -> dict[str, Any]:
    """The input that agrees to the answer with a digest, of which a beginning is enough."""
    if len(digest) < SHOWN_DIGEST:
        raise click.UsageError(f"give at least {SHOWN_DIGEST} characters of the digest")
    approvals = api.call(_ANSWERS, {"id": task})["humanTask"]["approvals"]
    for each in approvals:
        if each["digest"] and each["digest"].startswith(digest) and not each["voided"]:
            answer = {"outcome": each["decision"], "answer": each["answer"]}
            return {"task": task, "agreesTo": each["digest"], **answer}
    raise click.ClickException(
        f"no approval that counts has this digest: read the task again (coe task show {task})"
    )


def _outcome(form: dict[str, Any], given: str | None) -> str:
    outcomes: list[str] = form["outcomes"]
    if given is not None:
        return given
    if len(outcomes) == 1:
        return outcomes[0]
    if sys.stdin.isatty():
        return str(click.prompt("Outcome", type=click.Choice(outcomes), err=True))
    raise click.UsageError(f"give --outcome, one of: {', '.join(outcomes)}")


def _change(api: ApiClient, mutation: str, given: dict[str, Any]) -> Result:
    answer = api.call(_CHANGE[mutation], {"input": given})[mutation]
    task = answer["task"]
    view: tuple[str, ...] = ()
    if task:
        now = task["outcome"] or task["state"]
        whose = f", {task['assignee']}" if task["assignee"] else ""
        view = (f"{plain_id(task['id'])} {task['title']}: {now}{whose}",)
    return Result(answer, view, problems=answer["problems"], code=0 if task else 1)
