"""The first files of a new flow: a definition with its tests, or a local flow with its code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template
from typing import Final


@dataclass(frozen=True, slots=True)
class NewFlow:
    """What a new flow is called, and whose it is."""

    namespace: str
    name: str
    title: str
    process_owner: str
    data_class: str


def central_files(flow: NewFlow) -> dict[str, str]:
    """The files of a central flow by their path: its definition and tests that pass."""
    return {"flow.yaml": _filled(_CENTRAL, flow), "tests.yaml": _filled(_TESTS, flow)}


def local_files(flow: NewFlow, below: str = "") -> dict[str, str]:
    """The files of a local flow by their path: its manifest and its code.

    `below` is their folder, relative to the one in which workers look for entrypoints.
    """
    module = flow.name.replace("-", "_")
    return {
        f"{module}.yaml": _filled(_MANIFEST, flow, below=below),
        f"{module}.py": _filled(_CODE, flow),
    }


def first_tests(example: object) -> str:
    """The tests of a flow that was made from a template: its first example runs."""
    given = json.dumps(example, ensure_ascii=False)
    return _FIRST_TESTS.replace("INPUT", given)


def _filled(text: str, flow: NewFlow, *, below: str = "") -> str:
    return Template(text).substitute(
        namespace=flow.namespace,
        name=flow.name,
        module=flow.name.replace("-", "_"),
        title=json.dumps(flow.title, ensure_ascii=False),
        owner=flow.process_owner,
        data_class=flow.data_class,
        below=below,
        input=_INPUT,
    )


_INPUT: Final = """\
input:
  schema:
    document:
      type: object
      additionalProperties: false
      required: [request]
      properties:
        request: {type: string, minLength: 1, maxLength: 500}
      examples:
        - {request: A new screen}
"""

_CENTRAL: Final = """\
document:
  dsl: 1.0.3
  namespace: $namespace
  name: $name
  version: 0.1.0
  title: $title
  summary: Asks the team's lead about a request, and keeps the answer.
  metadata:
    processOwner: $owner
    domain: $namespace
    dataClass: $data_class

${input}output:
  schema:
    document:
      type: object
      required: [decision]
      properties:
        decision: {type: string, enum: [approved, rejected]}

do:
  - decide:
      call: humanTask:1@default
      with:
        title: Decide on a request
        instructions: Say whether it is done.
        candidates: {roles: [lead]}
        context: {request: "$${ .request }"}
        exclude: [requester]
        outcomes: [approved, rejected]
        dueIn: P2D
        escalate: [{after: P1D, to: process-owner}]
  - keep:
      set: {decision: "$${ .outcome }"}
"""

_TESTS: Final = """\
# Run these with `coe flow test .`; it says which branches no test reaches.
tests:
  - name: the lead approves
    input: {request: A new screen}
    stubs: {decide: {outcome: approved, by: somebody, after: PT3H}}
    expect: {state: COMPLETED, output: {decision: approved}}
  - name: the lead rejects
    input: {request: A new screen}
    stubs: {decide: {outcome: rejected, by: somebody}}
    expect: {state: COMPLETED, output: {decision: rejected}}
  - name: the process owner decides after a day
    input: {request: A new screen}
    stubs: {decide: {outcome: approved, by: $owner, after: P1DT1H}}
    expect: {state: COMPLETED, output: {decision: approved}}
  - name: nobody decides
    input: {request: A new screen}
    stubs: {decide: {silent: true}}
    expect: {state: FAULTED}
"""

_FIRST_TESTS: Final = """\
# Run these with `coe flow test .`; it says which branches no test reaches. Answers of calls and
# people are given as stubs, by the name of the step (docs/testing-processes.md).
tests:
  - name: the first example
    input: INPUT
    stubs: {}
    expect: {}
"""

_MANIFEST: Final = """\
kind: localFlow
namespace: $namespace
name: $name
version: 0.1.0
title: $title
summary: Does a part of a process, on the worker of the team.
processOwner: $owner
domain: $namespace
dataClass: $data_class
entrypoint: $below$module.py:$module
timeout: PT30M
${input}output:
  schema:
    document:
      type: object
      required: [done]
      properties:
        done: {type: boolean}
"""

_CODE: Final = '''\
"""The local flow $namespace/$name: the team's worker runs it."""

from __future__ import annotations

from prefect import flow

from coe.sdk import local_run


@flow(name="$name")
async def $module(run_id: str) -> None:
    """Do the work of a run; a step that is completed is not run again."""
    async with local_run(run_id) as run:

        async def work() -> dict[str, bool]:
            return {"done": bool(run.input["request"])}

        done = await run.step("work", work)
        run.output = done
'''
