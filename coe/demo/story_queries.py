"""The GraphQL operations of the story."""

from __future__ import annotations

from typing import Final

_PROBLEMS: Final = "problems { code severity message path line column help }"

ENGINE: Final = "query { engine { state detail queued } }"
SEARCH: Final = """
query Search($text: String!) {
  catalog(search: $text) {
    totalCount
    facets { name values { value count } }
    edges { highlights node { kind ref title } }
  }
}
"""
FLOW_VERSIONS: Final = """
query Versions($ref: String!) {
  flow(ref: $ref) { aliases versions { nodes { ref version lifecycle signature createdBy } } }
}
"""
TEMPLATES: Final = """
query Templates {
  catalog(filter: {kinds: [TEMPLATE, DECISION]}, orderBy: TITLE, first: 50) {
    nodes {
      kind ref
      ... on Template { versions { nodes { ref version lifecycle createdBy } } }
      ... on DecisionTable { versions { nodes { ref version lifecycle createdBy } } }
    }
  }
}
"""
PREVIEW: Final = """
query Preview($input: InstantiateTemplateInput!) {
  previewTemplate(input: $input) { digest diagram %s }
}
""".replace("%s", _PROBLEMS)
INSTANTIATE: Final = """
mutation Instantiate($input: InstantiateTemplateInput!) {
  instantiateTemplate(input: $input) { version { ref lifecycle } %s }
}
""".replace("%s", _PROBLEMS)
REGISTER: Final = """
mutation Register($input: RegisterFlowInput!) {
  registerFlow(input: $input) { version { ref lifecycle } %s }
}
""".replace("%s", _PROBLEMS)
SUBMIT: Final = """
mutation Submit($input: LifecycleInput!) { submitForReview(input: $input) { %s } }
""".replace("%s", _PROBLEMS)
REVIEW: Final = """
mutation Review($input: ReviewInput!) { review(input: $input) { %s } }
""".replace("%s", _PROBLEMS)
PUBLISH: Final = """
mutation Publish($input: LifecycleInput!) { publish(input: $input) { %s } }
""".replace("%s", _PROBLEMS)
START: Final = """
mutation Start($input: StartRunInput!) {
  startRun(input: $input) { run { id state version { ref } } %s }
}
""".replace("%s", _PROBLEMS)
BY_CORRELATION: Final = """
query Runs($flow: String!, $correlationId: String!) {
  runs(filter: {flows: [$flow], correlationId: $correlationId}) { nodes { id state } }
}
"""
RUN: Final = """
query Run($id: ID!) {
  run(id: $id) {
    id state output error { title type status }
    steps { name state attempt humanTask { id state } childRun { flow { ref } } }
  }
}
"""
STATE: Final = """
query State($id: ID!) { run(id: $id) { state steps { humanTask { id state } } } }
"""
CLAIM: Final = """
mutation Claim($input: HumanTaskInput!) {
  claimHumanTask(input: $input) { task { state assignee } %s }
}
""".replace("%s", _PROBLEMS)
COMPLETE: Final = """
mutation Complete($input: CompleteHumanTaskInput!) {
  completeHumanTask(input: $input) { task { state outcome } %s }
}
""".replace("%s", _PROBLEMS)
AUDIT: Final = """
query Audit($flow: String!) {
  all: auditLog(filter: {resources: [$flow]}, first: 1) {
    totalCount nodes { index proof { leafIndex treeSize } }
  }
  refused: auditLog(filter: {resources: [$flow], outcomes: [DENIED]}, first: 50) {
    totalCount nodes { index at actor action resource rule }
  }
  readers: auditLog(filter: {resources: [$flow], actions: ["runs:run:read_data"]}, first: 50) {
    nodes { actor }
  }
}
"""
VERIFY: Final = "query { verifyAudit { ok checkedEvents treeSize rootHash } }"
