"""`coe audit`: fetch a bundle from a server, and tell what verifying it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coe.cli.output import problem_fields
from coe.cli.server import Server
from coe.errors import CoeError, Unavailable


def download(server: Server, path: Path) -> dict[str, object]:
    """Stream the bundle to a new file; it has its name only when it is whole.

    Raises:
        CoeError: The server's refusal, or the path is taken.
    """
    import httpx  # noqa: PLC0415  # not needed to verify

    if path.exists():
        raise CoeError(f"{path} is there already; name a new file", code="CONFLICT")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    size = 0
    headers = {"Authorization": f"Bearer {server.token}"}
    try:
        with (
            httpx.Client(timeout=60, trust_env=False) as client,
            client.stream("GET", f"{server.url}/audit/bundle", headers=headers) as answer,
            draft.open("wb") as file,
        ):
            if answer.is_error:
                answer.read()
                raise _refusal(answer.json())
            for part in answer.iter_bytes():
                size += file.write(part)
    except httpx.HTTPError as error:
        draft.unlink(missing_ok=True)
        raise Unavailable(f"{server.url} cannot be reached: {type(error).__name__}") from None
    except CoeError:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    return {"path": str(path), "bytes": size}


def verify_bundle(path: Path, *, key: str | None, checkpoints: Path | None) -> dict[str, Any]:
    """What verifying the bundle found, as the JSON output has it."""
    from coe.audit.bundle_verification import verify_bundle as verify  # noqa: PLC0415  # only here

    told = verify(path, vkey=key, checkpoint_file=checkpoints)
    return {
        "ok": told.ok,
        "checkedEvents": told.checked_events,
        "treeSize": told.tree_size,
        "rootHash": told.root_hash.hex(),
        "key": told.key,
        "problems": [problem_fields(problem) for problem in told.problems],
    }


def _refusal(answer: dict[str, object]) -> CoeError:
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    return CoeError(str(first.get("message", "refused")), **first.get("extensions", {}))
