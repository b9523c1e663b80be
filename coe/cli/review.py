"""`coe review`: what waits for a review, and what its reviewers need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, cell_text, printed
from coe.cli.pages import PAGE, Page, fetch, notes_on, paged
from coe.errors import NotFound

_STATE: Final = "ref lifecycle approvalsNeeded approvalsGiven"
_TESTS: Final = """tests { text result {
  passed seconds failed branches branchesReached steps stepsReached missed template
  cases { name passed failures { ...problem } } problems { ...problem }
} }"""


def _on_each(fields: str) -> str:
    kinds = ("FlowVersion", "TemplateVersion", "DecisionTableVersion")
    return " ".join(f"... on {kind} {{ {fields} }}" for kind in kinds)


_LIST: Final = document(f"""
query Reviews($filter: ReviewFilter, $first: Int!, $after: String) {{
  reviews(filter: $filter, first: $first, after: $after) {{
    {PAGE}
    nodes {{
      submittedAt submittedBy comment live
      version {{ {_on_each(f"{_STATE} tests {{ result {{ passed }} }}")} }}
    }}
  }}
}}
""")
_AT_ONCE: Final = 5
"""Reviews a request: one with all that `_SHOW` selects costs about 500."""
_SHOW: Final = document(f"""
query Review($filter: ReviewFilter, $first: Int!, $after: String) {{
  reviews(filter: $filter, first: $first, after: $after) {{
    {PAGE}
    nodes {{
      submittedAt submittedBy comment live unifiedDiff
      diff {{ breaking asks changes {{ ...problem }} }}
      version {{
        {_on_each(f"{_STATE} changelog approvals {{ by at decision comment }} {_TESTS}")}
        ... on FlowVersion {{ problems {{ ...problem }} }}
        ... on DecisionTableVersion {{ problems {{ ...problem }} }}
      }}
    }}
  }}
}}
""")


@click.group(cls=Noun)
def command() -> None:
    """List what is in review; show a version to its reviewers."""


@command.command("list")
@click.option("--waiting", is_flag=True, help="Only what waits for your review.")
@click.option("--submitted", is_flag=True, help="Only what you wrote or submitted.")
@click.option("--kind", "kinds", multiple=True, help="FLOW, TEMPLATE or DECISION.")
@click.option("--team", "owners", multiple=True, help="Of this team.")
@paged()
@example("coe review list --waiting")
@printed()
@with_api
def list_reviews(
    api: ApiClient,
    waiting: bool,  # noqa: FBT001  # click passes it by keyword
    submitted: bool,  # noqa: FBT001  # the same
    kinds: tuple[str, ...],
    owners: tuple[str, ...],
    page: Page,
) -> Result:
    """List the versions in review that you may read, the longest waiting first."""
    wanted = {
        "waitingForMe": waiting or None,
        "submittedByMe": submitted or None,
        "kinds": [kind.upper() for kind in kinds] or None,
        "owners": list(owners) or None,
    }
    found = fetch(api, _LIST, {"filter": wanted}, page, "reviews")
    rows = [
        {
            "version": row["version"]["ref"],
            "live": row["live"],
            "approvals": f"{row['version']['approvalsGiven']} of "
            f"{row['version']['approvalsNeeded']}",
            "tests": _verdict(row["version"]["tests"]),
            "submitted": row["submittedAt"],
            "by": row["submittedBy"],
            "comment": row["comment"],
        }
        for row in found["nodes"]
    ]
    columns = ["version", "live", "approvals", "tests", "submitted", "by", "comment"]
    return Result(found, Table(rows, columns, "Nothing is in review."), notes_on(found))


@command.command()
@click.argument("ref")
@click.option("--diff", is_flag=True, help="Print what differs from the live version as text.")
@example("coe review show sales/order-to-cash --diff")
@printed()
@with_api
def show(api: ApiClient, ref: str, diff: bool) -> Result:  # noqa: FBT001  # click passes it by keyword
    """Show REF (namespace/name[@version]), in review: its comment, changes, tests, problems."""
    page = Page(_AT_ONCE, None, every=True, most=_AT_ONCE)
    found = fetch(api, _SHOW, {"filter": {"entries": [ref]}}, page, "reviews")
    whole = "@" in ref
    review = next(
        (each for each in found["nodes"] if not whole or each["version"]["ref"] == ref), None
    )
    if review is None:
        raise NotFound(f"{ref} is not in review, or you may not read it: coe review list")
    return Result(review, list(_views(review, diff=diff)))


def _views(review: dict[str, Any], *, diff: bool) -> Iterator[View]:
    version, tests = review["version"], review["version"]["tests"]
    yield f"{version['ref']}  {version['lifecycle']}, live is {review['live'] or 'none'}"
    rows = {
        "submitted": review["submittedAt"],
        "by": review["submittedBy"],
        "comment": review["comment"],
        "changelog": version["changelog"],
        "approvals": f"{version['approvalsGiven']} of {version['approvalsNeeded']}",
        "tests": _verdict(tests),
    }
    for name, value in rows.items():
        if value:
            yield f"  {name + ':':<11} {cell_text(value)}"
    for approval in version["approvals"]:
        comment = cell_text(approval["comment"])
        yield f"  {approval['decision'].lower()} by {approval['by']}, {approval['at']}: {comment}"
    result = (tests or {}).get("result")
    for case in result["cases"] if result else ():
        yield f"    {'passed' if case['passed'] else 'FAILED'}  {cell_text(case['name'])}"
        yield from (f"            {each['message']}" for each in case["failures"])
    for each in version.get("problems") or ():
        yield f"  {each['severity'].lower()} {each['code']}: {cell_text(each['message'])}"
    changes = review["diff"]
    if changes:
        breaking = "breaking" if changes["breaking"] else "not breaking"
        yield f"  against live: {breaking}, a {changes['asks'].lower()} step"
        yield from (f"    {cell_text(each['message'])}" for each in changes["changes"])
    if diff:
        yield review["unifiedDiff"].rstrip("\n")


def _verdict(tests: dict[str, Any] | None) -> str:
    """The result of the tests in a few words."""
    result = (tests or {}).get("result")
    if result is None:
        return "none"
    verdict = "passed" if result["passed"] else "failed"
    if "branches" not in result:
        return verdict
    if result["template"]:
        return f"{verdict}; covered by the tests of {result['template']}"
    reached = f"branches {result['branchesReached']}/{result['branches']}"
    return f"{verdict}, {len(result['cases'])} in {result['seconds']:g} s, {reached}"
