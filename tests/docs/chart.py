"""Write what the Helm chart has of the code: its schema of values, and its README.

`config` of the values is the settings (`coe.settings`), so a setting is written down once. The
schema is closed: a name that nobody reads is an error, but `global`, which umbrella charts set,
and the types of Kubernetes, which grow with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from coe.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "helm" / "coe"
Schema = dict[str, Any]

OF_THE_CHART: Final = {
    "COE_DATA_DIR": "a volume of the chart",
    "COE_HOST": "the pod's own address",
    "COE_PORT": "behind the Service",
    "COE_PROBE_HOST": "the pod's own address",
    "COE_PROBE_PORT": "a port of the pod",
    "COE_PREFECT_URL": "prefect.enabled or prefect.url",
    "COE_LOOPS": "the workload loops",
    "COE_GATEWAY": "the workload gateway",
    "COE_DRAIN_DELAY_SECONDS": "drainDelaySeconds",
    "COE_CHECKPOINT_FILE": "a volume of the sealer",
    "COE_URL": "of workers of teams and of commands",
    "COE_TOKEN": "of commands",
    "COE_WORKER_CODE": "of workers of teams",
    "COE_WORKER_KEY_DAYS": "the same",
    "COE_FLOWS_DIR": "the same",
}
"""Settings that have no place in `config`, with what decides on them."""

OPEN: Final = {"x-kubernetes": True}
KUBERNETES: Final[dict[str, Schema]] = {
    **dict.fromkeys(
        ("podSecurityContext", "securityContext", "affinity", "resources", "behavior"),
        {"type": ["object", "null"]} | OPEN,
    ),
    **dict.fromkeys(
        (
            "tolerations",
            "topologySpreadConstraints",
            "extraEnv",
            "extraEnvFrom",
            "extraVolumes",
            "extraVolumeMounts",
            "extraContainers",
            "extraInitContainers",
            "metrics",
            "pullSecrets",
            "tls",
            "parentRefs",
            "clients",
            "monitoring",
            "dns",
            "database",
            "redis",
            "prefect",
            "extraEgress",
        ),
        {"type": ["array", "null"], "items": {"type": "object"}} | OPEN,
    ),
    **{
        key: {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
        for key in ("podLabels", "podAnnotations", "annotations", "labels", "nodeSelector")
    },
}
"""Values that Kubernetes defines, by their names: they are handed on."""

NAME: Final = {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"}
HOST: Final = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535}
SECRET: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "key"],
    "properties": {
        "name": NAME,
        "key": {"type": "string", "pattern": "^[-._a-zA-Z0-9]{1,253}$"},
    },
}
PRECISE: Final[dict[str, Schema]] = {
    "global": {"type": "object"},
    "nameOverride": {"type": "string", "pattern": "^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$"},
    "fullnameOverride": {"type": "string", "pattern": "^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$"},
    "image.repository": {"type": "string", "minLength": 1},
    "image.tag": {"type": "string", "pattern": "^([A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?$"},
    "image.digest": {"type": "string", "pattern": "^(sha256:[a-f0-9]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "prefect.config": {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^PREFECT_[A-Z0-9_]+$": {"type": ["string", "number", "boolean"]}},
    },
    "prefect.url": {"type": "string", "pattern": "^(https?://.+)?$"},
    "sealer.persistence.accessMode": {
        "enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
    },
    "sealer.persistence.size": {"type": "string", "pattern": "^[1-9][0-9]*(Mi|Gi|Ti)$"},
    "ingress.hosts": {"type": "array", "items": HOST},
    "httpRoute.hostnames": {"type": "array", "items": HOST},
    "networkPolicy.databasePorts": {"type": "array", "items": PORT, "minItems": 1},
    "networkPolicy.publicPorts": {"type": "array", "items": PORT, "minItems": 1},
    "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
}
BY_NAME: Final[dict[str, Schema]] = {
    "replicas": {"type": "integer", "minimum": 0},
    "maxUnavailable": {"type": ["integer", "string"], "pattern": "^[0-9]+%$", "minimum": 1},
    "port": PORT,
    "redisPort": PORT,
    "prefectPort": PORT,
    "serviceAccountName": NAME,
    "priorityClassName": NAME,
    "existingClaim": NAME,
    "storageClassName": NAME,
    "interval": {"type": "string", "pattern": "^[1-9][0-9]*(ms|s|m|h)$"},
}
SERVICE_TYPE: Final = {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}
WORKLOADS: Final = (
    "api",
    "gateway",
    "centralWorker",
    "loops",
    "sealer",
    "prefectApi",
    "prefectServices",
)
OF_THE_JOB: Final = (
    "podSecurityContext",
    "securityContext",
    "nodeSelector",
    "tolerations",
    "affinity",
    "podLabels",
    "extraEnv",
    "extraEnvFrom",
    "extraVolumes",
    "extraVolumeMounts",
)
"""What the job that migrates takes from `defaults`."""
ELSEWHERE: Final = re.compile(r'define "coe.elsewhere" -}}\n(.*?)\n{{- end', re.DOTALL)
VARIABLE: Final = re.compile(r"variable: (COE_[A-Z_]+?)(_FILE)?, ")


def secret_variables() -> set[str]:
    """The settings that the chart takes from Secrets, as its table in `_environment.tpl` says."""
    table = (CHART / "templates" / "_environment.tpl").read_text()
    settings = {f"COE_{name.upper()}" for name in Settings.model_fields}
    found = VARIABLE.findall(table)
    return {name if name in settings else name + suffix for name, suffix in found}


def config_schema() -> Schema:
    """The settings that `config` may have, each with its type and meaning."""
    away = secret_variables() | set(OF_THE_CHART)
    whole = Settings.model_json_schema(by_alias=False)
    properties = {}
    for name, field in whole["properties"].items():
        variable = f"COE_{name.upper()}"
        if variable not in away:
            properties[variable] = {
                "description": field["description"],
                **_plain(field, whole.get("$defs", {})),
            }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _plain(field: Schema, definitions: Schema) -> Schema:
    """The type of a setting without its default and without null."""
    if "$ref" in field:
        return _plain(definitions[field["$ref"].rpartition("/")[2]], definitions)
    choices = [each for each in field.get("anyOf", []) if each.get("type") != "null"]
    if choices:
        return _plain(choices[0], definitions)
    kept = ("type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "items")
    found = {key: field[key] for key in kept if key in field}
    if found.get("type") == "object":
        found["additionalProperties"] = field.get("additionalProperties", True)
    return found


def values_schema() -> Schema:
    """The schema of `values.yaml`."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    meanings = dict(described_values())
    root = _object(values, "", meanings)
    place = "#/properties/defaults/properties"
    defaults = {
        key: {"$ref": f"{place}/{key}"} for key in root["properties"]["defaults"]["properties"]
    }
    for workload in WORKLOADS:
        own = root["properties"][workload]["properties"]
        root["properties"][workload]["properties"] = {**defaults, **own}
    for key in OF_THE_JOB:
        root["properties"]["migrate"]["properties"].setdefault(key, defaults[key])
    # Names that other charts have pass here, for the chart says what stands in their place.
    found = ELSEWHERE.search((CHART / "templates" / "_checks.tpl").read_text())
    for name in yaml.safe_load(found[1]) if found else {}:
        root["properties"][name] = True
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of coe",
        **root,
        "definitions": {"secret": SECRET, "settings": config_schema()},
    }


