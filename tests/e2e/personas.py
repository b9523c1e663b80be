"""A persona of the demo, over HTTP only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

Value = TypeVar("Value")


class Refused(Exception):
    """A GraphQL error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('message')} {error.get('extensions')}")
        self.code: str = error["extensions"]["code"]
        self.extensions: dict[str, Any] = error["extensions"]


@dataclass(frozen=True)
class Persona:
    url: str
    name: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer demo-{self.name}"},
            timeout=30,
            trust_env=False,
        ).json()
        if answer.get("errors"):
            raise Refused(answer["errors"][0])
        data: dict[str, Any] = answer["data"]
        return data

    def do(self, mutation: str, payload: str, **given: Any) -> dict[str, Any]:
        """One mutation that takes `input`; its payload must have no error."""
        name = f"{mutation[0].upper()}{mutation[1:]}Input"
        name = INPUTS.get(mutation, name)
        query = (
            f"mutation M($input: {name}!) {{ {mutation}(input: $input) "
            f"{{ {payload} problems {{ code severity message path line column help }} }} }}"
        )
        answer: dict[str, Any] = self.ask(query, input=given)[mutation]
        return answer


INPUTS = {
    "submitForReview": "LifecycleInput",
    "publish": "LifecycleInput",
    "deprecate": "LifecycleInput",
    "retire": "LifecycleInput",
    "cancelRun": "RunInput",
    "retryRun": "RunInput",
    "claimHumanTask": "HumanTaskInput",
    "releaseHumanTask": "HumanTaskInput",
}


def until(look: Callable[[], Value | None], *, seconds: float = 60, what: str = "it") -> Value:
    """Poll until there is a value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {seconds} s")
