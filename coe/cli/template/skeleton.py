"""The first files of a new template: a small process with one parameter, and tests that pass."""

from __future__ import annotations

import json
from string import Template
from typing import Final


def template_files(namespace: str, name: str, title: str, owner: str) -> dict[str, str]:
    """The files of a template by their path."""
    given = {
        "namespace": namespace,
        "name": name,
        "title": json.dumps(title, ensure_ascii=False),
        "heading": title,
        "owner": owner,
    }
    return {path: Template(text).substitute(given) for path, text in _FILES.items()}


_MANIFEST: Final = """\
kind: template
namespace: $namespace
name: $name
version: 0.1.0
title: $title
summary: Asks the lead of a team about a request, and keeps the answer.
processOwner: $owner
domain: $namespace
dataClass: INTERNAL
# What a team decides when it makes a flow of this template: a JSON Schema.
parameters:
  type: object
  additionalProperties: false
  properties:
    dueIn:
      title: Time to answer
      description: How long the decision may take, as an ISO 8601 duration.
      type: string
      enum: [P1D, P2D, P5D]
      default: P2D
    escalate:
      title: Escalate
      description: Whether the process owner is asked too, after a day.
      type: boolean
      default: false
  examples:
    - {dueIn: P2D, escalate: false}
    - {dueIn: P5D, escalate: true}
"""

_FLOW: Final = """\
document:
  dsl: 1.0.3
  namespace: $$(flow.namespace)
  name: $$(flow.name)
  version: 0.0.0 # the catalog gives each flow its version
  title: $$(flow.title)
  summary: Asks the team's lead about a request, and keeps the answer.
  metadata:
    processOwner: $$(flow.processOwner)
    domain: $namespace
    dataClass: INTERNAL

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
output:
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
        dueIn: $$(params.dueIn)
        escalate:
          - $$if: params.escalate
            $$then:
              - {after: P1D, to: process-owner}
  - keep:
      set: {decision: "$${ .outcome }"}
"""

_TESTS: Final = """\
# Run these with `coe flow test .`; the tests of a template reach every branch of every rendering.
tests:
  - name: the lead approves
    input: {request: A new screen}
    stubs: {decide: {outcome: approved, by: somebody, after: PT3H}}
    expect: {state: COMPLETED, output: {decision: approved}}
  - name: the process owner decides after a day
    parameters: {escalate: true}
    input: {request: A new screen}
    stubs: {decide: {outcome: rejected, by: $owner, after: P1DT1H}}
    expect: {state: COMPLETED, output: {decision: rejected}}
  - name: nobody decides
    input: {request: A new screen}
    stubs: {decide: {silent: true}}
    expect: {state: FAULTED}
"""

_README: Final = """\
# $heading

What the process is for, who takes part in it, and what a team decides when it makes a flow of it.
"""

_FILES: Final = {
    "template.yaml": _MANIFEST,
    "flow.yaml": _FLOW,
    "tests.yaml": _TESTS,
    "README.md": _README,
}
