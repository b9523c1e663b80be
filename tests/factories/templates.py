"""A small template for tests."""

from __future__ import annotations

from coe.access.actor import Actor
from coe.catalog.records import ChangedVersion, SavedVersion
from coe.templates import actions
from coe.templates.records import Instantiation
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import COE_LEAD

MANIFEST = """\
kind: template
namespace: coe
name: greeting
version: 1.0.0
title: Greeting
summary: Says something to somebody.
processOwner: coe-lead
domain: trade
tags: [greeting]
parameters:
  type: object
  additionalProperties: false
  required: [words]
  properties:
    words: {type: string, maxLength: 40, description: What to say, examples: [Hello]}
    twice: {type: boolean, default: false}
    limits:
      type: object
      default: {}
      properties:
        most: {type: integer, minimum: 1, maximum: 9, default: 3}
  examples:
    - {words: Hello}
    - {words: Hello, twice: true}
"""
FLOW = """\
document:
  dsl: 1.0.3
  namespace: $(flow.namespace)
  name: $(flow.name)
  version: 0.0.0
  title: $(flow.title)
  summary: Says something.
  metadata:
    processOwner: $(flow.processOwner)
    domain: trade
    dataClass: INTERNAL
    madeFrom: $(template.ref)
input:
  schema:
    document:
      type: object
      properties: {name: {type: string}}
      examples: [{name: Ada}]
do:
  - say:
      set: {said: '${ $(params.words) + " " + .name }', most: $(params.limits.most)}
  - $if: params.twice
    $then:
      - sayAgain:
          set: {said: $(params.words)}
output:
  schema: {document: {type: object}}
"""
TESTS = "tests: []\n"
README = "# Greeting\n"


def files(**changed: str) -> dict[str, str]:
    """The files, some of them changed: `manifest`, `flow`."""
    return {
        "template.yaml": changed.get("manifest", MANIFEST),
        "flow.yaml": changed.get("flow", FLOW),
        "tests.yaml": TESTS,
        "README.md": README,
    }


def asked(**changed: object) -> Instantiation:
    given = {
        "template": "coe/greeting",
        "namespace": "sales",
        "name": "welcome",
        "parameters": {"words": "Hello"},
        "process_owner": "sales-owner",
    }
    return Instantiation(**(given | changed))  # type: ignore[arg-type]


async def register(platform: Platform, actor: Actor = COE_LEAD, **changed: str) -> SavedVersion:
    async with platform.work(actor) as work:
        return await actions.register_template(work, files(**changed))


async def published(platform: Platform, **changed: str) -> ChangedVersion:
    saved = await register(platform, COE_LEAD, **changed)
    return await publish_version(platform, saved.version.ref, author=COE_LEAD)


async def instantiate(platform: Platform, actor: Actor, **changed: object) -> SavedVersion:
    async with platform.work(actor) as work:
        return await actions.instantiate(work, asked(**changed))
