"""`coe audit losses` and `coe audit accept-loss`: go on after sealed events were lost."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.output import Result, Table, printed

_LIST: Final = """
query Losses {
  auditLosses {
    state foundAt keptSize lostSize checkpoint proposedBy proposedAt approvedBy approvedAt
  }
}
"""
_ACCEPT: Final = document("""
mutation Accept($from: Long!, $confirmation: String!, $reason: String!) {
  acceptAuditLoss(from: $from, confirmation: $confirmation, reason: $reason) {
    state problems { ...problem }
  }
}
""")
_NEXT: Final = {
    "FOUND": "found: nobody has decided",
    "PROPOSED": "proposed: it takes another person, who does the same",
    "ACCEPTED": "accepted: the log goes on within seconds, and shows the loss for ever",
}


@verb()
@example("coe audit losses")
@printed()
@with_api
def losses(api: ApiClient) -> Result:
    """List losses of sealed events: which are proven, and who accepted them."""
    found = api.call(_LIST)["auditLosses"]
    rows = [
        row | {"from": row["keptSize"], "lost": row["lostSize"] - row["keptSize"]} for row in found
    ]
    columns = ["from", "lost", "state", "foundAt", "proposedBy", "approvedBy"]
    return Result(found, Table(rows, columns, "No losses."))


@verb("accept-loss")
@click.option(
    "--from",
    "kept",
    required=True,
    type=click.IntRange(0, 2**53 - 1),
    help="The first lost position, as `coe restore verify` shows it.",
)
@click.option("--confirmation", required=True, help="What `coe restore verify` shows beside it.")
@click.option("--reason", required=True, help="What happened; kept in the log.")
@example(
    "coe audit accept-loss --from 200 --confirmation 7Q2M-K4ZT-XB3A-9FJD"
    " --reason 'the disk failed, INC-4711'"
)
@printed()
@with_api
def accept_loss(api: ApiClient, kept: int, confirmation: str, reason: str) -> Result:
    """Accept that sealed events are lost: one person proposes so, another does the same.

    Nothing is sealed before. Afterwards each checkpoint names the loss and both people.
    """
    given = {"from": kept, "confirmation": confirmation, "reason": reason}
    done = api.call(_ACCEPT, given)["acceptAuditLoss"]
    state = done["state"]
    view = () if state is None else _NEXT[state]
    return Result(done, view, problems=done["problems"], code=int(state is None))
