"""Rendered objects: Kubernetes takes them, the restricted profile too, and they fit together."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coe.access.network import is_public
from coe.engines.prefect_server import QUIET, TUNING
from coe.settings import Settings
from tests.docs.chart import values_schema
from tests.helm.chart import (
    CHART,
    EXAMPLES,
    Refused,
    changed,
    containers,
    example,
    of_kind,
    pods,
    render,
    rendered,
    selects,
    template,
    variables,
)

NAMES = [path.stem for path in EXAMPLES]
FOREIGN = {"ServiceMonitor", "PrometheusRule", "HTTPRoute", "ScaledObject"}


def check(manifests: Any) -> None:
    """What Kubernetes itself checks of objects."""
    for each in manifests:
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, "1.37", strict=True)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", each["metadata"]["name"])
        assert len(each["metadata"]["name"]) <= 63


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_the_objects(name: str) -> None:
    check(rendered(name))
    for each in rendered(name):
        if each["kind"] not in FOREIGN | {"HorizontalPodAutoscaler"}:
            kubernetes_validate.validate(each, "1.30", strict=False)


@pytest.mark.parametrize("name", NAMES)
def test_each_pod_keeps_the_restricted_profile(name: str) -> None:
    for _, pod in pods(rendered(name)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {
                "emptyDir",
                "projected",
                "secret",
                "persistentVolumeClaim",
            }
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", NAMES)
def test_every_process_of_the_platform_is_probed_on_a_port_of_its_own(name: str) -> None:
    for component, each in of_kind(rendered(name), "Deployment").items():
        container = containers(each["spec"]["template"])[0]
        given = {
            kind: container.get(f"{kind}Probe", {}).get("httpGet")
            for kind in ("startup", "liveness", "readiness")
        }
        if component == "prefect-services":  # Prefect's services listen nowhere
            assert set(given.values()) == {None}
        elif component == "prefect-api":
            assert {each["port"] for each in given.values() if each} == {"http"}
        else:
            assert given == {
                "startup": {"path": "/startupz", "port": "probes"},
                "liveness": {"path": "/livez", "port": "probes"},
                "readiness": {"path": "/readyz", "port": "probes"},
            }
            ports = {each["name"]: each["containerPort"] for each in container["ports"]}
            assert str(ports["probes"]) == variables(container)["COE_PROBE_PORT"]


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_that_pods_get_are_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {f"COE_{field.upper()}" for field in Settings.model_fields}
    for _, pod in pods(rendered(name)):
        for container in containers(pod):
            given = {
                key: value for key, value in variables(container).items() if key.startswith("COE_")
            }
            assert {
                key for key in given if key not in known and key.removesuffix("_FILE") not in known
            } == set()
            with monkeypatch.context() as environment:
                for key, value in given.items():
                    if not key.endswith("_FILE"):
                        environment.setenv(key, value)
                Settings()


def test_prefects_server_is_set_up_as_everywhere() -> None:
    pod = of_kind(rendered("production"), "Deployment")["prefect-api"]["spec"]["template"]
    given = variables(containers(pod)[0])
    assert given.items() >= (QUIET | TUNING).items()


@pytest.mark.parametrize("name", NAMES)
def test_a_service_leads_to_pods_and_a_way_in_to_services(name: str) -> None:
    manifests = rendered(name)
    services = of_kind(manifests, "Service")
    for service in services.values():
        chosen = [
            pod
            for _, pod in pods(manifests)
            if selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
        ]
        assert len(chosen) == 1
        named = {port["name"] for port in containers(chosen[0])[0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for each in of_kind(manifests, "Ingress").values():
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = services[backend["name"].removeprefix("rel-coe-")]["spec"]["ports"]
                assert backend["port"]["name"] in {port["name"] for port in ports}
    for each in of_kind(manifests, "HTTPRoute").values():
        for rule in each["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                ports = services[backend["name"].removeprefix("rel-coe-")]["spec"]["ports"]
                assert backend["port"] in {port["port"] for port in ports}


def test_the_hosts_of_the_services_and_of_the_way_in_are_answered() -> None:
    pod = of_kind(rendered("production"), "Deployment")["api"]["spec"]["template"]
    hosts = json.loads(variables(containers(pod)[0])["COE_ALLOWED_HOSTS"])
    assert {"rel-coe-api", "rel-coe-gateway.place.svc", "coe.acme.example"} <= set(hosts)


REFUSALS = {
    "without a secret": (
        {"secrets": {"kek": {"name": ""}}},
        "secrets.kek.name: name an existing Secret",
    ),
    "Prefect twice": ({"prefect": {"enabled": True}}, "prefect.url names another server"),
    "no Prefect": ({"prefect": {"url": ""}}, "prefect.url: name the API"),
    "in clear": (
        {"config": {"COE_TRUSTED_PROXIES": []}},
        "config.COE_TRUSTED_PROXIES: name the networks",
    ),
    "half of TLS": ({"secrets": {"tlsKey": {"name": "x", "key": "y"}}}, "tlsKey go together"),
    "half of Redis": (
        {"secrets": {"redisDocketUrl": {"name": "x", "key": "y"}}},
        "redisDocketUrl go together",
    ),
    "two ways in": (
        {
            "ingress": {"enabled": True, "hosts": ["a.example"]},
            "httpRoute": {
                "enabled": True,
                "hostnames": ["a.example"],
                "parentRefs": [{"name": "x"}],
            },
        },
        "enable one of them",
    ),
    "two sealers on one volume": ({"sealer": {"replicas": 2}}, "ReadWriteMany"),
    "a database of the chart": ({"postgresql": {"enabled": True}}, "the chart brings no database"),
    "a name of other charts": ({"replicaCount": 3}, "each workload has its replicas"),
    "no line of the policy": (
        {"networkPolicy": {"networkCsv": "p, a, b"}},
        "is no line of policies/network.csv",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_values_that_contradict_one_another_are_refused_with_what_to_change(case: str) -> None:
    values, message = REFUSALS[case]
    with pytest.raises(Refused, match=re.escape(message)):
        render(changed(example(), values))


# ---------------------------------------------------------------- the network
def _egress(component: str, manifests: Any) -> list[dict[str, Any]]:
    labels = next(pod["metadata"]["labels"] for name, pod in pods(manifests) if name == component)
    policies = of_kind(manifests, "NetworkPolicy").values()
    chosen = [each["spec"] for each in policies if selects(each["spec"]["podSelector"], labels)]
    assert any(set(each["policyTypes"]) == {"Ingress", "Egress"} for each in chosen), "not closed"
    return [
        rule
        for each in chosen
        if "Egress" in each["policyTypes"]
        for rule in each.get("egress", [])
    ]


def _reaches(rules: list[dict[str, Any]], address: str, port: int) -> bool:
    ip = ipaddress.ip_address(address)
    for rule in rules:
        ports = rule.get("ports")
        if ports and port not in {each["port"] for each in ports}:
            continue
        for peer in rule["to"]:
            block = peer.get("ipBlock")
            if (
                block
                and ip in ipaddress.ip_network(block["cidr"])
                and not any(ip in ipaddress.ip_network(each) for each in block.get("except", []))
            ):
                return True
    return False


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_closed_but_for_what_is_named(name: str) -> None:
    for component, _ in pods(rendered(name)):
        _egress(component, rendered(name))


def test_a_central_worker_reaches_what_the_policy_of_the_network_lets_flows_reach() -> None:
    lines = (CHART.parents[1] / "policies" / "network.csv").read_text()
    inside = {
        "networkPolicy": {
            "networkCsv": lines,
            "database": [{"podSelector": {}}],
            "prefect": [{"podSelector": {}}],
        }
    }
    rules = _egress("central-worker", render(changed(example(), inside)))
    for address, port in (("10.20.255.1", 443), ("10.30.0.15", 8443), ("93.184.216.34", 8080)):
        assert _reaches(rules, address, port), address
    for address, port in (("10.20.255.1", 444), ("10.30.0.16", 8443), ("169.254.169.254", 80)):
        assert not _reaches(rules, address, port), address


# The edges of every special network, and their neighbours.
SPECIAL = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "fc00::/7", "fe80::/10", "2001:db8::/32",
    "::1/128",
)  # fmt: skip


def test_the_internet_of_the_policies_is_that_of_the_code() -> None:
    inside = {
        "networkPolicy": {"database": [{"podSelector": {}}], "prefect": [{"podSelector": {}}]}
    }
    rules = _egress("central-worker", render(changed(example(), inside)))
    for network in map(ipaddress.ip_network, SPECIAL):
        first, last = network[0], network[-1]
        around = [first, last]
        around += [first - 1] if int(first) else []
        around += [last + 1] if int(last) + 1 < 2**last.max_prefixlen else []
        for address in around:
            if _reaches(rules, str(address), 443):
                assert is_public(address), address
    for address in ("1.1.1.1", "9.9.9.9", "172.15.255.255", "2606:4700::1111", "223.255.255.255"):
        assert _reaches(rules, address, 443)


def test_only_the_workloads_that_call_prefect_reach_it() -> None:
    server = of_kind(rendered("production"), "NetworkPolicy")["prefect-server"]
    allowed = server["spec"]["ingress"][0]["from"][0]["podSelector"]
    users = {
        name
        for name, pod in pods(rendered("production"))
        if selects(allowed, pod["metadata"]["labels"])
    }
    assert users == {"api", "gateway", "central-worker", "loops", "prefect-services"}


# ---------------------------------------------------------------- any values
KUBERNETES: dict[str, Any] = {
    "podSecurityContext": {"runAsUser": 10002},
    "securityContext": {"runAsNonRoot": True},
    "affinity": {"nodeAffinity": {}},
    "resources": {"requests": {"cpu": "1"}},
    "behavior": {"scaleUp": {"stabilizationWindowSeconds": 1}},
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraEnvFrom": [{"secretRef": {"name": "a"}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraContainers": [{"name": "beside", "image": "x"}],
    "extraInitContainers": [{"name": "before", "image": "x"}],
    "metrics": [
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}}
    ],
    "pullSecrets": [{"name": "registry"}],
    "tls": [{"secretName": "x"}],
    "parentRefs": [{"name": "x"}],
    "extraEgress": [{"to": [{"podSelector": {}}]}],
}
FEW: dict[str, list[Any]] = {
    "config": [{}],
    "global": [{}, {"a": 1}],
    "extraObjects": [[]],
    "networkCsv": ["", "# nothing\n", "n, *, a.example, 10.0.0.0/8, *\n"],
}
PEERS = {"clients", "monitoring", "dns", "database", "redis", "prefect"}


def _values(schema: Any, root: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a schema, as far as ours goes; an example of what only Kubernetes knows."""
    if "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _values(found, root, name)
    if schema.get("x-kubernetes"):
        return st.just([{"podSelector": {}}] if name in PEERS else KUBERNETES[name])
    if name in FEW:
        return st.sampled_from(FEW[name])
    if schema.get("additionalProperties") == {"type": "string"}:
        return st.just({"a.example/b": "c"} if name.endswith("nnotations") else {"b": "c"})
    if "properties" in schema:
        inside = schema["properties"]
        kept = {key: _values(each, root, key) for key, each in inside.items() if each is not True}
        needed = {key: kept.pop(key) for key in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=kept)
    return _simple(schema, root)


def _simple(schema: Any, root: Any) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema["minimum"], schema.get("maximum", schema["minimum"] + 600))
    if kind == "array":
        return st.lists(
            _values(schema["items"], root), min_size=schema.get("minItems", 0), max_size=3
        )
    pattern = schema.get("pattern", "^[ -~]{1,20}$")
    return st.from_regex(pattern.replace(".+", "[a-z]+"), fullmatch=True)


WHOLE = values_schema()


@settings(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(_values(WHOLE, WHOLE))
def test_any_values_are_rendered_or_refused_with_a_sentence(values: dict[str, Any]) -> None:
    try:
        found = render(changed(example("production"), values))
    except Refused as refused:
        assert "Error: execution error at (coe/templates/" in str(refused), refused
    else:
        check(found)


def test_the_values_and_the_schema_have_the_same_names() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) <= set(WHOLE["properties"])
    assert template(changed(values, example()))