def _object(values: dict[str, Any], place: str, meanings: dict[str, str]) -> Schema:
    properties = {}
    for key, value in values.items():
        path = f"{place}.{key}".lstrip(".")
        meaning = {"description": meanings[path]} if path in meanings else {}
        properties[key] = {**meaning, **_value(value, key, path, meanings)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value(value: object, key: str, path: str, meanings: dict[str, str]) -> Schema:
    known = {**({} if path in OURS else KUBERNETES), **BY_NAME, "config": SETTINGS}.get(key)
    if path in PRECISE:
        return PRECISE[path]
    if path.startswith("secrets."):
        return {"$ref": "#/definitions/secret"}
    if path.endswith("service.type"):
        return SERVICE_TYPE
    if known is not None:
        return known
    return _object(value, path, meanings) if isinstance(value, dict) else TYPES[type(value)]


SETTINGS: Final = {"$ref": "#/definitions/settings"}
TYPES: Final[dict[type, Schema]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    str: {"type": "string"},
}
OURS: Final = {"prefect", "metrics"}
"""Values of our own whose names are those of a type of Kubernetes elsewhere."""

KEY: Final = re.compile(r"^( *)(?:- )?([A-Za-z]+):(?: (.*))?$")


def described_values() -> Iterator[tuple[str, str]]:
    """Each value with the `# -- …` above it, in order."""
    stack: list[tuple[int, str]] = []
    meaning: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            meaning = [text.removeprefix("# -- ")]
        elif text.startswith("# ") and meaning:
            meaning.append(text.removeprefix("# "))
        elif match := KEY.match(line):
            depth = len(match[1])
            stack = [each for each in stack if each[0] < depth] + [(depth, match[2])]
            if meaning:
                yield ".".join(name for _, name in stack), " ".join(meaning)
            meaning = []
        else:
            meaning = []


def schema_text() -> str:
    """The file `values.schema.json`."""
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """The file `README.md` of the chart: how it is used, and every value."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    lines = [
        f"# {chart['name']}",
        "",
        f"{chart['description']}. For Helm 3.18 or 4 and Argo CD; Kubernetes",
        f"{chart['kubeVersion'].removesuffix('-0')}.",
        "[Kubernetes](../../docs/operations/kubernetes.md) tells how it is installed and operated,",
        "[UPGRADING.md](UPGRADING.md) what a new version asks of you. Examples are in `examples/`.",
        "",
        "Generated from `values.yaml`. A workload may override each value of `defaults`.",
        "",
        "| value | meaning | default |",
        "|---|---|---|",
    ]
    for path, meaning in described_values():
        default: Any = values
        for name in path.split("."):
            default = default[name]
        shown = json.dumps(default, ensure_ascii=False, separators=(", ", ": "))
        shown = shown if len(shown) <= 60 else "see `values.yaml`"  # a column
        code = shown if shown.startswith("see") else f"`{shown}`"
        lines.append(f"| `{path}` | {meaning.replace('|', chr(92) + '|')} | {code} |")
    return "\n".join(lines) + "\n"


FILES: Final = {CHART / "values.schema.json": schema_text, CHART / "README.md": readme}
"""The files that are written, and what makes each."""
