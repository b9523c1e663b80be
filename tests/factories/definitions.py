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


def flow(tasks: str, *, more: str = "") -> str:
    """A document with these tasks under `do`, and more keys at its top."""
    body = textwrap.indent(textwrap.dedent(tasks).strip("\n"), "  ")
    return f"{HEAD}{textwrap.dedent(more)}do:\n{body}\n"


def loaded(tasks: str, *, more: str = "") -> Definition:
    """The definition of such a document, which must load."""
    result = load(flow(tasks, more=more))
    assert result.definition is not None, result.problems
    return result.definition
