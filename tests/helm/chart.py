"""The chart as tests see it: rendered by helm, as Python objects."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm.fetch import helm

CHART: Final = Path(__file__).resolve().parents[2] / "helm" / "coe"
EXAMPLES: Final = sorted((CHART / "examples").glob("*.yaml"))
Values = dict[str, Any]
Manifest = dict[str, Any]
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm renders nothing; the message is its own."""


@functools.cache
def example(name: str = "minimal") -> Values:
    """The values of an example."""
    found: Values = yaml.load((CHART / "examples" / f"{name}.yaml").read_text(), LOADER)  # noqa: S506  # a safe one
    return found


def changed(base: Values, *changes: Values) -> Values:
    """The values with others over them, as helm does with several files."""
    result = dict(base)
    for change in changes:
        for key, value in change.items():
            inside = result.get(key)
            both = isinstance(value, dict) and isinstance(inside, dict)
            result[key] = changed(inside, value) if both else value
    return result


def template(values: Values, *options: str, release: str = "rel", chart: Path = CHART) -> str:
    """The text that helm renders.

    Raises:
        Refused: It renders nothing.
    """
    command = [helm(), "template", release, str(chart), "--namespace", "place", "-f", "-", *options]
    text = json.dumps(values)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def render(values: Values, *options: str, release: str = "rel") -> list[Manifest]:
    """The objects of a release with these values."""
    return objects(template(values, *options, release=release))


def objects(text: str) -> list[Manifest]:
    """The objects of a text of YAML; none is there twice."""
    found = [each for each in yaml.load_all(text, LOADER) if each]  # a safe one
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names), sorted(names)
    return found


@functools.cache
def rendered(name: str = "minimal") -> tuple[Manifest, ...]:
    """The objects of an example."""
    return tuple(render(example(name)))


def of_kind(manifests: Any, kind: str) -> dict[str, Manifest]:
    """The objects of a kind by their names without that of the release."""
    return {
        each["metadata"]["name"].removeprefix("rel-coe-"): each
        for each in manifests
        if each["kind"] == kind
    }


def pods(manifests: Any) -> Iterator[tuple[str, Manifest]]:
    """Each pod that comes of the objects: its name, and `{"metadata": …, "spec": …}`."""
    for each in manifests:
        name = each["metadata"]["name"].removeprefix("rel-coe-")
        if each["kind"] in {"Deployment", "Job"}:
            yield name, each["spec"]["template"]
        elif each["kind"] == "Pod":
            yield name, each


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def variables(container: Manifest) -> dict[str, Any]:
    """The variables of a container: a value, or what it refers to."""
    given = container.get("env", [])
    names = [each["name"] for each in given]
    assert len(set(names)) == len(names), names
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in given}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector selects something with these labels."""
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    within = all(
        labels.get(each["key"]) in each["values"] and each["operator"] == "In"
        for each in selector.get("matchExpressions", [])
    )
    return equal and within
