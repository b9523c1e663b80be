"""The tests of a template that test one rendering of it: they become the tests of the flow.

Each test of a template names the parameters that it is for. Those whose parameters give the same
definition as the flow's apply to the flow as they are, without the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from coe.json_types import JSON
from coe.language.source import Unreadable, read
from coe.templates.manifest import TESTS, TemplateFiles
from coe.templates.render import Rendered, Target, fill, write_yaml


def rendered_tests(files: TemplateFiles, target: Target, rendered: Rendered) -> str | None:
    """The text of the tests that apply to a rendering; None if there are none."""
    try:
        suite = read(files.texts[TESTS]).data
    except (KeyError, Unreadable):
        return None
    if not isinstance(suite, dict) or not isinstance(tests := suite.get("tests"), list):
        return None
    defaults = _mapping(suite.get("defaults"))
    fitting: dict[bytes, bool] = {}
    kept: list[JSON] = []
    for test in tests:
        given = _mapping(test)
        parameters = {**_mapping(defaults.get("parameters")), **_mapping(given.get("parameters"))}
        key = orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)
        if key not in fitting:
            data, _, problems = fill(files, target, parameters)
            fitting[key] = not problems and data == rendered.data
        if fitting[key]:
            kept.append({name: value for name, value in given.items() if name != "parameters"})
    if not kept:
        return None
    shared = {name: value for name, value in defaults.items() if name != "parameters"}
    whole: dict[str, JSON] = {"defaults": shared} if shared else {}
    return f"# Made from {files.manifest.ref}\n{write_yaml({**whole, 'tests': kept})}"


def _mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}
