"""Definitions for tests: a complete document around the part that a test is about."""

from __future__ import annotations

import textwrap

from coe.language.load import load
from coe.language.model.definition import Definition

HEAD = """\
document:
  dsl: '1.0.3'
  namespace: sales
  name: order-to-cash
  version: '1.0.0'
"""


def flow(tasks: str, *, more: str = "", about: str = "") -> str:
    """A document with these tasks under `do`, more keys at its top, and more under `document`."""
    body = textwrap.indent(textwrap.dedent(tasks).strip("\n"), "  ")
    head = HEAD + textwrap.indent(about and f"{about}\n", "  ")
    return f"{head}{textwrap.dedent(more)}do:\n{body}\n"


def loaded(tasks: str, *, more: str = "", about: str = "") -> Definition:
    """The definition of such a document, which must load."""
    result = load(flow(tasks, more=more, about=about))
    assert result.definition is not None, result.problems
    return result.definition
