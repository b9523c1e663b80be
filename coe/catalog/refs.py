"""Refs: `namespace/name`, `namespace/name@1.4.0`, `…@^1.2`, `…@live`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coe.catalog.models import LIVE
from coe.catalog.semver import Version, is_alias, parse_range, parse_version
from coe.errors import Invalid, Problem

_REF = re.compile(
    r"(?P<namespace>[a-z][a-z0-9-]{0,62})/(?P<name>[a-z][a-z0-9-]{0,62})"
    r"(?:@(?P<selector>[^@/]{1,60}))?",
)
_HELP = 'write "namespace/name" or "namespace/name@version": a version, a range or an alias'


@dataclass(frozen=True, slots=True)
class Ref:
    """A parsed ref; `selector` is the part after the `@`, None without one."""

    namespace: str
    name: str
    selector: str | None = None

    @property
    def entry(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def exact(self) -> Version | None:
        """The exact version of the selector; None if it is a range or an alias."""
        return parse_version(self.selector) if self.selector else None

    def __str__(self) -> str:
        """The ref as text."""
        return f"{self.entry}@{self.selector}" if self.selector else self.entry


def read_ref(text: str) -> Ref | None:
    """Parse a ref; None if the text is not one."""
    match = _REF.fullmatch(text)
    if match is None:
        return None
    selector = match["selector"]
    if selector is not None and not selector_is_valid(selector):
        return None
    return Ref(match["namespace"], match["name"], selector)


def require_ref(text: str, *, path: str = "/ref", exact: bool = False) -> Ref:
    """Parse a ref, or raise.

    Raises:
        Invalid: The text is not a ref, or lacks the exact version that is needed.
    """
    ref = read_ref(text)
    if ref is None:
        problem = Problem("INPUT_REF", f"{text[:80]!r} is not a ref", path=path, help=_HELP)
        raise Invalid([problem])
    if exact and ref.exact is None:
        message = f"{text[:80]!r} does not name one exact version"
        raise Invalid(
            [Problem("INPUT_REF", message, path=path, help=f"such as {ref.entry}@1.0.0")],
        )
    return ref


def require_entries(
    texts: Sequence[str], kind: str, *, path: str = "/filter/flows"
) -> tuple[str, ...]:
    """The `namespace/name` of entries in a filter; `flow:` before a flow is understood.

    Raises:
        Invalid: A text is not the name of an entry, so that nothing could match it.
    """
    found: dict[str, None] = {}
    problems = []
    for index, text in enumerate(texts):
        ref = read_ref(text.removeprefix(f"{kind}:"))
        if ref is None or ref.selector is not None:
            message = f"{text[:80]!r} names no {kind}"
            if ref is not None:
                message = f"{text[:80]!r} names a version: nothing is filtered by versions"
            help = f"write namespace/name, such as {ref.entry if ref else 'sales/order-to-cash'}"
            problems.append(Problem("INPUT_FILTER", message, path=f"{path}/{index}", help=help))
        else:
            found[ref.entry] = None
    if problems:
        raise Invalid(problems)
    return tuple(found)


def selector_is_valid(selector: str) -> bool:
    """Whether a text is an exact version, a range or an alias."""
    return (
        parse_version(selector) is not None
        or parse_range(selector) is not None
        or is_alias(selector)
    )


def selector_or_live(selector: str | None) -> str:
    """The selector, or the alias `live` without one."""
    return selector or LIVE
