"""`coe decision replay`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import example, verb
from coe.cli.output import Result, printed
from coe.cli.progress import progress
from coe.cli.times import moment_option

_REPLAY: Final = """
query Replay($input: ReplayDecisionInput!) {
  replayDecision(input: $input) {
    same otherRules changed failed totalCount hiddenCount
    pageInfo { hasNextPage endCursor }
    nodes {
      sameOutcome
      case { id decision flow at run { id } }
      before { output rules failure }
      after { output rules failure }
    }
  }
}
"""
PAGE_SIZE: Final = 500
_COUNTS: Final = ("same", "otherRules", "changed", "failed")


@verb()
@click.argument("ref")
@moment_option("--from", "since", "Cases from this time on.")
@moment_option("--to", "until", "Cases before this time.")
@click.option("--flow", "flows", multiple=True, help="Only cases of runs of this flow.")
@example("coe decision replay finance/limit@1.1.0 --from 2026-01-01 --to 2026-02-01")
@printed()
@with_api
def replay(
    api: ApiClient,
    ref: str,
    since: str | None,
    until: str | None,
    flows: tuple[str, ...],
) -> Result:
    """Decide past cases with REF (namespace/name@version), usually a draft; list what changes.

    Exit code 0 if no outcome changes, 1 if some do.
    """
    given: dict[str, Any] = {
        "ref": ref,
        "after": since,
        "before": until,
        "flows": list(flows) or None,
        "first": PAGE_SIZE,
    }
    counts, hidden, changed = _all_pages(api, given)
    lines = [line for each in changed for line in _lines(each)]
    lines.append(
        f"{sum(counts.values())} cases: {counts['same']} the same, "
        f"{counts['otherRules']} by other rules, {counts['changed']} changed, "
        f"{counts['failed']} without an answer"
    )
    notes = [f"{hidden} more belong to runs whose data you may not read"] if hidden else []
    code = 1 if counts["changed"] or counts["failed"] else 0
    return Result({**counts, "hidden": hidden, "cases": changed}, lines, notes, code=code)


def _all_pages(
    api: ApiClient, given: dict[str, Any]
) -> tuple[dict[str, int], int | None, list[Any]]:
    """The counts over all pages, the number of hidden cases, and the cases that change."""
    counts = dict.fromkeys(_COUNTS, 0)
    changed: list[Any] = []
    hidden: int | None = None
    more, cursor = True, None
    with progress("replaying", unit="cases") as advance:
        while more:
            page = api.call(_REPLAY, {"input": given | {"cursor": cursor}})["replayDecision"]
            for name in _COUNTS:
                counts[name] += page[name]
            changed += page["nodes"]
            hidden = page["hiddenCount"]
            advance(sum(counts.values()))
            more, cursor = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    return counts, hidden, changed


def _lines(item: dict[str, Any]) -> Iterator[str]:
    case = item["case"]
    yield f"{case['at']} {case['flow']} run {case['run']['id']}"
    for name in ("before", "after"):
        outcome = item[name]
        result = outcome["failure"] or json.dumps(outcome["output"], ensure_ascii=False)
        yield f"  {name:<6} {result} by {', '.join(outcome['rules']) or 'no rule'}"
