"""GraphQL documents of commands, and the fragments that they share."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from typing import Final

FRAGMENTS: Final = {
    "problem": "fragment problem on Problem { code severity message path line column help }",
    "runLine": """fragment runLine on Run {
  id state correlationId startedBy requestedAt startedAt endedAt version { ref }
}""",
    "taskLine": """fragment taskLine on HumanTask {
  id title state candidateRoles assignee outcome createdAt dueAt run { id version { ref } }
}""",
    "version": """fragment version on EntryVersion {
  ... on FlowVersion { ref lifecycle digest }
  ... on TemplateVersion { ref lifecycle digest }
  ... on DecisionTableVersion { ref lifecycle digest }
}""",
    "versionState": """fragment versionState on EntryVersion {
  ... on FlowVersion { ref lifecycle digest approvalsNeeded approvalsGiven }
  ... on TemplateVersion { ref lifecycle digest approvalsNeeded approvalsGiven }
  ... on DecisionTableVersion { ref lifecycle digest approvalsNeeded approvalsGiven }
}""",
}
KEYED: Final = frozenset(
    {
        *("AddTrustRuleInput", "CompleteHumanTaskInput", "CreateClientInput"),
        *("CreateTeamInput", "DelegateHumanTaskInput", "DeleteDraftInput", "HumanTaskInput"),
        *("InstantiateTemplateInput", "IssueTokenInput", "LifecycleInput", "MemberInput"),
        *("OnboardTeamInput", "RegisterDecisionInput", "RegisterFlowInput", "RequestAccessInput"),
        *("ReviewInput", "RevokeTokensInput", "RunInput", "ScheduleInput", "SendEventInput"),
        *("SetAliasInput", "SetEntryAliasInput", "StartRunInput", "UpdateDraftInput"),
    }
)
"""The inputs with a `clientMutationId`, by which a mutation that is sent again happens once."""
_INPUT: Final = re.compile(r"\$input: ([A-Za-z]+)!")
_SPREAD: Final = re.compile(r"\.\.\.([a-z]\w*)")


def document(text: str) -> str:
    """A document with the definitions of the fragments that it names."""
    used = dict.fromkeys(name for name in _SPREAD.findall(text) if name in FRAGMENTS)
    return "\n".join([text, *(FRAGMENTS[name] for name in used)])


def with_key(query: str, variables: Mapping[str, object]) -> dict[str, object]:
    """The variables, with a new `clientMutationId` where the mutation takes one and has none."""
    found, given = _INPUT.search(query), variables.get("input")
    if found is None or found[1] not in KEYED or not isinstance(given, Mapping):
        return dict(variables)
    key = {"clientMutationId": str(uuid.uuid4())}
    return {**variables, "input": {**key, **given}}


def plain_id(global_id: str | None) -> str:
    """The plain key in a global id, which every command and field takes too; it is shorter."""
    if not global_id:
        return ""
    try:
        plain = base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode()
    except (binascii.Error, ValueError):
        return global_id
    return plain.partition(":")[2] or global_id
