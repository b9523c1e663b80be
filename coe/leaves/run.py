"""Carry out one call of a run, and remove the texts of secrets from its output."""

from __future__ import annotations

from coe.json_types import JSON
from coe.leaves.leaf import LeafFault, LeafIO
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error
from coe.machine.redaction import redacted


async def run_leaf(command: RunLeaf, io: LeafIO) -> JSON:
    """Carry out one call and return its output.

    A call that was in flight when a process died is made again with the same idempotency key.

    Raises:
        LeafFault: The call failed, or its kind is not supported.
    """
    try:
        output = await _carry_out(command, io)
    except LeafFault as fault:
        clean = redacted(fault.error, command.secrets)
        fault.error = clean if isinstance(clean, dict) else fault.error
        raise
    return redacted(output, command.secrets)


async def _carry_out(command: RunLeaf, io: LeafIO) -> JSON:
    handler = io.handlers.get(command.kind)
    if handler is not None:
        return await handler(command)
    if command.kind == "http":
        from coe.leaves.http import call_http  # noqa: PLC0415 - loads httpx

        return await call_http(command, io)
    if command.kind == "openapi":
        from coe.leaves.openapi import call_openapi  # noqa: PLC0415 - loads httpx

        return await call_openapi(command, io)
    title = f"Calls of kind {command.kind} are not supported"
    raise LeafFault(standard_error("configuration", title=title, instance=command.path))
